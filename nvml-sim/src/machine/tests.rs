use super::*;
use crate::clients::Clients;

fn nobody() -> Clients {
    Clients::default()
}

/// A machine of one GPU in MIG mode, cut into these profile ids, each with its default compute instance.
fn cut(spec: &str, profiles: &[u32]) -> Machine {
    let mut machine = Machine::new(&spec.parse().unwrap(), None);
    machine.set_mode(0, true, &nobody()).unwrap().unwrap();
    for &profile in profiles {
        let id = machine.create_instance(0, profile, None, &nobody()).unwrap();
        let compute = machine.gpus[0].profile(profile).unwrap().default_compute;
        machine.create_compute(0, id, compute, None).unwrap();
    }
    machine
}

#[test]
fn mig_indexes_are_dense_in_order_of_instance_ids() {
    let machine = cut("a30-24gb", &[14, 14, 5]);
    let gpu = &machine.gpus[0];
    let ids: Vec<_> = (0..4).map(|i| gpu.mig_device_at(i).map(|d| d.instance.id)).collect();
    assert_eq!(ids, [Some(2), Some(3), Some(4), None]);
}

#[test]
fn with_gaps_the_index_is_that_of_the_first_slice() {
    for spec in ["a100-40gb:gaps", "h100-80gb-sxm:gaps:mirrored", "a30-24gb:gaps"] {
        let small = mig::Board::by_key(spec.split(':').next().unwrap()).unwrap().rows[0].id;
        let machine = cut(spec, &[small, small]);
        let gpu = &machine.gpus[0];
        let held: Vec<u32> = (0..gpu.max_mig_devices()).filter(|&i| gpu.mig_device_at(i).is_some()).collect();
        let starts: Vec<u32> = gpu.instances.iter().map(|i| i.start).collect();
        assert_eq!(held.len(), 2);
        assert!(held.iter().all(|i| starts.contains(i)));
    }
    let full = cut("a100-40gb:gaps", &[19; 7]);
    assert!((0..7).all(|i| full.gpus[0].mig_device_at(i).is_some()));
}

#[test]
fn names_say_gpu_and_profile() {
    let mut machine = cut("h100-80gb-sxm", &[19, 15]);
    let half = machine.create_instance(0, 9, None, &nobody()).unwrap();
    machine.create_compute(0, half, 0, None).unwrap();
    let mut names: Vec<String> = machine.gpus[0].mig_devices().map(|d| d.name()).collect();
    names.sort();
    let product = "NVIDIA H100 80GB HBM3 MIG";
    assert_eq!(names, ["1c.3g.40gb", "1g.10gb", "1g.20gb"].map(|p| format!("{product} {p}")));
}

#[test]
fn the_same_layout_gives_the_same_uuids_and_no_two_devices_share_one() {
    for spec in ["a100-40gb", "a100-40gb:mirrored"] {
        let first = cut(spec, &[19; 7]);
        let again = cut(spec, &[19; 7]);
        let uuids = |m: &Machine| m.gpus[0].mig_devices().map(|d| d.uuid()).collect::<Vec<_>>();
        assert_eq!(uuids(&first), uuids(&again));
        let mut distinct = uuids(&first);
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 7);
    }
}

/// NVIDIA's guide shows one UUID for a 3g and for a 1c.3g on the same GPU instance.
#[test]
fn a_uuid_does_not_depend_on_the_profile_of_the_compute_instance() {
    let uuid = |compute| {
        let mut machine = cut("a100-40gb", &[]);
        let id = machine.create_instance(0, 9, None, &nobody()).unwrap();
        machine.create_compute(0, id, compute, None).unwrap();
        machine.gpus[0].mig_devices().next().unwrap().uuid()
    };
    assert_eq!(uuid(0), uuid(2));
}

