//! Several nodes with simulated GPUs beside a controller, each as its admin sees it: a host name, processes, `/etc/gresgen`,
//! `/etc/slurm`, state, device capabilities and GPUs of its own. The device files of the GPUs themselves are of one `/dev`, in
//! which those of all nodes have the same numbers.

use std::path::PathBuf;

use crate::{Cgroup, Invocation, Lab, LabError, Node, Options, Release, build, cluster, config};

/// A controller and nodes `n1`, `n2`, ...
#[derive(Debug)]
pub struct Fleet {
    /// The controller: what is run in it is run on slurmctld's host.
    pub lab: Lab,
    nodes: Vec<String>,
}

/// What a fleet is made of.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// The `gresgen` program.
    pub gresgen: PathBuf,
    /// The simulator, which stands for the driver's library.
    pub simulator: PathBuf,
    /// The SPANK plugin.
    pub plugin: PathBuf,
    /// Which GPUs each node has, in the simulator's grammar.
    pub gpus: String,
    /// How many nodes.
    pub nodes: usize,
    /// The cgroup plugin.
    pub cgroup: Cgroup,
    /// Further lines of slurm.conf.
    pub slurm_conf: String,
    /// `/etc/gresgen/config.yaml` without its `slurm:` section's key `nodes`, which is written behind it.
    pub config: String,
}

/// The host that slurmctld runs on.
const CONTROLLER: &str = "ctl";

/// Holds one folder per node.
const FOLDERS: &str = "/var/lab/fleet";

/// Starts the slurmd of the node it is run on.
const SLURMD: &str = "/var/lab/bin/lab-slurmd";

/// The `systemctl` of a node: the unit `slurmd`, as far as `gresgen` names it.
const SYSTEMCTL: &str = r#"#!/bin/sh
file=/run/slurmd-$(hostname).pid
[ "$2" = slurmd ] || { echo "Unit $2.service not found." >&2; exit 5; }
runs() { pid=$(cat "$file" 2>/dev/null) && kill -0 "$pid" 2>/dev/null; }
stop() { ! runs || { kill "$pid" && while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done; }; }
case $1 in
stop) stop ;;
start) runs || exec lab-slurmd ;;
restart) stop; exec lab-slurmd ;;
reload) runs && kill -HUP "$pid" ;;
*) echo "Unknown command verb $1." >&2; exit 1 ;;
esac
"#;

/// Runs a command on a node: `lab-on NODE COMMAND...`.
const ON: &str = r#"#!/bin/sh
node=$1
shift
exec nsenter --target "$(cat "/var/lab/fleet/$node/pid")" --mount --uts --pid -- "$@"
"#;

impl Fleet {
    /// The names of its nodes.
    pub fn names(count: usize) -> Vec<String> {
        (1..=count).map(|number| format!("n{number}")).collect()
    }

    /// Sets up controller and nodes with everything but Slurm's daemons and the nodes' first `gresgen apply`.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub fn empty(release: Release, options: &FleetOptions) -> Result<Self, LabError> {
        let nodes = Self::names(options.nodes);
        let lab = Lab::empty(release, lab_options(release, options, &nodes))?;
        lab.configure()?;
        // With Slurm's own default for processes, no job ends before they do: the device cgroup of a run that left one behind
        // would be that of the job's next run there, and on cgroup v1 keep what it has been denied.
        let conf = lab
            .read_file("/etc/slurm/slurm.conf")?
            .replace("GresTypes=gpu\n", "GresTypes=gpu,gresgen\n")
            .replace("ProctrackType=proctrack/linuxproc\n", "ProctrackType=proctrack/cgroup\n");
        lab.write_file("/etc/slurm/slurm.conf", conf)?;
        lab.put("/usr/local/bin/systemctl", "755", SYSTEMCTL.as_bytes())?;
        lab.put("/usr/local/bin/gresgen", "755", program(options).as_bytes())?;
        lab.put("/var/lab/bin/lab-on", "755", ON.as_bytes())?;
        lab.put(SLURMD, "755", slurmd(&lab, options)?.as_bytes())?;
        let fleet = Self { lab, nodes };
        for node in &fleet.nodes {
            fleet.make(node)?;
        }
        Ok(fleet)
    }

    /// Lets every node apply its configuration, tells Slurm of them, and starts the daemons.
    ///
    /// # Errors
    /// What failed, with the logs.
    pub fn start(&self) -> Result<(), LabError> {
        let mut lines = String::new();
        for node in &self.nodes {
            let applied = self.on(node, &["gresgen", "--quiet", "apply"]).output()?;
            // 6: Slurm learns of it by its start.
            if applied.code != 6 {
                let what = format!("exit code {}\n{}", applied.code, applied.stderr);
                return Err(LabError::Command { command: format!("gresgen apply on {node}"), what });
            }
            let text = self.must(node, &["cat", "/etc/slurm/gresgen-node.conf"])?;
            lines.extend(
                text.lines().filter(|line| line.starts_with("NodeName=")).map(|line| format!("{line}\n")),
            );
        }
        for folder in
            self.nodes.iter().map(|node| format!("{FOLDERS}/{node}/slurm")).chain(["/etc/slurm".to_owned()])
        {
            self.lab.write_file(&format!("{folder}/nodes.conf"), &lines)?;
        }
        self.lab.run(&["slurmctld"])?;
        for node in &self.nodes {
            self.must(node, &[SLURMD])?;
        }
        self.wait_nodes()
    }

    /// A command on a node, as root.
    pub fn on(&self, node: &str, command: &[&str]) -> Invocation {
        self.lab.command(&[&["lab-on", node], command].concat())
    }

    /// Runs a command on a node and gives its output; anything but exit code 0 is an error.
    ///
    /// # Errors
    /// When it cannot run, fails, or takes longer than a minute.
    pub fn must(&self, node: &str, command: &[&str]) -> Result<String, LabError> {
        self.lab.run(&[&["lab-on", node], command].concat()).map(|output| output.stdout)
    }

    /// The names of the nodes.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// Where the simulator keeps a node's machine, as the host sees it.
    pub fn machine(&self, node: &str) -> PathBuf {
        format!("/proc/{}/root{FOLDERS}/{node}/sim", self.lab.pid()).into()
    }

    /// Waits until every node can take jobs or has some.
    ///
    /// # Errors
    /// When one cannot after a minute.
    pub fn wait_nodes(&self) -> Result<(), LabError> {
        for node in &self.nodes {
            self.lab.wait(&format!("node {node} to be usable"), || {
                let state = self.lab.node_state(node).unwrap_or_default();
                Ok(["IDLE", "MIXED", "ALLOCATED"].contains(&state.as_str()).then_some(()))
            })?;
        }
        Ok(())
    }

    fn make(&self, node: &str) -> Result<(), LabError> {
        let folder = format!("{FOLDERS}/{node}");
        const COPY: &str = r#"mkdir -p "$1/etc" "$1/slurm" && cp /etc/gresgen/config.yaml "$1/etc/" &&
            cp /etc/slurm/slurm.conf /etc/slurm/plugstack.conf "$1/slurm/""#;
        self.lab.run(&["sh", "-c", COPY, "sh", &folder])?;
        self.lab.command(&["sh", "-s", node, &folder]).input(include_str!("../assets/node.sh")).output()?;
        let pid = format!("{folder}/pid");
        self.lab.wait(&format!("node {node} to be made"), || {
            Ok(self.lab.command(&["test", "-e", &pid]).output()?.success().then_some(()))
        })?;
        let show = "for file in $1/sim/dev/nvidia*; do \
                    [ -d \"$file\" ] || [ -e \"/dev/${file##*/}\" ] || cp -a \"$file\" /dev/; done";
        self.lab.run(&["sh", "-c", show, "sh", &folder]).map(drop)
    }
}

