//! Every failure is provoked: each case breaks one fact of a node that is well.

use std::time::Duration;

use device_map::version::VERSION;
use device_map::{DeviceFile, DeviceMap, Record};
use mig::{Board, Placement};

use super::*;
use crate::inventory::{Compute, Gpu, Instance, Mode};
use crate::slurm::hardware::Hardware;
use crate::slurm::slots::Form;
use crate::slurm::{PreviousOrder, Settings};

fn file(path: &str, minor: u32) -> DeviceFile {
    DeviceFile { path: path.into(), major: 238, minor }
}

fn inventory() -> Inventory {
    let geometry = Board::by_key("a100-40gb").unwrap().geometry();
    let placement = Placement { profile: geometry.specs[0].profile, start: 0 };
    let files = vec![
        file("/dev/nvidia0", 0),
        file("/dev/nvidia-caps/nvidia-cap66", 66),
        file("/dev/nvidia-caps/nvidia-cap67", 67),
    ];
    let compute = Compute {
        ci: 0,
        profile: "1g.5gb".parse().unwrap(),
        start: 0,
        uuid: "MIG-a".into(),
        files: files.clone(),
    };
    let gpu = Gpu {
        index: 0,
        minor: 0,
        uuid: "GPU-a".into(),
        pci: "0000:07:00.0".into(),
        pci_device: 0,
        pci_subsystem: None,
        model: "NVIDIA A100-SXM4-40GB".into(),
        memory_mib: 40960,
        architecture: None,
        mode: Mode::Known { current: true, pending: true },
        guest: false,
        cpus: vec![],
        geometry,
        file: files[0].clone(),
        instances: vec![Instance {
            gi: 7,
            placement,
            compute: vec![compute],
            holders: vec![],
            closed: false,
        }],
        holders: vec![],
        capabilities: None,
    };
    Inventory {
        node: "n1".into(),
        boot: "b".into(),
        driver: "580".into(),
        partial: false,
        topology: Default::default(),
        gpus: vec![gpu],
    }
}

fn slurm(release: &str) -> SlurmFacts {
    let text = format!(
        "SLURM_VERSION = {release}\nTaskPlugin = task/cgroup,task/affinity\nGresTypes = gpu\nPluginDir = /usr/lib/slurm\n\
         SelectType = select/cons_tres\nConstrainDevices = yes\n"
    );
    let node = NodeView::parse("NodeName=n1 CPUTot=8 Gres=gpu:1g.5gb:1 State=IDLE RealMemory=4000").unwrap();
    SlurmFacts {
        config: Config::parse(&text),
        node: Ok(node.clone()),
        types: vec!["1g.5gb".into()],
        nodes: vec![node.clone()],
        release: release.parse().ok(),
    }
}

fn line(plugin: &str) -> Line {
    Line {
        file: "/etc/slurm/plugstack.conf".into(),
        optional: true,
        plugin: plugin.into(),
        arguments: vec![],
    }
}

/// A node on which every link holds.
fn well() -> Facts {
    let inventory = inventory();
    let table = GresTable::new(&inventory, &Settings::default(), &PreviousOrder::default()).unwrap();
    let map = table.map(&inventory, "d".into());
    let node = |f: &DeviceFile| Node {
        path: f.path.clone(),
        numbers: (f.major, f.minor),
        seen: Seen::Device { numbers: (f.major, f.minor), readable: true },
    };
    Facts {
        drift: Some(Ok(vec![])),
        boot: "b".into(),
        loaded: Some(Some(Ok(DeviceMap { plugin: Some(VERSION.into()), ..map.clone() }))),
        gres_digest: Some(Some("d".into())),
        nodes: map.records[0].files.iter().map(node).collect(),
        rivals: vec!["4g.20gb for 1g.23gb of NVIDIA B200".into()],
        mixed: vec![],
        directories: vec![],
        other_gres: vec![],
        configured: Some(Hardware { cpus: Some(8), memory: Some(4000) }),
        host: Some(Hardware { cpus: Some(8), memory: Some(4096) }),
        shared_gres_conf: None,
        bad_links: Some(vec![]),
        stale_files: Some(Ok(vec![])),
        cgroup_conf: Some("constraindevices = Yes # x\n".into()),
        plugstack: Some(vec![line("spank_mig.so"), line("spank_pyxis.so")]),
        plugin: Some(("spank_mig.so".into(), Some(true))),
        slurm: Some(Ok(slurm("24.11.5"))),
        unified_cgroup: true,
        catalog: None,
        catalog_is_written: false,
        silence: None,
        stopped: Vec::new(),
        clients: Some(vec![]),
        map: Some(Ok(map)),
        table: Some(table),
        inventory: Some(Ok(inventory)),
    }
}

