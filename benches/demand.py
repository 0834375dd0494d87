#!/usr/bin/env python3
"""Times `gresgen demand` on stand-ins that print what a slurmctld with 1,000 nodes on request and 10,000 waiting jobs would.

usage: benches/demand.py [PROGRAMS [NODES [JOBS]]]

PROGRAMS is the folder with `gresgen` and `libnvml_sim.so`, target/release by default. What each node says of itself is that of
a simulated one under other names. Prints the rows of docs/benchmarks.md.
"""

import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

REPEATS = 5
# Places of each profile on an A100-40GB, in the order of records.
PLACES = {"1g.5gb": [0, 1, 2, 3, 4, 5, 6], "2g.10gb": [0, 2, 4], "3g.20gb": [0, 4], "7g.40gb": [0]}
CUTS = [
    [("7g.40gb", 0)],
    [("3g.20gb", 0), ("3g.20gb", 4)],
    [("2g.10gb", 0), ("1g.5gb", 2), ("1g.5gb", 3), ("3g.20gb", 4)],
    [("1g.5gb", start) for start in range(7)],
    [("2g.10gb", 0), ("2g.10gb", 2), ("2g.10gb", 4), ("1g.5gb", 6)],
]
# What jobs ask for: per node, nodes, how often of a hundred.
REQUESTS = [
    ("gres/gpu:1g.5gb:1", 1, 30), ("gres/gpu:2g.10gb:1", 1, 15), ("gres/gpu:3g.20gb:1", 1, 20), ("gres/gpu:7g.40gb:1", 1, 15),
    ("gres/gpu:3g.20gb:2", 1, 5), ("gres/gpu:7g.40gb:2", 1, 3), ("gres/gpu:3g.20gb:1", 2, 5), ("gres/gpu:1g.5gb:7", 1, 4),
    ("gres/gpu:1", 1, 3),
]
SCRIPT = """#!/bin/sh
for format; do :; done
word=${format#*|}
lines() { exec sed "s/^/1|${word%%%%|*}|/" "$1"; }
case "${0##*/} $*" in
'scontrol ping') echo 'Slurmctld(primary) at c is UP' ;;
*'show config') echo 'SelectTypeParameters = CR_CORE_MEMORY' ;;
*'show job') exec cat %(folder)s/records ;;
*'show node') exec cat %(folder)s/nodes ;;
*'show partition') echo 'PartitionName=gpu PriorityTier=1 OverSubscribe=NO ExclusiveUser=NO State=UP' ;;
*'show reservation') echo No reservations in the system ;;
squeue*' -o '*) lines %(folder)s/queued ;;
squeue*' -O '*) lines %(folder)s/requests ;;
*) exit 9 ;;
esac
"""
# As 22.05 prints them, at their length.
NODE = (
    "NodeName={name} Arch=x86_64 CoresPerSocket=64 CPUAlloc={cpus} CPUEfctv=128 CPUTot=128 CPULoad=3.12 AvailableFeatures=a100,{feature} "
    "ActiveFeatures=a100,{feature} Gres={gres},gpu:guard:{guards},gresgen:gate:2(S:0-1) GresDrain=N/A GresUsed={used} NodeAddr={name} NodeHostName={name} "
    "Version=22.05.8 OS=Linux 6.1.0-37-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.140-1 (2025-05-22) RealMemory=1000000 AllocMem={memory} "
    "FreeMem=301234 Sockets=2 Boards=1 State=MIXED ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A Partitions=gpu "
    "BootTime=2026-11-01T08:00:00 SlurmdStartTime=2026-11-01T08:02:11 LastBusyTime=2026-11-26T08:00:00 CfgTRES=cpu=128,mem=1000000M,billing=128 "
    "AllocTRES=cpu={cpus},mem={memory}M CapWatts=n/a CurrentWatts=0 AveWatts=0 ExtSensorsJoules=n/s ExtSensorsWatts=0 ExtSensorsTemp=n/s\n"
)
RECORD = (
    "JobId={id} JobName=train UserId=ada(2000) GroupId=ada(2000) MCS_label=N/A Priority={priority} Nice=0 Account=physics QOS=normal "
    "JobState={state} Reason={reason} Dependency=(null) Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0 DerivedExitCode=0:0 "
    "RunTime=00:00:06 TimeLimit=01:00:00 TimeMin=N/A SubmitTime=2026-11-27T02:08:46 EligibleTime=2026-11-27T02:08:46 "
    "AccrueTime=2026-11-27T02:08:46 StartTime=2026-11-27T02:08:47 EndTime=2026-11-27T03:08:47 Deadline=N/A SuspendTime=None "
    "SecsPreSuspend=0 LastSchedEval=2026-11-27T02:08:47 Scheduler=Backfill Partition=gpu AllocNode:Sid=login:1234 ReqNodeList=(null) "
    "ExcNodeList=(null) NodeList={node} BatchHost={node} NumNodes=1 NumCPUs=2 NumTasks=1 CPUs/Task=2 ReqB:S:C:T=0:0:*:* "
    "TRES=cpu=2,mem=8000M,node=1,billing=2 Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=* {part}MinCPUsNode=1 MinMemoryNode=8000M "
    "MinTmpDiskNode=0 Features=(null) DelayBoot=00:00:00 OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null) "
    "Command=/home/ada/project/train.sh WorkDir=/home/ada/project StdErr=/home/ada/project/slurm-{id}.out StdIn=/dev/null "
    "StdOut=/home/ada/project/slurm-{id}.out Power= TresPerNode=gres:gpu:1g.5gb:1 \n"
)


