use std::path::PathBuf;

use device_map::DeviceFile;
use mig::{Placement, Profile};
use proptest::prelude::*;

use super::*;
use crate::inventory::{Instance, Mode};

fn file(path: String, major: u32, minor: u32) -> DeviceFile {
    DeviceFile { path: PathBuf::from(path), major, minor }
}

/// An A100 whose compute instances fill GPU instances at these places; ids stand for nothing.
fn gpu(index: u32, slices: &[(&str, u8)]) -> Gpu {
    let bare = Gpu::bare_a100(index);
    let parent = bare.file.clone();
    let instances = slices.iter().zip(1..).map(|(&(name, start), gi)| {
        let profile: Profile = name.parse().unwrap();
        let placement = Placement { profile: profile.gpu_instance(), start };
        let cap = |n: u32| file(format!("/dev/nvidia-caps/nvidia-cap{n}"), 238, n);
        let place = index * 135 + 3 + u32::from(start) * 9;
        let files = vec![parent.clone(), cap(place), cap(place + 1)];
        let uuid = format!("MIG-{index}-{name}-{start}");
        Instance {
            gi,
            placement,
            compute: vec![Compute { ci: 0, profile, start: 0, uuid, files }],
            holders: vec![],
            closed: false,
        }
    });
    Gpu {
        mode: Mode::Known { current: !slices.is_empty(), pending: !slices.is_empty() },
        instances: instances.collect(),
        ..bare
    }
}

fn node(gpus: Vec<Gpu>) -> Inventory {
    Inventory {
        node: "n1".into(),
        boot: "b".into(),
        driver: "d".into(),
        partial: false,
        topology: Default::default(),
        gpus,
    }
}

fn table(inventory: &Inventory, previous: &PreviousOrder) -> GresTable {
    GresTable::new(inventory, &Settings::default(), previous).unwrap()
}

fn uuids(table: &GresTable) -> Vec<&str> {
    table.records.iter().map(|r| r.uuid.as_str()).collect()
}

fn again(before: &Inventory, after: &Inventory) -> GresTable {
    let map = table(before, &PreviousOrder::default()).map(before, String::new());
    table(after, &PreviousOrder::of(&map))
}

#[test]
fn types_stand_from_the_smallest_up_and_whole_gpus_last() {
    let n = node(vec![
        gpu(0, &[]),
        gpu(1, &[("3g.20gb", 4), ("1g.5gb", 1), ("1g.5gb", 0)]),
        gpu(2, &[("1g.5gb", 3)]),
    ]);
    let t = table(&n, &PreviousOrder::default());
    assert_eq!(t.gres(), "gpu:1g.5gb:3,gpu:3g.20gb:1,gpu:a100:1");
    assert_eq!(uuids(&t), ["MIG-1-1g.5gb-0", "MIG-1-1g.5gb-1", "MIG-2-1g.5gb-3", "MIG-1-3g.20gb-4", "GPU-0"]);
}

#[test]
fn a_change_that_keeps_the_count_keeps_every_index() {
    let before = node(vec![gpu(0, &[("1g.5gb", 0), ("1g.5gb", 1), ("1g.5gb", 2), ("3g.20gb", 4)])]);
    // The 1g at 1 moved to 3: its place among the indexes is taken by the new one.
    let moved = node(vec![gpu(0, &[("1g.5gb", 0), ("1g.5gb", 2), ("1g.5gb", 3), ("3g.20gb", 4)])]);
    assert_eq!(
        uuids(&again(&before, &moved)),
        ["MIG-0-1g.5gb-0", "MIG-0-1g.5gb-3", "MIG-0-1g.5gb-2", "MIG-0-3g.20gb-4"]
    );
    // Another type in the place of one keeps the rest: 2g.10gb would stand before 3g.20gb on a new node.
    let before = node(vec![gpu(0, &[("1g.5gb", 0), ("3g.20gb", 4)]), gpu(1, &[("4g.20gb", 0)])]);
    let after = node(vec![gpu(0, &[("1g.5gb", 0), ("3g.20gb", 4)]), gpu(1, &[("1g.10gb", 0)])]);
    assert_eq!(again(&before, &after).gres(), "gpu:1g.5gb:1,gpu:3g.20gb:1,gpu:1g.10gb:1");
}