fn show(links: &[Link]) -> String {
    let line = |l: &Link| {
        format!(
            "{:?} {}: {}{}{}\n",
            l.verdict,
            l.name,
            l.what,
            if l.fix.is_empty() { "" } else { " -> " },
            l.fix
        )
    };
    links.iter().map(line).collect()
}

/// Links that do not hold once a fact is broken, and that held before.
fn broken(name: &str, change: impl FnOnce(&mut Facts)) -> String {
    let mut facts = well();
    change(&mut facts);
    let before = evaluate(&well());
    let news: Vec<Link> =
        evaluate(&facts).into_iter().filter(|l| l.verdict != Verdict::Pass && !before.contains(l)).collect();
    assert!(!news.is_empty(), "{name}: nothing noticed");
    format!("## {name}\n{}", show(&news))
}

fn gpu(facts: &mut Facts) -> &mut Gpu {
    let Some(Ok(inventory)) = &mut facts.inventory else { panic!() };
    &mut inventory.gpus[0]
}

fn map(facts: &mut Facts) -> &mut DeviceMap {
    let Some(Ok(map)) = &mut facts.map else { panic!() };
    map
}

fn view(facts: &mut Facts) -> &mut NodeView {
    let Some(Ok(slurm)) = &mut facts.slurm else { panic!() };
    slurm.node.as_mut().unwrap()
}

/// A node on request in two partitions, with a catalog in these.
fn catalog(facts: &mut Facts, partitions: &str) {
    let line = |name: &str, gres: &str, partitions: &str| {
        NodeView::parse(&format!(
            "NodeName={name} CPUTot=8 Gres={gres} State=IDLE RealMemory=4000 Partitions={partitions}"
        ))
        .unwrap()
    };
    facts.catalog = Some("cut-on-request-[1-2]".into());
    let table = facts.table.as_mut().unwrap();
    table.form = Some(Form::Split);
    let types: Vec<String> = table.types.iter().map(|(name, count)| format!("gpu:{name}:{count}")).collect();
    let types = types.join(",");
    let node = line("n1", &format!("{types},gresgen:gate:2"), "a,b");
    with_slurm(facts, |slurm| {
        slurm.node = Ok(node.clone());
        let never_up = |name: &str| line(name, &types, partitions);
        slurm.nodes = vec![node, never_up("cut-on-request-1"), never_up("cut-on-request-2")];
    });
}

fn lines(facts: &mut Facts) -> &mut Vec<Line> {
    facts.plugstack.as_mut().unwrap()
}

fn with_slurm(facts: &mut Facts, change: impl FnOnce(&mut SlurmFacts)) {
    let Some(Ok(slurm)) = &mut facts.slurm else { panic!() };
    change(slurm);
}

#[test]
fn a_node_that_is_well_passes() {
    let links = evaluate(&well());
    assert_eq!(links.iter().filter(|l| l.verdict == Verdict::Fail).count(), 0, "{}", show(&links));
    insta::assert_snapshot!(show(&links));
}

#[test]
fn quick_judges_what_it_has() {
    let facts = Facts { boot: "b".into(), map: well().map, nodes: well().nodes, ..Facts::default() };
    let links = evaluate(&facts);
    assert_eq!(links.iter().map(|l| l.name).collect::<Vec<_>>(), ["device map", "device nodes"]);
    assert_eq!(worst(&links), Verdict::Pass);
}

#[test]
fn every_hardware_failure_is_noticed() {
    let text = [
        broken("no driver", |f| f.inventory = Some(Err("libnvidia-ml.so.1: cannot be loaded".into()))),
        broken("no GPU", |f| f.inventory.as_mut().unwrap().as_mut().unwrap().gpus.clear()),
        broken("mode pending", |f| gpu(f).mode = Mode::Known { current: true, pending: false }),
        broken("orphan", |f| gpu(f).instances[0].compute.clear()),
        broken("drift", |f| f.drift = Some(Ok(vec!["create 3g.20gb".into(); 5]))),
        broken("impossible layout", |f| f.drift = Some(Err("layout a: 8 times 1g.5gb do not fit".into()))),
        broken("clients", |f| {
            f.clients = Some(vec![("nv-hostengine (process 8)".into(), "stop it")]);
        }),
    ];
    insta::assert_snapshot!(text.concat());
}