def main():
    programs = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/release").resolve()
    nodes = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    jobs = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000
    for gpus in (8, 2):
        for busy in (90, 99):
            with tempfile.TemporaryDirectory(prefix="bench-demand-") as folder:
                measure(pathlib.Path(folder), programs, nodes, gpus, busy, jobs)


def measure(folder, programs, nodes, gpus, busy, jobs):
    """One row."""
    site(folder, gpus)
    models = inventories(folder, programs, nodes, gpus)
    running = cluster(folder, nodes, gpus, busy, jobs, models)
    environment = os.environ | {"PATH": f"{folder}:/usr/bin:/bin"}
    command = [programs / "gresgen", "--root", folder, "--json", "demand", "--inventory", folder / "inventories"]
    times, parts = [], 0
    for _ in range(REPEATS):
        start = time.monotonic()
        said = subprocess.check_output(command, env=environment, text=True)
        times.append((time.monotonic() - start) * 1000)
    cuts, known = said.count('"destroy"'), said.count('"verdict"')
    assert known == jobs and '"unknown": []' in said, (known, said[-2000:])
    print(f"| {nodes:,} | {gpus} | {running:,} | {jobs:,} | {cuts:,} | {min(times):.0f} ms | {sorted(times)[REPEATS // 2]:.0f} ms |", flush=True)


def site(folder, gpus):
    """The configuration, and a layout for each way in which nodes are cut."""
    def layout(number):
        entries = []
        for gpu in range(gpus):
            at = {}
            for profile, start in CUTS[(number + gpu) % len(CUTS)]:
                at.setdefault(profile, []).append(start)
            devices = ", ".join(f"{profile}: {{at: {starts}}}" for profile, starts in at.items())
            entries.append(f"    - {{devices: [{gpu}], mig-enabled: true, mig-devices: {{{devices}}}}}\n")
        return f"  cut{number}:\n{''.join(entries)}"

    text = "version: v1\nlayout: cut0\nmig-configs:\n" + "".join(layout(number) for number in range(len(CUTS)))
    text += f"slurm:\n  release: '22.05'\n  on-request: [{{profiles: [{', '.join(PLACES)}]}}]\n"
    text += "  nodes: [{names: 'n[0001-9999]', attributes: CPUs=128 RealMemory=1000000}]\n"
    (folder / "etc/gresgen").mkdir(parents=True)
    (folder / "etc/gresgen/config.yaml").write_text(text)


