//! Throws mutated input at everything that `gresgen` reads from others: configurations, inventories of other nodes,
//! orders, host lists, gres.conf, cgroup.conf and plugstack.conf of the site, and what Slurm's commands print.
//!
//! ```text
//! cargo run --profile fuzz -p gresgen --example fuzz-texts -- [SECONDS [SEED [TARGET]]]
//! ```
//!
//! Each target runs for ten seconds unless told otherwise. A panic, or a result that breaks what a parser promises,
//! ends it with the input that did it; so does an input that takes longer than [`SLOW`]. The same seed finds the same
//! inputs again.

mod mutate;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gresgen::config::{Config, GpuFacts};
use gresgen::document;
use gresgen::files::{Comparison, KEEP, Kind, Output, Scope, stage};
use gresgen::inventory::Inventory;
use gresgen::order::{self, Request};
use gresgen::render::{Context, Templates, slurm_files};
use gresgen::root::Root;
use gresgen::slurm::control;
use gresgen::slurm::hardware::Hardware;
use gresgen::slurm::hostlist::{self, MAX_NAMES};
use gresgen::slurm::lines::{lines, value};
use gresgen::slurm::plugstack;
use gresgen::slurm::{GresTable, PreviousOrder, Release, Settings};
use mutate::{Random, mutated};

/// Most time of a processor that one input may take.
const SLOW: Duration = Duration::from_secs(5);

/// A parser under fire.
struct Target {
    name: &'static str,
    /// What one input comes to: whether it was valid.
    run: fn(&Place, &[u8]) -> bool,
    seeds: &'static [&'static [u8]],
    /// What mutations insert.
    words: &'static [&'static [u8]],
}

const TARGETS: [Target; 8] = [
    Target { name: "config", run: config, seeds: CONFIGS, words: YAML },
    Target { name: "inventory", run: inventory, seeds: INVENTORIES, words: JSON },
    Target { name: "order", run: order, seeds: ORDERS, words: JSON },
    Target { name: "hostlist", run: list, seeds: LISTS, words: WORDS },
    Target { name: "gres.conf", run: gres_conf, seeds: GRES, words: WORDS },
    Target { name: "cgroup.conf", run: cgroup_conf, seeds: CGROUP, words: WORDS },
    Target { name: "plugstack.conf", run: plugstack_conf, seeds: PLUGSTACK, words: WORDS },
    Target { name: "scontrol", run: scontrol, seeds: SCONTROL, words: WORDS },
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let number = |text: Option<String>, default| text.map_or(Ok(default), |text| text.parse::<u64>());
    let (Ok(seconds), Ok(seed)) = (number(arguments.next(), 10), number(arguments.next(), 1)) else {
        eprintln!("usage: fuzz-texts [SECONDS [SEED [TARGET]]]");
        return ExitCode::from(2);
    };
    let only = arguments.next();
    // Files are synced to disk each time, which a file system in memory does at once.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let place = Place(directory.expect("a directory for files"));
    for Target { name, run, seeds, words } in TARGETS {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let (start, mut random) = (Instant::now(), Random(seed.max(1)));
        let (mut runs, mut valid, mut slowest) = (0u64, 0u64, Duration::ZERO);
        while start.elapsed() < Duration::from_secs(seconds) {
            let input = mutated(&mut random, seeds, words);
            let shown = Shown(&input);
            let began = processor();
            valid += u64::from(run(&place, &input));
            let took = processor().saturating_sub(began);
            assert!(took < SLOW, "takes {took:?}");
            std::mem::forget(shown);
            slowest = slowest.max(took);
            runs += 1;
        }
        println!(
            "{name}: {runs} runs, seed {seed}: nothing found ({valid} were valid, the slowest took {slowest:?})"
        );
    }
    ExitCode::SUCCESS
}

/// What this thread has had of a processor (Documentation/scheduler/sched-stats.rst): others on the machine do not count.
fn processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default())
}

/// Prints the input when what it was given to panics.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        eprintln!("input: {}", self.0.escape_ascii());
    }
}

/// A directory for files.
struct Place(tempfile::TempDir);

