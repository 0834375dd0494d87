//! Configurations as users write them, and every mistake with what is said about it.

use mig::{Board, Geometry, GpuState, Placement, Want};

use super::*;

/// The boards of a node, GPU by GPU, with their addresses.
struct Node(Vec<(&'static Board, Geometry, String, String)>);

impl Node {
    fn new(keys: &[&str]) -> Self {
        let gpu = |(i, key): (usize, &&str)| {
            let board = Board::by_key(key).unwrap();
            let uuid = format!("GPU-{i:08x}-0000-5000-8000-000000000000");
            (board, board.geometry(), uuid, format!("0000:{:02x}:00.0", 7 + i))
        };
        Node(keys.iter().enumerate().map(gpu).collect())
    }

    fn facts(&self) -> Vec<GpuFacts<'_>> {
        let numbered = (0..).zip(&self.0);
        numbered
            .map(|(index, (board, geometry, uuid, pci))| GpuFacts {
                index,
                uuid,
                pci,
                pci_ids: PciIds {
                    device: u32::from(board.pci_ids[0]) << 16 | 0x10DE,
                    subsystem: Some(0x134F_10DE),
                },
                model: board.names[0],
                geometry,
            })
            .collect()
    }

    /// What a label wants, one line per GPU or goal.
    fn wants(&self, text: &str, label: &str) -> String {
        let config = Config::parse("config.yaml", text).unwrap_or_else(|e| panic!("{e}"));
        let wanted = config.wanted(label, &self.facts()).unwrap_or_else(|e| panic!("{e}"));
        let mut lines = vec![format!("modes {:?}", wanted.modes)];
        for (goal, cuts) in wanted.goals.iter().zip(&wanted.cuts) {
            let (places, demand) = match &goal.want {
                Want::Exactly(demand) => (String::new(), demand),
                Want::Including { places, demand } => {
                    let show = |p: &Placement| format!(" {}@{}", p.profile, p.start);
                    (places.iter().map(show).collect(), demand)
                }
                Want::At(_) => panic!("a file gives counts"),
            };
            let demand = mig::shortage::Counted(demand);
            lines.push(format!("{:?}: {demand}{places}", goal.gpus));
            for (profile, cuts) in cuts {
                let show =
                    |cut: &Vec<Profile>| cut.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
                lines
                    .push(format!("  {profile} as {}", cuts.iter().map(show).collect::<Vec<_>>().join(", ")));
            }
        }
        let unmatched = config.unmatched(label, &self.facts());
        if !unmatched.is_empty() {
            lines.push(format!("unmatched {unmatched:?}"));
        }
        lines.join("\n")
    }

    /// The refusal of a label, by the configuration or by the planner on an empty node.
    fn refuses(&self, text: &str) -> String {
        let refusal = || -> Result<(), ConfigError> {
            let config = Config::parse("config.yaml", text)?;
            let label = config.choose(None)?.to_owned();
            let wanted = config.wanted(&label, &self.facts())?;
            let state = |(_, geometry, ..): &'_ (_, Geometry, _, _)| GpuState {
                geometry: Box::leak(Box::new(geometry.clone())),
                busy: Vec::new(),
                idle: Vec::new(),
            };
            let gpus: Vec<GpuState<'_>> = self.0.iter().map(state).collect();
            mig::plan(&gpus, &wanted.goals).map_err(|e| config.infeasible(&wanted, e))?;
            Ok(())
        };
        refusal().expect_err("a mistake").to_string()
    }
}

