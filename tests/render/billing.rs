//! Billing weights on a real slurmctld, and what a real slurmdbd makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gresgen::render::{Context, Templates};
use gresgen::root::Root;
use gresgen::slurm::billing::read_line;
use lab::{FakeGpus, Lab, Options, Release};

use crate::fetched::{debian, skipped};
use crate::fixture::Case;
use crate::host::Host;
use crate::usage;

/// Why weights are a comment: where the site does not account for the types, slurmctld would end.
#[test]
fn slurmctld_ends_at_weights_of_types_it_does_not_account_for() {
    let text = "nodes: [{names: n1, gpus: [{board: a100-40gb, slices: [1g.5gb@0, 1g.5gb+me@1]}]}]\nslurm: {billing: sms}";
    let case = Case::parse(text).unwrap();
    let inventories = case.inventories(&Root::host());
    let tables = case.tables(&inventories);
    let context =
        Context::of_node(&inventories[0], &tables[0], &case.slurm, case.release, &Root::host()).unwrap();
    let rendered =
        Templates::load(Path::new("/nonexistent")).unwrap().render("gresgen-node.conf.j2", &context).unwrap();
    let weights = rendered.lines().find_map(|line| line.strip_prefix("# TRESBillingWeights=")).unwrap();
    for release in Release::selected() {
        let Some(lab) = lab::require(Lab::empty(release, Options::new(lab::Node::new("n1")))) else { return };
        lab.write_file("/etc/hosts", "127.0.0.1 localhost\n10.0.0.1 n1\n").unwrap();
        let configure = |partition: &str| {
            let conf = format!(
                "ClusterName=lab\nSlurmctldHost=n1(10.0.0.1)\nAuthType=auth/none\nCredType=cred/none\nSlurmUser=root\n\
                 SelectType=select/cons_tres\nStateSaveLocation=/tmp\nMailProg=/bin/true\n{rendered}\
                 PartitionName=p Nodes=ALL {partition}\n"
            );
            lab.write_file("/etc/slurm/slurm.conf", conf).unwrap();
        };
        configure(&format!("TRESBillingWeights={weights}"));
        let ended = lab.command(&["slurmctld", "-D"]).output().unwrap();
        assert!(
            ended.code == 1 && ended.stderr.contains("is not a configured TRES type"),
            "{release}: {ended:?}"
        );
        configure("");
        lab.run(&["sh", "-c", "slurmctld >/tmp/said 2>&1 </dev/null"]).unwrap();
        let up = || Ok(lab.command(&["scontrol", "ping"]).output()?.stdout.contains(" is UP").then_some(()));
        lab.wait("slurmctld without weights to answer", up).unwrap();
    }
}

/// Devices of two models: slices, and one whole of each.
const GPUS: &str = "{board: h100-80gb-sxm, slices: [1g.10gb@0, 1g.10gb@1, 2g.20gb@2, 3g.40gb@4]}, \
                    {board: h100-80gb-sxm, slices: null}, \
                    {board: a100-40gb, slices: [1g.5gb@0, 2g.10gb@2, 3g.20gb@4]}, {board: a100-40gb, slices: null}";

/// Partitions by name, what each bills by, and what stands before that in its weights.
const RULES: [(&str, &str, &str); 7] = [
    ("sms", "{by: sms, gpu: 1000}", ""),
    ("memory", "{by: memory, gpu: 1000}", ""),
    ("larger", "{by: [sms, memory], gpu: 1000}", "CPU=0.1,"),
    ("alliance", "{by: [slices, memory-slices], gpu: {h100: 12200, a100: 4000}}", ""),
    ("njit", "{by: memory-slices, gpu: 16}", "CPU=1.0,"),
    ("zib", "{by: flat, gpu: 150, slice: 47}", ""),
    ("miyabi", "{by: flat, gpu: 1, slice: 0.25}", "CPU=0.25,"),
];

fn case(gpus: &str, billing: &str) -> Case {
    let slurm = format!(
        "{{types: {{pattern: '{{model}}_{{profile}}'}}, gres-types: [], accounting: true, billing: {billing}}}"
    );
    Case::parse(&format!("nodes: [{{names: n1, gpus: [{gpus}]}}]\nslurm: {slurm}")).unwrap()
}

fn context(case: &Case) -> Context {
    let inventories = case.inventories(&Root::host());
    let tables = case.tables(&inventories);
    Context::of_node(&inventories[0], &tables[0], &case.slurm, case.release, &Root::host()).unwrap()
}

/// Weights of types by name.
fn weights(gpus: &str, billing: &str) -> BTreeMap<String, f64> {
    let line = context(&case(gpus, billing)).billing_weights;
    read_line(&line).map(|(name, weight)| (name.to_owned(), weight.parse().unwrap())).collect()
}