impl Place {
    fn root(&self) -> Root {
        Root::new(self.0.path()).expect("it is absolute")
    }
}

const WORDS: &[&[u8]] = &[
    b"NodeName=",
    b"n1",
    b"n[1-3]",
    b"n[01-999999999]",
    b"[",
    b"]",
    b",",
    b"-",
    b" ",
    b"\n",
    b"\\\n",
    b"#",
    b"\"",
    b"=",
    b"Name=gpu",
    b"name=GPU Type=x",
    b"Name=shard Count=8 File=/dev/nvidia0",
    b"AutoDetect=nvml",
    b"include x\n",
    b"include self\n",
    b"optional a.so x=1\n",
    b"ConstrainDevices=no\n",
    b"\0",
    b"\xff",
    b"4294967296",
    b"18446744073709551616",
    b"\r\n",
    b"\t",
    b"\x1b[2J",
    b"CPUTot=",
    b"RealMemory=",
    b"(IDX:0-99999999999)",
];
const YAML: &[&[u8]] = &[
    b"\n",
    b"  ",
    b": ",
    b"- ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"&a ",
    b"*a",
    b"'",
    b"\"",
    b"#",
    b"all",
    b"per: node",
    b"at: 4",
    b"count: 4294967295",
    b"4294967296",
    b"-1",
    b"1c.3g.20gb",
    b"1g.5gb+me",
    b"7g.40gb",
    b"n[1-99999]",
    b"\xff",
    b"\t",
    b"!!binary",
    b"|\n",
    b"kind: ConfigMap\n",
    b"nodes:",
    b"\\",
];
const JSON: &[&[u8]] = &[
    b"\"",
    b",",
    b":",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"true",
    b"0",
    b"-1",
    b"255",
    b"256",
    b"4294967295",
    b"18446744073709551615",
    b"\"0-4294967295\"",
    b"\\u001b",
    b"\\u202e",
    b"DEFAULT",
    b"1c.3g.20gb",
    b"MIG-",
    b"GPU-",
    b"gres_index",
    b"\xff",
    b"\\n",
];

const CONFIGS: &[&[u8]] = &[
    include_bytes!("../examples/config.yaml"),
    b"version: v1\nlayout: a\nmig-configs:\n  a:\n    - device-filter: [\"0x20B010DE\"]\n      devices: [0, 7:0]\n      \
      mig-enabled: true\n      mig-devices: {3g.20gb: {at: 4}, 1c.2g.10gb: 2}\n    - devices: all\n      mig-enabled: false\n",
    b"apiVersion: v1\nkind: ConfigMap\ndata:\n  config.yaml: |\n    version: v1\n    mig-configs:\n      a:\n        - \
      devices: all\n          mig-enabled: true\n          mig-devices:\n            \"1g.5gb\": 7\n",
];

/// Asserts that a configuration is planned, or refused, on nodes of two models.
fn config(_: &Place, input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let Ok(config) = Config::parse("c", text) else { return false };
    for key in ["a100-40gb", "h100-80gb-sxm"] {
        let board = mig::Board::by_key(key).expect("a board");
        let geometry = board.geometry();
        let gpus: Vec<mig::GpuState<'_>> =
            (0..2).map(|_| mig::GpuState { geometry: &geometry, busy: vec![], idle: vec![] }).collect();
        let facts: Vec<GpuFacts<'_>> = (0..2)
            .map(|index| GpuFacts {
                index,
                uuid: if index == 0 { "GPU-0" } else { "GPU-1" },
                pci: "0000:07:00.0",
                pci_ids: gresgen::config::PciIds { device: 0x20B0_10DE, subsystem: None },
                model: board.names[0],
                geometry: &geometry,
            })
            .collect();
        for label in config.labels().map(str::to_owned).collect::<Vec<_>>() {
            let Ok(wanted) = config.wanted(&label, &facts) else { continue };
            if let Err(error) = mig::plan(&gpus, &wanted.goals) {
                assert!(!config.infeasible(&wanted, error).to_string().is_empty());
            }
        }
    }
    true
}

const INVENTORIES: &[&[u8]] = &[include_bytes!("inventory.json")];