/// Shapes and spellings found in configurations of mig-parted's users.
const MIG_PARTED: &str = r#"
version: v1
mig-configs:
  all-disabled:
    - devices: all
      mig-enabled: false

  all-enabled:
    - devices: all
      mig-enabled: true
      mig-devices: {}

  all-1g.5gb:
    - devices: all
      mig-enabled: true
      mig-devices:
        "1g.5gb": 7

  all-1g.5gb.me:
    - devices: all
      mig-enabled: true
      mig-devices:
        1g.5gb+me: 1

  all-1g.24gb.mixed:
    - devices: "all"
      mig-enabled: true
      mig-devices: {"1g.24gb+gfx": 1, "1g.24gb-me": 2, '2g.48gb': 0}

  all-2g.48gb.me.all:
    - devices: all
      mig-enabled: true
      mig-devices:
        "2g.48gb+me.all": 1

  all-balanced:
    # A100-40GB
    - device-filter: ["0x20B010DE", "0x20F110DE"]
      devices: all
      mig-enabled: true
      mig-devices:
        "1g.5gb": 2
        "2g.10gb": 1
        "3g.20gb": 1
    - device-filter: "0x20b710de"
      devices: all
      mig-enabled: true
      mig-devices:
        "1g.6gb": 2
        "2g.12gb": 1

  by-board:
    - device-filter: ""
      devices: all
      mig-enabled: true
      mig-devices: {"1g.5gb": 7}
    - device-filter: ["0x20B010DE:0x134F10DE"]
      devices: [1]
      mig-enabled: true
      mig-devices: {"2g.10gb": 3}
    - device-filter: "0x20B010DE:0x000010DE"
      devices: [2]
      mig-enabled: true
      mig-devices: {"3g.20gb": 2}
  custom-config:
    - device-filter:
      devices: [0,1]
      mig-enabled: false
    - devices: [2]
      mig-enabled: true
      mig-devices: &seven
        "1g.5gb": 7
    - devices: [3, 9]
      mig-enabled: true
      mig-devices: *seven

  one-each:
    - devices: 1
      mig-enabled: yes
      mig-devices: {7g.40gb: 1}
    - devices: [1, 2]
      mig-enabled: true
      mig-devices: {3g.20gb: 1, 1c.3g.20gb: 3}

  current:
  - devices: [0]
    mig-devices:
      1c.2g.10gb: 2
      3g.20gb: 1
    mig-enabled: true
"#;

