//! Every path this program opens, below one prefix.

use std::path::{Path, PathBuf};

/// The prefix of every path read or written, `/` on a real node (`--root`).
///
/// Device paths inside rendered files carry it too, so that a slurmd on this host can open them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// The node itself.
    pub fn host() -> Self {
        Root(PathBuf::from("/"))
    }

    /// A directory that stands for `/`. It is made absolute, because rendered files name it.
    ///
    /// # Errors
    /// When the current directory is needed and cannot be read.
    pub fn new(prefix: &Path) -> std::io::Result<Self> {
        Ok(Root(std::path::absolute(prefix)?))
    }

    /// Whether paths are those of the node itself.
    pub fn is_host(&self) -> bool {
        self.0 == Path::new("/")
    }

    pub fn prefix(&self) -> &Path {
        &self.0
    }

    /// An absolute path of the node, below the prefix.
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.0.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// A file of the running kernel: below the prefix where a test puts one there, else the host's own, for
    /// nothing simulated replaces the machine.
    pub fn kernel(&self, absolute: &str) -> PathBuf {
        let own = self.path(absolute);
        if own.exists() { own } else { PathBuf::from(absolute) }
    }

    /// Configuration of this program.
    pub const CONFIG: &'static str = "/etc/gresgen/config.yaml";
    /// Configuration with which the files of a whole cluster are rendered.
    pub const CLUSTER: &'static str = "/etc/gresgen/cluster.yaml";
    /// Templates of the site, which replace embedded ones of the same name.
    pub const TEMPLATES: &'static str = "/etc/gresgen/templates";
    /// Devices by GRES index; read by the SPANK plugin.
    pub const DEVICE_MAP: &'static str = "/run/gresgen/devices";
    /// The copy of the map that the running slurmd loaded; kept by the SPANK plugin.
    pub const LOADED_MAP: &'static str = "/run/gresgen/devices.slurmd";
    /// Instances that orders have closed.
    pub const CLOSED: &'static str = "/run/gresgen/closed";
    /// Of which the time is that of the last order or look that came.
    pub const HEARD: &'static str = "/run/gresgen/heard";
    /// The devices of jobs that a Prolog asked for, until their Epilog.
    pub const JOBS: &'static str = "/run/gresgen/jobs";
    /// What this program keeps until the next boot.
    pub const RUN: &'static str = "/run/gresgen";
    /// A lock per slice, held by `gresgen run`.
    pub const SLICES: &'static str = "/run/gresgen/slices";
    /// Held by whoever changes GPUs or files.
    pub const LOCK: &'static str = "/run/gresgen/lock";
    /// Lock of the one arbiter of a host.
    pub const ARBITER_LOCK: &str = "/run/gresgen/arbiter.lock";
    /// What an apply set out to do; present only while it runs or after it was cut off.
    pub const INTENT: &'static str = "/var/lib/gresgen/intent.json";
    /// Changes that were made, a line each; older ones beside it with the ending `.1`.
    pub const HISTORY: &'static str = "/var/lib/gresgen/history";
    /// Services that a change has stopped and not started again yet.
    pub const STOPPED: &'static str = "/var/lib/gresgen/stopped.json";
    /// The layout that was last chosen.
    pub const CHOSEN: &'static str = "/var/lib/gresgen/layout";
    /// Identity of the running boot; instances never survive a boot.
    pub const BOOT_ID: &'static str = device_map::BOOT_ID;
    /// CPUs with their sockets and threads (Linux, Documentation/ABI/stable/sysfs-devices-system-cpu).
    pub const CPUS: &'static str = "/sys/devices/system/cpu";
    /// A directory per PCI device (Linux, Documentation/ABI/testing/sysfs-bus-pci).
    pub const PCI_DEVICES: &'static str = "/sys/bus/pci/devices";
    /// Minor numbers of all MIG capabilities (NVIDIA open-gpu-kernel-modules, nv-caps.c).
    pub const MIG_MINORS: &'static str = "/proc/driver/nvidia-caps/mig-minors";
    /// A directory per GPU, and below its `mig` one per instance that exists (nv-caps.c).
    pub const CAPABILITIES: &'static str = "/proc/driver/nvidia/capabilities";
    /// Major numbers of the running kernel (proc(5)).
    pub const PROC_DEVICES: &'static str = "/proc/devices";
    /// Slurm's files.
    pub const GRES_CONF: &'static str = "/etc/slurm/gres.conf";
    /// Device confinement of jobs.
    pub const CGROUP_CONF: &'static str = "/etc/slurm/cgroup.conf";
    /// The NodeName line and what goes with it, for `include` in slurm.conf.
    pub const NODE_CONF: &'static str = "/etc/slurm/gresgen-node.conf";
    /// Loads the SPANK plugin; plugstack.conf includes the directory.
    pub const PLUGSTACK_CONF: &'static str = "/etc/slurm/plugstack.conf.d/mig.conf";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lie_below_the_prefix() {
        assert_eq!(Root::host().path(Root::GRES_CONF), Path::new("/etc/slurm/gres.conf"));
        assert!(Root::host().is_host());
        let root = Root::new(Path::new("/r")).unwrap();
        assert_eq!(root.path(Root::GRES_CONF), Path::new("/r/etc/slurm/gres.conf"));
        assert!(!root.is_host());
    }
}
