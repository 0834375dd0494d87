//! What is rendered, on a running cluster: nodes register, jobs open what the table says, layouts change.

use std::collections::BTreeSet;
use std::path::PathBuf;

use device_map::DeviceMap;
use gresgen::files::{Kind, Output};
use gresgen::inventory::Inventory;
use gresgen::render::{self, Context, Templates};
use gresgen::root::Root;
use gresgen::slurm::control::NodeView;
use gresgen::slurm::transition::{Action, Change, Node, transition};
use gresgen::slurm::{GresTable, PreviousOrder};
use lab::{FakeGpus, Lab, Options, Release, User};

use crate::fixture::Case;
use crate::host::Host;

/// slurm.conf of the lab knows two nodes on one host.
const SETTINGS: &str = "
slurm:
  gres-types: []
  nodes:
    - {names: n1, attributes: NodeHostname=n1 NodeAddr=10.0.0.1 Port=6818 CPUs=32 RealMemory=4000}
    - {names: n2, attributes: NodeHostname=n1 NodeAddr=10.0.0.1 Port=6819 CPUs=32 RealMemory=4000}
";

/// Nodes as they shall be in a cluster.
struct Layout {
    case: Case,
    inventories: Vec<Inventory>,
    tables: Vec<GresTable>,
}

impl Layout {
    /// Two nodes, `gpus` on the first; `before` is what the first had.
    fn new(gpus: &str, before: Option<&Layout>) -> Self {
        let text = format!(
            "nodes:\n  - {{names: n1, gpus: [{gpus}]}}\n  - {{names: n2, gpus: [{{board: a100-40gb, slices: [1g.5gb@0]}}]}}\n{SETTINGS}"
        );
        Layout::read(&text, before)
    }

    /// The nodes of a case.
    fn read(case: &str, before: Option<&Layout>) -> Self {
        let case = Case::parse(case).unwrap();
        let inventories = case.inventories(&Root::host());
        let tables = inventories.iter().zip(0..).map(|(inventory, i)| {
            let previous = before.map(|b| PreviousOrder::of(&b.map(i))).unwrap_or_default();
            GresTable::new(inventory, &case.slurm, &previous).unwrap()
        });
        Layout { tables: tables.collect(), inventories, case }
    }

    fn map(&self, node: usize) -> DeviceMap {
        self.tables[node].map(&self.inventories[node], String::new())
    }

    fn file(&self, kind: Kind) -> String {
        let nodes = self.inventories.iter().zip(&self.tables);
        let context = Context::of_cluster(nodes, &self.case.slurm, self.case.release, &Root::host()).unwrap();
        let templates = Templates::load(&PathBuf::from("/nonexistent")).unwrap();
        let files = render::slurm_files(&templates, &context, &self.case.slurm, &Root::host()).unwrap();
        files.into_iter().find(|f: &Output| f.kind == kind).unwrap().text
    }

    /// Files of device `index` of the first node.
    fn files(&self, index: usize) -> BTreeSet<PathBuf> {
        self.tables[0].records[index].files.iter().map(|f| f.path.clone()).collect()
    }

    /// Files of the first node among those that a task opened. Slurm leaves devices open that no gres.conf names,
    /// and the lab has the devices of all layouts at once.
    fn of(&self, open: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let all = (0..self.tables[0].records.len()).flat_map(|index| self.files(index));
        all.filter(|file| open.contains(file)).collect()
    }
}

/// A cluster that has just registered with a layout, with the devices of all `layouts` in place.
fn cluster(release: Release, layouts: &[&Layout]) -> Option<Lab> {
    let host = Host::new();
    for layout in layouts {
        host.make_devices(&layout.case.inventories(&host.root));
    }
    let gpus = FakeGpus::from_tree(host.root.prefix()).unwrap();
    let first = layouts[0];
    let n1 = lab::Node::new("n1").line(&first.file(Kind::NodeConf)).gres_conf(&first.file(Kind::GresConf));
    let options = Options::new(n1).node(lab::Node::new("n2").line("")).gpus(&gpus);
    lab::require(Lab::start(release, options))
}

fn view(lab: &Lab, node: &str) -> NodeView {
    let text = lab.run(&["scontrol", "-d", "-o", "show", "node", node]).unwrap().stdout;
    NodeView::parse(&text).unwrap()
}

/// What of a layout a job with this GRES opens.
fn opened(lab: &Lab, layout: &Layout, gres: &str) -> BTreeSet<PathBuf> {
    let output = lab.srun(&["-w", "n1", &format!("--gres=gpu:{gres}"), "lab-probe"]).unwrap();
    layout.of(&output.probes()[0].open)
}

/// Whether a node takes jobs, and nothing holds it back.
fn is_well(view: &NodeView) -> bool {
    !["DRAIN", "INVAL", "INVALID_REG", "DOWN", "NOT_RESPONDING"].iter().any(|state| view.is(state))
}

