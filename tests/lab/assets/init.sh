# shellcheck shell=bash
# Pid 1 of a lab: builds its root, then waits for the end of standard input.
#
# usage: init GROUP ROOT HOSTNAME HIERARCHY [SOURCE TARGET]...
#   GROUP     name of the lab's cgroup, made in every hierarchy Slurm uses
#   ROOT      the root filesystem to put an overlay on
#   HOSTNAME  of the lab
#   HIERARCHY that limits devices: devices or unified, below /sys/fs/cgroup
#   SOURCE    a path of the host, bound at TARGET inside
#
# Answers "pid N" (pid 1 as the host numbers it) and "ready", or "unavailable REASON".
set -eu
group=$1 lower=$2 name=$3 hierarchy=$4
shift 4

unavailable() {
    echo "unavailable $*"
    exit 1
}

read -r pid _ </proc/self/stat
mount --make-rprivate / || unavailable "mounts cannot be made private here"

hostname "$name"
ip link set lo up
ip address add 10.0.0.1/32 dev lo # Slurm refuses to serve on loopback addresses

# The upper layer is a tmpfs of this mount namespace: it is gone when the last process is.
mount -t tmpfs -o mode=755 lab /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$lower,upperdir=/mnt/upper,workdir=/mnt/work" lab /mnt/root ||
    unavailable "no overlay can be mounted over $lower"
root=/mnt/root

[ -d "/sys/fs/cgroup/$hierarchy" ] || unavailable "there is no cgroup hierarchy /sys/fs/cgroup/$hierarchy to limit devices"

# A cgroup of its own, bound where Slurm looks for the top of the hierarchy: labs with equal node names
# do not meet. (A cgroup namespace would do as well, were it not that srun hangs in one.)
mount --rbind /sys "$root/sys"
for top in devices freezer cpuset unified; do
    [ -d "/sys/fs/cgroup/$top" ] || continue
    mkdir "/sys/fs/cgroup/$top/$group"
    [ "$top" != cpuset ] || for file in cpuset.cpus cpuset.mems; do
        cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$group/$file" # a new one has none
    done
    mount --bind "/sys/fs/cgroup/$top/$group" "$root/sys/fs/cgroup/$top"
done
# With IgnoreSystemd, Slurm's cgroup/v2 makes its scope here and expects the slice that systemd would have made.
[ ! -d /sys/fs/cgroup/unified ] || mkdir "/sys/fs/cgroup/unified/$group/system.slice"

mount -t tmpfs -o mode=755 lab "$root/dev"
while read -r device major minor; do
    mknod -m 666 "$root/dev/$device" c "$major" "$minor"
done <<EOF
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
EOF

# The judge tells devices apart by EPERM. A container that denies this node denies them all.
node=$root/dev/lab-check
mknod "$node" c 254 255
denied() { [[ $( (: <"$node") 2>&1) == *'Operation not permitted'* ]]; }
! denied || unavailable "this container denies every device node, so no judge can tell them apart"
if [ "$hierarchy" = devices ]; then
    check=/sys/fs/cgroup/devices/$group/check
    mkdir "$check"
    echo 'c 254:255 rwm' >"$check/devices.deny"
    (echo "$BASHPID" >"$check/cgroup.procs" && denied) || unavailable "the device controller does not deny anything"
    rmdir "$check"
fi
rm "$node"

ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
ln -s pts/ptmx "$root/dev/ptmx"
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs -o mode=1777 lab "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 lab "$root/dev/pts"
mount -t tmpfs -o mode=755 lab "$root/run"
mount -t tmpfs -o mode=1777 lab "$root/tmp"
while [ $# -ge 2 ]; do
    if [ -d "$1" ]; then
        mkdir -p "$root$2"
    else
        mkdir -p "$root${2%/*}"
        touch "$root$2"
    fi
    mount --rbind "$1" "$root$2"
    shift 2
done

mount -t proc lab "$root/proc"
cd "$root"
mkdir -p mnt
pivot_root . mnt
umount -l /mnt

grep -q '^alice:' /etc/passwd || {
    echo 'alice:x:2000:2000:a user:/tmp:/bin/bash' >>/etc/passwd
    echo 'alice:x:2000:' >>/etc/group
}
rm -rf /etc/slurm /var/spool/slurm* /var/log/slurm
mkdir -p /etc/slurm /var/spool/slurmctld /var/log/slurm /var/lab/bin
mkdir -m 1777 /var/lab/out

echo "pid $pid"
echo ready
exec >/dev/null 2>&1
while read -r _; do :; done
