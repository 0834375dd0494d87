use mig::boards::Board;
use proptest::prelude::*;

use super::*;
use crate::clients::Clients;
use crate::machine::Machine;
use crate::spec::Spec;

fn machine(spec: &str) -> Machine {
    let mut machine = Machine::new(&spec.parse().unwrap(), None);
    for gpu in 0..machine.gpus.len() as u32 {
        machine.set_mode(gpu, true, &Clients::default()).unwrap().unwrap();
    }
    machine
}

/// Ids that a sequence of profile ids gets, one after another; `None` for Insufficient Resources.
fn created(spec: &str, profiles: &[u32]) -> Vec<Option<u32>> {
    let mut machine = machine(spec);
    let mut create = |profile| match machine.create_instance(0, profile, None, &Clients::default()) {
        Ok(id) => Some(id),
        Err(Code::INSUFFICIENT_RESOURCES) => None,
        Err(code) => panic!("{code}"),
    };
    profiles.iter().map(|&profile| create(profile)).collect()
}

fn starts(spec: &str, profiles: &[u32]) -> Vec<u32> {
    let mut machine = machine(spec);
    let mut create = |profile| {
        let id = machine.create_instance(0, profile, None, &Clients::default()).unwrap();
        machine.gpus[0].instance(id).unwrap().start
    };
    profiles.iter().map(|&profile| create(profile)).collect()
}

/// Creation logs of real GPUs: NVIDIA's Multi-Instance GPU User Guide and public nvidia-smi logs.
#[test]
fn automatic_placement_gives_the_ids_of_every_creation_log() {
    let logs: &[(&str, &[u32], &[u32])] = &[
        ("a100-40gb", &[19; 7], &[13, 11, 12, 7, 8, 9, 10]),
        ("h100-80gb-sxm", &[19; 7], &[13, 11, 12, 7, 8, 9, 10]),
        ("h100-80gb-pcie:mirrored", &[19; 7], &[9, 7, 8, 11, 12, 13, 14]),
        ("a100-40gb:mirrored", &[19; 7], &[9, 7, 8, 11, 12, 13, 14]),
        ("a100-40gb", &[9, 19, 14, 19], &[2, 7, 4, 8]),
        ("a100-40gb", &[14, 19, 19, 19, 19, 19], &[5, 13, 7, 8, 9, 10]),
        ("a100-40gb", &[19, 14, 5], &[13, 5, 1]),
        ("a100-40gb", &[9, 9], &[2, 1]),
        ("a100-40gb", &[19, 9], &[13, 1]),
        ("a100-80gb:mirrored", &[9, 5], &[1, 2]),
        ("a100-80gb:mirrored", &[14, 14, 19], &[3, 5, 9]),
        ("h100-94gb-nvl:mirrored", &[9, 15, 19], &[1, 5, 13]),
        ("h100-80gb-pcie", &[15], &[6]),
        ("a30-24gb", &[14, 14, 5], &[3, 4, 2]),
        ("rtx-pro-6000-blackwell-96gb", &[14; 4], &[3, 4, 5, 6]),
        ("rtx-pro-6000-blackwell-96gb", &[5], &[1]),
        ("rtx-pro-6000-blackwell-96gb", &[5, 14, 14], &[1, 5, 6]),
        ("a100-40gb:mirrored", &[5, 14, 19], &[2, 3, 9]),
    ];
    for (spec, profiles, ids) in logs {
        let expected: Vec<_> = ids.iter().copied().map(Some).collect();
        assert_eq!(created(spec, profiles), expected, "{spec} {profiles:?}");
    }
    assert_eq!(created("a100-40gb", &[19, 19, 14, 9]), [Some(13), Some(11), Some(3), None]);
}

/// Column "Instances Free" of `nvidia-smi mig -lgip` after a 4g, a 2g and a 1g, on a mirrored A100-SXM4-40GB under
/// 580.126.09; from a transcript published on 2026-02-17.
#[test]
fn free_instances_fall_as_in_a_published_transcript() {
    /// Profiles by id, in the order of the listing.
    const LISTED: [u32; 7] = [19, 20, 15, 14, 9, 5, 0];
    let mut machine = machine("a100-40gb:mirrored");
    let mut after = |made: u32| {
        machine.create_instance(0, made, None, &Clients::default()).unwrap();
        let gpu = &machine.gpus[0];
        LISTED.map(|id| remaining(gpu, gpu.profile(id).unwrap()))
    };
    assert_eq!(after(5), [3, 1, 2, 1, 1, 0, 0]);
    assert_eq!(after(14), [1, 1, 1, 0, 0, 0, 0]);
    assert_eq!(after(19), [0; 7]);
}