/// Figures that sites publish: of the Digital Research Alliance of Canada ("Allocations and compute scheduling", RGU of
/// GPU models and instances: `max(1g/7g, 5GB/40GB)` of a whole GPU's), of NJIT ("MIG Job Submission and SU Charges": 4 CPUs
/// and 16 x memory / 80 GB), of NHR@ZIB (47 of 150 for a slice) and Miyabi (a quarter).
#[test]
fn the_figures_that_sites_publish() {
    let (_, alliance, _) = RULES[3];
    let rgu = weights(GPUS, alliance);
    let published = [
        ("a100", "4.0"),
        ("a100_1g.5gb", "0.6"),
        ("a100_2g.10gb", "1.1"),
        ("a100_3g.20gb", "2.0"),
        ("h100", "12.2"),
        ("h100_1g.10gb", "1.7"),
        ("h100_2g.20gb", "3.5"),
        ("h100_3g.40gb", "6.1"),
    ];
    let ours: Vec<(&str, String)> =
        rgu.iter().map(|(name, weight)| (name.as_str(), format!("{:.1}", weight / 1000.0))).collect();
    assert_eq!(ours, published.map(|(name, figure)| (name, figure.to_owned())));

    let a100 =
        "{board: a100-80gb, slices: [1g.10gb@0, 2g.20gb@2, 3g.40gb@4]}, {board: a100-80gb, slices: null}";
    let units: Vec<f64> = weights(a100, RULES[4].1).values().map(|weight| 4.0 + weight).collect();
    assert_eq!(units, [20.0, 6.0, 8.0, 12.0], "the whole one first");
    let flat = weights(GPUS, RULES[5].1);
    assert_eq!((flat["h100"], flat["h100_1g.10gb"], flat["a100_3g.20gb"]), (150.0, 47.0, 47.0));
    assert_eq!(weights(GPUS, RULES[6].1)["h100_3g.40gb"], 0.25);
}

/// What a job is billed, as slurmctld works it out: the sum of counts times weights, in doubles, and of that the whole
/// part (src/common/assoc_mgr.c, `assoc_mgr_tres_weighted`; src/slurmctld/job_mgr.c, where it becomes a number of TRES).
fn bill(weights: &BTreeMap<String, f64>, cpu: f64, tres: &str) -> u64 {
    let mut sum = 0.0;
    for (name, count) in tres.split(',').filter_map(|entry| entry.split_once('=')) {
        let weight = match name.strip_prefix("gres/gpu:") {
            Some(name) => weights[name],
            None if name == "cpu" => cpu,
            None => continue,
        };
        sum += count.parse::<f64>().unwrap() * weight;
    }
    sum as u64
}

