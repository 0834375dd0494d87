//! NVIDIA's nvidia-ml-py takes GPUs through the life of every instance they can have.

use std::process::Command;

use crate::{Bench, must, skipped};

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
fn nvidia_ml_py_drives_the_life_of_instances_on_a_mirrored_hopper() {
    life_of_instances("h100-80gb-sxm:1:mirrored");
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
