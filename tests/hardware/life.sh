# Sourced by run: HARDWARE=change, the whole life of slices on one GPU, which ends as it began.

changed=

# Back to MIG off, however the run ended.
finish_life() {
  [ -n "$changed" ] || return 0
  changed=
  note gresgen clear "$gpu" -q
  note gresgen mode off "$gpu" --reset
  note gresgen status "$gpu"
  judge "MIG is off again" 0 'MIG off$'
}

life() {
  section "the whole life of slices on GPU $gpu"
  [ -n "${smallest:-}" ] || { skip "no profile to apply"; return; }
  if [ "$state" != off ]; then
    skip "MIG is $state: a GPU is taken that nobody has cut"
    return
  fi
  changed=yes
  note gresgen --layout small apply --reset
  judge "$count x $smallest are made" '0|6'
  note gresgen status
  judge "status shows them" 0 'MIG-'
  note gresgen check --quick
  note "$kit/nvml-ask" --lib "$library" --gpu "$gpu"
  note gresgen --layout small plan
  judge "nothing is left to change" 0
  if command -v nvidia-smi > /dev/null; then
    nvidia-smi -L | grep -oE 'MIG-[0-9a-f-]+' | sort > "$work/theirs"
    gresgen status -v "$gpu" | grep -oE 'MIG-[0-9a-f-]+' | sort > "$work/ours"
    note diff "$work/theirs" "$work/ours"
    judge "nvidia-smi -L has the same UUIDs" 0
    note nvidia-smi mig -lgi
    note nvidia-smi mig -lci
  fi
  local uuid
  for uuid in $(gresgen status -v "$gpu" | grep -oE 'MIG-[0-9a-f-]+'); do
    note gresgen run "$uuid" -- "$kit/cuda" uuid
    judge "CUDA under gresgen run reports $uuid" 0 "^${uuid#MIG-}$"
  done
  life_in_slurm
  note gresgen --layout large apply
  judge "a layout is replaced by $largest" '0|6'
  finish_life
}

# A job for each slice, at once where there are the CPUs for it: each CUDA reports the UUID its job was given, and no two
# the same.
life_in_slurm() {
  start_slurm gresgen small || return
  local job jobs=
  for ((job = 0; job < count; job++)); do
    srun -Q --gres="gpu:$smallest:1" sh -c "echo visible \$CUDA_VISIBLE_DEVICES; $kit/cuda hold 3" > "$work/job.$job" 2>&1 &
    jobs+=" $!"
  done
  # shellcheck disable=SC2086
  wait $jobs
  local wrong=0 seen= most=$count
  [ "$(nproc)" -ge "$count" ] || most=1
  for ((job = 0; job < count; job++)); do
    local given told
    given=$(sed -n 's/^visible MIG-//p' "$work/job.$job")
    told=$(grep -xE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' "$work/job.$job")
    { [ -n "$given" ] && [ "$given" = "$told" ]; } || wrong=$((wrong + 1))
    seen+="$told"$'\n'
  done
  cat "$work"/job.* >> "$raw"
  if [ "$wrong" = 0 ] && [ "$(printf %s "$seen" | sort -u | grep -c .)" -ge "$most" ]; then
    pass "in each of $count jobs CUDA reports the UUID that the job was given"
  else
    fail "in $wrong of $count jobs CUDA does not report the UUID that the job was given"
  fi
  finish_slurm
}