#[test]
fn slurmdbd_has_what_the_model_says() {
    for release in Release::selected() {
        let mut options = Options::new(lab::Node::new("n1"));
        match database(release) {
            Database::Unpacked(tree) => options = options.tree(&tree),
            Database::Installed => {}
            Database::None => continue,
        }
        let plain = case(GPUS, "sms");
        let host = Host::new();
        let inventories = plain.inventories(&host.root);
        host.make_devices(&inventories);
        let rendered = |template: &'static str| {
            Templates::load(Path::new("/nonexistent")).unwrap().render(template, &context(&plain)).unwrap()
        };
        let text = rendered("gresgen-node.conf.j2");
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
        let gres = line("NodeName=n1").split_once("Gres=").unwrap().1.to_owned();
        let mut conf = line("AccountingStorageTRES=") + "\n" + usage::SLURM_CONF;
        for (name, billing, before) in RULES {
            let weights = context(&case(GPUS, billing)).billing_weights;
            conf += &format!(
                "PartitionName={name} Nodes=ALL State=UP TRESBillingWeights=\"{before}{weights}\"\n"
            );
        }
        let gpus = FakeGpus::from_tree(host.root.prefix()).unwrap();
        let node = lab::Node::new("n1").gres(&gres).gres_conf(&rendered("gres.conf.j2"));
        let program = Path::new(env!("CARGO_BIN_EXE_gresgen"));
        let options = options.first_node(node).gpus(&gpus).slurm_conf(&conf).slurmdbd();
        let options = options.file(program, "/usr/local/bin/gresgen");
        let Some(lab) = lab::require(Lab::start(release, options)) else { return };
        // Every type in every partition, two where there are two, and several types.
        let types: Vec<(String, u32)> = plain.tables(&inventories)[0]
            .types
            .iter()
            .map(|(name, count)| (name.to_string(), *count))
            .collect();
        let mut requests: Vec<String> = types.iter().map(|(name, _)| format!("gpu:{name}:1")).collect();
        requests.extend(
            types.iter().filter(|(_, count)| *count > 1).map(|(name, count)| format!("gpu:{name}:{count}")),
        );
        requests.push("gpu:h100_1g.10gb:2,gpu:h100_2g.20gb:1,gpu:a100_1g.5gb:1".to_owned());
        let mut script = String::from("set -e\n");
        for (partition, ..) in RULES {
            for (request, cpus) in requests.iter().zip([1, 2, 3, 4].into_iter().cycle()) {
                script += &format!(
                    "sbatch -Q -o /dev/null -p {partition} -c {cpus} --gres={request} --comment={request} --wrap=true\n"
                );
            }
        }
        lab.run(&["sh", "-c", &script]).unwrap();
        let wanted = RULES.len() * requests.len();
        let sacct = [
            "sacct",
            "-X",
            "-n",
            "-P",
            "-a",
            "-s",
            "CD",
            "-S",
            "now-1hour",
            "-E",
            "now",
            "-o",
            "Partition,AllocTRES",
        ];
        let text = lab
            .wait("all jobs in the database", || {
                let text = lab.run(&sacct)?.stdout;
                // What a job began with may reach the database after its end.
                let whole = |line: &str| !line.starts_with('|') && line.contains("gres/gpu:");
                Ok((text.lines().count() == wanted && text.lines().all(whole)).then_some(text))
            })
            .unwrap();
        let mut seen = BTreeSet::new();
        for line in text.lines() {
            let (partition, tres) = line.split_once('|').unwrap();
            let (_, billing, before) = RULES.iter().find(|(name, ..)| *name == partition).unwrap();
            let cpu =
                before.strip_prefix("CPU=").map_or(0.0, |rest| rest.trim_end_matches(',').parse().unwrap());
            let billed = tres.split(',').find_map(|entry| entry.strip_prefix("billing=")).unwrap_or("0");
            assert_eq!(billed.parse(), Ok(bill(&weights(GPUS, billing), cpu, tres)), "{release}: {line}");
            let types: Vec<&str> = tres.split(',').filter(|entry| entry.starts_with("gres/gpu:")).collect();
            assert!(!types.is_empty(), "{release}: {line}");
            seen.insert((partition.to_owned(), types.join(",")));
        }
        assert_eq!(seen.len(), wanted, "{release}: requests that were not billed");
        every_job_is_advised_on(&lab, &text);
        usage::shares_are_those_of_the_formula(&lab, "zib", &weights(GPUS, RULES[5].1));
        usage::a_user_has_so_many_slices_of_a_type(&lab, "h100_1g.10gb");
        usage::a_reservation_keeps_slices(&lab, "h100_1g.10gb");
    }
}

/// What `gresgen advise` has of the jobs in `sacct` when it runs sacct itself: all of them, each type by the model it names.
fn every_job_is_advised_on(lab: &Lab, sacct: &str) {
    let ask = ["gresgen", "--json", "advise", "--since", "now-1hour", "--samples", "2"];
    let nodes = ["--nodes", "n1=2xh100-80gb-sxm", "--nodes", "n1=2xa100-40gb"];
    let advice = lab.run(&[&ask[..], &nodes].concat()).unwrap().stdout;
    let advice: serde_json::Value = serde_json::from_str(&advice).unwrap();
    for (group, model) in [(0, "gres/gpu:h100"), (1, "gres/gpu:a100")] {
        let asked = sacct.split(['|', ',', '\n']).filter(|entry| entry.starts_with(model)).count();
        assert_eq!(advice["groups"][group]["jobs"], asked, "{model}: {advice}");
    }
    assert_eq!(advice["skipped"], serde_json::json!({}));
}

/// Where slurmdbd and its database come from.
enum Database {
    /// The host's own.
    Installed,
    /// Packages of the release, unpacked.
    Unpacked(PathBuf),
    None,
}

/// What slurmdbd and MariaDB take that a lab's root filesystem has not.
const PACKAGES: [&str; 13] = [
    "slurmdbd",
    "slurm-wlm-mysql-plugin",
    "mariadb-server-core",
    "mariadb-client-core",
    "libmariadb3",
    "libaio1t64",
    "libbsd0",
    "libedit2",
    "libmd0",
    "libncurses6",
    "libnuma1",
    "libsnappy1v5",
    "liburing2",
];

fn database(release: Release) -> Database {
    if release == Release::Bookworm {
        let programs = ["/usr/sbin/slurmdbd", "/usr/sbin/mariadbd"];
        assert!(
            programs.iter().all(|file| Path::new(file).exists()),
            "slurmdbd or mariadbd is missing; make setup-tests installs them"
        );
        return Database::Installed;
    }
    if skipped() {
        return Database::None;
    }
    Database::Unpacked(debian(release.suite(), &PACKAGES))
}
