#!/usr/bin/env python3
"""Times rendering a cluster from inventories, and a real slurmd reading the result.

usage: benches/render.py [PROGRAMS]      as root, with slurmd installed

PROGRAMS is the folder with `gresgen` and `libnvml_sim.so`, target/release by default. Everything happens in a
temporary folder and a mount namespace of its own. Prints the tables of docs/benchmarks.md.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

GPUS = "a100-40gb:8"
# Eight GPUs of seven slices each, and a node of mixed slices.
LAYOUTS = {"sevenths": "{1g.5gb: 7}", "mixed": "{1g.5gb: 2, 2g.10gb: 1, 3g.20gb: 1}"}
REPEATS = 3
IN_NAMESPACE = "GRESGEN_BENCH_RENDER"


def main():
    if IN_NAMESPACE not in os.environ:
        enter_namespace()
    programs = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/release").resolve()
    with tempfile.TemporaryDirectory(prefix="bench-render-") as folder:
        folder = pathlib.Path(folder)
        gresgen = [programs / "gresgen"]
        models = {name: model(folder / name, gresgen, programs, layout) for name, layout in LAYOUTS.items()}
        show_devices(folder, [folder / name / "dev" for name in LAYOUTS])
        render_table(folder, gresgen, models)
        read_table(folder, gresgen, models)


def enter_namespace():
    if os.geteuid() != 0:
        sys.exit("benches/render.py: it makes device nodes; run it as root")
    environment = os.environ | {IN_NAMESPACE: "1"}
    command = ["unshare", "--mount", "--propagation=private", sys.executable, *sys.argv]
    sys.exit(subprocess.call(command, env=environment))


def model(root, gresgen, programs, layout):
    """The inventory of one simulated node, with its device files where a driver has them."""
    config = f"version: v1\nmig-configs:\n  it:\n    - {{devices: all, mig-enabled: true, mig-devices: {layout}}}\n"
    (root / "etc/gresgen").mkdir(parents=True)
    (root / "etc/gresgen/config.yaml").write_text(config)
    simulated = [*gresgen, "--simulate", GPUS, "--root", root, "--nvml-lib", programs / "libnvml_sim.so"]
    environment = os.environ | {"SLURMD_NODENAME": "node"}
    if subprocess.call([*simulated, "apply", "--quiet"], env=environment) not in (0, 6):
        sys.exit("gresgen apply failed")
    text = subprocess.check_output([*simulated, "--json", "status"], env=environment, text=True)
    return text.replace(f"{root}/dev/", "/dev/")


def show_devices(folder, trees):
    """Puts simulated device nodes under /dev, seen by this process and its children alone."""
    dev = folder / "dev"
    dev.mkdir()
    run("mount", "-t", "tmpfs", "-o", "mode=755", "none", dev)
    for tree in trees:
        run("cp", "-a", f"{tree}/.", dev)
    for name in ("null", "zero", "random", "urandom"):
        (dev / name).touch(exist_ok=True)
        run("mount", "--bind", f"/dev/{name}", dev / name)
    run("mount", "--rbind", dev, "/dev")
    # The folder can then be removed.
    run("umount", "--recursive", dev)


def inventories(folder, models, nodes):
    """One file per node: GPU and MIG UUIDs of its own; the last tenth of the nodes has the mixed layout."""
    target = folder / f"inventories-{nodes}"
    target.mkdir()
    files = []
    for number in range(1, nodes + 1):
        text = models["mixed" if number > nodes * 9 // 10 else "sevenths"]
        name = f"n{number:05}"
        text = re.sub(r'"(GPU|MIG)-[0-9a-f]{8}', rf'"\1-{number:08x}', text)
        text = text.replace('"node": "node"', f'"node": "{name}"')
        files.append(target / name)
        files[-1].write_text(text)
    return files


def site(folder, nodes):
    """A configuration folder for rendering `nodes` nodes."""
    root = folder / f"site-{nodes}"
    (root / "etc/gresgen").mkdir(parents=True)
    config = f"version: v1\nslurm:\n  release: '22.05'\n  nodes:\n    - {{names: 'n[00001-{nodes:05}]', attributes: CPUs=64 RealMemory=500000}}\n"
    (root / "etc/gresgen/config.yaml").write_text(config)
    return root


# A process starts out with the peak memory of the one that made it, so a small one makes it.
TIMER = """
import os, subprocess, sys, time
begin = time.monotonic()
process = subprocess.Popen(sys.argv[1:], stdout=sys.stderr)
_, status, usage = os.wait4(process.pid, 0)
print(time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measured(command):
    """Wall and CPU time in seconds, peak memory in MiB and the messages of a command that must succeed."""
    timer = [sys.executable, "-S", "-c", TIMER, *map(str, command)]
    done = subprocess.run(timer, capture_output=True, text=True)
    # 6: gresgen has changed files and leaves Slurm to be told.
    if done.returncode not in (0, 6):
        sys.exit(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return (*map(float, done.stdout.split()), done.stderr)


def fastest(command):
    """Of several runs the fastest, since the machine may be shared; memory is the largest seen."""
    runs = [measured(command) for _ in range(REPEATS)]
    return min(r[0] for r in runs), min(r[1] for r in runs), max(r[2] for r in runs), runs[-1][3]


def render_table(folder, gresgen, models):
    print("| nodes | inventories, MB | time, s | CPU, s | peak memory, MiB | gres.conf, lines | bytes |")
    print("|---|---|---|---|---|---|---|")
    for nodes in (100, 1_000, 10_000):
        files = inventories(folder, models, nodes)
        root = site(folder, nodes)
        command = [*gresgen, "--root", root, "render", "--inventory", *files]
        wall, cpu, memory, _ = fastest(command)
        size = sum(file.stat().st_size for file in files) / 1e6
        text = (root / "etc/slurm/gres.conf").read_text()
        print(f"| {nodes} | {size:.0f} | {wall:.2f} | {cpu:.2f} | {memory:.0f} | {len(text.splitlines())} | {len(text)} |")


def read_table(folder, gresgen, models):
    """`slurmd -G` of a node in the middle, on the same cluster with and without folding."""
    print("\n| gres.conf | nodes | lines | bytes | slurmd, s | CPU, s | peak memory, MiB |")
    print("|---|---|---|---|---|---|---|")
    for nodes in (1_000, 10_000):
        root = folder / f"site-{nodes}"
        folded = (root / "etc/slurm/gres.conf").read_text()
        conf = slurm_conf(folder, root)
        node = f"n{nodes // 2 + 1:05}"
        every = unfolded(folded, conf)
        for kind, text in {"folded": folded, "a line per device": every, "of the node alone": own(every, node)}.items():
            (conf.parent / "gres.conf").write_text(text)
            wall, cpu, memory, output = fastest(["slurmd", "-G", "-N", node, "-f", conf])
            records = output.count("Gres Name=gpu")
            if records != 56:
                sys.exit(f"slurmd -G lists {records} records: {output[-2000:]}")
            print(f"| {kind} | {nodes} | {len(text.splitlines())} | {len(text)} | {wall:.3f} | {cpu:.3f} | {memory:.0f} |")


def unfolded(text, conf):
    """The same records with a node name each, node by node, as a script without host lists writes them."""
    records = []
    for line in text.splitlines():
        if line.startswith("NodeName="):
            names, rest = line.split(" ", 1)
            command = ["scontrol", "show", "hostnames", names.removeprefix("NodeName=")]
            names = subprocess.check_output(command, env=os.environ | {"SLURM_CONF": str(conf)}, text=True)
            records += [(name, rest) for name in names.split()]
    # Stable: the records of a node stay in order.
    records.sort(key=lambda record: record[0])
    return "".join(f"NodeName={name} {rest}\n" for name, rest in records)


def own(text, node):
    return "".join(line for line in text.splitlines(True) if line.startswith(f"NodeName={node} "))


def slurm_conf(folder, root):
    place = folder / f"slurm-{root.name}"
    place.mkdir()
    conf = place / "slurm.conf"
    conf.write_text(
        "ClusterName=bench\nSlurmctldHost=localhost\nAuthType=auth/none\nCredType=cred/none\n"
        f"SelectType=select/cons_tres\nSlurmUser=root\nSlurmdSpoolDir={place}\nProctrackType=proctrack/linuxproc\n"
        f"include {root}/etc/slurm/gresgen-node.conf\nPartitionName=p Nodes=ALL\n"
    )
    return conf


def run(*command):
    subprocess.check_call(list(map(str, command)))


if __name__ == "__main__":
    main()
