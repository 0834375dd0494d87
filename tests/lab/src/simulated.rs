//! A node as its admin sees it: simulated GPUs under their real paths, `gresgen` on the PATH, and a Slurm that
//! runs on the files `gresgen` wrote.

use std::path::PathBuf;

use crate::{Lab, LabError, Options, Output, Release, options::Node};

/// What a simulated node is made of.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// The `gresgen` program.
    pub gresgen: PathBuf,
    /// The simulator, which stands for the driver's library.
    pub simulator: PathBuf,
    /// The SPANK plugin.
    pub plugin: PathBuf,
    /// Which GPUs, in the simulator's grammar.
    pub gpus: String,
    /// `/etc/gresgen/config.yaml`; [`Simulated::NODE`] tells Slurm about the node.
    pub config: String,
}

/// The `systemctl` of a lab, which has no systemd: the units `slurmctld` and `slurmd`, the latter on `n1`, as far
/// as `gresgen` names them.
const SYSTEMCTL: &str = r#"#!/bin/sh
case $2 in
slurmctld) set -- "$1" /run/slurmctld.pid slurmctld ;;
slurmd) set -- "$1" /run/slurmd-n1.pid slurmd -N n1 ;;
*) echo "Unit $2.service not found." >&2; exit 5 ;;
esac
verb=$1 file=$2
shift 2
runs() { pid=$(cat "$file" 2>/dev/null) && kill -0 "$pid" 2>/dev/null; }
# As systemctl does: a unit that runs is not started again, and one that does not is no error to stop.
stop() { ! runs || { kill "$pid" && while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done; }; }
case $verb in
stop) stop ;;
start) runs || exec "$@" ;;
restart) stop; exec "$@" ;;
reload) runs && kill -HUP "$pid" ;;
*) echo "Unknown command verb $verb." >&2; exit 1 ;;
esac
"#;

/// Puts the simulator's device nodes and proc files where the driver has them. Directories are bound, because
/// what is in them changes with every instance; the rest is fixed once the GPUs are there.
const SHOW: &str = "\
set -e
mkdir -p /dev/nvidia-caps /run/gresgen
mount --bind $1/dev/nvidia-caps /dev/nvidia-caps
cp -a $1/dev/nvidia[0-9]* $1/dev/nvidiactl $1/dev/nvidia-uvm* /dev/
mount --bind $1/proc/driver /proc/driver
mount --bind $1/proc/devices /proc/devices
mount --bind $2 /run/gresgen
";

impl Simulated {
    /// Where the simulator keeps its state and its tree, in the lab.
    pub const TREE: &str = "/var/lab/sim";

    /// The `slurm:` section for the lab's node `n1`.
    pub const NODE: &str = "\
slurm:
  nodes:
    - names: n1
      attributes: NodeHostname=n1 NodeAddr=10.0.0.1 Port=6818 CPUs=32 RealMemory=4000
";

    /// GPUs for [`Self::SEVEN`].
    pub const SEVEN_GPUS: &str = "a100-40gb:2";

    /// A layout of seven slices: Slurm 22.05 on cgroup v2 enforces nothing from eleven up.
    pub const SEVEN: &str = "\
version: v1
layout: seven
mig-configs:
  seven:
    - devices: [0]
      mig-enabled: true
      mig-devices: {1g.5gb: 4}
    - devices: [1]
      mig-enabled: true
      mig-devices: {3g.20gb: 1, 2g.10gb: 1, 1g.5gb: 1}
";

    /// The node of the demo and the playground: seven slices, made by the programs that were built with this one.
    ///
    /// # Errors
    /// When this program's own place is not known.
    pub fn built() -> Result<Self, LabError> {
        let this = std::env::current_exe().map_err(LabError::file("/proc/self/exe"))?;
        let beside = |name: &str| this.with_file_name(name);
        Ok(Simulated {
            gresgen: beside("gresgen"),
            simulator: beside("libnvml_sim.so"),
            plugin: beside("libspank_mig.so"),
            gpus: Self::SEVEN_GPUS.to_owned(),
            config: format!("{}{}", Self::SEVEN, Self::NODE),
        })
    }

    /// Sets up the node with everything but Slurm's daemons: the admin has installed things and not yet run
    /// `gresgen apply`.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub fn node(&self, release: Release) -> Result<Lab, LabError> {
        self.node_with(release, |options| options)
    }

    /// The same with further nodes, which have no GPUs.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub fn among(&self, release: Release, others: &[&str]) -> Result<Lab, LabError> {
        self.node_with(release, |options| {
            others.iter().fold(options, |options, other| options.node(Node::new(other)))
        })
    }

    /// [`Simulated::node`] of a lab with `more` to it.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub fn node_with(
        &self,
        release: Release,
        more: impl FnOnce(Options) -> Options,
    ) -> Result<Lab, LabError> {
        let options = Options::new(Node::new("n1").line("include /etc/slurm/gresgen-node.conf"))
            .text("/etc/slurm/plugstack.conf", "include /etc/slurm/plugstack.conf.d/*\n")
            .text("/etc/gresgen/config.yaml", &self.config)
            .file(&self.gresgen, "/usr/local/libexec/gresgen")
            .file(&self.simulator, "/usr/local/lib/gresgen/libnvml_sim.so")
            .file(&self.plugin, &format!("{}/spank_mig.so", release.plugin_directory()));
        let lab = Lab::empty(release, more(options))?;
        lab.configure()?;
        // The files gresgen will write must not be there already.
        lab.run(&["rm", "/etc/slurm/gres.conf", "/etc/slurm/cgroup.conf"])?;
        let program = format!(
            "#!/bin/sh\nNVML_SIM_ROOT={} NVML_SIM_GPUS={} GRESGEN_NVML_LIB=/usr/local/lib/gresgen/libnvml_sim.so \
             exec /usr/local/libexec/gresgen \"$@\"\n",
            Self::TREE,
            self.gpus
        );
        lab.put("/usr/local/bin/gresgen", "755", program.as_bytes())?;
        lab.put("/usr/local/bin/systemctl", "755", SYSTEMCTL.as_bytes())?;
        lab.run(&["mkdir", "-p", Self::TREE])?;
        // The first call makes the tree; it need not succeed before the tree is in its place.
        lab.command(&["gresgen", "status"]).output()?;
        lab.run(&["sh", "-c", SHOW, "sh", Self::TREE, &lab.run_file("n1", "")])?;
        Ok(lab)
    }
}

impl Lab {
    /// `gresgen` as root in a [`Simulated`] node; its exit code is for the caller to judge.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn gresgen(&self, arguments: &[&str]) -> Result<Output, LabError> {
        self.command(&[&["gresgen"], arguments].concat()).output()
    }

    /// Starts slurmctld and slurmd on the files that are in place.
    ///
    /// # Errors
    /// What failed, with the logs.
    pub fn start_slurm(&self) -> Result<(), LabError> {
        self.start_daemons().map_err(|error| self.with_logs(error))
    }
}
