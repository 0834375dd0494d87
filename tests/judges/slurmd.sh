#!/bin/sh
# Prints what `slurmd -G` detects, in a mount namespace of its own ($1: directory with slurm.conf and gres.conf).
#
# Slurm's NVML plugin reads /proc/driver/nvidia-caps and /dev/nvidia* at fixed paths: here they are the
# simulated machine's. Run by `unshare --mount`, so that nothing outside sees any of it.
set -eu
mount -t tmpfs none /proc/driver
cp -r "$NVML_SIM_ROOT/proc/driver/." /proc/driver/
mkdir "$1/dev"
mount -t tmpfs none "$1/dev"
cp -a "$NVML_SIM_ROOT/dev/." "$1/dev"
for device in null zero random urandom; do
    touch "$1/dev/$device"
    mount --bind "/dev/$device" "$1/dev/$device"
done
mount --rbind "$1/dev" /dev
exec slurmd -G -N judge -f "$1/slurm.conf"