#[test]
fn nodes_register_and_jobs_open_what_the_table_says() {
    let node = "{board: a100-40gb, minor: 2, slices: [1g.5gb@0, 1g.5gb+me@1, 3g.20gb@4]}, \
                {board: h100-80gb-sxm, minor: 1, mirrored: true, slices: [1c.3g.40gb@4, 2c.3g.40gb@4+1]}, \
                {board: a100-80gb, minor: 0, slices: null}";
    let layout = Layout::new(node, None);
    for release in Release::selected() {
        let Some(lab) = cluster(release, &[&layout]) else { return };
        let table = &layout.tables[0];
        let view = view(&lab, "n1");
        assert!(is_well(&view), "{release}: {view:?}");
        assert_eq!(view.gres(), table.gres(), "{release}");
        for (index, record) in table.records.iter().enumerate() {
            let open = opened(&lab, &layout, &format!("{}:1", record.gres_type));
            assert_eq!(open, layout.files(index), "{release}: {}", record.gres_type);
        }
    }
}

/// The board divides sockets into NUMA nodes, and a GPU is near one of them.
#[test]
fn a_node_with_gpus_near_a_part_of_a_socket_is_in_service() {
    for (release, version, near) in [
        (Release::Bookworm, "22.05.8", "0-1"),
        (Release::Trixie, "24.11.5", "0-3"),
        (Release::Sid, "26.05.5", "0-3"),
    ] {
        if !Release::selected().contains(&release) {
            continue;
        }
        let layout = Layout::read(
            &format!(
                "release: {version}\nnodes:\n\
                 - {{names: n1, cpus: [2, 4, 1], gpus: [{{board: a100-40gb, near: [0, 1], slices: [1g.5gb@0]}}, \
                 {{board: a100-40gb, near: [4, 5, 6, 7], slices: [1g.5gb@0]}}]}}\n\
                 - {{names: n2, gpus: [{{board: a100-40gb, slices: [1g.5gb@0]}}]}}\n{}",
                SETTINGS.replacen("CPUs=32", "CPUs=8 Sockets=2 CoresPerSocket=4 ThreadsPerCore=1", 1)
            ),
            None,
        );
        let text = layout.file(Kind::GresConf);
        assert!(text.contains(&format!("Cores={near}")) && text.contains("Cores=4-7"), "{text}");
        let Some(lab) = cluster(release, &[&layout]) else { return };
        assert!(is_well(&view(&lab, "n1")), "{release}: {:?}", view(&lab, "n1"));
        // What the GPU is near by NVML, which a slurmctld that does not take it is here to say.
        lab.write_file("/etc/slurm/gres.conf", text.replace(&format!("Cores={near}"), "Cores=0-1")).unwrap();
        lab.stop_slurmd("n1").unwrap();
        // It looks at cores when it builds its records of the node anew.
        act(&lab, &Action::RestartSlurmctld, &layout, &layout);
        lab.start_slurmd("n1").unwrap();
        let refused = || {
            let node = lab.run(&["scontrol", "-o", "show", "node", "n1"])?.stdout;
            Ok(node.contains("doesn't match socket boundaries").then_some(()))
        };
        if version.starts_with("22.05") {
            lab.wait("the node to be in service", || Ok(is_well(&view(&lab, "n1")).then_some(()))).unwrap();
        } else {
            lab.wait("slurmctld to refuse the node", refused).unwrap();
            assert!(!is_well(&view(&lab, "n1")), "{release}");
        }
    }
}

/// How often the two slurmds have started.
fn starts(lab: &Lab) -> usize {
    ["n1", "n2"].iter().map(|node| lab.slurmd_log(node).matches("slurmd started on").count()).sum()
}

