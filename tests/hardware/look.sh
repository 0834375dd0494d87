# Sourced by run: what changes nothing.

holder=
# Whether CUDA programs run on this machine.
cuda_runs=

finish_look() {
  if [ -n "$holder" ]; then
    kill "$holder" 2> /dev/null
    wait "$holder" 2> /dev/null
    holder=
  fi
}

# What machine this is, and how its GPU is called.
describe() {
  section "machine"
  note uname -srm
  note sed -n 's/^PRETTY_NAME=//p' /etc/os-release
  note cat "${host%/}/proc/driver/nvidia/version"
  note gresgen status
  if [ "$code" != 0 ]; then
    cat "$work/out" >&2
    return 1
  fi
  status_before=$(cat "$work/out")
  model=$(gresgen status "$gpu" | sed -nE 's/^GPU [0-9]+  (.*)  MIG .*/\1/p')
  if [ -z "$model" ]; then
    echo "error: GPU $gpu: not on this node; HARDWARE_GPU chooses one" >&2
    return 1
  fi
  state=$(gresgen status "$gpu" | sed -nE 's/^GPU [0-9]+  .*  MIG (.*)/\1/p')
  board=$("$kit/gresgen" profiles --models | awk -v model="$model" '
    { key = $1; sub(/^[^ ]+ +/, ""); n = split($0, names, ", "); for (i = 1; i <= n; i++) if (names[i] == model) print key }')
  say "GPU $gpu: $model, MIG $state, simulated as: ${board:-nothing}"
  if command -v nvidia-smi > /dev/null; then
    note nvidia-smi -L
    note nvidia-smi mig -i "$gpu" -lgip
    note nvidia-smi mig -i "$gpu" -lgipp
  fi
}

# The same questions to the driver and to the simulator of the board.
compare_with_simulator() {
  section "the driver's answers, and the simulator's"
  note "$kit/nvml-ask" --lib "$library" --gpu "$gpu"
  cp "$work/out" "$work/board"
  judge "the driver answers" 0
  if [ -z "$board" ]; then
    skip "simulator: no board of that name; the answers above are what it takes to add one"
    return
  fi
  if [ "$state" != off ]; then
    skip "simulator: MIG is $state, and a simulated GPU begins with it off"
    return
  fi
  mkdir -p "$work/simulated"
  # A simulated machine may be told to fail; its judge is not.
  env -u NVML_SIM_FAULTS NVML_SIM_ROOT="$work/simulated" NVML_SIM_GPUS="$board" "$kit/nvml-ask" --lib "$kit/libnvml_sim.so" > "$work/simulator" 2>&1
  note "$kit/nvml-ask" --compare "$work/board" "$work/simulator"
  judge "the simulator answers as the board" 0
  # Which minor numbers the kernel module gives to capabilities: a file each.
  local list=/proc/driver/nvidia-caps/mig-minors
  note diff -q "${host%/}$list" "$work/simulated$list"
  judge "the simulator's capability minors are the kernel module's" 0
}

# What gresgen says, and how long it takes.
ask_gresgen() {
  section "gresgen"
  local verb
  for verb in status profiles export; do
    note gresgen "$verb"
    judge "$verb" 0
  done
  note gresgen status --json
  judge "status --json" 0 '"driver"'
  if command -v nvidia-smi > /dev/null && nvidia-smi mig -i "$gpu" -lgip > /dev/null 2>&1; then
    profiles_of_gresgen > "$work/ours"
    profiles_of_smi > "$work/theirs"
    note diff "$work/theirs" "$work/ours"
    [ -s "$work/theirs" ] || code=9
    judge "profiles agree with nvidia-smi mig -lgip" 0
  else
    skip "profiles against nvidia-smi: none here, or it lists no profiles"
  fi
  read -r smallest count < <(gresgen profiles "$gpu" | awk '$1 ~ /^[0-9]+g\.[0-9]+gb$/ { split($3, of, "/"); print $1, of[2]; exit }')
  largest=$(gresgen profiles "$gpu" | awk '$1 ~ /^[0-9]+g\.[0-9]+gb$/ { last = $1 } END { print last }')
  if [ -z "$smallest" ]; then
    fail "profiles: the driver tells none of $model"
    return
  fi
  layouts "$smallest" "$count" "$largest"
  note gresgen --layout small plan
  judge "plan of $count x $smallest" 0 "$smallest"
  note gresgen --layout whole check
  # Files and Slurm lack on this machine, hence 3; what counts is that the driver passes.
  judge "check" '0|3' '^pass  driver'
  local ours theirs
  ours=$(median gresgen status)
  say "median of 9, ms: gresgen status $ours, check $(median gresgen --layout whole check)"
  if command -v nvidia-smi > /dev/null && [ "$host" = / ]; then
    theirs=$(median nvidia-smi -L)
    say "median of 9, ms: nvidia-smi -L $theirs, nvidia-smi mig -lgip $(median nvidia-smi mig -lgip)"
    if awk -v a="$ours" -v b="$theirs" 'BEGIN { exit !(a <= 1.2 * b) }'; then
      pass "status takes at most 1.2 times what nvidia-smi -L takes"
    else
      fail "status takes $ours ms, nvidia-smi -L $theirs"
    fi
  fi
}

# An apply that goes as far as the first call that would change the GPU.
try_guarded() {
  section "apply behind the guard"
  [ -n "${smallest:-}" ] || { skip "no profile to apply"; return; }
  "$kit/nvml-ask" --lib "$library" --gpu "$gpu" > "$work/before" 2>&1
  rm -f "$work/refused"
  note guarded --layout small apply
  say "calls refused: $(sort -u "$work/refused" 2> /dev/null | tr '\n' ' ')"
  if [ "$code" = 4 ] && [ ! -e "$work/refused" ]; then
    pass "apply refuses, because the GPU is in use"
  elif [ "$code" = 0 ] && [ ! -e "$work/refused" ]; then
    pass "apply had nothing to change"
  elif [ "$code" != 0 ] && [ -s "$work/refused" ] && grep -q 'nvml' "$work/out"; then
    pass "apply fails with the refused call by name"
  else
    fail "apply behind the guard: exit $code: $(tail -n 1 "$work/out")"
  fi
  "$kit/nvml-ask" --lib "$library" --gpu "$gpu" > "$work/after" 2>&1
  note diff "$work/before" "$work/after"
  judge "the driver answers as before" 0
  if [ "$(gresgen status)" = "$status_before" ]; then pass "status is as before"; else fail "status differs from before"; fi
  note find "$root/etc" "$root/run" "$root/var" -type f
}

# A process on the whole GPU: seen by status, in the way of a change.
see_processes() {
  section "a process on the GPU"
  if [ "$state" != off ]; then
    skip "a process on the whole GPU: MIG is $state"
    return
  fi
  CUDA_VISIBLE_DEVICES=$(gresgen status -v "$gpu" | grep -oE -m 1 'GPU-[0-9a-f-]+') "$kit/cuda" hold 60 > "$work/cuda" 2>&1 &
  holder=$!
  local tries=0
  until grep -q holding "$work/cuda" 2> /dev/null || [ $((tries += 1)) -gt 100 ] || ! kill -0 "$holder" 2> /dev/null; do sleep 0.1; done
  if ! grep -q holding "$work/cuda"; then
    skip "a process on the GPU: CUDA does not run here: $(tail -n 1 "$work/cuda")"
    finish_look
    return
  fi
  cuda_runs=yes
  local uuid
  uuid=$(gresgen status -v "$gpu" | grep -oE -m 1 'GPU-[0-9a-f-]+')
  if [ "GPU-$(head -n 1 "$work/cuda")" = "$uuid" ]; then pass "CUDA reports the GPU's UUID"; else fail "CUDA reports $(head -n 1 "$work/cuda"), the GPU is $uuid"; fi
  note gresgen status
  judge "status shows the process" 0 "pid $holder cuda root"
  note guarded --layout small plan
  judge "plan names the process" '[0-9]' "process $holder"
  rm -f "$work/refused"
  note guarded --layout small apply
  judge "apply refuses and names the process" 4 "process $holder \(cuda, user root\)"
  if [ -e "$work/refused" ]; then fail "apply tried all the same: $(sort -u "$work/refused" | tr '\n' ' ')"; else pass "apply asked for no change"; fi
  finish_look
}
