# Sourced by run: where things are, how a step is run and judged, and the report.

kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The machine. A simulated one has its own files and library; see docs/hardware.md.
host=${HARDWARE_HOST:-/}
library=${HARDWARE_NVML:-libnvidia-ml.so.1}
gpu=${HARDWARE_GPU:-0}
report=${REPORT:-gresgen-hardware-report.txt}
# What CUDA is asked with: what it can see is what the driver lets it.
unset CUDA_VISIBLE_DEVICES NVIDIA_VISIBLE_DEVICES
work=$(mktemp -d "${TMPDIR:-/tmp}/gresgen-hardware.XXXXXX")
root=$work/root
raw=$work/report
passed=0 failed=0 skipped=0
: > "$raw"

say() { echo "$*" | tee -a "$raw"; }
section() { say; say "== $*"; }
pass() { passed=$((passed + 1)); say "PASS: $*"; }
fail() { failed=$((failed + 1)); say "FAIL: $*"; }
skip() { skipped=$((skipped + 1)); say "SKIP: $*"; }

# note COMMAND...: runs it, puts what it prints and its exit code into the report; the code is left in $code, the
# output in $work/out.
note() {
  local begun=$EPOCHREALTIME
  code=0
  "$@" > "$work/out" 2>&1 < /dev/null || code=$?
  {
    echo "\$ ${*##*/}"
    cat "$work/out"
    echo "-> exit $code, $(((${EPOCHREALTIME/[.,]/} - ${begun/[.,]/}) / 1000)) ms"
  } >> "$raw"
}

# judge WHAT CODE [TEXT]: whether the noted command ended so and said that.
judge() {
  if [[ ! $code =~ ^($2)$ ]]; then
    fail "$1: exit $code where $2 is due: $(tail -n 1 "$work/out")"
  elif [ -n "${3:-}" ] && ! grep -qE -- "$3" "$work/out"; then
    fail "$1: does not say /$3/"
  else
    pass "$1"
  fi
}

# median COMMAND...: milliseconds, of nine runs.
median() {
  for _ in 1 2 3 4 5 6 7 8 9; do
    local begun=$EPOCHREALTIME
    "$@" > /dev/null 2>&1 < /dev/null || true
    echo $(((${EPOCHREALTIME/[.,]/} - ${begun/[.,]/}) / 10))
  done | sort -n | sed -n 5p | sed -E 's/^/00/; s/(..)$/.\1/; s/^0+([0-9])/\1/'
}

# gresgen with the driver as it is, and through the guard, where nothing can change.
gresgen() { "$kit/gresgen" --root "$root" --nvml-lib "$library" "$@"; }
guarded() { GRESGEN_GUARD_LOG=$work/refused "$kit/gresgen" --root "$root" --nvml-lib "$kit/libguard.so" "$@"; }

# A root of our own, so that no file of the machine is written: the kernel's trees are the machine's, /etc, /run and
# /var ours. Device nodes are links; those of capabilities can only be made where $1 is the machine's own directory.
make_root() {
  mkdir -p "$root"/{etc/gresgen,run,var/lib,dev}
  ln -s "${host%/}/proc" "${host%/}/sys" "$root/"
  local node
  for node in "${host%/}"/dev/nvidia*; do
    [ ! -e "$node" ] || [ "${node##*/}" = nvidia-caps ] || ln -s "$node" "$root/dev/"
  done
  if [ "${1:-}" = shared ]; then
    ln -s "${host%/}/dev/nvidia-caps" "$root/dev/nvidia-caps"
  else
    mkdir -p "$root/dev/nvidia-caps"
    for node in "${host%/}"/dev/nvidia-caps/*; do
      [ ! -e "$node" ] || ln -s "$node" "$root/dev/nvidia-caps/"
    done
  fi
}

# layouts: what the GPU could be: its smallest profile as often as it fits, its largest, and whole.
layouts() {
  local small=$1 count=$2 large=$3
  cat > "$root/etc/gresgen/config.yaml" << EOF
version: v1
slurm:
  release: '${slurm_release:-24.11}'
mig-configs:
  small:
    - {devices: [$gpu], mig-enabled: true, mig-devices: {$small: $count}}
  large:
    - {devices: [$gpu], mig-enabled: true, mig-devices: {$large: 1}}
  whole:
    - {devices: [$gpu], mig-enabled: false}
EOF
}

# profiles_of: name and id of each profile, as `gresgen profiles` and `nvidia-smi mig -lgip` print them.
profiles_of_gresgen() { gresgen profiles "$gpu" | awk '$1 ~ /^[0-9]+g\./ { print $1, $2 }' | sort; }
profiles_of_smi() {
  nvidia-smi mig -i "$gpu" -lgip | sed -nE 's/^\| +[0-9]+ +MIG ([^ ]+) +([0-9]+) .*/\1 \2/p' | sort
}

# The report without what is the machine's own: UUIDs become numbers, serial numbers and the host's name go.
publish() {
  {
    echo "gresgen on real hardware, $(date -u +%Y-%m-%d), $("$kit/gresgen" --version)"
    echo "$passed passed, $failed failed, $skipped skipped"
    cat "$raw"
  } | awk -v host="$(uname -n)" -v work="$work" '
    # Not every awk has counts in its regular expressions.
    BEGIN { h = "[0-9a-f][0-9a-f][0-9a-f][0-9a-f]"; uuid = h h "-" h "-" h "-" h "-" h h h }
    {
      while (match($0, uuid)) {
        id = substr($0, RSTART, RLENGTH)
        if (!(id in number)) number[id] = ++ids
        $0 = substr($0, 1, RSTART - 1) "<uuid " number[id] ">" substr($0, RSTART + RLENGTH)
      }
      while (at = index($0, work)) $0 = substr($0, 1, at - 1) "<work>" substr($0, at + length(work))
      if (/^[Ss]erial = /) sub(/= .*/, "= <serial>")
      if (/^Pdi = |^pdi = /) sub(/= .*/, "= <pdi>")
      n = split($0, word, host); line = word[1]
      if (length(host) > 2) { for (i = 2; i <= n; i++) line = line "<host>" word[i]; $0 = line }
      print
    }' > "$report"
}
