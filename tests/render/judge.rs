//! Slurm's own code as the judge: the `slurmd -G` of each release in `LAB_RELEASES` reads what was rendered and
//! prints what it made of it.

use std::path::Path;
use std::process::Command;

use gresgen::cores::Topology;
use gresgen::root::Root;
use gresgen::slurm::links::Links;
use gresgen::slurm::{GresTable, Release};
use lab::{Lab, Node, Options};

use crate::fixture::Case;
use crate::host::Host;

/// The corpus.
pub(crate) const NODES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/render/nodes");

/// A slurmd to ask.
pub(crate) struct Judge {
    /// Where its hosts are.
    directory: tempfile::TempDir,
    /// Where it lives; `None` is this machine.
    lab: Option<Lab>,
    pub(crate) release: Release,
}

/// What slurmd said, and how it ended.
pub(crate) struct Answer {
    pub(crate) success: bool,
    pub(crate) text: String,
}

impl Judge {
    /// Those of `LAB_RELEASES`: of 22.05 the one that is installed here, of the others one in a lab that sees the
    /// hosts under their own paths.
    pub(crate) fn selected() -> Vec<Self> {
        let judges = lab::Release::selected().into_iter().map(|suite| {
            let directory = tempfile::tempdir().unwrap();
            let lab = match suite {
                lab::Release::Bookworm => None,
                _ => {
                    let path = directory.path().to_str().unwrap();
                    let options = Options::new(Node::new("judge")).bind(directory.path(), path);
                    Some(lab::require(Lab::empty(suite, options))?)
                }
            };
            let mut judge = Judge { directory, lab, release: Release::latest() };
            judge.release = judge.slurmd(Path::new("/nonexistent"), &["-V"]).text.parse().unwrap();
            Some(judge)
        });
        judges.flatten().collect()
    }

    pub(crate) fn host(&self) -> Host {
        Host::within(self.directory.path())
    }

    /// Runs slurmd on a slurm.conf.
    fn slurmd(&self, conf: &Path, arguments: &[&str]) -> Answer {
        if let Some(lab) = &self.lab {
            let command = lab.command(&[&["slurmd"], arguments].concat());
            let output = command.env("SLURM_CONF", conf.to_str().unwrap()).output().unwrap();
            return Answer { success: output.success(), text: output.stderr + &output.stdout };
        }
        let output = Command::new("slurmd")
            .args(arguments)
            .env("SLURM_CONF", conf)
            .output()
            .expect("slurmd is not installed; this test asks it how it reads our files");
        let text = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        Answer { success: output.status.success(), text: text.into_owned() }
    }

    /// What `slurmd -G` says of a node.
    pub(crate) fn gres(&self, host: &Host, node: &str) -> Answer {
        self.slurmd(&host.conf(), &["-G", "-N", node])
    }

    /// Type and files of every record that slurmd prints for a node, in its order; it must not complain, but for
    /// `allowed`.
    fn records(&self, host: &Host, node: &str, allowed: &[&str]) -> Vec<(String, String)> {
        let answer = self.gres(host, node);
        assert!(answer.success, "{}: slurmd -G -N {node}: {}", self.release, answer.text);
        let complaints: Vec<&str> =
            answer.complaints().filter(|l| !allowed.iter().any(|allowed| l.contains(allowed))).collect();
        assert!(complaints.is_empty(), "{}: slurmd -G -N {node}: {complaints:#?}", self.release);
        answer.text.lines().filter(|l| l.contains("Gres Name=gpu")).map(record).collect()
    }
}

impl Answer {
    /// Lines of complaint.
    pub(crate) fn complaints(&self) -> impl Iterator<Item = &str> {
        let is =
            |line: &&str| ["error:", "fatal:", "warning:", "WARNING"].iter().any(|word| line.contains(word));
        // Of this machine, not of the files (from 25.05).
        self.text.lines().filter(is).filter(|line| !line.contains("cgroup/v1 plugin is deprecated"))
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
    for judge in Judge::selected() {
        let mut own = 0;
        for entry in std::fs::read_dir(NODES).unwrap() {
            let path = entry.unwrap().path();
            let case = Case::read(&path);
            let host = judge.host();
            let inventories = case.inventories(&host.root);
            let tables = case.tables(&inventories);
            host.make_devices(&inventories);
            host.write(&case, &inventories, &tables, judge.release);
            own += usize::from(case.release_for(judge.release) == judge.release);
            for (inventory, table) in inventories.iter().zip(&tables).take(3) {
                let links = case.slurm.stable_links.then(|| Links::new(table, inventory));
                if let Some(links) = &links {
                    links.make(&host.root).unwrap();
                }
                let predicted = predicted(table, links.as_ref(), &host.root);
                // slurmd checks cores against the CPUs it runs on.
                let allowed: &[&str] = if case.has_cpus() { &["xcpuinfo_abs_to_mac", "Cores="] } else { &[] };
                let records = judge.records(&host, &inventory.node, allowed);
                assert_eq!(records, predicted, "{}: {}: {}", judge.release, path.display(), inventory.node);
            }
        }
        assert!(own > 40, "{}: {own} cases come with a cgroup.conf for it", judge.release);
    }
}

#[test]
fn slurm_notices_another_order() {
    // The judge can fail: with two types of the node line exchanged, records come in another order.
    let text = "nodes: [{names: n1, gpus: [{board: a100-40gb, slices: [1g.5gb@0, 2g.10gb@2, 3g.20gb@4]}]}]";
    let case = Case::parse(text).unwrap();
    for judge in Judge::selected() {
        let host = judge.host();
        let inventories = case.inventories(&host.root);
        let mut tables = case.tables(&inventories);
        host.make_devices(&inventories);
        tables[0].types.reverse();
        host.write(&case, &inventories, &tables, judge.release);
        let records = judge.records(&host, "n1", &[]);
        assert_eq!(records.len(), 3, "{}", judge.release);
        assert_ne!(records, predicted(&tables[0], None, &host.root), "{}", judge.release);
    }
}

#[test]
fn slurmd_takes_the_cores_of_this_host() {
    let text = "nodes: [{names: n1, gpus: [{board: a100-40gb, near: [0], slices: [1g.5gb@0]}]}]";
    let case = Case::parse(text).unwrap();
    for judge in Judge::selected() {
        let host = judge.host();
        let mut inventories = case.inventories(&host.root);
        inventories[0].topology = Topology::read(Path::new(Root::CPUS));
        let tables = case.tables(&inventories);
        host.make_devices(&inventories);
        host.write(&case, &inventories, &tables, judge.release);
        let written = std::fs::read_to_string(host.root.path(Root::GRES_CONF)).unwrap();
        assert!(written.contains(" Cores=0 "), "{written}");
        let records = judge.records(&host, "n1", &[]);
        assert_eq!(records, predicted(&tables[0], None, &host.root), "{}", judge.release);
    }
}
