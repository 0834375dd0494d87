#!/bin/bash
# Submits the forms of some rules to a real Slurm.
#
# usage: run.sh FORMS DIRECTORY PLACE RULES
#   DIRECTORY has the rules as NAME.lua
#   PLACE     job: they stand as job_submit.lua; command: as cli_filter.lua
# Prints for each form: place, rules, option, value, and the job's TRES fields or "!" and what was said.
set -u
forms=$1 directory=$2 place=$3 rules=$4
let_through=$(mktemp -d)
cat >"$let_through/job" <<'END'
function slurm_job_submit() return slurm.SUCCESS end
function slurm_job_modify() return slurm.SUCCESS end
END
cat >"$let_through/command" <<'END'
function slurm_cli_setup_defaults() return slurm.SUCCESS end
function slurm_cli_pre_submit() return slurm.SUCCESS end
function slurm_cli_post_submit() return slurm.SUCCESS end
END

# slurmctld reads the script again when it has become younger, by whole seconds.
put() {
    age=$(stat -c %Y "$2")
    cp "$1" "$2.new" && touch -d "@$((age + 2))" "$2.new" && mv "$2.new" "$2"
}
if [ "$place" = job ]; then
    put "$directory/$rules.lua" /etc/slurm/job_submit.lua
    put "$let_through/command" /etc/slurm/cli_filter.lua
else
    put "$let_through/job" /etc/slurm/job_submit.lua
    put "$directory/$rules.lua" /etc/slurm/cli_filter.lua
fi

jobs=$let_through/jobs
: >"$jobs"
while IFS=$'\t' read -r of option value _; do
    [ "$of" = "$rules" ] || continue
    if said=$(sbatch --hold --parsable --ntasks=1 --sockets-per-node=1 "--$option=$value" --wrap=true 2>&1); then
        printf '%s\t%s\t%s\n' "${said##*$'\n'}" "$option" "$value" >>"$jobs"
    else
        printf '%s\t%s\t%s\t%s\t!%s\n' "$place" "$rules" "$option" "$value" "${said//$'\n'/ }"
    fi
done < <(grep -v '^#' "$forms")

declare -A shown=()
while read -r line; do
    id=${line#JobId=} id=${id%% *}
    shown[$id]=$(grep -o 'TresPer[A-Za-z]*=[^ ]*' <<<"$line" | cut -d= -f2- | paste -sd,)
done < <(scontrol --oneliner show job)
while IFS=$'\t' read -r id option value; do
    printf '%s\t%s\t%s\t%s\t%s\n' "$place" "$rules" "$option" "$value" "${shown[$id]:-}"
done <"$jobs"
scancel --user=root
