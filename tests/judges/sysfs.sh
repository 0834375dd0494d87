#!/bin/sh
# Runs a program with the GPUs of the simulated machine in place of the PCI devices of the host.
#
# Run by `unshare --mount`, so that nothing outside sees any of it.
set -eu
mount -t tmpfs none /sys/bus/pci/devices
for gpu in "$NVML_SIM_ROOT"/sys/bus/pci/devices/*; do
    shown=/sys/bus/pci/devices/${gpu##*/}
    mkdir "$shown"
    mount --bind "$gpu" "$shown"
done
exec "$@"