/// Does on a cluster what a transition says.
fn act(lab: &Lab, action: &Action, layout: &Layout, old: &Layout) {
    match action {
        Action::CarryNodeLine(_) => {
            let conf = lab.read_file("/etc/slurm/slurm.conf").unwrap();
            let (was, is) = (old.file(Kind::NodeConf), layout.file(Kind::NodeConf));
            assert!(conf.contains(&was), "{conf}");
            lab.write_file("/etc/slurm/slurm.conf", conf.replace(&was, &is)).unwrap();
        }
        // Not the lab's own ways, which wait for nodes that take jobs: this one may be drained.
        Action::Reconfigure => {
            let before = starts(lab);
            lab.run(&["scontrol", "reconfigure"]).unwrap();
            lab.wait("every slurmd to start again", || Ok((starts(lab) >= before + 2).then_some(())))
                .unwrap();
        }
        Action::RestartSlurmctld => {
            let stop = "pid=$(cat /run/slurmctld.pid); kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.02; done";
            lab.run(&["sh", "-c", &format!("{stop}; slurmctld")]).unwrap();
            let up =
                || Ok(lab.command(&["scontrol", "ping"]).output()?.stdout.contains(" is UP").then_some(()));
            lab.wait("slurmctld to answer", up).unwrap();
        }
        Action::RestartSlurmd(node) => lab.restart_slurmd(node).unwrap(),
        Action::StopSlurmd(node) => lab.stop_slurmd(node).unwrap(),
        Action::StartSlurmd(node) => lab.start_slurmd(node).unwrap(),
        Action::WaitRegistered(node) => {
            // As it is printed, for whoever carries it out by hand.
            lab.run(&["sh", "-c", &action.to_string()]).unwrap();
            let view = view(lab, node);
            assert!(!view.is("UNKNOWN") && !view.is("NOT_RESPONDING"), "{view:?}");
        }
        Action::LoadPlugin(_) | Action::ReadAnew { .. } | Action::ReloadSlurmd(_) => {
            unreachable!("no node line says that, and no GPU is on request")
        }
        Action::Drain { .. }
        | Action::Resume(_)
        | Action::Undrain(_)
        | Action::Reserve(_)
        | Action::Release(_)
        | Action::Reason { .. }
        | Action::Delete(_)
        | Action::StartDynamic { .. } => {
            let words = action.command().unwrap();
            lab.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        }
    }
}

/// Takes the first node from one layout to another as a transition says, and gives what changed.
fn change(lab: &Lab, old: &Layout, new: &Layout, drain: bool) -> Change {
    let name = || "n1".to_owned();
    let node = Node { name: name(), line: Some("it is carried".to_owned()), ..Node::default() };
    let release = lab.run(&["scontrol", "--version"]).unwrap().stdout.parse().unwrap();
    let change = Change::between(&old.tables[0].records, &new.tables[0].records);
    let actions = transition(&node, change, &new.tables[0], release);
    if drain {
        act(lab, &Action::Drain { node: name(), reason: "another layout".to_owned() }, new, old);
        let idle = || Ok(lab.run(&["squeue", "-h", "-w", "n1"])?.stdout.is_empty().then_some(()));
        lab.wait("the node to be idle", idle).unwrap();
    }
    lab.write_file("/etc/slurm/gres.conf", new.file(Kind::GresConf)).unwrap();
    actions.iter().for_each(|action| act(lab, action, new, old));
    if drain {
        act(lab, &Action::Resume(name()), new, old);
    }
    lab.wait_nodes().unwrap();
    change
}

#[test]
fn a_node_goes_from_one_layout_to_another() {
    let old = Layout::new("{board: a100-40gb, slices: [1g.5gb@0, 1g.5gb@1, 3g.20gb@4]}", None);
    let fewer = Layout::new("{board: a100-40gb, slices: [2g.10gb@0, 3g.20gb@4]}", Some(&old));
    let more =
        Layout::new("{board: a100-40gb, slices: [1g.5gb@0, 1g.5gb@1, 2g.10gb@2, 1g.10gb@6]}", Some(&fewer));
    for release in Release::selected() {
        let Some(lab) = cluster(release, &[&old, &fewer, &more]) else { return };
        let other = lab.sbatch(User::Root, &["-w", "n2", "--gres=gpu:1g.5gb:1"], "sleep 600").unwrap();
        assert_eq!(opened(&lab, &old, "3g.20gb:1"), old.files(2), "{release}");
        for (old, new, gres) in [(&old, &fewer, "2g.10gb:1"), (&fewer, &more, "1g.10gb:1")] {
            assert_eq!(change(&lab, old, new, true), Change::Count);
            let view = view(&lab, "n1");
            assert!(is_well(&view), "{release}: {view:?}");
            assert_eq!(view.gres(), new.tables[0].gres(), "{release}");
            let name = gres.trim_end_matches(":1");
            let index = new.tables[0].records.iter().position(|r| r.gres_type == name).unwrap();
            assert_eq!(opened(&lab, new, gres), new.files(index), "{release}: {gres}");
        }
        let job = lab.run(&["scontrol", "-o", "show", "job", &other.to_string()]).unwrap().stdout;
        assert!(job.contains("JobState=RUNNING") && job.contains("Restarts=0"), "{release}: {job}");
    }
}