def inventories(folder, programs, nodes, gpus):
    """What each node says of itself: UUIDs of its own, and one of the cuts."""
    (folder / "inventories").mkdir()
    models = []
    for number in range(len(CUTS)):
        root = folder / f"node{number}"
        simulated = [programs / "gresgen", "--root", root, "--simulate", f"a100-40gb:{gpus}", "--nvml-lib", programs / "libnvml_sim.so",
                     "--config", folder / "etc/gresgen/config.yaml", "--layout", f"cut{number}"]
        root.mkdir()
        environment = os.environ | {"SLURMD_NODENAME": "n0001"}
        if subprocess.call([*simulated, "--quiet", "apply", "--offline"], env=environment, stderr=subprocess.DEVNULL) not in (0, 5, 6):
            sys.exit("gresgen apply failed")
        models.append(subprocess.check_output([*simulated, "--json", "status"], env=environment, text=True).replace(f"{root}/dev/", "/dev/"))
    for number in range(nodes):
        name = f"n{number + 1:04}"
        text = re.sub(r'"(GPU|MIG)-[0-9a-f]{8}', rf'"\1-{number:08x}', models[number % len(CUTS)])
        (folder / "inventories" / f"{name}.json").write_text(text.replace('"node": "n0001"', f'"node": "{name}"'))


def cluster(folder, nodes, gpus, busy, jobs, models):
    """What slurmctld says: a job on `busy` of a hundred slices, and jobs that wait. Gives how many run."""
    chance = random.Random(7)
    first = {}
    total = 0
    for profile, places in PLACES.items():
        first[profile] = total
        total += gpus * len(places)
    gres = ",".join(f"gpu:{profile}:{gpus * len(places)}" for profile, places in PLACES.items())
    lines = {name: [] for name in ("nodes", "queued", "requests", "records")}
    now, number = int(time.time()), 0
    for node in range(nodes):
        name = f"n{node + 1:04}"
        used = {profile: [] for profile in PLACES}
        for gpu in range(gpus):
            for profile, start in CUTS[(node % len(CUTS) + gpu) % len(CUTS)]:
                if chance.randrange(100) < busy:
                    used[profile].append(first[profile] + gpu * len(PLACES[profile]) + PLACES[profile].index(start))
        count = 0
        for profile, indexes in used.items():
            for index in indexes:
                number, count = number + 1, count + 1
                part = f"JOB_GRES=gpu:{profile}:1   Nodes={name} CPU_IDs={2 * count}-{2 * count + 1} Mem=8000 GRES=gpu:{profile}:1(IDX:{index}) "
                lines["records"].append(RECORD.format(id=number, priority=1000, state="RUNNING", reason="None", node=name, part=part))
                ends = now + chance.randrange(36_000)
                lines["queued"].append(f"{number}|2000|R|{number}|{number}|N/A|{ends}|10:00:00|1000|None|{name}|gpu|||(null)|ada\n")
        says = ",".join(f"gpu:{profile}:{len(indexes)}(IDX:{','.join(map(str, indexes)) or 'N/A'})" for profile, indexes in used.items())
        lines["nodes"].append(NODE.format(name=name, cpus=2 * count, memory=8000 * count, gres=gres, guards=gpus + 2, used=says, feature=f"row{node % 4}"))
    running = number
    for waiting in range(jobs):
        number += 1
        request, on = chance.choices([(what, on) for what, on, _ in REQUESTS], [weight for *_, weight in REQUESTS])[0]
        priority, reason = chance.randrange(10_000), chance.choice(["Priority", "Resources", "Priority", "Priority"])
        array = waiting % 50 == 0
        shown, elements = (f"{number}_[1-20%4]", "1-20%4") if array else (f"{number}", f"{number}")
        excluded = f"n{chance.randrange(8) + 1:04}" if waiting % 20 == 0 else ""
        features = f"row{chance.randrange(4)}" if waiting % 25 == 0 else "(null)"
        cpus = chance.choice([1, 2, 4, 8]) * on
        lines["queued"].append(f"{number}|2000|PD|{shown}|{number}|{elements}|N/A|1:00:00|{priority}|{reason}||gpu||{excluded}|(null)|ada\n")
        lines["requests"].append(f"{number}|{on}|{on}|{cpus}|{now - chance.randrange(20_000)}|N/A|cpu={cpus},mem={8000 * on}M,node={on},billing={cpus}||OK|N/A|{request}|N/A|N/A|{features}|\n")
        lines["records"].append(RECORD.format(id=number, priority=priority, state="PENDING", reason=reason, node="(null)", part=""))
    for name, text in lines.items():
        (folder / name).write_text("".join(text))
    for name in ("scontrol", "squeue"):
        (folder / name).write_text(SCRIPT % {"folder": folder})
        (folder / name).chmod(0o755)
    return running


if __name__ == "__main__":
    main()
