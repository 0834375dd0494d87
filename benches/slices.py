#!/usr/bin/env python3
"""Times `gresgen slices` on stand-ins that print what a slurmctld with 1,000 nodes and 10,000 waiting jobs would.

usage: benches/slices.py [PROGRAMS]

PROGRAMS is the folder with `gresgen`, target/release by default. Prints the row of docs/benchmarks.md.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

NODES, JOBS, REPEATS = 1000, 10_000, 9

# As scontrol -d -o prints a node of Slurm 22.05, at its length.
NODE = (
    "NodeName=gpu{0:04} Arch=x86_64 CoresPerSocket=32 CPUAlloc=24 CPUEfctv=64 CPUTot=64 CPULoad=3.12 AvailableFeatures=a100,mig,ib "
    "ActiveFeatures=a100,mig,ib Gres=gpu:1g.5gb:14,gpu:2g.10gb:4,gpu:3g.20gb:4,gpu:a100:2 GresDrain=N/A "
    "GresUsed=gpu:1g.5gb:9(IDX:0-3,5,7-10),gpu:2g.10gb:2(IDX:14-15),gpu:3g.20gb:0(IDX:N/A),gpu:a100:1(IDX:23) NodeAddr=gpu{0:04} "
    "NodeHostName=gpu{0:04} Version=22.05.8 OS=Linux 6.1.0-37-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.140-1 (2025-05-22) RealMemory=515000 "
    "AllocMem=96000 FreeMem=301234 Sockets=2 Boards=1 State=MIXED ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A Partitions=gpu,debug "
    "BootTime=2026-11-01T08:00:00 SlurmdStartTime=2026-11-01T08:02:11 LastBusyTime=2026-11-26T08:00:00 CfgTRES=cpu=64,mem=515000M,billing=64 "
    "AllocTRES=cpu=24,mem=96000M CapWatts=n/a CurrentWatts=0 AveWatts=0 ExtSensorsJoules=n/s ExtSensorsWatts=0 ExtSensorsTemp=n/s\n"
)
SCRIPT = """#!/bin/sh
for format; do :; done
word=${format#*|}
lines() { exec sed "s/^/1|${word%%%%|*}|/" "$1"; }
case "${0##*/} $*" in
'scontrol ping') echo 'Slurmctld(primary) at c is UP' ;;
*'show node') exec cat %(folder)s/nodes ;;
*'show partition') echo 'PartitionName=gpu TRESBillingWeights=CPU=1.0,GRES/gpu:1g.5gb=0.143' ;;
squeue*) lines %(folder)s/waiting ;;
esac
"""


def main():
    programs = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/release").resolve()
    with tempfile.TemporaryDirectory(prefix="bench-slices-") as folder:
        folder = pathlib.Path(folder)
        (folder / "nodes").write_text("".join(NODE.format(number) for number in range(NODES)))
        (folder / "waiting").write_text("N/A|gres:gpu:1g.5gb:1|N/A|N/A|1|1|\n" * JOBS)
        for name in ("scontrol", "squeue"):
            (folder / name).write_text(SCRIPT % {"folder": folder})
            (folder / name).chmod(0o755)
        environment = os.environ | {"PATH": f"{folder}:/usr/bin:/bin"}
        times = []
        for _ in range(REPEATS):
            start = time.monotonic()
            said = subprocess.check_output([programs / "gresgen", "--root", folder, "slices"], env=environment, text=True)
            times.append((time.monotonic() - start) * 1000)
        assert "14000" in said and "10000" in said, said
        print(f"| {NODES:,} | {JOBS:,} | {min(times):.0f} ms | {sorted(times)[REPEATS // 2]:.0f} ms |")


main()
