//! NVIDIA's nvidia-ml-py takes GPUs through the life of every instance they can have.

use std::process::Command;

use crate::{Bench, must, pip, skipped};

fn life_of_instances(spec: &str) {
    if skipped() {
        return;
    }
    let bench = Bench::new(spec);
    lived(&mut bench.python("life.py"));
}

fn lived(life: &mut Command) {
    let said = must(life, "run this as root");
    assert!(said.contains(" profiles, "), "{said}");
}

#[test]
fn nvidia_ml_py_drives_the_life_of_instances_on_ampere() {
    life_of_instances("a100-40gb:2");
}

#[test]
fn nvidia_ml_py_drives_the_life_of_instances_on_a_mirrored_hopper_and_on_one_of_fewer_multiprocessors() {
    life_of_instances("h100-80gb-sxm:1:mirrored,h100-80gb-pcie");
}

#[test]
fn nvidia_ml_py_drives_the_life_of_instances_on_small_and_on_graphics_boards() {
    life_of_instances("a30-24gb,rtx-pro-6000-blackwell-96gb:1:gaps");
}

#[test]
fn the_other_form_of_a_compute_instances_info_can_be_had() {
    if skipped() {
        return;
    }
    let bench = Bench::new("a30-24gb:1");
    lived(bench.python("life.py").env("NVML_SIM_CI_DEVICE", "mig"));
}

/// Bindings of the release that is simulated: what they look for is what the driver's library exports.
#[test]
fn every_function_of_nvidias_bindings_is_exported() {
    if skipped() {
        return;
    }
    const LOOK: &str = "\
import ctypes, pathlib, re, pynvml
names = set(re.findall(r'_nvmlGetFunctionPointer\\(\"(\\w+)\"', pathlib.Path(pynvml.__file__).read_text()))
library = ctypes.CDLL('libnvidia-ml.so.1')
print(len(names), *sorted(name for name in names if not hasattr(library, name)))
";
    let bench = Bench::new("a100-40gb");
    let mut python = bench.command("python3");
    let said = must(python.env("PYTHONPATH", pip(crate::BINDINGS)).args(["-c", LOOK]), "run this as root");
    let (count, missing) = said.trim().split_once(' ').unwrap_or((said.trim(), ""));
    assert!(count.parse::<u32>().unwrap() > 300, "{said}");
    assert_eq!(missing, "");
}
