use std::collections::{BTreeMap, BTreeSet};

use mig::Board;
use proptest::prelude::*;

use super::*;
use crate::inventory::Mode;
use crate::render::{self, Context, Templates};
use crate::slurm::{GresTable, PreviousOrder, Release};

const GPUS: u32 = 2;

/// What of an A100 is cut, as (profile, place), in the driver's numbers.
type Cut = Vec<Placement>;

fn settings(text: &str) -> Settings {
    serde_saphyr::from_str(text).unwrap()
}

fn all() -> Settings {
    settings("on-request: [{profiles: [1g.5gb, 2g.10gb, 3g.20gb, 7g.40gb]}]")
}

fn node(cuts: &[Cut]) -> Inventory {
    let gpus = cuts.iter().zip(0..).map(|(cut, index)| Gpu::a100_cut(index, cut)).collect();
    Inventory { node: "n1".into(), boot: "b".into(), gpus, ..Inventory::default() }
}

fn place(text: &str) -> Placement {
    let (profile, start) = text.split_once('@').unwrap();
    Placement { profile: profile.parse().unwrap(), start: start.parse().unwrap() }
}

fn cut(text: &str) -> Cut {
    text.split_whitespace().map(place).collect()
}

fn table(inventory: &Inventory, settings: &Settings) -> GresTable {
    GresTable::new(inventory, settings, &PreviousOrder::default()).unwrap()
}

fn names(table: &GresTable) -> Vec<&str> {
    table.records.iter().map(|record| record.uuid.as_str()).collect()
}

#[test]
fn every_instance_there_could_be_has_a_record() {
    let table = table(&node(&[cut("3g.20gb@4 1g.5gb@2"), cut("")]), &all());
    // 7 + 3 + 2 + 1 places a GPU (nvidia-smi mig -lgipp of an A100).
    assert_eq!(table.gres(), "gpu:1g.5gb:14,gpu:2g.10gb:6,gpu:3g.20gb:4,gpu:7g.40gb:2,gpu:guard:4");
    let real: Vec<(usize, &str)> =
        names(&table).into_iter().enumerate().filter(|(_, name)| name.starts_with("MIG-")).collect();
    assert_eq!(real, [(2, "MIG-0-2"), (21, "MIG-0-1")]);
    assert_eq!(names(&table)[26..], ["guard-26", "guard-27", "pad-28", "pad-29"]);
    assert_eq!(table.form, Some(Form::Joined));
}

/// One that is closed has its row in the device map and its device nodes in gres.conf, and no cores.
#[test]
fn a_closed_instance_is_near_no_core() {
    let settings =
        settings("{nodes: [{names: n1, attributes: CPUs=4}], on-request: [{profiles: [3g.20gb]}]}");
    let mut inventory = node(&[cut("3g.20gb@0 3g.20gb@4")]);
    let open = table(&inventory, &settings);
    inventory.gpus[0].instances[1].closed = true;
    let table = table(&inventory, &settings);
    assert_eq!(table, open);
    let root = Root::new(std::path::Path::new("/nowhere")).unwrap();
    let context = Context::of_node(&inventory, &table, &settings, Release::latest(), &root).unwrap();
    let files =
        render::slurm_files(&Templates::load(&root.path("/none")).unwrap(), &context, &settings, &root);
    let text = files.unwrap()[0].text.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>();
    insta::assert_snapshot!(text);
}

#[test]
fn what_nobody_can_ask_for_is_guarded() {
    let mut inventory = node(&[cut("4g.20gb@0 3g.20gb@4")]);
    let parts = ["1c.3g.20gb", "1c.3g.20gb"].map(|name| name.parse().unwrap());
    let whole = inventory.gpus[0].instances[1].compute[0].clone();
    inventory.gpus[0].instances[1].compute =
        parts.map(|profile| Compute { profile, ..whole.clone() }).to_vec();
    let table = table(&inventory, &all());
    assert!(names(&table).iter().all(|name| !name.starts_with("MIG-")), "{:?}", names(&table));
    assert_eq!(table.records[13].files.len(), 1 + 135);
}

