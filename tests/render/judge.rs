//! Slurm's own code as the judge: `slurmd -G` reads what was rendered and prints what it made of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use gresgen::inventory::Inventory;
use gresgen::render::{self, Context, Templates};
use gresgen::root::Root;
use gresgen::slurm::GresTable;
use gresgen::slurm::cores::Topology;
use gresgen::slurm::links::Links;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::fixture::Case;

/// The corpus.
pub(crate) const NODES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/render/nodes");

/// Release of the slurmd that judges.
const JUDGE: &str = "22.05.8";

/// A directory that stands for `/` of all nodes of a case: Slurm's files and device nodes.
pub(crate) struct Host {
    directory: tempfile::TempDir,
    pub(crate) root: Root,
}

impl Host {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
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

    /// Writes Slurm's files, with a slurm.conf that includes ours.
    fn write(&self, case: &Case, inventories: &[Inventory], tables: &[GresTable]) {
        let nodes = inventories.iter().zip(tables);
        let context = Context::of_cluster(nodes, &case.slurm, case.release, &self.root).unwrap();
        let templates = Templates::load(Path::new("/nonexistent")).unwrap();
        for output in render::slurm_files(&templates, &context, &case.slurm, &self.root).unwrap() {
            std::fs::create_dir_all(output.path.parent().unwrap()).unwrap();
            std::fs::write(&output.path, output.text).unwrap();
        }
        if case.release.to_string() != JUDGE {
            // Keys of another release end this slurmd.
            std::fs::remove_file(self.root.path(case.slurm.paths.cgroup_conf())).unwrap();
        }
        let gres = self.root.path(case.slurm.paths.gres_conf());
        if gres != self.root.path(Root::GRES_CONF) {
            std::fs::write(self.root.path(Root::GRES_CONF), format!("include {}\n", gres.display())).unwrap();
        }
        let include = self.root.path(case.slurm.paths.node_conf());
        let extra = if case.slurm.gres_types.0.is_empty() { "GresTypes=gpu\n" } else { "" };
        let conf = format!(
            "ClusterName=judge\nSlurmctldHost=localhost\nAuthType=auth/none\nCredType=cred/none\n\
             SelectType=select/cons_tres\nSlurmdSpoolDir={spool}\nSlurmUser=root\n{extra}\
             include {}\nPartitionName=p Nodes=ALL\n",
            include.display(),
            spool = self.directory.path().display()
        );
        std::fs::write(self.conf(), conf).unwrap();
    }

    fn conf(&self) -> PathBuf {
        self.root.path("/etc/slurm/slurm.conf")
    }

    /// Type and files of every record that `slurmd -G` prints for a node, in its order; it must not complain,
    /// but for `allowed`.
    fn records(&self, node: &str, allowed: &[&str]) -> Vec<(String, String)> {
        let output = Command::new("slurmd")
            .args(["-G", "-N", node])
            .env("SLURM_CONF", self.conf())
            .output()
            .expect("slurmd is not installed; this test asks it how it reads our files");
        let text = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "slurmd -G -N {node}: {text}");
        let complaints: Vec<&str> =
            text.lines().filter(|l| l.contains("error:") || l.contains("WARNING")).collect();
        let complaints: Vec<&&str> =
            complaints.iter().filter(|l| !allowed.iter().any(|allowed| l.contains(allowed))).collect();
        assert!(complaints.is_empty(), "slurmd -G -N {node}: {complaints:#?}");
        text.lines().filter(|l| l.contains("Gres Name=gpu")).map(record).collect()
    }
}

fn record(line: &str) -> (String, String) {
    let value = |key: &str| {
        let word = line.split_whitespace().find_map(|w| w.strip_prefix(key));
        word.unwrap_or_else(|| panic!("no {key} in {line}")).to_owned()
    };
    (value("Type="), value("File="))
}

/// What the table says the records are.
fn predicted(table: &GresTable, links: Option<&Links>, root: &Root) -> Vec<(String, String)> {
    let path = |p: &Path| links.map_or(p.to_owned(), |l| root.path(l.path(p).unwrap()));
    let files = |r: &device_map::Record| {
        let files: Vec<String> = r.files.iter().map(|f| path(&f.path).display().to_string()).collect();
        files.join(",")
    };
    table.records.iter().map(|r| (r.gres_type.clone(), files(r))).collect()
}

#[test]
fn slurmd_reads_every_record_in_the_predicted_order() {
    for entry in std::fs::read_dir(NODES).unwrap() {
        let path = entry.unwrap().path();
        let case = Case::read(&path);
        let host = Host::new();
        let inventories = case.inventories(&host.root);
        let tables = case.tables(&inventories);
        host.make_devices(&inventories);
        host.write(&case, &inventories, &tables);
        for (inventory, table) in inventories.iter().zip(&tables).take(3) {
            let links = case.slurm.stable_links.then(|| Links::new(table, inventory));
            if let Some(links) = &links {
                links.make(&host.root).unwrap();
            }
            let predicted = predicted(table, links.as_ref(), &host.root);
            // slurmd checks cores against the CPUs it runs on.
            let allowed: &[&str] = if case.has_cpus() { &["xcpuinfo_abs_to_mac", "Cores="] } else { &[] };
            let records = host.records(&inventory.node, allowed);
            assert_eq!(records, predicted, "{}: {}", path.display(), inventory.node);
        }
    }
}

#[test]
fn slurm_notices_another_order() {
    // The judge can fail: with two types of the node line exchanged, records come in another order.
    let text = "nodes: [{names: n1, gpus: [{board: a100-40gb, slices: [1g.5gb@0, 2g.10gb@2, 3g.20gb@4]}]}]";
    let case = Case::parse(text).unwrap();
    let host = Host::new();
    let inventories = case.inventories(&host.root);
    let mut tables = case.tables(&inventories);
    host.make_devices(&inventories);
    tables[0].types.reverse();
    host.write(&case, &inventories, &tables);
    assert_ne!(host.records("n1", &[]), predicted(&tables[0], None, &host.root));
}

#[test]
fn slurmd_takes_the_cores_of_this_host() {
    let text = "nodes: [{names: n1, gpus: [{board: a100-40gb, near: [0], slices: [1g.5gb@0]}]}]";
    let case = Case::parse(text).unwrap();
    let host = Host::new();
    let mut inventories = case.inventories(&host.root);
    inventories[0].topology = Topology::read(Path::new(Root::CPUS));
    let tables = case.tables(&inventories);
    host.make_devices(&inventories);
    host.write(&case, &inventories, &tables);
    let written = std::fs::read_to_string(host.root.path(Root::GRES_CONF)).unwrap();
    assert!(written.contains(" Cores=0 "), "{written}");
    assert_eq!(host.records("n1", &[]), predicted(&tables[0], None, &host.root));
}