#[test]
fn every_device_failure_is_noticed() {
    let text = [
        broken("no map", |f| f.map = Some(Err("/run/gresgen/devices: No such file or directory".into()))),
        broken("map of an earlier boot", |f| map(f).boot = "a".into()),
        broken("map of another layout", |f| map(f).records[0].uuid = "MIG-b".into()),
        broken("node missing", |f| f.nodes[2].seen = Seen::Missing),
        broken("node is a file", |f| f.nodes[1].seen = Seen::Other),
        broken("node of another device", |f| {
            f.nodes[1].seen = Seen::Device { numbers: (238, 9), readable: true };
        }),
        broken("node closed to users", |f| {
            f.nodes[1].seen = Seen::Device { numbers: (238, 66), readable: false };
        }),
        broken("no gres.conf", |f| f.gres_digest = Some(None)),
        broken("another gres.conf", |f| f.gres_digest = Some(Some("e".into()))),
        broken("no map of slurmd", |f| f.loaded = Some(None)),
        broken("unreadable map of slurmd", |f| f.loaded = Some(Some(Err("line 1: not a device map".into())))),
        broken("older map of slurmd", |f| {
            let Some(Some(Ok(map))) = &mut f.loaded else { panic!() };
            map.records.push(Record { uuid: "MIG-c".into(), ..map.records[0].clone() });
        }),
        broken("plugin of another version", |f| {
            let Some(Some(Ok(map))) = &mut f.loaded else { panic!() };
            map.plugin = Some("0.1.9 (abc)".into());
        }),
        broken("plugin that does not say its version", |f| {
            let Some(Some(Ok(map))) = &mut f.loaded else { panic!() };
            map.plugin = None;
        }),
        broken("links", |f| f.bad_links = Some(vec!["/dev/gresgen/ci0".into()])),
        broken("stale files", |f| f.stale_files = Some(Ok(vec!["/etc/slurm/gres.conf".into()]))),
        broken("other GPUs in the shared gres.conf", |f| {
            f.shared_gres_conf = Some(("/run/slurm/conf/gres.conf".into(), false));
        }),
        broken("open directory", |f| f.directories = vec![("/run/gresgen".into(), 0o775)]),
        broken("closed directory", |f| f.directories = vec![("/etc/slurm/plugstack.conf.d".into(), 0o750)]),
        broken("foreign file", |f| {
            f.stale_files = Some(Err("/etc/slurm/cgroup.conf: not written by gresgen".into()))
        }),
    ];
    insta::assert_snapshot!(text.concat());
}

#[test]
fn requests_wait_where_every_partition_has_the_catalog() {
    let link = |names: &str| {
        let mut facts = well();
        catalog(&mut facts, names);
        evaluate(&facts).into_iter().find(|link| link.name == "catalog").map(|link| link.verdict)
    };
    assert_eq!(link("b,a"), Some(Verdict::Pass));
    assert_eq!(link("b"), Some(Verdict::Warn));
    assert_eq!(
        evaluate(&well()).iter().filter(|link| link.name == "catalog").count(),
        0,
        "nobody asked for one"
    );
}