#[test]
fn a_mig_device_is_found_by_either_form_of_its_uuid() {
    let machine = cut("a100-40gb:2", &[9]);
    let device = machine.gpus[0].mig_devices().next().unwrap();
    let old = format!("MIG-{}/{}/0", machine.gpus[0].uuid(), device.instance.id);
    assert!(machine.mig_by_uuid(&device.uuid()).is_some());
    assert!(machine.mig_by_uuid(&old).is_some());
    assert!(machine.mig_by_uuid(&format!("{old}1")).is_none());
}

#[test]
fn shuffled_gpus_swap_their_minors_and_nobody_elses() {
    let minors = |spec: &str| {
        Machine::new(&spec.parse().unwrap(), None).gpus.iter().map(|g| g.minor).collect::<Vec<_>>()
    };
    assert_eq!(minors("a100-40gb:3"), [0, 1, 2]);
    assert_eq!(minors("a100-40gb:3:shuffled"), [2, 1, 0]);
    assert_eq!(minors("a100-40gb:shuffled,a30-24gb,a30-24gb:shuffled"), [2, 1, 0]);
}

#[test]
fn a_gpu_is_found_by_either_spelling_of_its_pci_address() {
    let machine = Machine::new(&"a100-40gb:2".parse().unwrap(), None);
    let bdf = machine.gpus[1].bdf();
    for spelling in [bdf.clone(), bdf.to_uppercase(), format!("0000{bdf}")] {
        assert_eq!(machine.by_pci(&spelling).unwrap().index, 1, "{spelling}");
    }
    assert!(machine.by_pci("0000:ff:00.0").is_none());
}

#[test]
fn a_state_reads_back_and_a_changed_one_is_found_out() {
    let machine = cut("a100-40gb:2", &[9, 14, 19]);
    let json = serde_json::to_value(&machine).unwrap();
    let back: Machine = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&back).unwrap(), json);
    assert_eq!(crate::defect::defect(&back), None);
    let defect = |edit: fn(&mut serde_json::Value)| {
        let mut json = json.clone();
        edit(&mut json);
        crate::defect::defect(&serde_json::from_value(json).unwrap())
    };
    let defects = [
        defect(|j| j["format"] = 2.into()),
        defect(|j| j["spec"] = "a30-24gb:2".into()),
        defect(|j| j["gpus"][0]["current"] = false.into()),
        defect(|j| j["gpus"][0]["instances"][0]["id"] = 14.into()),
        defect(|j| j["gpus"][0]["instances"][0]["start"] = 0.into()),
        defect(|j| j["gpus"][0]["instances"][0]["profile"] = 77.into()),
        defect(|j| j["gpus"][0]["instances"][0]["compute"][0]["profile"] = 4.into()),
        defect(|j| j["gpus"][0]["instances"][0]["compute"][0]["start"] = 1.into()),
        defect(|j| {
            let list = j["gpus"][0]["instances"][0]["compute"].as_array_mut().unwrap();
            let mut twin = list[0].clone();
            twin["id"] = 1.into();
            list.push(twin);
        }),
    ];
    let texts: Vec<String> = defects.into_iter().map(|d| d.expect("a defect")).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn a_compute_instance_has_the_name_of_the_gpu_instance_that_it_fills() {
    let name = |key: &str, profile: &str, compute: u32| {
        let rows = Board::by_key(key).unwrap().rows;
        compute_name(rows.iter().find(|row| row.name == profile).unwrap(), compute)
    };
    assert_eq!(name("a100-40gb", "3g.20gb", 2), "3g.20gb");
    assert_eq!(name("a100-40gb", "3g.20gb", 0), "1c.3g.20gb");
    assert_eq!([0, 7].map(|c| name("h100-80gb-sxm", "1g.20gb", c)), ["1c.1g.20gb", "1g.20gb"]);
    assert_eq!([0, 7].map(|c| name("h100-80gb-pcie", "1g.20gb", c)), ["1g.20gb", "1g.20gb"]);
}