fn lab_options(release: Release, options: &FleetOptions, nodes: &[String]) -> Options {
    let hosts = format!("127.0.0.1 localhost\n{} {CONTROLLER} {}\n", config::ADDRESS, nodes.join(" "));
    let line = "include /etc/slurm/nodes.conf";
    let entries = (0..).zip(nodes).map(|(position, node)| {
        let port = config::SLURMD_PORT + position;
        format!(
            "    - names: {node}\n      attributes: NodeHostname={node} NodeAddr={} Port={port} CPUs=32 RealMemory=4000\n",
            config::ADDRESS
        )
    });
    let entries: String = entries.collect();
    Options::new(Node::new(CONTROLLER).line(line))
        .cgroup(options.cgroup)
        .slurm_conf(&options.slurm_conf)
        .text("/etc/hosts", &hosts)
        .text("/etc/slurm/nodes.conf", "")
        .text("/etc/slurm/plugstack.conf", "include /etc/slurm/plugstack.conf.d/*\n")
        .text(
            "/etc/gresgen/config.yaml",
            &format!("{}  cgroup: {}\n  nodes:\n{entries}", options.config, cgroup(options.cgroup)),
        )
        .file(&options.gresgen, "/usr/local/libexec/gresgen")
        .file(&options.simulator, "/usr/local/lib/gresgen/libnvml_sim.so")
        .file(&options.plugin, &format!("{}/spank_mig.so", release.plugin_directory()))
}

/// What a node's cgroup.conf says beside what `gresgen` says: on a host with both hierarchies Slurm takes the first.
fn cgroup(plugin: Cgroup) -> &'static str {
    match plugin {
        Cgroup::V1 => "{CgroupPlugin: cgroup/v1}",
        Cgroup::V2 => {
            "{CgroupPlugin: cgroup/v2, CgroupMountpoint: /sys/fs/cgroup/unified, IgnoreSystemd: \"yes\"}"
        }
    }
}

/// `gresgen` with the GPUs of the node it is run on.
fn program(options: &FleetOptions) -> String {
    format!(
        "#!/bin/sh\nNVML_SIM_ROOT={FOLDERS}/$(hostname)/sim NVML_SIM_GPUS={} \
         GRESGEN_NVML_LIB=/usr/local/lib/gresgen/libnvml_sim.so exec /usr/local/libexec/gresgen \"$@\"\n",
        options.gpus
    )
}

fn slurmd(lab: &Lab, options: &FleetOptions) -> Result<String, LabError> {
    let preload = match options.cgroup {
        Cgroup::V1 => String::new(),
        Cgroup::V2 => {
            lab.install(&build::cgroup2_shim()?, cluster::SHIM)?;
            format!("LAB_CGROUP={} LD_PRELOAD={} ", lab.group(), cluster::SHIM)
        }
    };
    Ok(format!("#!/bin/sh\nexec env {preload}slurmd -N \"$(hostname)\"\n"))
}