#[test]
fn every_slurm_failure_is_noticed() {
    let text = [
        broken("no cgroup.conf", |f| f.cgroup_conf = Some(String::new())),
        broken("not constrained", |f| {
            f.cgroup_conf = Some("ConstrainDevices=yes\nConstrainDevices=no\n".into())
        }),
        broken("not constrained by the running Slurm", |f| {
            with_slurm(f, |s| {
                s.config = Config::parse("TaskPlugin = cgroup\nGresTypes = gpu\nConstrainDevices = no\n")
            });
        }),
        broken("slurmctld gone", |f| f.slurm = Some(Err("slurmctld unreachable: n0 is DOWN".into()))),
        broken("unknown release", |f| with_slurm(f, |s| s.release = None)),
        broken("no task/cgroup", |f| {
            with_slurm(f, |s| s.config = Config::parse("TaskPlugin = task/none\nGresTypes = gpu\n"))
        }),
        broken("task/affinity alone", |f| {
            with_slurm(f, |s| s.config = Config::parse("TaskPlugin = affinity\nGresTypes = gpu\n"))
        }),
        broken("a GRES that GresTypes lacks", |f| f.other_gres = vec!["nic".into()]),
        broken("no gresgen in GresTypes", |f| f.other_gres = vec!["gresgen".into()]),
        broken("no catalog in one of two partitions", |f| catalog(f, "a")),
        broken("a catalog that no partition has", |f| {
            catalog(f, "a");
            f.catalog_is_written = true;
        }),
        broken("a catalog that slurmctld does not know", |f| {
            catalog(f, "a");
            f.catalog_is_written = true;
            f.catalog = Some("later-[1-2]".into());
        }),
        broken("a catalog of another name", |f| {
            catalog(f, "a,b");
            f.catalog_is_written = true;
            f.catalog = Some("later-[1-2]".into());
        }),
        broken("an arbiter that is gone", |f| f.silence = Some((3, Duration::from_secs(4 * 3600)))),
        broken("select/linear", |f| {
            with_slurm(f, |s| {
                s.config = Config::parse("TaskPlugin = cgroup\nGresTypes = gpu\nSelectType = select/linear\n")
            })
        }),
        broken("select/cons_res", |f| {
            with_slurm(f, |s| {
                s.config =
                    Config::parse("TaskPlugin = cgroup\nGresTypes = gpu\nSelectType = select/cons_res\n")
            })
        }),
        broken("no gpu in GresTypes", |f| {
            with_slurm(f, |s| s.config = Config::parse("TaskPlugin = task/cgroup\n"))
        }),
        broken("unknown node", |f| with_slurm(f, |s| s.node = Err("Node n1 not found".into()))),
        broken("a node line of one CPU", |f| {
            view(f).hardware = Hardware { cpus: Some(1), memory: Some(1) };
        }),
        broken("a node line of one CPU, and no entry of the node", |f| {
            f.configured = None;
            view(f).hardware = Hardware { cpus: Some(1), memory: Some(1) };
        }),
        broken("shares on 22.05", |f| {
            with_slurm(f, |s| {
                s.release = "22.05.8".parse().ok();
                let select = "SelectType = select/cons_tres\nConstrainDevices = yes";
                s.config = Config::parse(&format!("TaskPlugin = cgroup\nGresTypes = gpu,shard\n{select}\n"));
            });
            let table = f.table.as_mut().unwrap();
            let whole = |uuid: &str| Record {
                instance: None,
                uuid: uuid.into(),
                parent: uuid.into(),
                ..table.records[0].clone()
            };
            let whole = whole("GPU-b");
            table.records.push(whole);
            map(f).records = f.table.as_ref().unwrap().records.clone();
            let map = f.map.clone().unwrap().unwrap();
            f.loaded = Some(Some(Ok(DeviceMap { plugin: Some(VERSION.into()), ..map })));
        }),
        broken("shares of slices on 22.05", |f| {
            f.other_gres = vec!["mps".into()];
            with_slurm(f, |s| {
                s.release = "22.05.8".parse().ok();
                let select = "SelectType = select/cons_tres\nConstrainDevices = yes";
                s.config = Config::parse(&format!("TaskPlugin = cgroup\nGresTypes = gpu,mps\n{select}\n"));
            });
        }),
        broken("two models of one name", |f| f.mixed = vec!["a100 is A100-40GB and A100-80GB".into()]),
        broken("another node line", |f| view(f).gpus[0].1 = 7),
        broken("invalid", |f| {
            view(f).state = vec!["IDLE".into(), "DRAIN".into(), "INVALID_REG".into()];
            view(f).reason = "gres/gpu count reported lower than configured (1 < 7)".into();
        }),
        broken("clash", |f| with_slurm(f, |s| s.types = vec!["4g.20gb".into(), "1g.23gb".into()])),
        broken("cgroup v2 on 22.05", |f| {
            with_slurm(f, |s| s.release = "22.05.8".parse().ok());
            let table = f.table.as_mut().unwrap();
            let file = table.records[0].files[0].clone();
            table.records[0].files.extend((0..23).map(|minor| DeviceFile { minor, ..file.clone() }));
        }),
    ];
    insta::assert_snapshot!(text.concat());
}

#[test]
fn every_plugstack_failure_is_noticed() {
    let argument = |text: &'static str| move |f: &mut Facts| lines(f)[0].arguments = vec![text.to_owned()];
    let text = [
        broken("no line", |f| lines(f).clear()),
        broken("two lines", |f| lines(f).push(line("/usr/lib/slurm/spank_mig.so"))),
        broken("no plugin", |f| f.plugin = Some(("spank_mig.so".into(), Some(false)))),
        broken("required", |f| lines(f)[0].optional = false),
        broken("after pyxis", |f| lines(f).reverse()),
        broken("unknown argument", argument("mpa=/x")),
        broken("wrong value", argument("on_unresolved=die")),
        broken("relative path", argument("map=devices")),
    ];
    insta::assert_snapshot!(text.concat());
    let mut facts = well();
    lines(&mut facts)[0].arguments =
        ["map=/x", "on_unresolved=warn", "notices=off", "set=cuda,nvidia"].map(str::to_owned).to_vec();
    assert_ne!(worst(&evaluate(&facts)), Verdict::Fail);
}