#[test]
fn types_keep_their_order_across_a_reboot() {
    let conf = "NodeName=n1 Name=gpu Type=3g.20gb MultipleFiles=/a,/b Flags=nvidia_gpu_env\n\
                NodeName=n1 Name=gpu Type=1g.5gb MultipleFiles=/a,/c Flags=nvidia_gpu_env\n";
    let n = node(vec![gpu(0, &[("1g.5gb", 0), ("2g.10gb", 2), ("3g.20gb", 4)])]);
    let t = table(&n, &PreviousOrder::of_gres_conf(conf));
    assert_eq!(t.gres(), "gpu:3g.20gb:1,gpu:1g.5gb:1,gpu:2g.10gb:1");
}

#[test]
fn what_slurm_cannot_hold_is_refused_by_name() {
    let mut twice = gpu(0, &[("1g.5gb", 0)]);
    twice.instances.push(twice.instances[0].clone());
    let mut same_file = gpu(0, &[("1g.5gb", 0)]);
    let mut copy = same_file.instances[0].clone();
    copy.compute[0].uuid = "MIG-other".into();
    same_file.instances.push(copy);
    let many: Vec<Gpu> = (0..1025).map(|index| gpu(index, &[])).collect();
    let errors: Vec<String> = [vec![twice], vec![same_file], many]
        .into_iter()
        .map(|gpus| {
            GresTable::new(&node(gpus), &Settings::default(), &PreviousOrder::default())
                .unwrap_err()
                .to_string()
        })
        .collect();
    insta::assert_snapshot!(errors.join("\n"));
    assert!(
        GresTable::new(
            &node((0..1024).map(|i| gpu(i, &[])).collect()),
            &Settings::default(),
            &PreviousOrder::default()
        )
        .is_ok()
    );
}

const PROFILES: [&str; 5] = ["1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb"];

fn slices() -> impl Strategy<Value = Vec<(usize, u8)>> {
    proptest::collection::btree_set((0..PROFILES.len(), 0u8..7), 0..7)
        .prop_map(|set| set.into_iter().collect())
}

fn nodes() -> impl Strategy<Value = Inventory> {
    proptest::collection::vec(slices(), 1..4).prop_map(|gpus| {
        node(
            gpus.iter()
                .zip(0..)
                .map(|(slices, index)| {
                    // Places may overlap: the table orders what the driver reports and does not judge it. Capability
                    // minors follow the start here, so one slice per start.
                    let mut starts = HashSet::new();
                    let slices: Vec<(&str, u8)> = slices
                        .iter()
                        .filter(|(_, start)| starts.insert(*start))
                        .map(|&(p, start)| (PROFILES[p], start))
                        .collect();
                    gpu(index, &slices)
                })
                .collect(),
        )
    })
}

/// Whether any order of the types of `table` lets all survivors keep their index: by trying every order.
fn an_order_exists(table: &GresTable, previous: &PreviousOrder) -> bool {
    fn permutations(
        rest: Vec<(String, u32)>,
        start: usize,
        table: &GresTable,
        previous: &PreviousOrder,
    ) -> bool {
        rest.is_empty()
            || (0..rest.len()).any(|i| {
                let mut others = rest.clone();
                let (name, count) = others.remove(i);
                let block = start..start + count as usize;
                let mut survivors =
                    table.records.iter().filter(|r| r.gres_type == name).filter_map(|r| previous.index(r));
                survivors.all(|index| block.contains(&index))
                    && permutations(others, block.end, table, previous)
            })
    }
    permutations(table.types.iter().map(|(n, c)| (n.to_string(), *c)).collect(), 0, table, previous)
}

proptest! {
    #[test]
    fn types_are_blocks_in_the_order_of_gres(n in nodes()) {
        let t = table(&n, &PreviousOrder::default());
        let blocks: Vec<String> =
            t.types.iter().flat_map(|(name, count)| vec![name.to_string(); *count as usize]).collect();
        let types: Vec<String> = t.records.iter().map(|r| r.gres_type.clone()).collect();
        prop_assert_eq!(blocks, types);
        prop_assert_eq!(t.records.len(), n.devices().count() + n.whole_gpus().count());
    }

    #[test]
    fn the_same_facts_give_the_same_table(n in nodes()) {
        prop_assert_eq!(again(&n, &n), table(&n, &PreviousOrder::default()));
    }

    #[test]
    fn indexes_are_kept_exactly_when_an_order_allows_it(before in nodes(), after in nodes()) {
        let map = table(&before, &PreviousOrder::default()).map(&before, String::new());
        let previous = PreviousOrder::of(&map);
        let t = table(&after, &previous);
        let kept = t.records.iter().zip(0..).all(|(r, i)| previous.index(r).is_none_or(|was| was == i));
        prop_assert_eq!(kept, an_order_exists(&t, &previous));
    }
}
