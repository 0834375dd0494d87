//! A directory that stands for `/` of all nodes of a case.

use std::path::{Path, PathBuf};

use gresgen::files::Kind;
use gresgen::inventory::Inventory;
use gresgen::render::{self, Context, Templates};
use gresgen::root::Root;
use gresgen::slurm::{GresTable, Release};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::fixture::Case;

/// Slurm's files and device nodes of the nodes of a case.
pub(crate) struct Host {
    directory: tempfile::TempDir,
    pub(crate) root: Root,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// A host in a directory that somebody else sees, too.
    pub(crate) fn within(directory: &Path) -> Self {
        let directory = tempfile::tempdir_in(directory).unwrap();
        let root = Root::new(directory.path()).unwrap();
        Host { directory, root }
    }

    /// Makes device nodes, which takes root: slurmd looks at their type.
    pub(crate) fn make_devices(&self, inventories: &[Inventory]) {
        for inventory in inventories {
            let files = inventory.devices().flat_map(|(_, _, c)| &c.files);
            for file in files.chain(inventory.gpus.iter().map(|g| &g.file)) {
                std::fs::create_dir_all(file.path.parent().unwrap()).unwrap();
                let made = mknodat(
                    CWD,
                    &file.path,
                    FileType::CharacterDevice,
                    Mode::from_raw_mode(0o666),
                    makedev(file.major, file.minor),
                );
                assert!(
                    matches!(made, Ok(()) | Err(rustix::io::Errno::EXIST)),
                    "{}: {made:?}; this test makes device nodes: run it as root",
                    file.path.display()
                );
            }
        }
    }

    /// Writes Slurm's files for a release, with a slurm.conf that includes ours. cgroup.conf is written where it is
    /// for the slurmd that will read it: a key of another release ends slurmd.
    pub(crate) fn write(&self, case: &Case, inventories: &[Inventory], tables: &[GresTable], judge: Release) {
        let release = case.release_for(judge);
        let nodes = inventories.iter().zip(tables);
        let context = Context::of_cluster(nodes, &case.slurm, release, &self.root).unwrap();
        let templates = Templates::load(Path::new("/nonexistent")).unwrap();
        for output in render::slurm_files(&templates, &context, &case.slurm, &self.root).unwrap() {
            if output.kind == Kind::CgroupConf && release != judge {
                continue;
            }
            std::fs::create_dir_all(output.path.parent().unwrap()).unwrap();
            std::fs::write(&output.path, output.text).unwrap();
        }
        let gres = self.root.path(case.slurm.paths.gres_conf());
        if gres != self.root.path(Root::GRES_CONF) {
            std::fs::write(self.root.path(Root::GRES_CONF), format!("include {}\n", gres.display())).unwrap();
        }
        let include = self.root.path(case.slurm.paths.node_conf());
        let types = if case.slurm.gres_types.0.is_empty() { "GresTypes=gpu\n" } else { "" };
        self.write_slurm_conf(&format!("{types}include {}\n", include.display()));
    }

    /// Writes a slurm.conf with these lines.
    pub(crate) fn write_slurm_conf(&self, lines: &str) {
        // config_overrides: slurmd takes the CPUs that a node is said to have.
        let conf = format!(
            "ClusterName=judge\nSlurmctldHost=localhost\nAuthType=auth/none\nCredType=cred/none\n\
             SelectType=select/cons_tres\nSlurmdParameters=config_overrides\nSlurmdSpoolDir={spool}\n\
             SlurmUser=root\n{lines}PartitionName=p Nodes=ALL\n",
            spool = self.directory.path().display()
        );
        std::fs::write(self.conf(), conf).unwrap();
    }

    pub(crate) fn conf(&self) -> PathBuf {
        self.root.path("/etc/slurm/slurm.conf")
    }
}