#[test]
fn a_change_that_keeps_count_and_indexes_leaves_a_live_job_its_slice() {
    let old = Layout::new("{board: a100-40gb, slices: [1g.5gb@0, 1g.5gb@1, 3g.20gb@4]}", None);
    let moved = Layout::new("{board: a100-40gb, slices: [1g.5gb@0, 1g.5gb@2, 3g.20gb@4]}", Some(&old));
    let retyped = Layout::new("{board: a100-40gb, slices: [1g.5gb@0, 2g.10gb@2, 3g.20gb@4]}", Some(&moved));
    for release in Release::selected() {
        let Some(lab) = cluster(release, &[&old, &moved, &retyped]) else { return };
        let script = "for i in 1 2 3; do until [ -e /tmp/go$i ]; do sleep 0.1; done; srun lab-probe; touch /tmp/did$i; done";
        let job = lab.sbatch(User::Root, &["-w", "n1", "--gres=gpu:3g.20gb:1"], script).unwrap();
        let step = |number: &str| {
            lab.write_file(&format!("/tmp/go{number}"), "").unwrap();
            let did = format!("/tmp/did{number}");
            let done = || Ok(lab.command(&["test", "-e", &did]).output()?.success().then_some(()));
            lab.wait("a step", done).unwrap();
        };
        step("1");
        assert_eq!(change(&lab, &old, &moved, false), Change::Devices);
        step("2");
        assert_eq!(change(&lab, &moved, &retyped, false), Change::Types);
        step("3");
        let job = lab.wait_job(job).unwrap();
        let probes = lab::Probe::parse_all(&job.output);
        let opened: Vec<_> =
            [&old, &moved, &retyped].iter().zip(&probes).map(|(l, p)| l.of(&p.open)).collect();
        assert_eq!(opened, vec![old.files(2); 3], "{release}: {job:?}");
        assert_eq!(self::opened(&lab, &retyped, "2g.10gb:1"), retyped.files(1), "{release}");
    }
}

/// A dynamic node has no line in slurm.conf: it goes and comes back as another.
#[test]
fn a_dynamic_node_goes_from_one_layout_to_another() {
    const CONF: &str = "CPUs=2 RealMemory=1000";
    // Slurm's own port is the dynamic node's, which cannot be given one.
    const STATIC: &str = "NodeName=n1 NodeHostname=n1 NodeAddr=10.0.0.1 Port=6830 CPUs=2 RealMemory=1000";
    let old = Layout::new("{board: a100-40gb, slices: [1g.5gb@0, 1g.5gb@1]}", None);
    let new = Layout::new("{board: a100-40gb, slices: [1g.5gb@0, 1g.5gb@1, 3g.20gb@4]}", Some(&old));
    for release in Release::selected() {
        let gres_conf = |layout: &Layout| layout.file(Kind::GresConf).replace("NodeName=n1", "NodeName=dyn1");
        let host = Host::new();
        host.make_devices(&new.case.inventories(&host.root));
        let gpus = FakeGpus::from_tree(host.root.prefix()).unwrap();
        let options = Options::new(lab::Node::new("n1").line(STATIC).gres_conf(&gres_conf(&old)))
            .slurm_conf("MaxNodeCount=8")
            .text("/etc/hosts", "127.0.0.1 localhost\n10.0.0.1 n1 dyn1\n")
            .gpus(&gpus);
        let Some(lab) = lab::require(Lab::start(release, options)) else { return };
        let node =
            Node { name: "dyn1".into(), dynamic: true, attributes: CONF.into(), line: None, gres: None };
        let registered = |lab: &Lab| {
            let known = || {
                Ok(lab
                    .command(&["scontrol", "-o", "show", "node", "dyn1"])
                    .output()?
                    .stdout
                    .contains("State=IDLE")
                    .then_some(()))
            };
            lab.wait("the dynamic node to register", known).unwrap();
            let view = view(lab, "dyn1");
            assert!(view.is_dynamic() && is_well(&view), "{release}: {view:?}");
        };
        let start = |layout: &Layout| {
            let conf = format!("{CONF} Gres={}", layout.tables[0].gres());
            lab.run(&["slurmd", "-N", "dyn1", "-Z", "--conf", &conf]).unwrap();
        };
        start(&old);
        registered(&lab);
        let release_now = lab.run(&["scontrol", "--version"]).unwrap().stdout.parse().unwrap();
        let change = Change::between(&old.tables[0].records, &new.tables[0].records);
        let actions = transition(&node, change, &new.tables[0], release_now);
        lab.write_file("/etc/slurm/gres.conf", gres_conf(&new)).unwrap();
        for action in &actions {
            match action {
                Action::WaitRegistered(_) => registered(&lab),
                action => act(&lab, action, &new, &old),
            }
        }
        assert_eq!(view(&lab, "dyn1").gres(), new.tables[0].gres(), "{release}");
        // A batch script, because srun on a dynamic node wants addresses signed, which auth/none cannot do.
        let job = lab.batch(&["-w", "dyn1", "--gres=gpu:3g.20gb:1"], "lab-probe").unwrap();
        let probes = lab::Probe::parse_all(&job.output);
        assert_eq!(new.of(&probes[0].open), new.files(2), "{release}: {job:?}");
    }
}
