-- Refuses --gpus-per-task with a GPU type.
--
-- Slurm itself gets that form wrong (seen with select/cons_tres and File-backed GPUs):
--   22.05.8           "3g.20gb:1" with two tasks is read as three GPUs per task; "1g.5gb:2" gives one per task;
--                     a type that starts with a letter gives every task all GPUs of the step
--   24.11.5, 26.05.5  without a count "3g.20gb" gives three GPUs of another type, and a type that starts with a
--                     letter none; of two types one is dropped, or tasks are given different types
-- None of these is reported to the user. The same request is safe as --gres (or --gpus-per-node) with
-- --gpu-bind=single:1.
--
-- Install it beside slurm.conf under one name or both; Slurm ships the two plugins in its basic packages:
--   job_submit.lua   JobSubmitPlugins=lua   in slurmctld: every job, whatever command or API sent it; but not steps,
--                    and not a type without a count from 24.11, which arrives as a plain number
--   cli_filter.lua   CliFilterPlugins=lua   in the commands: all forms, also of steps inside a job
-- A site that has such a script already loads this file from it first and calls the mig_guard functions.

-- The reason to refuse `gpus`, one entry of a list of GPUs per task: nil for a plain count.
local function reason(gpus)
   if gpus:match("^%d+[kKmM]?$") then
      return nil
   end
   return "[mig] --gpus-per-task=" .. gpus .. ": Slurm misreads GPU types per task; "
      .. "use --gres=gpu:TYPE:COUNT with --gpu-bind=single:1"
end

-- The reason to refuse the value of --gpus-per-task ("2", "1g.5gb:1"), or nil.
function mig_guard_gpus(value)
   for entry in (value or ""):gmatch("[^,]+") do
      local refused = reason((entry:gsub("^gpu[:=]", "")))
      if refused then
         return refused
      end
   end
   return nil
end

-- The reason to refuse a list of TRES per task ("cpu=4,gres/gpu:1g.5gb:1"; "gres:gpu:..." up to 23.02), or nil.
function mig_guard_tres(value)
   for entry in (value or ""):gmatch("[^,]+") do
      local gpus = entry:match("^gres[:/]gpu[:=](.+)$")
      local refused = gpus and reason(gpus)
      if refused then
         return refused
      end
   end
   return nil
end

-- cli_filter.lua ---------------------------------------------------------------------------------------------

function slurm_cli_setup_defaults(options, early)
   return slurm.SUCCESS
end

function slurm_cli_pre_submit(options, pack_offset)
   local refused = mig_guard_gpus(options["gpus-per-task"]) or mig_guard_tres(options["tres-per-task"])
   if refused then
      slurm.log_error("%s", refused)
      return slurm.ERROR
   end
   return slurm.SUCCESS
end

function slurm_cli_post_submit(offset, job_id, step_id)
   return slurm.SUCCESS
end

-- job_submit.lua ---------------------------------------------------------------------------------------------

function slurm_job_submit(job, partitions, uid)
   local refused = mig_guard_tres(job.tres_per_task)
   if refused then
      slurm.log_user("%s", refused)
      return slurm.ERROR
   end
   return slurm.SUCCESS
end

function slurm_job_modify(job, record, partitions, uid)
   return slurm_job_submit(job, partitions, uid)
end
