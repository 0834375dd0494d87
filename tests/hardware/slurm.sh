# Sourced by run: a Slurm of our own, where its daemons are installed, and jobs on it. It has its own ports,
# directories and configuration, and is started only where no slurmd runs, because both would use the same cgroups.

controller= daemon=

finish_slurm() {
  local pid
  for pid in $daemon $controller; do
    kill "$pid" 2> /dev/null
    wait "$pid" 2> /dev/null
  done
  controller= daemon=
  # What comes next is on a machine without Slurm again.
  rm -f "$root/etc/slurm/slurm.conf"
  unset SLURM_CONF
}

# try_slurm guarded|gresgen: a job on the whole GPU; nothing is changed but files below our root.
try_slurm() {
  section "Slurm, the whole GPU"
  if [ "$state" != off ]; then
    skip "a job on the whole GPU: MIG is $state"
    return
  fi
  start_slurm guarded whole || return
  local given cuda=:
  [ "$cuda_runs" != yes ] || cuda="$kit/cuda uuid"
  note timeout 60 srun -Q --gres=gpu:1 sh -c "echo visible \$CUDA_VISIBLE_DEVICES; $cuda"
  given=$(sed -n 's/^visible GPU-//p' "$work/out")
  judge "a job on a GPU is given its UUID" 0 '^visible GPU-[0-9a-f-]+$'
  gresgen status -v > "$work/status"
  grep -q "GPU-$given" "$work/status" || fail "the job's GPU-$given is none of this machine"
  if [ "$cuda_runs" = yes ]; then
    judge "CUDA in the job reports that UUID" 0 "^$given$"
    note timeout 60 srun -Q "$kit/cuda" uuid
    judge "a job that did not ask cannot use a GPU" '[1-9][0-9]*'
  fi
  srun -Q --gres=gpu:"$(grep -c '^GPU ' "$work/status")" sleep 60 > /dev/null 2>&1 &
  holder=$!
  local tries=0
  until squeue -h -t R 2> /dev/null | grep -q . || [ $((tries += 1)) -gt 100 ]; do sleep 0.1; done
  rm -f "$work/refused"
  note guarded --layout small apply
  judge "apply refuses under a job and names it" 4 'job [0-9]+'
  if [ -e "$work/refused" ]; then fail "apply tried all the same: $(sort -u "$work/refused" | tr '\n' ' ')"; fi
  finish_look
  finish_slurm
}

# start_slurm COMMAND LAYOUT: writes the node's files by an apply of that layout and starts both daemons on them.
start_slurm() {
  local program port=$((20000 + RANDOM % 10000)) address conf=$root/etc/slurm node
  for program in slurmctld slurmd srun; do
    command -v "$program" > /dev/null || { skip "Slurm: no $program here"; return 1; }
  done
  for program in /proc/[0-9]*/comm; do
    if [ "$(cat "$program" 2> /dev/null)" = slurmd ]; then
      skip "Slurm: a slurmd runs here already"
      return 1
    fi
  done
  address=$(hostname -I 2> /dev/null | cut -d ' ' -f 1)
  [ -n "$address" ] || { skip "Slurm: no address but the loopback"; return 1; }
  node=$(uname -n) node=${node%%.*}
  slurm_release=$(slurmctld -V | sed -E 's/^[^ ]+ ([0-9]+\.[0-9]+).*/\1/')
  layouts "$smallest" "$count" "$largest"
  rm -rf "$conf"
  note "$1" --layout "$2" apply
  if [[ ! $code =~ ^[06]$ ]]; then
    fail "apply of layout $2: exit $code: $(tail -n 1 "$work/out")"
    return 1
  fi
  mkdir -p "$work"/{state,spool}
  printf 'IgnoreSystemd=yes\n' >> "$conf/cgroup.conf"
  printf 'required %s map=%s\n' "$kit/libspank_mig.so" "$root/run/gresgen/devices" > "$conf/plugstack.conf"
  cat > "$conf/slurm.conf" << EOF
ClusterName=gresgen-hardware
SlurmctldHost=$node($address)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/cgroup
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=1
ReturnToService=2
GresTypes=gpu
PlugStackConfig=$conf/plugstack.conf
NodeName=$node NodeAddr=$address CPUs=$(nproc) RealMemory=1000 $(grep -ohE ' Gres=[^ ]+' "$conf/gresgen-node.conf")
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
  export SLURM_CONF=$conf/slurm.conf
  slurmctld -D -c > "$work/slurmctld.out" 2>&1 &
  controller=$!
  slurmd -D -N "$node" > "$work/slurmd.out" 2>&1 &
  daemon=$!
  local tries=0
  until sinfo -h -o %t 2> /dev/null | grep -qx idle; do
    if [ $((tries += 1)) -gt 150 ] || ! kill -0 "$daemon" 2> /dev/null; then
      fail "Slurm: slurmd does not register: $(cat "$work/slurmd.log" "$work/slurmd.out" 2> /dev/null | grep -E 'error|fatal' | tail -n 1)"
      finish_slurm
      return 1
    fi
    sleep 0.2
  done
  pass "slurmctld and slurmd $slurm_release run on the files"
}
