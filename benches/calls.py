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
# NVML calls of a look at 8 GPUs with 56 slices.
LOOK_CALLS = 450

# What calls took on an H100 with driver 580.159.04, in ms; those that take it to the GPU 0.2 to 0.5, a lookup in the
# library 0.01. Of those that could not be measured there, because MIG was off, the ones that name an instance are
# counted as those that list them, and what is asked of a MIG device as a lookup.
MEASURED_MS = {
    "nvmlInit_v2": 8.3,
    "nvmlShutdown": 3.7,
    "nvmlDeviceGetCpuAffinity": 9.1,
    "nvmlDeviceGetGpuInstanceProfileInfoV": 0.5,
    "nvmlDeviceGetGpuInstancePossiblePlacements_v2": 0.21,
    "nvmlDeviceGetGpuInstances": 0.34,
    "nvmlGpuInstanceGetInfo": 0.34,
    "nvmlGpuInstanceGetComputeInstances": 0.34,
    "nvmlGpuInstanceGetComputeInstanceById": 0.34,
    "nvmlComputeInstanceGetInfo_v2": 0.34,
    "nvmlGpuInstanceGetComputeInstanceProfileInfo": 0.5,
    "nvmlDeviceGetMigMode": 0.16,
    "nvmlDeviceGetMaxMigDeviceCount": 0.16,
    "nvmlDeviceGetMigDeviceHandleByIndex": 0.009,
    "nvmlDeviceGetComputeRunningProcesses_v3": 0.05,
    "nvmlDeviceGetGraphicsRunningProcesses_v3": 0.05,
    "nvmlDeviceGetMPSComputeRunningProcesses_v3": 0.05,
}
# The first handle of a GPU costs this once each.
FIRST_HANDLE_MS = 6.7

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

    def run(self, *arguments, log=None, latency=None, passing=(0,)):
        """Output, peak memory in KiB and seconds of a run."""
        told = {"NVML_SIM_CALLS": log, "NVML_SIM_LATENCY": latency}
        environment = dict(os.environ, **{name: value for name, value in told.items() if value})
        command = [GRESGEN, "--nvml-lib", SIMULATOR, "--simulate", self.machine, "--root", self.root, *arguments]
        begun = time.monotonic()
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in passing:
            sys.exit(f"{' '.join(command)}: exit {child.returncode}")
        return output, usage.ru_maxrss, time.monotonic() - begun

    def calls(self, *arguments, passing=(0,)):
        """NVML calls of a run, by name."""
        log = f"{self.root}/calls"
        self.run(*arguments, log=log, passing=passing)
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
    """Calls against the number of instances: a further one must not cost more than the first ones did."""
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
        if max(steps) > steps[0] + 8:
            wrong.append(f"{verb} grows by {steps}")
    return wrong


def looking(rounds=5):
    """Calls of whoever only looks, and the time a driver would take for them."""
    measured = dict(MEASURED_MS, nvmlDeviceGetHandleByIndex_v2=FIRST_HANDLE_MS)
    latency = ",".join(f"{call}={ms}" for call, ms in measured.items())
    print("\n| looking | calls | expected, ms |\n|---|---|---|")
    wrong = []
    cut, whole = Node("a100-40gb:8"), Node("h100-80gb-sxm")
    cut.configure({"1g.5gb": 7})
    cut.run("-q", "apply", passing=(0, 6))
    for name, node, verb, most in [
        ("`status`, 8 GPUs, 56 slices", cut, "status", LOOK_CALLS),
        ("`check`, the same", cut, "check", LOOK_CALLS),
        ("`status`, one GPU, MIG off", whole, "status", None),
    ]:
        # Without a Slurm `check` fails; how it comes to know that is what counts.
        counted = node.calls(verb, passing=(0, 3))
        total = sum(counted.values())
        times = [1000 * node.run(verb, latency=latency, passing=(0, 3))[2] for _ in range(rounds)]
        print(f"| {name} | {total} | {min(times):.0f} |")
        if most is not None and total > most:
            wrong.append(f"{total} calls of {verb}")
        if counted["nvmlDeviceGetCpuAffinity"]:
            wrong.append(f"{verb} asks NVML for CPUs")
    asked = [name for name in node.calls("status") if "Profile" in name or "Placement" in name]
    if asked:
        wrong.append("status asks what a GPU with MIG off could be cut into: " + ", ".join(asked))
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
    wrong = changes() + growth() + looking() + memory_and_time()
    if wrong:
        sys.exit("over the limit: " + "; ".join(wrong))


main()