#[test]
fn seven_small_ones_take_the_same_starts_on_either_kind_of_board() {
    for spec in ["a100-40gb", "h100-80gb-pcie:mirrored"] {
        assert_eq!(starts(spec, &[19; 7]), [6, 4, 5, 0, 1, 2, 3], "{spec}");
    }
    assert_eq!(starts("h100-80gb-pcie", &[15]), [6]);
}

/// The guide's known issue: the same four instances fit or not by the order of their creation.
#[test]
fn the_order_of_creation_decides() {
    assert_eq!(created("a100-40gb", &[9, 19, 14, 19]).iter().flatten().count(), 4);
    assert_eq!(created("a100-40gb", &[19, 19, 14, 9]).iter().flatten().count(), 3);
}

#[test]
fn ids_of_a_profile_by_start() {
    let ids = |spec: &str, profile| {
        let machine = machine(spec);
        let gpu = &machine.gpus[0];
        let mut places = places(gpu, gpu.profile(profile).unwrap());
        places.sort_by_key(|p| p.1);
        places.into_iter().map(|(id, start)| (start, id)).collect::<Vec<_>>()
    };
    assert_eq!(ids("a100-40gb", 19), (0..7).map(|s| (s, 7 + s)).collect::<Vec<_>>());
    assert_eq!(ids("a100-40gb", 15), [(0, 3), (2, 4), (4, 5), (6, 6)]);
    assert_eq!(ids("a100-40gb", 14), [(0, 3), (2, 4), (4, 5)]);
    assert_eq!(ids("a100-40gb", 9), [(0, 1), (4, 2)]);
    assert_eq!(ids("a100-40gb", 5), [(0, 1)]);
    assert_eq!(ids("a100-40gb", 0), [(0, 0)]);
    let mirrored = [(0, 11), (1, 12), (2, 13), (3, 14), (4, 7), (5, 8), (6, 9)];
    assert_eq!(ids("a100-40gb:mirrored", 19), mirrored);
    assert_eq!(ids("a100-40gb:mirrored", 14), [(0, 5), (2, 6), (4, 3)]);
    assert_eq!(ids("a100-40gb:mirrored", 9), [(0, 2), (4, 1)]);
    assert_eq!(ids("a100-40gb:mirrored", 5), [(0, 2)]);
    assert_eq!(ids("a100-40gb:mirrored", 0), [(0, 0)]);
    assert_eq!(ids("a30-24gb", 14), [(0, 3), (1, 4), (2, 5), (3, 6)]);
    assert_eq!(ids("a30-24gb", 5), [(0, 1), (2, 2)]);
    assert_eq!(ids("rtx-pro-6000-blackwell-96gb", 14), [(0, 3), (3, 4), (6, 5), (9, 6)]);
    assert_eq!(ids("rtx-pro-6000-blackwell-96gb", 5), [(0, 1), (6, 2)]);
}

/// Every board, canonical and where it exists mirrored.
fn all_gpus() -> Vec<Gpu> {
    let plain = Spec::keys().map(str::to_owned);
    let mirrored =
        Spec::keys().filter(|k| Board::by_key(k).unwrap().units == 8).map(|k| format!("{k}:mirrored"));
    plain.chain(mirrored).map(|spec| machine(&spec).gpus.remove(0)).collect()
}

/// Two statements of one rule, written apart: the planner's by spans and the driver's by slots.
#[test]
fn the_slot_rule_and_the_span_rule_agree_on_every_pair_of_placements_of_every_board() {
    let mut pairs = 0;
    for gpu in all_gpus() {
        let geometry = gpu.board.geometry();
        let by_place = |placed: mig::Placement| {
            let row = gpu.profile(geometry.spec(placed.profile).unwrap().id).unwrap();
            let id = places(&gpu, row).iter().find(|p| p.1 == u32::from(placed.start)).unwrap().0;
            (row, id)
        };
        for a in geometry.placements() {
            for b in geometry.placements() {
                let ours = conflict(by_place(a), by_place(b));
                assert_eq!(ours, geometry.conflict(a, b), "{} {a:?} {b:?}", gpu.board.key);
                pairs += 1;
            }
        }
    }
    assert!(pairs > 20_000, "{pairs}");
}

