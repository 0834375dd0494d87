#!/usr/bin/env python3
"""Times passes of `gresgen arbiter` over 1,000 nodes on request and 10,000 waiting jobs, on stand-ins for slurmctld and nodes.

usage: benches/arbiter.py [PROGRAMS [NODES [JOBS [LOOK]]]]

PROGRAMS is the folder with `gresgen` and `libnvml_sim.so`, target/release by default. slurmctld's answers are those of
benches/demand.py; a node answers a look after LOOK seconds (0.05), as an ssh does, and refuses every order, so that each pass
decides anew. Prints the rows of docs/benchmarks.md. A pass's own time is what it took without Slurm's commands; its processor time is that of
the thread that makes it, which says the same on a busy machine. Fails where the median of that is a second or more, or a pass asks
slurmctld more than eight times.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import demand

PASSES = 8
# Each call notes when it began and ended, which is what is not the arbiter's own time.
NOTE = """#!/bin/sh
begin=${{EPOCHREALTIME:-$(date +%s.%N)}}
{folder}/bare/${{0##*/}} "$@"
code=$?
echo "$begin $(date +%s.%N) ${{0##*/}} $1 $2 $3 $4 $5" >>{folder}/calls
exit $code
"""
REACH = """#!/bin/sh
read -r order
sleep {look}
case $order in
'{{"look"'*) exec cat {folder}/answers/$1 ;;
*) echo '{{"version": 1, "exit": 4, "code": "in-use", "error": "'$1': somebody has it"}}'; exit 4 ;;
esac
"""


def main():
    programs = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/release").resolve()
    nodes = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    jobs = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000
    look = float(sys.argv[4]) if len(sys.argv) > 4 else 0.05
    print("| GPUs of a node | jobs that run | jobs that wait | all nodes seen | first pass that knows all, processor | later, median | own time, median | "
          "calls of Slurm's commands | peak memory |\n|---|---|---|---|---|---|---|---|---|")
    good = True
    for gpus in (8, 2):
        for busy in (90, 99):
            with tempfile.TemporaryDirectory(prefix="bench-arbiter-") as folder:
                good &= measure(pathlib.Path(folder), programs, nodes, gpus, busy, jobs, look)
    sys.exit(not good)


def measure(folder, programs, nodes, gpus, busy, jobs, look):
    """One row."""
    demand.site(folder, gpus)
    config = folder / "etc/gresgen/config.yaml"
    config.write_text(config.read_text().replace("]}]\n", "], orders: true}]\n", 1)
                      + f"  arbiter: {{comments: false, reach: [{folder}/reach, '{{node}}']}}\n")
    models = demand.inventories(folder, programs, nodes, gpus)
    running = demand.cluster(folder, nodes, gpus, busy, jobs, models)
    (folder / "bare").mkdir()
    for name in ("scontrol", "squeue"):
        (folder / name).rename(folder / "bare" / name)
        script(folder / name, NOTE.format(folder=folder))
    script(folder / "reach", REACH.format(folder=folder, look=look))
    (folder / "answers").mkdir()
    for inventory in (folder / "inventories").iterdir():
        seen = json.loads(inventory.read_text())
        offers = {gpu["uuid"]: list(demand.PLACES) for gpu in seen["gpus"]}
        answer = {"version": 1, "exit": 0, "code": "done", "error": None, "look": seen, "offers": offers}
        (folder / "answers" / inventory.stem).write_text(json.dumps(answer))
    arbiter = subprocess.Popen(
        [programs / "gresgen", "--root", folder, "--json", "arbiter", "--metrics", folder / "metrics", "--lock", folder / "lock"],
        env=os.environ | {"PATH": f"{folder}:/usr/bin:/bin"}, stdout=(folder / "log").open("w"), stderr=subprocess.STDOUT)
    try:
        seen, passes = watch(folder, nodes, arbiter)
    finally:
        arbiter.send_signal(signal.SIGTERM)
        memory = peak(arbiter)
    own = median([seconds - asked for seconds, asked, *_ in passes[1:]])
    first, later = passes[0][3], median([processor for *_, processor in passes[1:]])
    calls = max(calls for _, _, calls, _ in passes)
    print(f"| {gpus} | {running:,} | {jobs:,} | {seen:.0f} s | {first * 1000:.0f} ms | {later * 1000:.0f} ms | {own * 1000:.0f} ms | "
          f"{calls} | {memory / 1024:.0f} MiB |", flush=True)
    return later < 1 and calls <= 8


def script(path, text):
    path.write_text(text)
    path.chmod(0o755)


def watch(folder, nodes, arbiter):
    """How long it took until all nodes were seen; of passes that know them all how long each took, how much of it Slurm's commands, how
    many those were, and the processor time since the pass before."""
    begin, known, seen, passes, last, used = time.time(), 0, 0.0, [], None, 0.0
    while len(passes) < PASSES:
        time.sleep(0.02)
        assert arbiter.poll() is None, (folder / "log").read_text()[-2000:]
        if known < nodes:
            known = (folder / "log").read_text().count("is known, ")
            seen = time.time() - begin
            continue
        figures = read(folder / "metrics")
        if not figures or figures == last:
            continue
        last, before, used = figures, used, processor(arbiter.pid)
        seconds = float(re.search(r"^gresgen_arbiter_pass_seconds (\S+)", figures, re.M)[1])
        of_pass = one_pass(read(folder / "calls"))
        if of_pass and float(of_pass[0][0]) > begin + seen:
            passes.append((seconds, sum(float(end) - float(start) for start, end, *_ in of_pass), len(of_pass), used - before))
    return seen, passes


def processor(pid):
    """Processor time of the first thread of a process, in seconds: utime and stime of proc(5)."""
    words = pathlib.Path(f"/proc/{pid}/task/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def median(values):
    return sorted(values)[len(values) // 2]


def one_pass(calls):
    """The calls of the pass that was last, from its ping on."""
    lines = [line.split() for line in calls.splitlines() if line.count(" ") >= 3]
    pings = [number for number, line in enumerate(lines) if line[2:4] == ["scontrol", "ping"]]
    return lines[pings[-1]:] if pings else []


def read(path):
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def peak(process):
    """Its largest resident memory in KiB."""
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_maxrss


main()
