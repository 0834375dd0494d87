#!/bin/sh
# Takes a node out of service when its MIG devices cannot be given to jobs, with a reason that a person can read.
# One script for both places in slurm.conf; use both:
#
#   Prolog=/usr/libexec/gresgen/gresgen-health.sh               a job that meets a broken node is requeued and held
#   HealthCheckProgram=/usr/libexec/gresgen/gresgen-health.sh   a broken node is noticed before a job meets it
#   HealthCheckInterval=300
#
# slurmd ignores how a HealthCheckProgram ends, so the script drains the node itself. The reason an admin gave is
# never replaced, and a node is never put back into service: that is `scontrol update nodename=N state=resume`.
#
# Held means that the job's owner or an admin has to release it (`scontrol release JOB`). With
# SchedulerParameters=nohold_on_prolog_fail it is queued again without that, for another node.
#
# Only what `gresgen check --quick` found wrong (exit code 3) drains. A check that cannot run, because a config file
# shared by the whole cluster has a typo, must not stop the whole cluster: it is said on standard error.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
node=${SLURMD_NODENAME:-$(hostname -s)}

found=$(timeout 10 gresgen check --quick --quiet)
code=$?
[ $code -ne 0 ] || exit 0
if [ $code -ne 3 ]; then
    echo "gresgen check --quick: exit code $code; the node stays in service" >&2
    exit 0
fi

# The first failure: "FAIL  device map  WHAT" becomes "device map WHAT". Double quotes would end the reason early.
reason=$(printf '%s\n' "$found" | sed -n 's/^FAIL *//p' | head -n 1 | tr -s ' ' | tr -d '"')
echo "gresgen check --quick: $reason" >&2
case $(timeout 10 scontrol --oneliner show node "$node") in
*State=*DRAIN*) ;;
*) timeout 10 scontrol update nodename="$node" state=drain reason="gresgen: $reason" ;;
esac
exit 1
