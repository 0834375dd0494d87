# shellcheck shell=bash
# Runs a lab and outlives the process that asked for it, so that a killed test leaves nothing behind.
#
# usage: keeper INIT GROUP ROOT HOSTNAME [SOURCE TARGET]...
#   INIT    the script that becomes pid 1 of the lab
#   GROUP   name of the lab's cgroup in every hierarchy, removed at the end
#
# Standard input is the life line: its end ends pid 1, and with it every process of the lab.
init=$1
shift
unshare --net --mount --pid --uts --fork --kill-child -- bash -c "$init" init "$@" 2>&1
status=$?
exec >/dev/null 2>&1
# The kernel frees the cgroups of killed processes a moment after it reaped them.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    find /sys/fs/cgroup/"$1" /sys/fs/cgroup/*/"$1" -depth -type d -exec rmdir {} +
    ls -d /sys/fs/cgroup/"$1" /sys/fs/cgroup/*/"$1" || exit $status
    sleep 0.1
done
exit $status
