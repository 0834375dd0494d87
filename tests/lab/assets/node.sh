# shellcheck shell=sh
# Makes a node of a fleet: mounts, processes and a host name of its own in the lab. Its first process waits for ever, and is the
# parent of daemons, which it buries.
#
# usage: node NAME FOLDER
#   FOLDER  what the node has for itself: configuration, state, simulated GPUs
#
# The pid of its first process, as the lab numbers it, is in FOLDER/pid when all is in place.
set -eu
name=$1 folder=$2
mkdir -p "$folder/run" "$folder/etc" "$folder/lib" "$folder/slurm" "$folder/sim" \
    /run/gresgen /etc/gresgen /var/lib/gresgen /dev/gresgen /dev/nvidia-caps
# shellcheck disable=SC2016
setsid unshare --pid --fork --mount --propagation=private --uts bash -c '
    set -e
    name=$1 folder=$2
    read -r pid _ </proc/self/stat
    mount -t proc node /proc
    hostname "$name"
    mount --bind "$folder/run" /run/gresgen
    mount --bind "$folder/etc" /etc/gresgen
    mount --bind "$folder/lib" /var/lib/gresgen
    mount --bind "$folder/slurm" /etc/slurm
    mount -t tmpfs -o mode=755 node /dev/gresgen
    # The first call makes the tree; it need not succeed before the tree is in its place.
    gresgen status || true
    mount --bind "$folder/sim/dev/nvidia-caps" /dev/nvidia-caps
    mount --bind "$folder/sim/proc/driver" /proc/driver
    mount --bind "$folder/sim/proc/devices" /proc/devices
    mkfifo "$folder/life"
    exec 3<>"$folder/life"
    echo "$pid" >"$folder/pid.new"
    mv "$folder/pid.new" "$folder/pid"
    while read -r _ <&3; do :; done' bash "$name" "$folder" </dev/null >"$folder/log" 2>&1 &