#[test]
fn configurations_of_mig_parted_are_read_unchanged() {
    let a100 = Node::new(&["a100-40gb"; 4]);
    let config = Config::parse("config.yaml", MIG_PARTED).unwrap();
    let mut all = String::new();
    for label in config.labels() {
        let node = match label {
            l if l.contains("24gb") || l.contains("48gb") => &Node::new(&["rtx-pro-6000-blackwell-96gb"]),
            "all-balanced" => &Node::new(&["a100-40gb", "a30-24gb", "h100-80gb-sxm"]),
            _ => &a100,
        };
        all += &format!("--- {label}\n{}\n", node.wants(MIG_PARTED, label));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn json_is_yaml() {
    let text = r#"{"version":"v1","mig-configs":{"x":[{"devices":"all","mig-enabled":true,"mig-devices":{"1g.5gb":7}}]}}"#;
    assert_eq!(Node::new(&["a100-40gb"]).wants(text, "x"), "modes [Some(true)]\n[0]: 7 x 1g.5gb");
}

fn label(entries: &str) -> String {
    let entries: String = entries.lines().map(|line| format!("    {line}\n")).collect();
    format!("version: v1\nmig-configs:\n  x:\n{entries}")
}

fn one(devices: &str) -> String {
    label(&format!("- devices: all\n  mig-enabled: true\n  mig-devices: {devices}"))
}

#[test]
fn gpus_are_named_by_address_and_model_too() {
    let node = Node::new(&["a100-40gb", "a30-24gb", "a100-40gb", "a100-40gb"]);
    let text = label(
        "- devices: [NVIDIA A30, h100-80gb-sxm]\n  mig-enabled: true\n  mig-devices: {4g.24gb: 1}
- devices: GPU-00000002-0000-5000-8000-000000000000\n  mig-enabled: true\n  mig-devices: {7g.40gb: 1}
- devices: [0000:0a:00.0]\n  mig-enabled: false",
    );
    insta::assert_snapshot!(node.wants(&text, "x"));
}

#[test]
fn places_and_node_wide_counts() {
    let node = Node::new(&["a100-40gb"; 3]);
    let text = label(
        "- devices: [0]\n  mig-enabled: true\n  mig-devices: {3g.20gb: {at: 4}, 1g.5gb: {count: 3, at: [0, 2]}}
- devices: [1, 2]\n  mig-enabled: true\n  per: node\n  mig-devices: {1g.5gb: 10, 3g.20gb: 1, 1c.2g.10gb: 2}",
    );
    insta::assert_snapshot!(node.wants(&text, "x"));
}

#[test]
fn the_label_is_the_one_asked_for_or_the_default_or_the_only_one() {
    let two = "version: v1\nmig-configs:\n  a: [{devices: all, mig-enabled: false}]\n  b: [{devices: all, mig-enabled: false}]\n";
    let config = Config::parse("c", two).unwrap();
    assert_eq!(config.choose(Some("b")).unwrap(), "b");
    let refused = |asked| config.choose(asked).unwrap_err().to_string();
    assert_eq!(refused(None), "c: no layout chosen, add layout: or ask for one of a, b");
    assert_eq!(refused(Some("c")), "c: no label \"c\" in mig-configs, only a, b");
    let config = Config::parse("c", &format!("layout: b\n{two}")).unwrap();
    assert_eq!(config.choose(None).unwrap(), "b");
    assert_eq!(Config::parse("c", &one("{}")).unwrap().choose(None).unwrap(), "x");
    let error = Config::parse("c", &format!("layout: d\n{two}")).unwrap_err().to_string();
    assert_eq!(
        error,
        "c:1:9: no label \"d\" in mig-configs, only a, b\n   |\n 1 | layout: d\n   |         ^"
    );
}

#[test]
fn the_slurm_section_is_read() {
    let config = Config::parse("c", "version: v1\nslurm:\n  node: gpu1\n  billing: memory\n").unwrap();
    assert_eq!(config.slurm.node.as_deref(), Some("gpu1"));
    assert_eq!(Config::parse("c", &one("{}")).unwrap().slurm, Settings::default());
    let error = Config::parse("c", "version: v1\nslurm:\n  release: '19.05'\n").unwrap_err().to_string();
    assert!(error.starts_with("c:3:12: "), "{error}");
}

/// Every mistake, with what is said about it.
#[test]
fn mistakes_are_shown_where_they_are() {
    let cases = [
        ("not YAML", "version: v1\nmig-configs: [\n".to_owned()),
        ("nothing", String::new()),
        ("version missing", "mig-configs: {}\n".to_owned()),
        ("version unknown", "version: v2\nmig-configs: {}\n".to_owned()),
        ("no labels", "version: v1\n".to_owned()),
        ("label twice", format!("{}  x: []\n", one("{}"))),
        ("label empty", "version: v1\nmig-configs:\n  x: []\n".to_owned()),
        ("key unknown at the top", "version: v1\nmigconfigs: {}\n".to_owned()),
        ("key unknown in an entry", label("- devices: all\n  mig-enable: true")),
        ("devices missing", label("- mig-enabled: false")),
        ("mig-enabled missing", label("- devices: all")),
        ("mig-enabled no boolean", label("- devices: all\n  mig-enabled: maybe")),
        ("devices negative", label("- devices: [0, -1]\n  mig-enabled: false")),
        ("devices a map", label("- devices: {a: 1}\n  mig-enabled: false")),
        ("places on each other", one("{3g.20gb: {at: 0}, 1g.5gb: {count: 2, at: [5, 3]}}")),
        ("filter no id", label("- device-filter: A100\n  devices: all\n  mig-enabled: false")),
        ("mig-devices missing", label("- devices: all\n  mig-enabled: true")),
        ("mig-devices empty", label("- devices: all\n  mig-enabled: true\n  mig-devices:")),
        (
            "mig-devices with MIG off",
            label("- devices: all\n  mig-enabled: false\n  mig-devices:\n    \"1g.5gb\": 7"),
        ),
        ("no profile name", one("{1g.5: 7}")),
        ("upper case", one("{1G.5GB: 7}")),
        ("count no number", one("{1g.5gb: seven}")),
        ("count negative", one("{1g.5gb: -1}")),
        ("count misspelt", one("{1g.5gb: {cuont: 1}}")),
        ("count missing", one("{1g.5gb: {}}")),
        ("count missing for a part", one("{1c.3g.20gb: {at: 4}}")),
        ("unknown scope", label("- devices: all\n  mig-enabled: true\n  per: rack\n  mig-devices: {}")),
        (
            "places over a node",
            label("- devices: all\n  mig-enabled: true\n  per: node\n  mig-devices: {3g.20gb: {at: 4}}"),
        ),
        ("no such GPU", label("- devices: [7, GPU-x, 0000:99:00.0, a30-24gb]\n  mig-enabled: false")),
        (
            "profile of another GPU",
            label(
                "- devices: all\n  mig-enabled: true\n  mig-devices:\n    \"1g.10gb\": 1\n    \"1g.6gb\": 2",
            ),
        ),
        ("compute part too large", one("{4c.3g.20gb: 1}")),
        ("compute part unknown", one("{5c.7g.40gb: 1}")),
        ("place unknown", one("{3g.20gb: {at: 2}}")),
        ("places overlap", one("{3g.20gb: {at: 4}, 2g.10gb: {at: 4}}")),
        ("place twice", one("{3g.20gb: {at: [4, 4]}}")),
        ("more places than instances", one("{1c.3g.20gb: {count: 3, at: [0, 4]}}")),
        (
            "does not fit",
            label("- devices: [0]\n  mig-enabled: true\n  mig-devices:\n    3g.20gb: 2\n    1g.5gb: 2"),
        ),
        (
            "does not fit on the node",
            label(
                "- devices: all\n  mig-enabled: true\n  per: node\n  mig-devices: {4g.20gb: 3, 1g.5gb+me: 1}",
            ),
        ),
    ];
    let node = Node::new(&["a100-40gb"; 2]);
    let shown: String =
        cases.iter().map(|(name, text)| format!("=== {name}\n{}\n\n", node.refuses(text))).collect();
    insta::assert_snapshot!(shown);
}

#[test]
fn a_gpu_without_mig_is_named() {
    let mut node = Node::new(&["a100-40gb"]);
    node.0[0].1.specs.clear();
    let said = node.refuses(&one("{1g.5gb: 1}"));
    assert!(
        said.starts_with("config.yaml:6:21: GPU 0 (NVIDIA A100-SXM4-40GB): has no MIG profiles\n"),
        "{said}"
    );
}

#[test]
fn a_cut_of_zero_is_no_cut() {
    let wanted = Node::new(&["a100-40gb"]).wants(&one("{1c.3g.20gb: 0, 3g.20gb: 1}"), "x");
    assert_eq!(wanted, "modes [Some(true)]\n[0]: 1 x 3g.20gb");
}

/// What is wrong with the `slurm:` section is found when the file is read, and shown where it stands.
#[test]
fn mistakes_about_slurm_are_shown_where_they_are() {
    let sections = [
        "node: DEFAULT",
        "nodes:\n    - {names: n1, attributes: CPUs=1}\n    - names: n[1-\n      attributes: CPUs=1",
        "nodes: [{names: 'n1,All', attributes: CPUs=1}]",
        "nodes: [{names: 'a[0-40000]', attributes: CPUs=1}, {names: 'b[0-40000]', attributes: CPUs=1}]",
        "nodes: [{names: 'a[0-99999].b[0-99]', attributes: CPUs=1}]",
        "nodes: [{names: n1, attributes: NodeName=n1 CPUs=1}]",
        "nodes: [{names: n1, attributes: 'CPUs=1 Gres=GPU:4'}]",
        "nodes: [{names: n1, attributes: 'CPUs=64 \\'}]",
        "nodes: [{names: n1, attributes: RealMemory=1000}]",
        "nodes: [{names: n1, attributes: 'CPUs=2 Gres=nic:2'}]",
        "arbiter: {cuts-per-hour: -1}",
        "submit: {max-slices: 1.5}",
        "on-request: [{profiles: [1g.5gb]}]\n  catalog: cut on",
        "types: {pattern: '{gpu}'}",
        "types: {aliases: {1g.5gb: 'mig:small'}}",
        "types:\n    models:\n      NVIDIA A30: a 30",
        "cgroup: {ConstrainCores: yes, ConstrainCore: yes}",
        "cgroup: {ConstrainDevices: no}",
        "release: '24.11'\n  cgroup:\n    CgroupAutomount: yes",
        "gres-types: [gpu, \"x\\nSlurmUser=root\"]",
        "gres-types: [nic]",
        "paths: {gres-conf: gres.conf}",
        "plugin: {path: \"a.so\\nrequired /tmp/x.so\"}",
        "plugin: {arguments: {notices: off, \"map=/x\\nrequired /tmp/x.so\": 1}}",
        "plugin: {arguments: {set: 'cuda nvidia'}}",
    ];
    let said = |section: &str| {
        let text = format!("version: v1\nslurm:\n  {section}\n");
        Config::parse("c", &text).expect_err(section).to_string()
    };
    insta::assert_snapshot!(sections.map(said).join("\n\n"));
}

#[test]
fn types_in_upper_case_and_gres_in_any_are_names() {
    let text = "version: v1\nslurm:\n  types: {models: {NVIDIA A30: A30}}\n  gres-types: [GPU, nic]\n  \
                nodes: [{names: n1, attributes: 'Sockets=2 Gres=Nic:2'}]\n";
    assert_eq!(Config::parse("c", text).unwrap().slurm.types.models["NVIDIA A30"], "A30");
}

#[test]
fn no_count_becomes_small_by_being_large() {
    let said = |devices: &str| Config::parse("c", &one(devices)).unwrap_err().to_string();
    let large = said("{3g.20gb: 4294967295, 1c.3g.20gb: 1}");
    assert!(
        large.starts_with("c:6:30: 4294967295: more than 1024, which is what Slurm takes per node\n"),
        "{large}"
    );
    assert!(said("{3g.20gb: {count: 1025}}").contains("1025: more than 1024"));
    let sums = "{1g.5gb: 1024, 1c.3g.20gb: 1024, 2c.3g.20gb: 1024, 3g.20gb: 1024}";
    let said = Node::new(&["a100-40gb"]).refuses(&one(sums));
    assert!(said.contains("short of 1029 x 3g.20gb, 1017 x 1g.5gb"), "{said}");
}

#[test]
fn a_configmap_of_the_gpu_operator_is_read() {
    let inner = one("{1g.5gb: 7}");
    let indented: String = inner.lines().map(|line| format!("    {line}\n")).collect();
    let wrapped = |key: &str, more: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  {key}: |\n{indented}{more}")
    };
    for text in [wrapped("config.yaml", "  other: y\n"), wrapped("mig.yaml", "")] {
        assert_eq!(Config::parse("c", &text).unwrap().labels().collect::<Vec<_>>(), ["x"]);
    }
    let error =
        Config::parse("c", &wrapped("config.yaml", "").replace("1g.5gb", "1g.5")).unwrap_err().to_string();
    assert!(error.starts_with("c (data: config.yaml):6:"), "{error}");
    // Of two unknown ones neither is meant.
    let error = Config::parse("c", &wrapped("a", "  b: x\n")).unwrap_err().to_string();
    assert!(error.starts_with("c:1:1: unknown field"), "{error}");
}