proptest! {
    /// Whatever is created and destroyed in whatever order: what the driver allows is legal to the planner,
    /// what it refuses for want of room is not, and the remaining capacity says so before.
    #[test]
    fn what_can_be_created_is_what_the_planner_calls_legal(
        board in 0..all_gpus().len(),
        steps in prop::collection::vec((0usize..16, 0usize..8, prop::bool::ANY), 1..24),
    ) {
        let gpu = &all_gpus()[board];
        let geometry = gpu.board.geometry();
        let mirrored = if gpu.traits.mirrored { ":mirrored" } else { "" };
        let mut machine = machine(&format!("{}{mirrored}", gpu.board.key));
        let placed = |machine: &Machine| -> Vec<mig::Placement> {
            let of = |i: &GpuInstance| mig::Placement {
                profile: geometry.specs.iter().find(|s| s.id == i.profile).unwrap().profile,
                start: i.start as u8,
            };
            machine.gpus[0].instances.iter().map(of).collect()
        };
        for (profile, start, create) in steps {
            if !create {
                let ids: Vec<u32> = machine.gpus[0].instances.iter().map(|i| i.id).collect();
                if let Some(&id) = ids.get(start) {
                    machine.destroy_instance(0, id).unwrap();
                }
                continue;
            }
            let row = &gpu.board.rows[profile % gpu.board.rows.len()];
            let start = row.starts[start % row.starts.len()];
            let mut wanted = placed(&machine);
            let profile = geometry.specs[profile % gpu.board.rows.len()].profile;
            wanted.push(mig::Placement { profile, start });
            let fits = geometry.legal(&wanted);
            let room = remaining(&machine.gpus[0], row);
            let at = Some((u32::from(start), u32::from(row.size)));
            let made = machine.create_instance(0, row.id, at, &Clients::default());
            prop_assert_eq!(made.is_ok(), fits);
            prop_assert!(room > 0 || !fits);
            prop_assert!(geometry.legal(&placed(&machine)));
            prop_assert_eq!(crate::defect::defect(&machine), None);
        }
    }

    /// The remaining capacity is what can really be created.
    #[test]
    fn remaining_capacity_is_exact(board in 0..all_gpus().len(), steps in prop::collection::vec(0usize..16, 0..6)) {
        let gpu = &all_gpus()[board];
        let mut machine = machine(gpu.board.key);
        let rows = gpu.board.rows;
        for step in steps {
            let _ = machine.create_instance(0, rows[step % rows.len()].id, None, &Clients::default());
        }
        for row in rows {
            let mut copy = machine.clone();
            let said = remaining(&machine.gpus[0], row);
            let mut made = 0;
            while copy.create_instance(0, row.id, None, &Clients::default()).is_ok() {
                made += 1;
            }
            prop_assert_eq!(said, made, "{} {}", gpu.board.key, row.name);
        }
    }
}

#[test]
fn media_engine_rules() {
    assert_eq!(created("a100-40gb", &[20, 20]), [Some(13), None]);
    assert_eq!(created("a30-24gb", &[21, 6])[1], None);
    // RTX PRO 6000: 65 is 1g+me.all, 67 is 1g-me, 14 is a plain 1g.
    let rtx = |profiles: &[u32]| created("rtx-pro-6000-blackwell-96gb", profiles).iter().flatten().count();
    assert_eq!(rtx(&[65, 67, 67, 67]), 4);
    assert_eq!(rtx(&[65, 14]), 1);
    assert_eq!(rtx(&[14, 65]), 1);
    assert_eq!(rtx(&[65, 65]), 1);
}