#[test]
fn static_slices_stand_beside() {
    let settings = settings("on-request: [{devices: [1], profiles: [3g.20gb, 1g.5gb]}]");
    let table = |cuts: &[Cut]| table(&node(cuts), &settings);
    let one = table(&[cut("1g.5gb@0 2g.10gb@2"), cut("1g.5gb@6")]);
    assert_eq!(one.gres(), "gpu:1g.5gb:8,gpu:2g.10gb:1,gpu:3g.20gb:2,gpu:guard:3");
    let other = table(&[cut("1g.5gb@0 2g.10gb@2"), cut("3g.20gb@0 3g.20gb@4")]);
    assert_eq!(one.types, other.types);
    assert_eq!(names(&one)[0], names(&other)[0]);
    // A GPU outside MIG, too.
    let mut inventory = node(&[cut(""), cut("1g.5gb@6")]);
    inventory.gpus[0].mode = Mode::Known { current: false, pending: false };
    let whole = GresTable::new(&inventory, &settings, &PreviousOrder::default()).unwrap();
    assert_eq!(whole.gres(), "gpu:1g.5gb:7,gpu:3g.20gb:2,gpu:a100:1,gpu:guard:3");
}

#[test]
fn an_entry_that_is_about_no_gpu_is_refused_by_name() {
    let mut inventory = node(&[vec![], vec![]]);
    inventory.gpus[1].uuid = "GPU-abcd1111-0".to_owned();
    let check = |text: &str| check_entries(&inventory, &settings(text)).map_err(|error| error.to_string());
    for good in [
        "{profiles: [3g.20gb]}",
        "{devices: [1, 9], profiles: [3g.20gb]}",
        "{devices: GPU-abcd, profiles: [3g.20gb]}",
        "{nodes: n2, devices: [9], profiles: [3g.20gb]}",
    ] {
        assert_eq!(check(&format!("on-request: [{good}]")), Ok(()), "{good}");
    }
    let what = check("on-request: [{profiles: [1g.5gb, 9g.5gb]}]").unwrap_err();
    let due = "node n1: slurm.on-request, GPU 0: no profile 9g.5gb, only 1g.5gb, ";
    assert!(what.starts_with(due), "{what}");
    for (bad, says) in [
        (
            "{devices: [7, GPU-ffffffff], profiles: [3g.20gb]}",
            "7, GPU-ffffffff: no such GPU on this node (it has GPUs 0-1); ",
        ),
        (
            "{nodes: 'n[1-2]', devices: 2, profiles: [3g.20gb]}",
            "2: no such GPU on this node (it has GPUs 0-1); ",
        ),
    ] {
        let error = check(&format!("on-request: [{{devices: 0, profiles: [3g.20gb]}}, {bad}]")).unwrap_err();
        assert!(error.starts_with(&format!("node n1: slurm.on-request.1.devices: {says}")), "{error}");
    }
}

#[test]
fn what_cannot_be_on_request_is_refused_by_name() {
    let refused = |text: &str, inventory: &Inventory| {
        GresTable::new(inventory, &settings(text), &PreviousOrder::default()).unwrap_err().to_string()
    };
    let mut inventory = node(&[cut(""), cut("")]);
    assert_eq!(
        refused("on-request: [{profiles: [3g.40gb]}]", &inventory),
        "node n1: slurm.on-request, GPU 0: no profile 3g.40gb, only 1g.5gb, 1g.5gb+me, 1g.10gb, 2g.10gb, 3g.20gb, \
         4g.20gb, 7g.40gb"
    );
    for taken in ["guard", "none"] {
        let text = format!("on-request: [{{profiles: [3g.20gb]}}]\ntypes: {{aliases: {{3g.20gb: {taken}}}}}");
        assert!(refused(&text, &inventory).contains(&format!("GRES type {taken}: is taken")), "{taken}");
    }
    inventory.gpus[1].capabilities = None;
    let unknown = refused("on-request: [{devices: [1], profiles: [3g.20gb]}]", &inventory);
    assert!(
        unknown.starts_with("node n1: slurm.on-request, GPU 1: its capabilities are not known"),
        "{unknown}"
    );
    inventory.gpus[1].geometry.specs.clear();
    assert_eq!(
        refused("on-request: [{devices: [1], profiles: [3g.20gb]}]", &inventory),
        "node n1: slurm.on-request, GPU 1: NVIDIA A100-SXM4-40GB has no MIG profiles; leave it out of devices"
    );
    // As many records as Slurm takes: 13 and a guard for each GPU, and two pads.
    let cuts = vec![cut(""); 74];
    let many = |count: usize| GresTable::new(&node(&cuts[..count]), &all(), &PreviousOrder::default());
    assert_eq!(many(73).unwrap().records.len(), 1024);
    assert!(many(74).is_err());
}

