#!/usr/bin/env python3
"""What an apply costs: NVML calls, memory, time. Root, and a release build of gresgen and the simulator.

    benches/calls.py            prints the tables of docs/benchmarks.md and fails when a limit is passed
"""

import collections
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

TARGET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "target", "release")
GRESGEN = os.path.join(TARGET, "gresgen")
SIMULATOR = os.path.join(TARGET, "libnvml_sim.so")

# What the project promises.
PEAK_KIB = 30 * 1024
STATUS_MS = 20

# Name, machine, layout before, layout wanted.
CHANGES = [
    ("first cut, 7 each", "a100-40gb:8", None, {"1g.5gb": 7}),
    ("7 x 1g -> 4g + 3 x 1g", "a100-40gb:8", {"1g.5gb": 7}, {"4g.20gb": 1, "1g.5gb": 3}),
    ("3g + 3g -> 3g + 3 x 1c.3g", "a100-40gb:8", {"3g.20gb": 2}, {"3g.20gb": 1, "1c.3g.20gb": 3}),
    ("7g -> 3 x 2g + 1g", "h100-80gb-sxm:8", {"7g.80gb": 1}, {"2g.20gb": 3, "1g.10gb": 1}),
    ("nothing to change", "a100-40gb:8", {"2g.10gb": 3}, {"2g.10gb": 3}),
]


class Node:
    """A simulated node below a directory of its own."""

    def __init__(self, machine):
        self.directory = tempfile.TemporaryDirectory(prefix="gresgen-bench-")
        self.root = self.directory.name
        self.machine = machine
        os.makedirs(f"{self.root}/etc/gresgen")

    def configure(self, devices, gpus="all"):
        demand = ", ".join(f"{profile}: {count}" for profile, count in devices.items())
        with open(f"{self.root}/etc/gresgen/config.yaml", "w") as config:
            config.write(
                f"version: v1\nslurm:\n  release: '24.11'\nmig-configs:\n  x:\n    - devices: {gpus}\n"
                f"      mig-enabled: true\n      mig-devices: {{{demand}}}\n"
            )

    def run(self, *arguments, log=None):
        """Output, peak memory in KiB and seconds of a run."""
        environment = dict(os.environ, **({"NVML_SIM_CALLS": log} if log else {}))
        command = [GRESGEN, "--nvml-lib", SIMULATOR, "--simulate", self.machine, "--root", self.root, *arguments]
        begun = time.monotonic()
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"{' '.join(command)}: exit {child.returncode}")
        return output, usage.ru_maxrss, time.monotonic() - begun

    def calls(self, *arguments):
        """NVML calls of a run, by name."""
        log = f"{self.root}/calls"
        self.run(*arguments, log=log)
        with open(log) as lines:
            counted = collections.Counter(line.split()[0] for line in lines)
        os.remove(log)
        return counted


def mutations(calls):
    """Calls that change the machine."""
    return {name: n for name, n in calls.items() if "Create" in name or "Destroy" in name or "SetMig" in name}


def planned(node):
    """Mutations that the planner's optimum takes: an instance with each of its compute instances."""
    preview = json.loads(node.run("--json", "plan")[0])
    status = json.loads(node.run("--json", "status")[0])
    present = {
        (gpu["uuid"], i["profile"], i["start"]): len(i["compute"]) for gpu in status["gpus"] for i in gpu["instances"]
    }
    total = 0
    for gpu in preview["gpus"]:
        total += gpu["mode"] is not None
        for row in gpu["slices"]:
            held = present.get((gpu["uuid"], row["profile"], row["start"]), 0)
            made = len(row["compute"]) or 1
            total += {"keep": 0, "destroy": 1 + held, "create": 1 + made, "recut": held + made}[row["action"]]
    return total


def changes():
    print("| change of 8 GPUs | calls that change, optimal | made | all calls | nvmlInit |")
    print("|---|---|---|---|---|")
    wrong = []
    for name, machine, before, wanted in CHANGES:
        node = Node(machine)
        if before is not None:
            node.configure(before)
            node.run("-q", "apply")
        node.configure(wanted)
        optimum = planned(node)
        calls = node.calls("-q", "apply")
        made, begun = sum(mutations(calls).values()), calls["nvmlInit_v2"]
        print(f"| {name} | {optimum} | {made} | {sum(calls.values())} | {begun} |")
        if (made, begun) != (optimum, 1):
            wrong.append(name)
    return wrong


def growth():
    """Calls against the number of instances: each further one must cost the same."""
    totals = {"apply": [], "clear": []}
    for count in range(8):
        node = Node("a100-40gb:8")
        node.configure({})
        node.run("-q", "apply")
        node.configure({"1g.5gb": count})
        totals["apply"].append(sum(node.calls("-q", "apply").values()))
        totals["clear"].append(sum(node.calls("-q", "clear", "all").values()))
    print("\n| instances | " + " | ".join(str(8 * count) for count in range(8)) + " |")
    print("|---" * 9 + "|")
    for verb, row in totals.items():
        print(f"| {verb} | " + " | ".join(map(str, row)) + " |")
    wrong = []
    for verb, row in totals.items():
        steps = [b - a for a, b in zip(row[1:], row[2:])]
        if max(steps) - min(steps) > 8:
            wrong.append(f"{verb} grows by {steps}")
    return wrong


def memory_and_time(rounds=50):
    node = Node("a100-40gb:8")
    node.configure({"1g.5gb": 7})
    peaks = {"apply": node.run("-q", "apply")[1]}
    runs = [node.run("status") for _ in range(rounds)]
    peaks["status"] = max(peak for _, peak, _ in runs)
    times = [1000 * seconds for *_, seconds in runs]
    print("\n| 8 GPUs, 56 instances | |\n|---|---|")
    for verb, peak in peaks.items():
        print(f"| peak memory of `{verb}` | {peak / 1024:.1f} MiB |")
    fastest, median = min(times), statistics.median(times)
    print(f"| `status`, fastest and median of {rounds} | {fastest:.1f} and {median:.1f} ms |")
    # Only the fastest run says something about the program where others use the machine too.
    return [f"peak memory of {verb}" for verb, peak in peaks.items() if peak > PEAK_KIB] + (
        ["time of status"] if fastest > STATUS_MS else []
    )


def main():
    wrong = changes() + growth() + memory_and_time()
    if wrong:
        sys.exit("over the limit: " + "; ".join(wrong))


main()
