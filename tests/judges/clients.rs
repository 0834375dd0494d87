//! Programs that people watch GPUs with list what the simulator holds: GPUs, and slices where they know of them.

use std::process::Command;

use nvml_sim::Store;

use crate::fetched::{debian, file_of, must, skipped};
use crate::{Bench, pip, scripts};

/// Two GPUs, the first with a 3g and a 1g.
fn bench() -> Bench {
    let bench = Bench::new("a100-40gb:2");
    let store = Store::open(&bench.root(), Some(&bench.spec.parse().unwrap())).unwrap();
    let cut = store.change(|s| {
        let (machine, clients) = (std::sync::Arc::make_mut(&mut s.machine), &s.clients);
        machine.set_mode(0, true, clients)??;
        for (profile, part) in [(9, 2), (19, 0)] {
            let instance = machine.create_instance(0, profile, None, clients)?;
            machine.create_compute(0, instance, part, None)?;
        }
        Ok::<_, nvml_sim::code::Code>(())
    });
    cut.unwrap().unwrap();
    bench
}

const NAME: &str = "A100-SXM4-40GB";

/// A module that runs as a program.
fn module(bench: &Bench, requirement: &str, arguments: &[&str]) -> String {
    let mut python = bench.command("python3");
    python.env("PYTHONPATH", pip(requirement)).env("PYTHONDONTWRITEBYTECODE", "1").arg("-m").args(arguments);
    must(&mut python, "what it prints says why")
}

/// Lines that have all of some words.
fn count(text: &str, words: &[&str]) -> usize {
    text.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

#[test]
fn nvitop_lists_gpus_and_slices() {
    if skipped() {
        return;
    }
    let said = module(&bench(), "nvitop>=1.7,<2", &["nvitop", "-1"]);
    assert_eq!(count(&said, &[NAME]), 2, "{said}");
    assert_eq!(count(&said, &["0:0", "3g.20gb @ GI/CI: 2/0", "20096MiB"]), 1, "{said}");
    assert_eq!(count(&said, &["0:1", "1g.5gb @ GI/CI: 7/0", "4864MiB"]), 1, "{said}");
}

/// It has no eye for slices.
#[test]
fn gpustat_lists_gpus() {
    if skipped() {
        return;
    }
    let said = module(&bench(), "gpustat>=1.1,<2", &["gpustat", "--no-color"]);
    assert_eq!(count(&said, &[NAME, "40960 MB"]), 2, "{said}");
}

/// It draws on a terminal, and has no eye for slices.
#[test]
fn nvtop_lists_gpus() {
    if skipped() {
        return;
    }
    let bench = bench();
    let nvtop = file_of(&debian("bookworm", &["nvtop"]), "nvtop");
    let mut screen = bench.command("python3");
    screen.arg(scripts().join("screen.py")).args(["Device 1", "40.000Gi", "--"]).arg(nvtop);
    // Where it would keep its settings.
    let said = must(screen.env("HOME", bench.directory.path()), "what it prints says why");
    for part in ["Device 0", "Device 1", NAME, "4@16x"] {
        assert!(said.contains(part), "{part}: not in\n{said}");
    }
}

/// hwloc finds the GPUs in sysfs and through NVML, and puts one below the other by their addresses.
#[test]
fn lstopo_has_gpus_of_nvml_below_their_pci_devices() {
    if skipped() {
        return;
    }
    let bench = bench();
    let tree = debian("bookworm", &["hwloc", "libhwloc15", "libhwloc-plugins", "libhwloc-contrib-plugins"]);
    let plugins = file_of(&tree, "hwloc_nvml.so").parent().unwrap().to_owned();
    let library = plugins.parent().unwrap().display().to_string();
    let mut unshare: Command = bench.command("unshare");
    unshare.args(["--mount", "sh"]).arg(scripts().join("sysfs.sh")).arg(file_of(&tree, "lstopo-no-graphics"));
    unshare.args(["--of", "console", "--whole-io", "-v"]).env("HWLOC_PLUGINS_PATH", plugins);
    let libraries = format!("{library}:{}", bench.directory.path().join("lib").display());
    let said = must(unshare.env("LD_LIBRARY_PATH", libraries), "run this as root");
    let machine = Store::open(&bench.root(), None).unwrap().read().unwrap().machine;
    for gpu in &machine.gpus {
        let pci = format!("busid={} id=10de:20b0 class=0302(3D)", gpu.bdf());
        let below = said.lines().skip_while(|line| !line.contains(&pci)).nth(1).unwrap_or_default();
        let uuid = format!("NVIDIAUUID={}", gpu.uuid());
        assert!(below.contains("GPU(NVML)") && below.contains(&uuid), "{pci}, {uuid}: not in\n{said}");
    }
}
