-- Runs submit rules on forms, under a stand-in for the table that Slurm's lua plugins provide.
-- usage: run.lua FORMS PAIRS RULES SCRIPT [RULES SCRIPT]...

local forms, pairs_of_options = arg[1], arg[2]
local scripts = {}
for at = 3, #arg, 2 do
   scripts[arg[at]] = arg[at + 1]
end

local said = {}
local function say(format, ...)
   table.insert(said, string.format(format, ...))
end
slurm = { SUCCESS = 0, ERROR = -1, log_error = say, log_user = say }

local field_of = {
   gres = "tres_per_node", ["gpus-per-node"] = "tres_per_node", gpus = "tres_per_job",
   ["gpus-per-socket"] = "tres_per_socket", ["gpus-per-task"] = "tres_per_task", ["tres-per-task"] = "tres_per_task",
}
local bare = { gpus = true, ["gpus-per-node"] = true, ["gpus-per-socket"] = true, ["gpus-per-task"] = true }

-- As the commands send it: each entry with what it is of before it.
local function sent(option, value, prefix)
   if value == "none" then
      return nil
   end
   if option == "tres-per-task" then
      return value
   end
   return (value:gsub("[^,]+", function(part) return prefix .. (bare[option] and "gpu:" or "") .. part end))
end

-- Types with their counts, as forms.tsv has them.
local function outcome(text)
   local found = {}
   for part in (text or ""):gmatch("[^,]+") do
      local words = part:match("^gres[:/]gpu(.*)$") or part:match("^gpu(.*)$")
      if words then
         local kind, count = words:match("^[:=](.+)[:=](%w+)$")
         table.insert(found, kind and kind .. ":" .. count or ":" .. (words:match("^[:=](%w+)$") or "1"))
      end
   end
   return table.concat(found, ",")
end

local failures, count = {}, 0
local function judge(row, how, code, got)
   count = count + 1
   local refused = code ~= slurm.SUCCESS
   local word = row.expected:match("^!(.*)$")
   local message = table.concat(said, "\n")
   said = {}
   local right
   if word then
      right = refused and message:find(word, 1, true) and message:find("[mig] ", 1, true) == 1
   else
      right = not refused and message == "" and got == row.expected
   end
   if not right then
      table.insert(failures, string.format("%s --%s=%s, %s: %s; wanted %s", row.rules, row.option, row.value, how,
         refused and message or got, row.expected))
   end
end

local function lines_of(file)
   local rows = {}
   for line in io.lines(file) do
      if line:sub(1, 1) ~= "#" then
         local cells = {}
         for cell in (line .. "\t"):gmatch("([^\t]*)\t") do
            table.insert(cells, cell)
         end
         table.insert(rows, cells)
      end
   end
   return rows
end

local rows = {}
for _, cells in ipairs(lines_of(forms)) do
   table.insert(rows, { rules = cells[1], option = cells[2], value = cells[3], expected = cells[4] or "" })
end

-- Fields that options of sbatch, and words of scontrol, set.
local setters = {
   nodes = function(job, value) job.min_nodes, job.max_nodes = tonumber(value), tonumber(value) end,
   ntasks = function(job, value) job.num_tasks = tonumber(value) end,
   ["ntasks-per-gpu"] = function(job, value) job.ntasks_per_tres = tonumber(value) end,
   ["sockets-per-node"] = function(job, value) job.sockets_per_node = tonumber(value) end,
   numnodes = function(job, value) job.min_nodes, job.max_nodes = tonumber(value), tonumber(value) end,
   numtasks = function(job, value) job.num_tasks = tonumber(value) end,
   taskspernode = function(job, value) job.ntasks_per_node = tonumber(value) end,
   reqsockets = function(job, value) job.sockets_per_node = tonumber(value) end,
   tresperjob = function(job, value, prefix) job.tres_per_job = value:gsub("gres:", prefix) end,
   trespernode = function(job, value, prefix) job.tres_per_node = value:gsub("gres:", prefix) end,
   trespersocket = function(job, value, prefix) job.tres_per_socket = value:gsub("gres:", prefix) end,
   trespertask = function(job, value, prefix) job.tres_per_task = value:gsub("gres:", prefix) end,
   timelimit = function(job, value) job.time_limit = tonumber(value) end,
}

