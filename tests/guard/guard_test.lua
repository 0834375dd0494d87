-- Runs the guard under a stand-in for the table that Slurm's lua plugins provide.

local said = {}
local function say(format, ...)
   table.insert(said, string.format(format, ...))
end
slurm = { SUCCESS = 0, ERROR = -1, log_error = say, log_user = say }
dofile(arg[1])

-- What --gpus-per-task says, and whether it is refused.
local gpus_per_task = {
   { nil, false },
   { "", false },
   { "1", false },
   { "2", false },
   { "gpu:1", false },
   { "1g.5gb:1", true },
   { "1g.5gb", true },
   { "3g.20gb:2", true },
   { "a100_1g.5gb:1", true },
   { "a100_1g.5gb", true },
   { "1g.5gb:1,3g.20gb:1", true },
   { "gpu:1g.5gb:1", true },
}
-- The same as the job record has it, up to 23.11 and later.
local tres_per_task = {
   { nil, false },
   { "gres:gpu:1", false },
   { "gres:gpu", false },
   { "gres/gpu:2", false },
   { "gres/gpu=2", false },
   { "cpu=4", false },
   { "cpu=4,gres/gpu:1", false },
   { "license/matlab=1", false },
   { "gres/shard:4", false },
   { "gres:gpu:1g.5gb:1", true },
   { "gres/gpu:a100_3g.20gb:1", true },
   { "gres/gpu:1g.5gb=1", true },
   { "cpu=4,gres/gpu:1g.5gb:1", true },
   { "gres:gpu:1g.5gb", true },
}

local function check(name, value, refused, code)
   local got = code ~= slurm.SUCCESS
   assert(got == refused, string.format("%s %s: refused is %s", name, tostring(value), tostring(got)))
   assert(#said == (refused and 1 or 0), name .. ": one message for a refusal, none otherwise")
   if refused then
      assert(said[1]:find("^%[mig%] %-%-gpus%-per%-task="), said[1])
   end
   said = {}
end

for _, case in ipairs(gpus_per_task) do
   check("--gpus-per-task", case[1], case[2], slurm_cli_pre_submit({ ["gpus-per-task"] = case[1] }, 0))
end
for _, case in ipairs(tres_per_task) do
   check("--tres-per-task", case[1], case[2], slurm_cli_pre_submit({ ["tres-per-task"] = case[1] }, 0))
   check("job", case[1], case[2], slurm_job_submit({ tres_per_task = case[1] }, {}, 0))
   check("change", case[1], case[2], slurm_job_modify({ tres_per_task = case[1] }, {}, {}, 0))
end
assert(slurm_cli_setup_defaults({}, false) == slurm.SUCCESS)
assert(slurm_cli_post_submit(0, 1, 0) == slurm.SUCCESS)
print("guard: ok")
