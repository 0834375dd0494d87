//! The files a driver would show, derived from the state: device nodes, `/proc/driver/nvidia*`, and what [`sysfs`]
//! says.
//!
//! [`tree`] says what there has to be, [`apply`] makes it so and leaves alone what is right already.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::machine::{DRIVER_VERSION, Gpu, Machine, Majors};
use crate::node::{By, Node, make, make_device, prune};
use crate::sysfs;

/// Capability minors are fixed when the driver loads (open-gpu-kernel-modules, nv-caps.c): 0 for the fabric
/// manager, 1 and 2 for all of MIG, 15 GPU instances of 1 + 8 numbers for each of 32 GPUs, and one for IMEX.
mod minors {
    pub(super) const FABRIC: u32 = 0;
    pub(super) const CONFIG: u32 = 1;
    pub(super) const MONITOR: u32 = 2;
    const FIRST: u32 = 3;
    pub(super) const GPUS: u32 = 32;
    pub(super) const INSTANCES: u32 = 15;
    pub(super) const COMPUTE: u32 = 8;
    pub(super) const IMEX: u32 = FIRST + GPUS * INSTANCES * (1 + COMPUTE);

    pub(super) fn instance(gpu_minor: u32, gi: u32) -> u32 {
        FIRST + (gpu_minor * INSTANCES + gi) * (1 + COMPUTE)
    }

    pub(super) fn compute(gpu_minor: u32, gi: u32, ci: u32) -> u32 {
        instance(gpu_minor, gi) + 1 + ci
    }
}

/// Directories below which a file that is not in the tree is one of a dead instance.
const CAPS: &str = "dev/nvidia-caps";
const CAPABILITIES: &str = "proc/driver/nvidia/capabilities";

/// Brings the files under `root` in step with the machine. What a file says follows from its path and from the machine
/// as it was made, so that after a change of the machine it is enough to look [`By::Status`].
///
/// # Errors
/// The first file that could not be made.
pub(crate) fn apply(root: &Path, machine: &Machine, by: By) -> Result<(), (PathBuf, io::Error)> {
    let tree = tree(machine);
    for (path, node) in &tree {
        let path = root.join(path);
        make(&path, node, by).map_err(|e| (path.clone(), e))?;
    }
    let is_wanted = |path: &Path| path.strip_prefix(root).is_ok_and(|p| tree.contains_key(p));
    for gpu in machine.gpus.iter() {
        let directory = root.join(CAPABILITIES).join(format!("gpu{}/mig", gpu.minor));
        prune(&directory, &is_wanted).map_err(|e| (directory.clone(), e))?;
    }
    // Where the simulator does not make the nodes of some GPU, it does not know whose the others are.
    if machine.gpus.iter().all(|g| !g.traits.nocaps) {
        let directory = root.join(CAPS);
        prune(&directory, &is_wanted).map_err(|e| (directory.clone(), e))?;
    }
    Ok(())
}

/// Every file of a machine, by its path under the root; parents before children.
fn tree(machine: &Machine) -> BTreeMap<PathBuf, Node> {
    let mut tree = BTreeMap::new();
    let mut put = |path: String, node: Node| drop(tree.insert(PathBuf::from(path), node));
    let majors = machine.majors;
    let device = |mode: u32, pick: fn(Majors) -> u32, minor: u32| match majors {
        Some(majors) => Node::Device(mode, (pick(majors), minor)),
        None => Node::Text(mode, String::new()),
    };
    let capability = |mode: u32, minor: u32| device(mode, |m| m.caps, minor);
    put("dev/nvidiactl".into(), device(0o666, |m| m.nvidia, 255));
    put("dev/nvidia-uvm".into(), device(0o666, |m| m.uvm, 0));
    put("dev/nvidia-uvm-tools".into(), device(0o666, |m| m.uvm, 1));
    put(format!("{CAPS}/nvidia-cap{}", minors::FABRIC), capability(0o400, minors::FABRIC));
    put(format!("{CAPS}/nvidia-cap{}", minors::CONFIG), capability(0o400, minors::CONFIG));
    put(format!("{CAPS}/nvidia-cap{}", minors::MONITOR), capability(0o444, minors::MONITOR));
    sysfs::files(machine).into_iter().for_each(|(path, node)| put(path, node));
    put("proc/devices".into(), Node::Text(0o444, devices(majors)));
    put("proc/driver/nvidia/version".into(), Node::Text(0o444, version()));
    put("proc/driver/nvidia-caps/mig-minors".into(), Node::Text(0o444, mig_minors()));
    put(
        "proc/driver/nvidia-caps/nvlink-minors".into(),
        Node::Text(0o444, format!("fabric-mgmt {}\n", minors::FABRIC)),
    );
    put(
        "proc/driver/nvidia-caps/sys-minors".into(),
        Node::Text(0o444, format!("fabric-imex-mgmt {}\n", minors::IMEX)),
    );
    put("proc/driver/nvidia-nvlink/capabilities/fabric-mgmt".into(), access(minors::FABRIC, 0o400));
    put(format!("{CAPABILITIES}/fabric-imex-mgmt"), access(minors::IMEX, 0o400));
    put(format!("{CAPABILITIES}/mig/config"), access(minors::CONFIG, 0o400));
    put(format!("{CAPABILITIES}/mig/monitor"), access(minors::MONITOR, 0o444));
    for gpu in &machine.gpus {
        put(format!("dev/nvidia{}", gpu.minor), device(0o666, |m| m.nvidia, gpu.minor));
        put(
            format!("proc/driver/nvidia/gpus/{}/information", gpu.bdf()),
            Node::Text(0o444, information(gpu)),
        );
        let mig = format!("{CAPABILITIES}/gpu{}/mig", gpu.minor);
        put(mig.clone(), Node::Directory);
        let mut grant = |directory: String, minor: u32| {
            put(directory.clone(), Node::Directory);
            put(format!("{directory}/access"), access(minor, 0o444));
            if !gpu.traits.nocaps {
                put(format!("{CAPS}/nvidia-cap{minor}"), capability(0o444, minor));
            }
        };
        for instance in &gpu.instances {
            let gi = format!("{mig}/gi{}", instance.id);
            grant(gi.clone(), minors::instance(gpu.minor, instance.id));
            for compute in &instance.compute {
                let minor = minors::compute(gpu.minor, instance.id, compute.id);
                grant(format!("{gi}/ci{}", compute.id), minor);
            }
        }
    }
    tree
}