-- "--gpus=2 --nodes=2" or "NumNodes=2 Gres=gpu:1" as a job description, in which Slurm says by large numbers what is not set.
local function description(words, prefix)
   local job = { min_nodes = 4294967294, max_nodes = 4294967294, num_tasks = 4294967294, ntasks_per_node = 65534,
      ntasks_per_tres = 65534, sockets_per_node = 65534 }
   for name, value in words:gmatch("%-?%-?([%w%-]+)=(%S*)") do
      name = name:lower()
      if setters[name] then
         setters[name](job, value, prefix)
      else
         job[assert(field_of[name], name)] = sent(name, value, prefix)
      end
   end
   return job
end

-- What a job then has of a record: slurmctld keeps 0 where no number of nodes is the most.
local function record_of(job)
   local function kept(value, without)
      return value ~= 4294967294 and value or without
   end
   return { min_nodes = kept(job.min_nodes, 1), max_nodes = kept(job.max_nodes, 0), tres_per_node = job.tres_per_node,
      tres_per_job = job.tres_per_job, tres_per_socket = job.tres_per_socket, tres_per_task = job.tres_per_task }
end

local spent, calls = 0, 0
for rules, script in pairs(scripts) do
   dofile(script)
   for _, row in ipairs(rows) do
      if row.rules == rules then
         for _, prefix in ipairs({ "gres:", "gres/" }) do
            local job = { [field_of[row.option]] = sent(row.option, row.value, prefix) }
            local start = os.clock()
            local code = slurm_job_submit(job, {}, 0)
            spent, calls = spent + os.clock() - start, calls + 1
            judge(row, "job " .. prefix, code, outcome(job[field_of[row.option]]))
            -- A second time changes nothing: a site may have both plugins.
            if code == slurm.SUCCESS then
               judge(row, "job again", slurm_job_submit(job, {}, 0), outcome(job[field_of[row.option]]))
            end
            if row.value ~= "none" then
               judge(row, "change", slurm_job_modify({ [field_of[row.option]] = sent(row.option, row.value, prefix) }, {}, {}, 0),
                  row.expected)
            end
         end
         for _, given in ipairs({ row.value, row.option == "gres" and sent("gres", row.value, "gres/") or row.value }) do
            local options = { [row.option] = given, ["type"] = "sbatch", nodes = "1-0", ntasks = 1 }
            local code = slurm_cli_pre_submit(options, 0)
            local text = options[row.option]
            if text == "none" then
               text = nil
            elseif row.option ~= "tres-per-task" then
               text = sent(row.option, text, "")
            end
            judge(row, "command", code, outcome(text))
         end
      end
   end
end
for _, cells in ipairs(lines_of(pairs_of_options)) do
   dofile(assert(scripts[cells[1]], cells[1]))
   local change = cells[3] or ""
   for _, prefix in ipairs({ "gres:", "gres/" }) do
      local row = { rules = cells[1], option = "", value = cells[2] .. " " .. change, expected = cells[4] or "" }
      local job = description(cells[2], prefix)
      local code = slurm_job_submit(job, {}, 0)
      if change ~= "" then
         judge({ rules = row.rules, option = "", value = cells[2], expected = "" }, "job " .. prefix, code, "")
         code = slurm_job_modify(description(change, prefix), record_of(job), {}, 0)
      end
      judge(row, "pair " .. prefix, code, row.expected:sub(1, 1) == "!" and "" or row.expected)
   end
   -- The commands see less of a job than slurmctld: what they refuse has to be what it refuses.
   if change == "" and not cells[4] then
      local options = { ["type"] = "sbatch", nodes = "1-0", ntasks = 1 }
      for name, value in cells[2]:gmatch("%-%-([%w%-]+)=(%S*)") do
         options[name] = value
      end
      judge({ rules = cells[1], option = "", value = cells[2], expected = "" }, "pair in a command",
         slurm_cli_pre_submit(options, 0), "")
   end
end

-- What no command sends, but a program of one's own can.
dofile(scripts.open)
for _, text in ipairs({ ("gres:gpu:1g.5gb:1,"):rep(16000), "gres:gpu:" .. ("x"):rep(1024) }) do
   local start = os.clock()
   local code = slurm_job_submit({ tres_per_node = text }, {}, 0)
   judge({ rules = "open", option = "", value = text:sub(1, 40), expected = "!longer than" }, "long", code, "")
   assert(os.clock() - start < 0.1, "a long request takes long")
end
assert(slurm_cli_setup_defaults({}, false) == slurm.SUCCESS)
assert(slurm_cli_post_submit(0, 1, 0) == slurm.SUCCESS)
for _, failure in ipairs(failures) do
   io.stderr:write(failure, "\n")
end
print(string.format("%d forms, %d runs, %d wrong", #rows, count, #failures))
io.stderr:write(string.format("%.1f microseconds for each submission\n", spent / calls * 1e6))
os.exit(#failures == 0)
