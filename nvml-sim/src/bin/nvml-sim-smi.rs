//! The two things a GPU host does outside NVML, for a simulated machine: `nvidia-smi --gpu-reset` and a reboot.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use nvml_sim::machine::{Gpu, Machine};
use nvml_sim::{Spec, Store};

const USAGE: &str = "usage: nvml-sim-smi -L | --gpu-reset -i <index|uuid|bus id>[,...] | --sim-reboot
(the machine is the one of NVML_SIM_ROOT)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<String, String> {
    match arguments {
        ["-L" | "--list-gpus"] => list(&store()?),
        ["--gpu-reset" | "-r", "-i" | "--id", which] | ["-i" | "--id", which, "--gpu-reset" | "-r"] => {
            reset(&store()?, which)
        }
        ["--sim-reboot"] => reboot(&store()?),
        _ => Err(USAGE.to_owned()),
    }
}

fn store() -> Result<Store, String> {
    let root =
        std::env::var_os("NVML_SIM_ROOT").ok_or("NVML_SIM_ROOT is not set: name the simulated machine")?;
    let spec = match std::env::var("NVML_SIM_GPUS") {
        Ok(text) => Some(text.parse::<Spec>().map_err(|e| format!("NVML_SIM_GPUS: {e}"))?),
        Err(_) => None,
    };
    Store::open(Path::new(&root), spec.as_ref()).map_err(|e| e.to_string())
}

/// As `nvidia-smi -L` prints it.
fn list(store: &Store) -> Result<String, String> {
    let machine = store.read().map_err(|e| e.to_string())?.machine;
    let mut text = String::new();
    for gpu in &machine.gpus {
        text += &format!("GPU {}: {} (UUID: {})\n", gpu.index, gpu.name(), gpu.uuid());
        for index in 0..gpu.max_mig_devices() {
            let Some(device) = gpu.mig_device_at(index) else { continue };
            let name = format!("MIG {}", device.profile_name());
            text += &format!("  {name:<15} Device {index:2}: (UUID: {})\n", device.uuid());
        }
    }
    Ok(text)
}

fn reset(store: &Store, which: &str) -> Result<String, String> {
    let names: Vec<&str> = which.split(',').collect();
    let done = store.change(|s| {
        let mut text = String::new();
        for name in names {
            let gpu = find(&s.machine, name).ok_or_else(|| format!("{name}: no such GPU"))?;
            let (index, bdf) = (gpu.index, gpu.bdf().to_uppercase());
            std::sync::Arc::make_mut(&mut s.machine).reset(index, &s.clients).map_err(|_| {
                format!(
                    "GPU 0000{bdf} is currently in use by one or more other processes\n1 device did not reset"
                )
            })?;
            text += &format!("GPU 0000{bdf} was successfully reset.\n");
        }
        Ok(text + "All done.\n")
    });
    done.map_err(|e| e.to_string())?
}

fn reboot(store: &Store) -> Result<String, String> {
    let done: Result<Result<(), ()>, _> = store.change(|s| {
        std::sync::Arc::make_mut(&mut s.machine).reboot();
        Ok(())
    });
    done.map(|_| String::new()).map_err(|e| e.to_string())
}

fn find<'a>(machine: &'a Machine, name: &str) -> Option<&'a Gpu> {
    let by_name = || machine.gpus.iter().find(|g| g.uuid() == name || g.index.to_string() == name);
    by_name().or_else(|| machine.by_pci(name))
}
