# shellcheck shell=sh
# Boots a systemd within a lab: a container in namespaces of its own, whose units are Debian's targets, Debian's
# slurmd.service and those of FOLDER. Prints the pid of that systemd, as the lab numbers it.
#
# usage: systemd.sh FOLDER TREE
#   FOLDER  units, and what multi-user.target wants of them
#   TREE    the simulator's tree
#
# systemd wants the unified hierarchy for itself and gets it in a cgroup namespace; Slurm finds the devices controller
# below /var/lab/cgroup.
set -eu
folder=$1 tree=$2
vendor=/usr/lib/systemd
[ -x $vendor/systemd ] || { echo "$vendor/systemd is missing: install systemd (make setup-tests)" >&2; exit 1; }

if [ "${3:-}" != inside ]; then
    group=/sys/fs/cgroup/unified/systemd
    mkdir -p "$group" /var/lab/cgroup
    rm -f /run/systemd.pid
    enter='echo 0 >"$1/cgroup.procs"; exec unshare --pid --mount --cgroup --fork --kill-child sh "$2" "$3" "$4" inside'
    setsid sh -c "$enter" sh "$group" "$0" "$folder" "$tree" >/var/log/systemd.log 2>&1 </dev/null &
    for _ in $(seq 500); do
        [ -s /run/systemd.pid ] && exec cat /run/systemd.pid
        sleep 0.02
    done
    cat /var/log/systemd.log >&2
    exit 1
fi

read -r pid _ </proc/self/stat # of the lab's procfs still
mount --make-rprivate /
mount --rbind /sys/fs/cgroup /var/lab/cgroup
mount -t proc proc /proc
mount --bind "$tree/proc/driver" /proc/driver
mount --bind "$tree/proc/devices" /proc/devices
mount --bind /var/lab/boot_id /proc/sys/kernel/random/boot_id
# The settings and devices of the kernel are the host's.
mount --rbind /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys
mount -t sysfs -o ro sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup

# Nothing else of what the root filesystem is set up to start.
units=$(mktemp -d)
cp -a $vendor/system/*.target $vendor/system/slurmd.service "$units"
cp -a "$folder"/. "$units"
mount --bind "$units" $vendor/system
mount -t tmpfs none $vendor/system-generators
rm -rf /etc/systemd/system
mkdir -p /etc/systemd/system

echo "$pid" >/run/systemd.pid.new
mv /run/systemd.pid.new /run/systemd.pid
exec env -i container=lab PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    $vendor/systemd --system --unit=multi-user.target --log-target=console --show-status=no