/// `/proc/devices`, as far as this driver goes.
fn devices(majors: Option<Majors>) -> String {
    let lines = majors.map_or_else(String::new, |m| {
        format!(
            "{n:3} nvidia\n{n:3} nvidiactl\n{c:3} nvidia-caps\n{u:3} nvidia-uvm\n",
            n = m.nvidia,
            c = m.caps,
            u = m.uvm
        )
    });
    format!("Character devices:\n{lines}\nBlock devices:\n")
}

fn version() -> String {
    format!("NVRM version: simulated driver  {DRIVER_VERSION}\n")
}

/// All capabilities the driver can ever have, whether or not their instance exists.
fn mig_minors() -> String {
    // The same for every machine, and long.
    static TEXT: LazyLock<String> = LazyLock::new(all_minors);
    TEXT.clone()
}

fn all_minors() -> String {
    let mut text = format!("config {}\nmonitor {}\n", minors::CONFIG, minors::MONITOR);
    for gpu in 0..minors::GPUS {
        for gi in 0..minors::INSTANCES {
            text += &format!("gpu{gpu}/gi{gi}/access {}\n", minors::instance(gpu, gi));
            for ci in 0..minors::COMPUTE {
                text += &format!("gpu{gpu}/gi{gi}/ci{ci}/access {}\n", minors::compute(gpu, gi, ci));
            }
        }
    }
    text
}

/// A capability file as the driver prints it: the mode is decimal.
fn access(minor: u32, mode: u32) -> Node {
    Node::Text(mode, format!("DeviceFileMinor: {minor}\nDeviceFileMode: {mode}\nDeviceFileModify: 1\n"))
}

fn information(gpu: &Gpu) -> String {
    format!(
        "Model: \t\t {}\nGPU UUID: \t {}\nBus Type: \t PCIe\nBus Location: \t {}\nDevice Minor: \t {}\nGPU Excluded:\t No\n",
        gpu.name(),
        gpu.uuid(),
        gpu.bdf(),
        gpu.minor
    )
}

/// Three majors of the range for local use (Linux, Documentation/admin-guide/devices.txt: 240-254) that
/// no driver of this kernel has taken. None without the right to make device nodes in `directory`.
pub(crate) fn unused_majors(directory: &Path) -> Option<Majors> {
    let devices = fs::read_to_string("/proc/devices").ok()?;
    let characters = devices.split("Block devices:").next().unwrap_or_default();
    let taken: Vec<u32> =
        characters.lines().filter_map(|l| l.split_whitespace().next()?.parse().ok()).collect();
    let mut free = (240..=254).rev().filter(|major| !taken.contains(major));
    let majors = Majors { nvidia: free.next()?, caps: free.next()?, uvm: free.next()? };
    let probe = directory.join("node-probe");
    let _ = fs::remove_file(&probe);
    make_device(&probe, majors.nvidia, 255).ok()?;
    fs::remove_file(&probe).ok()?;
    Some(majors)
}

#[cfg(test)]
mod tests;
