#!/bin/sh
# Run as a task: what its slurmstepd, the parent, has resident, and how much of that is the plugin's mapping.
awk -v variant="$1" '
    /^[0-9a-f]+-[0-9a-f]+ / { ours = /spank_mig/ }
    /^Rss:/ { all += $2; if (ours) mapped += $2 }
    /^Private_Dirty:/ { own += $2; if (ours) dirty += $2 }
    END { print "memory", variant, all, own, mapped + 0, dirty + 0 }
' "/proc/$PPID/smaps"
