//! What a lab is made of.

use std::path::{Path, PathBuf};

use crate::{FakeGpus, accounting, gpus::DeviceNode};

/// Which of Slurm's cgroup plugins the lab runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cgroup {
    /// `cgroup/v1`, the devices controller.
    #[default]
    V1,
    /// `cgroup/v2`, a device program in eBPF. On a host with both hierarchies the daemons are shown the unified
    /// one alone (`assets/cgroup2_shim.c`).
    V2,
}

impl Cgroup {
    /// The folder of `/sys/fs/cgroup` whose groups limit devices.
    pub(crate) fn hierarchy(self) -> &'static str {
        match self {
            Self::V1 => "devices",
            Self::V2 => "unified",
        }
    }
}

/// One compute node: a slurmd of its own.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) name: String,
    pub(crate) cpus: u32,
    pub(crate) gres: String,
    pub(crate) line: Option<String>,
    pub(crate) gres_conf: String,
    pub(crate) map: Option<String>,
}

impl Node {
    /// A node of 32 CPUs without GPUs.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            cpus: 32,
            gres: String::new(),
            line: None,
            gres_conf: String::new(),
            map: None,
        }
    }

    /// Its `Gres=` in slurm.conf.
    pub fn gres(mut self, gres: &str) -> Self {
        self.gres = gres.into();
        self
    }

    /// Its lines of gres.conf.
    pub fn gres_conf(mut self, text: &str) -> Self {
        self.gres_conf = text.into();
        self
    }

    /// The text that takes the place of its `NodeName` line in slurm.conf. The host name is the node's own.
    pub fn line(mut self, text: &str) -> Self {
        self.line = Some(text.into());
        self
    }

    /// What its slurmd and jobs find as `/run/gresgen/devices`.
    pub fn map(mut self, text: &str) -> Self {
        self.map = Some(text.into());
        self
    }
}

/// How a lab is set up. Every method adds to what is there.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) nodes: Vec<Node>,
    pub(crate) constrain: bool,
    pub(crate) cgroup: Cgroup,
    pub(crate) cgroup_conf: Option<String>,
    pub(crate) slurm_conf: String,
    pub(crate) files: Vec<(PathBuf, String)>,
    pub(crate) texts: Vec<(String, String)>,
    pub(crate) trees: Vec<PathBuf>,
    pub(crate) binds: Vec<(PathBuf, String)>,
    pub(crate) devices: Vec<DeviceNode>,
    pub(crate) slurmdbd: bool,
}

impl Options {
    /// A cluster of one node, with devices constrained by cgroup v1.
    pub fn new(node: Node) -> Self {
        Self {
            nodes: vec![node],
            constrain: true,
            cgroup: Cgroup::V1,
            cgroup_conf: None,
            slurm_conf: String::new(),
            files: Vec::new(),
            texts: Vec::new(),
            trees: Vec::new(),
            binds: Vec::new(),
            devices: Vec::new(),
            slurmdbd: false,
        }
    }

    /// A slurmdbd with its database, and in it the account `physics` of alice, who belongs to no other.
    pub fn slurmdbd(self) -> Self {
        Self { slurmdbd: true, ..self }.slurm_conf(accounting::SLURM_CONF)
    }

    /// Another first node.
    pub fn first_node(mut self, node: Node) -> Self {
        self.nodes[0] = node;
        self
    }

    /// One more node.
    pub fn node(mut self, node: Node) -> Self {
        self.nodes.push(node);
        self
    }

    /// `ConstrainDevices=` in cgroup.conf.
    pub fn constrain(mut self, on: bool) -> Self {
        self.constrain = on;
        self
    }

    /// The cgroup plugin.
    pub fn cgroup(mut self, cgroup: Cgroup) -> Self {
        self.cgroup = cgroup;
        self
    }

    /// A cgroup.conf in place of the lab's. `CgroupPlugin` and what belongs to it is still the lab's.
    pub fn cgroup_conf(mut self, text: &str) -> Self {
        self.cgroup_conf = Some(text.into());
        self
    }

    /// Further lines of slurm.conf.
    pub fn slurm_conf(mut self, lines: &str) -> Self {
        self.slurm_conf.push_str(lines);
        self.slurm_conf.push('\n');
        self
    }

    /// `/etc/slurm/plugstack.conf`.
    pub fn plugstack(self, text: &str) -> Self {
        self.text("/etc/slurm/plugstack.conf", text)
    }

    /// A text file made in the lab.
    pub fn text(mut self, path: &str, text: &str) -> Self {
        self.texts.push((path.into(), text.into()));
        self
    }

    /// A file of the host, copied into the lab and executable there.
    pub fn file(mut self, host: &Path, path: &str) -> Self {
        self.files.push((host.into(), path.into()));
        self
    }

    /// A file or folder of the host, seen in the lab at `path` and shared with it.
    pub fn bind(mut self, host: &Path, path: &str) -> Self {
        self.binds.push((host.into(), path.into()));
        self
    }

    /// A folder of the host whose content the lab has at its root as well: packages, unpacked.
    pub fn tree(mut self, host: &Path) -> Self {
        self.trees.push(host.into());
        self
    }

    /// Device nodes made in the lab's `/dev`.
    pub fn gpus(mut self, gpus: &FakeGpus) -> Self {
        for node in &gpus.nodes {
            if !self.devices.contains(node) {
                self.devices.push(node.clone());
            }
        }
        self
    }
}
