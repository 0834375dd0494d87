//! The program that stands for `nvidia-smi --gpu-reset` and for a reboot, as a process.

use std::path::Path;
use std::process::{Command, Output};

use nvml_sim::clients::Clients;
use nvml_sim::code::{Answer, Code};
use nvml_sim::machine::Machine;
use nvml_sim::{Spec, Store, prepare};

fn smi(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nvml-sim-smi"));
    command.env_remove("NVML_SIM_GPUS").env("NVML_SIM_ROOT", root).args(arguments).output().unwrap()
}

/// What it prints when it succeeds.
fn said(root: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = smi(root, arguments);
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn machine(store: &Store) -> Machine {
    store.read().unwrap().machine.as_ref().clone()
}

fn change<T>(store: &Store, change: impl FnOnce(&mut Machine, &Clients) -> Answer<T>) -> T {
    store.change(|s| change(std::sync::Arc::make_mut(&mut s.machine), &s.clients)).unwrap().unwrap()
}

/// A held A100 with MIG mode pending, and an H100 with a 3g in two parts and a bare 1g.
fn node() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let spec: Spec = "a100-40gb:1:held,h100-80gb-sxm".parse().unwrap();
    let store = prepare(root.path(), &spec).unwrap();
    assert_eq!(change(&store, |m, clients| m.set_mode(0, true, clients)), Err(Code::IN_USE));
    change(&store, |m, clients| m.set_mode(1, true, clients)).unwrap();
    let half = change(&store, |m, clients| m.create_instance(1, 9, None, clients));
    for profile in [0, 1] {
        change(&store, |m, _| m.create_compute(1, half, profile, None));
    }
    change(&store, |m, clients| m.create_instance(1, 19, None, clients));
    (root, store)
}

#[test]
fn it_lists_gpus_and_mig_devices() {
    let (root, _store) = node();
    insta::assert_snapshot!(said(root.path(), &["-L"]));
}

#[test]
fn a_reset_brings_the_pending_mode_by_any_name_of_the_gpu() {
    let names: [fn(&Machine) -> String; 3] =
        [|_| "0".to_owned(), |m| m.gpus[0].uuid(), |m| m.gpus[0].bdf().to_uppercase()];
    for name in names {
        let (root, store) = node();
        let name = name(&machine(&store));
        assert_eq!(said(root.path(), &["--gpu-reset", "-i", &name]).lines().last(), Some("All done."));
        let after = machine(&store);
        assert!(after.gpus[0].current, "{name}");
        assert_eq!(after.gpus[1].instances.len(), 2, "another GPU keeps its instances");
    }
}

#[test]
fn a_reset_is_refused_while_a_process_computes() {
    let (root, store) = node();
    let device = machine(&store).gpus[1].mig_devices().next().unwrap().uuid();
    std::fs::write(store.processes_file(), format!("{device} {}\n", std::process::id())).unwrap();
    let refused = smi(root.path(), &["--gpu-reset", "-i", "0,1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("in use"));
    let after = machine(&store);
    assert!(!after.gpus[0].current, "all or none");
    assert_eq!(after.gpus[1].instances.len(), 2);
}

#[test]
fn a_reboot_keeps_the_mode_on_ampere_alone() {
    let (root, store) = node();
    said(root.path(), &["--sim-reboot"]);
    let after = machine(&store);
    assert_eq!(after.gpus.iter().map(|g| g.current).collect::<Vec<_>>(), [true, false]);
    assert!(after.gpus.iter().all(|g| g.instances.is_empty()));
    assert!(!root.path().join("proc/driver/nvidia/capabilities/gpu1/mig/gi2").exists());
}

#[test]
fn anything_else_is_refused() {
    let (root, _store) = node();
    for arguments in [&["--gpu-reset", "-i", "7"][..], &["--gpu-reset"], &[], &["mig", "-lgip"]] {
        assert_eq!(smi(root.path(), arguments).status.code(), Some(1), "{arguments:?}");
    }
    let nowhere = root.path().join("nowhere");
    assert!(String::from_utf8_lossy(&smi(&nowhere, &["-L"]).stderr).contains("no simulated machine"));
}