/// Asserts that what one node sends changes no line about another one.
fn inventory(place: &Place, input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let Ok((inventory, indexes)) = document::read_indexed(text) else { return false };
    let Inventory { node, .. } = &inventory;
    let mut settings = Settings::default();
    let root = place.root();
    let release = Release::latest();
    for billing in [None, Some(gresgen::slurm::billing::Rule::Memory.into())] {
        settings.billing = billing;
        let Ok(fresh) = GresTable::new(&inventory, &settings, &PreviousOrder::default()) else {
            return false;
        };
        let known = PreviousOrder::of_indexes(&fresh, &indexes);
        let table = GresTable::new(&inventory, &settings, &known).expect("the same devices in another order");
        assert_eq!(table.records.len(), fresh.records.len(), "a device is gone");
        let Ok(context) = Context::of_node(&inventory, &table, &settings, release, &root) else {
            return false;
        };
        let templates = Templates::load(Path::new("/nonexistent")).expect("the embedded ones");
        let outputs = slurm_files(&templates, &context, &settings, &root).expect("the embedded ones render");
        for output in outputs.iter().filter(|output| matches!(output.kind, Kind::GresConf | Kind::NodeConf)) {
            for line in lines(output.text.as_bytes()) {
                let pairs = line.pairs();
                let about = value(&pairs, "nodename");
                assert!(about.is_none_or(|name| name == node), "{}", line.code);
                assert!(about.is_some() || value(&pairs, "name").is_none(), "{}", line.code);
            }
        }
    }
    true
}

const ORDERS: &[&[u8]] = &[
    b"{\"look\": {}}",
    b"{\"cut\": {\"job\": \"17_3\", \"gpus\": [{\"gpu\": \"GPU-5c3f0a1e\", \"destroy\": [{\"profile\": \"1g.5gb\", \"start\": 0}], \
      \"create\": [{\"profile\": \"1g.10gb+me\", \"start\": 6}]}, {\"gpu\": \"GPU-0\"}]}}",
];

/// Asserts that nothing of an order could end a word, a line or a text of somebody else.
fn order(_: &Place, input: &[u8]) -> bool {
    let Ok(request) = order::read(input) else { return false };
    let Request::Cut(cut) = request else { return true };
    let job = cut.job.iter().map(order::JobId::as_str);
    let gpus = cut.gpus.iter().map(|change| change.gpu.as_str());
    for text in job.chain(gpus) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
        assert!(text.len() <= 96 && text.bytes().all(plain), "{text:?}");
    }
    true
}

const LISTS: &[&[u8]] = &[
    b"n[3,01-02],login,gpu-a[9-10]x",
    b"compute-r3i[4-7]n[0-8],compute-r[6-10]i[0-7]n[0-8]",
    b"rack[0-3]_blade[0-63]",
    b"a, b c,",
    b"n[1-]",
];

/// Asserts that a list is what it stands for, and without a name the others.
fn list(_: &Place, input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let Ok(names) = hostlist::unfold(&text) else { return false };
    assert!(names.len() <= MAX_NAMES && !names.is_empty());
    let gone = &names[names.len() / 2];
    let left = hostlist::without(&text, |name| name == gone).expect("it is a list");
    let left = left.map_or_else(Vec::new, |left| hostlist::unfold(&left).expect("what is left is one, too"));
    let set = |names: &[String]| names.iter().filter(|name| *name != gone).cloned().collect::<BTreeSet<_>>();
    assert_eq!((left.contains(gone), set(&left)), (false, set(&names)));
    if let Ok(names) = hostlist::expand(&text) {
        let folded = hostlist::fold(names.iter().map(String::as_str));
        let back = hostlist::expand(&folded).expect("a folded list is one");
        assert_eq!(back.into_iter().collect::<BTreeSet<_>>(), names.into_iter().collect());
    }
    true
}