#[test]
fn a_form_is_read_where_it_is_written() {
    let line = |file: &str| format!("NodeName=n1 Name=gpu Type=guard File={file} Cores=\"\"\n");
    let slice = "NodeName=n1 Name=gpu Type=1g.5gb MultipleFiles=/a,/b Cores=0-3\n";
    assert_eq!(Form::of_gres_conf(&format!("{slice}{}", line("/dev/gresgen/pad[0-1]"))), Some(Form::Joined));
    let split = format!("{slice}{}{}", line("/dev/gresgen/pad0"), line("/dev/gresgen/pad1"));
    assert_eq!(Form::of_gres_conf(&split), Some(Form::Split));
    assert_eq!(Form::of_gres_conf(slice), None);
}

#[test]
fn capabilities_stand_in_one_pair_of_brackets() {
    let paths: Vec<PathBuf> = ["/dev/nvidia0", "/dev/gresgen/cap3", "/dev/gresgen/cap4", "/dev/gresgen/cap9"]
        .map(PathBuf::from)
        .into();
    assert_eq!(folded(&paths), ["/dev/nvidia0", "/dev/gresgen/cap[3-4,9]"]);
    assert_eq!(folded(&paths[..1]), ["/dev/nvidia0"]);
}

/// A cut of some of the places of an A100, none over another, in any order.
fn any_cut() -> impl Strategy<Value = Cut> {
    let geometry = Board::by_key("a100-40gb").unwrap().geometry();
    let places: Vec<Placement> = geometry.specs.iter().flat_map(|spec| spec.placements()).collect();
    let count = places.len();
    (Just(places).prop_shuffle(), 0..=count).prop_map(move |(places, count)| {
        places.into_iter().take(count).fold(Cut::new(), |mut cut, placed| {
            if cut.iter().all(|other| !geometry.conflict(*other, placed)) {
                cut.push(placed);
            }
            cut
        })
    })
}

proptest! {
    #[test]
    fn number_and_order_never_change(cuts in proptest::collection::vec(any_cut(), 2 * GPUS as usize..12)) {
        let (settings, mut before) = (all(), None::<GresTable>);
        for cuts in cuts.chunks_exact(GPUS as usize) {
            let inventory = node(cuts);
            // Nor do they follow from what was.
            let previous = before.as_ref().map_or_else(PreviousOrder::default, |table| {
                PreviousOrder::of(&table.map(&inventory, String::new()))
            });
            let table = GresTable::new(&inventory, &settings, &previous).unwrap();
            let shape = |table: &GresTable| {
                let record = |r: &Record| (r.gres_type.clone(), r.parent.clone());
                (table.types.clone(), table.records.iter().map(record).collect::<Vec<_>>())
            };
            if let Some(before) = &before {
                prop_assert_eq!(shape(before), shape(&table));
            }
            for (index, record) in table.records.iter().enumerate() {
                if let Some(kind) = record.no_device() {
                    prop_assert_eq!(&record.uuid, &kind.name(index));
                }
            }
            let text = table.map(&inventory, String::new()).to_string();
            prop_assert_eq!(text.parse::<device_map::DeviceMap>().unwrap().records, table.records.clone());
            before = Some(table);
        }
    }

    #[test]
    fn every_capability_is_in_one_record(cuts in proptest::collection::vec(any_cut(), GPUS as usize)) {
        let (settings, inventory) = (all(), node(&cuts));
        let table = table(&inventory, &settings);
        let mut found: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        for record in &table.records {
            let own: BTreeSet<(u32, u32)> =
                record.files.iter().map(|f| (f.major, f.minor)).filter(|(major, _)| *major == 238).collect();
            own.into_iter().for_each(|file| *found.entry(file).or_default() += 1);
        }
        let all: Vec<u32> = (3..3 + 135 * GPUS).collect();
        prop_assert_eq!(found.keys().map(|(_, minor)| *minor).collect::<Vec<_>>(), all);
        prop_assert!(found.values().all(|count| *count == 1), "{:?}", found);
        // And every instance on offer that is there is offered, and no other.
        let offered = table.records.iter().filter(|record| record.instance.is_some()).count();
        let menu = ["1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"].map(|name| name.parse::<Profile>().unwrap());
        let there = cuts.iter().flatten().filter(|placed| menu.contains(&placed.profile)).count();
        prop_assert_eq!(offered, there);
    }
}