/// Starts and capacities of compute instances in a GPU instance of its own.
fn compute_starts(spec: &str, profile: u32, compute: &[u32]) -> Vec<Option<(u32, u32)>> {
    let mut machine = machine(spec);
    let id = machine.create_instance(0, profile, None, &Clients::default()).unwrap();
    let mut create = |compute| {
        let made = machine.create_compute(0, id, compute, None).ok()?;
        let instance = machine.gpus[0].instance(id).unwrap();
        Some((made, instance.compute(made).unwrap().start))
    };
    compute.iter().map(|&compute| create(compute)).collect()
}

#[test]
fn compute_instances_take_the_lowest_free_run_on_ampere() {
    assert_eq!(compute_starts("a100-40gb", 9, &[0, 1, 0]), [Some((0, 0)), Some((1, 1)), None]);
    assert_eq!(compute_starts("a100-40gb", 0, &[2, 2, 0]), [Some((0, 0)), Some((1, 3)), Some((2, 6))]);
    assert_eq!(
        compute_starts("a100-40gb", 0, &[1, 1, 1, 1]),
        [Some((0, 0)), Some((1, 2)), Some((2, 4)), None]
    );
}

#[test]
fn compute_instances_are_aligned_and_fitted_from_hopper_on() {
    // A lone slice goes where no pair is broken.
    assert_eq!(compute_starts("h100-80gb-sxm", 9, &[0, 1]), [Some((0, 2)), Some((1, 0))]);
    assert_eq!(compute_starts("h100-80gb-sxm", 0, &[2, 2]), [Some((0, 4)), Some((1, 0))]);
    let machine = machine("h100-80gb-sxm");
    let gpu = &machine.gpus[0];
    let whole = gpu.profile(0).unwrap();
    let places = |id| compute_places(gpu, whole, compute_row(whole, id));
    assert_eq!((places(1), places(2), places(3)), (vec![0, 2, 4], vec![0, 4], vec![0]));
}

/// Counts of `nvidia-smi mig -lcip` on A100, and of H100 where they were seen.
#[test]
fn capacity_of_compute_profiles() {
    let count = |spec: &str, profile, compute| {
        let mut machine = machine(spec);
        let id = machine.create_instance(0, profile, None, &Clients::default()).unwrap();
        let gpu = &machine.gpus[0];
        let instance = gpu.instance(id).unwrap();
        compute_remaining(gpu, instance, compute_row(gpu.row(instance), compute))
    };
    let a100: Vec<u32> = [
        (14, 0),
        (14, 1),
        (9, 0),
        (9, 1),
        (9, 2),
        (5, 0),
        (5, 1),
        (5, 3),
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
    ]
    .map(|(profile, compute)| count("a100-40gb", profile, compute))
    .to_vec();
    assert_eq!(a100, [2, 1, 3, 1, 1, 4, 2, 1, 7, 3, 2, 1, 1]);
    assert_eq!([0, 7, 1].map(|c| count("h100-80gb-sxm", 14, c)), [2, 1, 1]);
    assert_eq!(count("h100-80gb-sxm", 15, 7), 1);
}

/// The rev1 profile has 26 of the 32 multiprocessors of a 2g on H100: nothing fits beside it.
#[test]
fn a_rev1_compute_instance_counts_by_its_multiprocessors() {
    assert!(compute_starts("h100-80gb-sxm", 14, &[7, 0])[1].is_none());
    assert!(compute_starts("h100-80gb-sxm", 14, &[0, 7])[1].is_none());
    assert!(compute_starts("h100-80gb-sxm", 9, &[7, 0])[1].is_some());
}

#[test]
fn ids_of_compute_instances_are_the_lowest_free() {
    let mut machine = machine("a100-40gb");
    let gi = machine.create_instance(0, 9, None, &Clients::default()).unwrap();
    for expected in 0..3 {
        assert_eq!(machine.create_compute(0, gi, 0, None), Ok(expected));
    }
    machine.destroy_compute(0, gi, 1, &Clients::default()).unwrap();
    assert_eq!(machine.create_compute(0, gi, 0, None), Ok(1));
    let wrong_place = machine.create_compute(0, gi, 0, Some((3, 1)));
    assert_eq!(wrong_place, Err(Code::INVALID_ARGUMENT));
    let taken = machine.create_compute(0, gi, 0, Some((2, 1)));
    assert_eq!(taken, Err(Code::INSUFFICIENT_RESOURCES));
}