const GRES: &[&[u8]] = &[
    b"# ours\nAutoDetect=nvml\nNodeName=n1 Name=gpu Type=a100 \\ # x\n  File=/dev/nvidia0\nName=fpga \\\n  Count=2\n",
    b"Nodename=n[1-5]  Name=gpu  Type=a100  File=/dev/nvidia[0-1]\nNodeName=a,n2 Name=gpu\nName=nic Count=2 # \xff\n",
    b"Name=shard Count=8 File=/dev/nvidia1\ninclude x\nNodeName=r3i[4-7]n[0-8] Name=gpu\nNodeName=\"n1, n2\" Name=mps\n",
];

/// Asserts that adoption keeps every line about other nodes to the byte, and that what it wrote is taken for its own.
fn gres_conf(place: &Place, input: &[u8]) -> bool {
    let text = "NodeName=n1 Name=gpu Type=1g.5gb MultipleFiles=/dev/nvidia0,/dev/c1,/dev/c2\n\
                NodeName=n1 Name=gpu Type=a100 File=/dev/nvidia1\n";
    let Some(written) = adopted(place, Kind::GresConf, text, input) else { return false };
    for line in lines(input) {
        let pairs = line.pairs();
        let names = value(&pairs, "nodename").map(|list| hostlist::unfold(list).unwrap_or_default());
        let theirs = names.is_some_and(|names| !names.iter().any(|name| name == "n1"));
        let raw = line.raw.trim_ascii();
        if theirs && !raw.is_empty() {
            assert!(written.windows(raw.len()).any(|part| part == raw), "lost: {}", raw.escape_ascii());
        }
    }
    true
}

const CGROUP: &[&[u8]] = &[
    b"constraindevices = no\nConstrainCores=yes # x\nConstrainKmemSpace=no\nAllowedRAMSpace=95.5\n",
    b"CgroupPlugin=autodetect\ninclude x\n",
];

fn cgroup_conf(place: &Place, input: &[u8]) -> bool {
    adopted(place, Kind::CgroupConf, "ConstrainDevices=yes\n", input).is_some()
}

/// Adopts a file and writes it a second time, which has to change nothing.
fn adopted(place: &Place, kind: Kind, text: &str, input: &[u8]) -> Option<Vec<u8>> {
    let path = place.0.path().join("file");
    let output = || Output {
        kind,
        path: path.clone(),
        text: format!("{}\n{text}", Output::MARKER),
        unread: vec!["constrainkmemspace".to_owned()],
        scope: Scope::Node("n1".to_owned()),
        root: place.root(),
    };
    let state = place.0.path().join("state");
    fs::write(&path, input).expect("a file");
    let staged = stage(vec![output()], true, &state).ok()?;
    staged.commit().expect("what is staged is committed");
    let _ = fs::remove_dir_all(&state);
    let written = fs::read(&path).expect("a file");
    // A file that begins as ours does may have kept lines of any kind; one that was adopted has none that we refuse.
    let foreign = !input.starts_with(Output::MARKER.as_bytes())
        && !input.windows(KEEP.len()).any(|w| w == KEEP.as_bytes());
    if foreign {
        let again = Comparison::new(vec![output()], false).expect("what was adopted is ours");
        assert_eq!(again.changed().count(), 0, "a second time changes nothing");
    }
    Some(written)
}

const PLUGSTACK: &[&[u8]] = &[
    b"include self\nrequired spank_last.so\noptional /lib/a.so x=1 y # z\ninclude *.conf\ninclude nowhere\n",
];

fn plugstack_conf(place: &Place, input: &[u8]) -> bool {
    let path = place.0.path().join("self");
    fs::write(&path, input).expect("a file");
    !plugstack::read(&path).is_empty()
}

const SCONTROL: &[&[u8]] = &[
    b"NodeName=n1 Arch=x86_64 CoresPerSocket=1 CPUTot=32 RealMemory=4000 Comment=a b RealMemory=9 ",
    b"Configuration data as of 2026-11-26\nTaskPlugin              = affinity,cgroup\nSlurmctldHost[0]        = n0(10.0.0.1)\n\
      SLURM_VERSION           = 22.05.8\nGresTypes               = gpu\n",
];

fn scontrol(_: &Place, input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let config = control::Config::parse(&text);
    let _ = (config.release(), config.controllers().count(), config.lists("TaskPlugin", "cgroup"));
    Hardware::read(&text) != Hardware::default()
}
