use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::apply::DesiredState;
use crate::apply::gates::words;
use crate::apply::intent::Before;
use crate::apply::steps::steps;
use crate::config::Config;
use crate::inventory::{Compute, Mode};
use crate::order::{self, Request};

const MENU: [&str; 3] = ["1g.5gb", "2g.10gb", "3g.20gb"];

fn settings(orders: bool) -> Settings {
    serde_saphyr::from_str(&format!("on-request: [{{profiles: [{}], orders: {orders}}}]", MENU.join(", ")))
        .unwrap()
}

fn at(profile: &str, start: u8) -> Placement {
    Placement { profile: profile.parse().unwrap(), start }
}

fn instance(gi: u32, placement: Placement, compute: &[Profile]) -> Instance {
    let part = |(ci, profile): (u32, &Profile)| Compute {
        ci,
        profile: *profile,
        start: 0,
        uuid: format!("MIG-{gi}-{ci}"),
        files: Vec::new(),
    };
    let compute = (0..).zip(compute).map(part).collect();
    Instance { gi, placement, compute, holders: Vec::new(), closed: false }
}

/// An A100 with these instances, each whole.
fn node(places: &[Placement]) -> Inventory {
    let instances = (0..).zip(places).map(|(gi, place)| instance(gi, *place, &[place.profile])).collect();
    let gpu = Gpu { mode: Mode::Known { current: true, pending: true }, instances, ..Gpu::bare_a100(0) };
    Inventory { node: "n1".into(), gpus: vec![gpu], ..Inventory::default() }
}

fn cut(gpu: &str, destroy: &[Placement], create: &[Placement]) -> Cut {
    gated(gpu, [destroy, create, &[], &[]])
}

/// The same with what is to be closed and opened.
fn gated(gpu: &str, [destroy, create, close, open]: [&[Placement]; 4]) -> Cut {
    let change =
        serde_json::json!({"gpu": gpu, "destroy": destroy, "create": create, "close": close, "open": open});
    let text = serde_json::json!({"cut": {"gpus": [change]}});
    match order::read(text.to_string().as_bytes()).unwrap() {
        Request::Cut(cut) => cut,
        Request::Look(_) => unreachable!("a cut"),
    }
}

fn refusal(inventory: &Inventory, cut: &Cut) -> String {
    let error = check(cut, &settings(true), inventory).unwrap_err().to_string();
    if !error.ends_with("is not there") {
        assert_eq!(targets(cut, &settings(true), inventory).unwrap_err().to_string(), error);
    }
    error
}

#[test]
fn an_order_may_do_no_more_than_the_node_lets_it() {
    let small = [at("1g.5gb", 0), at("1g.5gb", 1), at("3g.20gb", 4)];
    let there = node(&small);
    assert_eq!(refusal(&there, &cut("GPU-9", &[], &[])), "GPU-9: no such GPU on this node");
    let order = |destroy: &[Placement], create: &[Placement]| refusal(&there, &cut("GPU-0", destroy, create));
    assert_eq!(
        order(&[], &[at("7g.40gb", 0)]),
        "GPU 0 7g.40gb at 0: is not on offer, only 1g.5gb, 2g.10gb, 3g.20gb"
    );
    assert_eq!(
        order(&[], &[at("1c.3g.20gb", 0)]),
        "GPU 0 1c.3g.20gb at 0: is not on offer, only 1g.5gb, 2g.10gb, 3g.20gb"
    );
    assert_eq!(order(&[at("1g.5gb", 2)], &[at("1g.5gb", 3)]), "GPU 0 1g.5gb at 2: is not there");
    assert_eq!(
        order(&[at("1g.5gb", 0)], &[at("2g.10gb", 0)]),
        "GPU 0: cannot hold 2g.10gb at 0, 1g.5gb at 1, 3g.20gb at 4 together"
    );
    assert!(order(&[], &[at("1g.5gb", 7)]).contains("cannot hold"), "no such place");
    // An old picture is told from a wrong order, and nothing of it is carried out in part.
    assert_eq!(order(&[at("2g.10gb", 4)], &[at("1g.5gb", 6)]), "GPU 0 2g.10gb at 4: is not there");
    assert_eq!(order(&[at("1g.5gb", 3), at("1g.5gb", 1)], &[]), "GPU 0 1g.5gb at 3: is not there");
    let off = Gpu { mode: Mode::Known { current: true, pending: false }, ..there.gpus[0].clone() };
    let off = Inventory { gpus: vec![off], ..there.clone() };
    assert_eq!(refusal(&off, &cut("GPU-0", &[], &[])), "GPU 0: MIG mode is not on");
    let takes_none = check(&cut("GPU-0", &[], &[]), &settings(false), &there).unwrap_err();
    assert_eq!(takes_none.to_string(), "GPU 0: takes no orders");

    let mut divided = node(&[]);
    let parts: Vec<Profile> = ["1c.3g.20gb"; 3].iter().map(|name| name.parse().unwrap()).collect();
    divided.gpus[0].instances = vec![instance(1, at("3g.20gb", 4), &parts)];
    let divided_order = cut("GPU-0", &[at("3g.20gb", 4)], &[]);
    assert!(refusal(&divided, &divided_order).contains("GPU 0 3g.20gb at 4: is divided"));
}

#[test]
fn what_is_there_already_is_no_error_and_what_was_half_made_is_finished() {
    let done = node(&[at("2g.10gb", 0), at("3g.20gb", 4)]);
    let again = cut("GPU-0", &[at("1g.5gb", 0), at("1g.5gb", 1)], &[at("2g.10gb", 0)]);
    check(&again, &settings(true), &done).unwrap();
    assert!(
        targets(&again, &settings(true), &done).unwrap()[0]
            .is_cut_like(&kept("n1", &done.gpus[0], &settings(true)).unwrap())
    );
    let mut half = node(&[at("3g.20gb", 4)]);
    half.gpus[0].instances.push(instance(9, at("2g.10gb", 0), &[]));
    let nothing = Cut { gpus: Vec::new(), job: None };
    for rest in [cut("GPU-0", &[], &[at("2g.10gb", 0)]), cut("GPU-0", &[], &[]), nothing.clone()] {
        check(&rest, &settings(true), &half).unwrap();
        let target = &targets(&rest, &settings(true), &half).unwrap()[0];
        assert_eq!(target.instances.as_ref().unwrap()[1], whole(at("2g.10gb", 0)));
    }
    assert_eq!(targets(&nothing, &settings(false), &half).unwrap(), [Target::default()]);
}

#[test]
fn a_gpu_that_takes_orders_stays_as_it_is_cut() {
    let kept = |inventory: &Inventory, orders| {
        let target = kept("n1", &inventory.gpus[0], &settings(orders))?;
        Some(target.instances.unwrap().iter().map(|instance| instance.placement).collect::<Vec<_>>())
    };
    let places = [at("2g.10gb", 0), at("3g.20gb", 4)];
    assert_eq!(kept(&node(&places), true), Some(places.to_vec()));
    assert_eq!(kept(&node(&places), false), None);
    assert_eq!(kept(&node(&[]), true), None, "nothing is cut: the layout is for it");
    let odd = node(&[at("4g.20gb", 0), at("3g.20gb", 4)]);
    assert_eq!(kept(&odd, true), Some(vec![at("3g.20gb", 4)]), "what is not on offer goes");
}

#[test]
fn what_is_closed_or_opened_is_there_afterwards_and_on_offer() {
    let there = node(&[at("4g.20gb", 0), at("2g.10gb", 4), at("1g.5gb", 6)]);
    let check = |lists: [&[Placement]; 4]| {
        let cut = gated("GPU-0", lists);
        check(&cut, &settings(true), &there).map_err(|error| error.to_string())
    };
    let (small, odd, large, gone) = (at("1g.5gb", 6), at("4g.20gb", 0), at("2g.10gb", 4), at("1g.5gb", 4));
    for right in [[&[][..], &[], &[small], &[large]], [&[small], &[], &[large], &[]]] {
        assert_eq!(check(right), Ok(()));
    }
    for list in [2, 3] {
        let only = |placement| {
            let only = [placement];
            let mut lists: [&[Placement]; 4] = [&[]; 4];
            lists[list] = &only;
            check(lists).unwrap_err()
        };
        assert_eq!(only(gone), "GPU 0 1g.5gb at 4: is not there");
        assert_eq!(only(odd), "GPU 0 4g.20gb at 0: is not on offer, only 1g.5gb, 2g.10gb, 3g.20gb");
    }
    // What comes may be closed, where it can come.
    assert_eq!(check([&[large], &[gone], &[gone], &[]]), Ok(()));
    assert!(check([&[], &[gone], &[gone], &[]]).unwrap_err().contains("cannot hold"));
}

/// What a change closes and opens of a node of which the 1g.5gb at 0 was closed.
fn gates(desired: DesiredState<'_>, after: &[Placement]) -> Vec<String> {
    let mut before = node(&[at("1g.5gb", 0), at("1g.5gb", 1), at("3g.20gb", 4)]);
    before.gpus[0].instances[0].closed = true;
    let mut after = node(after);
    for instance in &mut after.gpus[0].instances {
        instance.closed = instance.placement == at("1g.5gb", 0);
    }
    desired.gate(&mut after);
    words(&before, &after)
}

#[test]
fn an_order_closes_and_opens_what_it_names_and_a_layout_opens_all() {
    let (first, second, large) = (at("1g.5gb", 0), at("1g.5gb", 1), at("3g.20gb", 4));
    let all = [first, second, large];
    fn ordered(after: &[Placement], lists: [&[Placement]; 4]) -> Vec<String> {
        gates(DesiredState::Ordered(&settings(true), &gated("GPU-0", lists)), after)
    }
    assert_eq!(ordered(&all, [&[], &[], &[], &[]]), [""; 0]);
    assert_eq!(ordered(&all, [&[], &[], &[first, large], &[]]), ["close GPU 0 3g.20gb at 4"]);
    assert_eq!(
        ordered(&all, [&[], &[], &[second], &[first, large]]),
        ["open GPU 0 1g.5gb at 0", "close GPU 0 1g.5gb at 1"]
    );
    let two = at("2g.10gb", 0);
    assert_eq!(ordered(&[two, large], [&[first, second], &[two], &[two], &[]]), ["close GPU 0 2g.10gb at 0"]);
    assert_eq!(ordered(&[two, large], [&[first, second], &[two], &[], &[]]), [""; 0]);
    // What an order has come is open, also where it is there already.
    assert_eq!(ordered(&all, [&[], &[first], &[], &[]]), ["open GPU 0 1g.5gb at 0"]);
    assert_eq!(ordered(&all, [&[], &[first], &[first], &[]]), [""; 0]);

    let config =
        Config::parse("c", "version: v1\nmig-configs: {a: [{devices: all, mig-enabled: false}]}\n").unwrap();
    assert_eq!(gates(DesiredState::InForce(&config, "a"), &all), [""; 0]);
    assert_eq!(gates(DesiredState::Layout(&config, "a"), &all), ["open GPU 0 1g.5gb at 0"]);
    // What opens everything cuts nothing, whatever the configuration's layout is.
    let sets = settings(true);
    let open = DesiredState::Open(&sets);
    assert_eq!(gates(open, &all), ["open GPU 0 1g.5gb at 0"]);
    let there = node(&all);
    assert_eq!(steps(&there, &open.targets(&there).unwrap()), []);
    let mut noted = node(&all);
    noted.gpus[0].instances[1].closed = true;
    let noted: Vec<Before> = noted.gpus.iter().map(Before::from).collect();
    assert_eq!(
        gates(DesiredState::Before(&noted), &all),
        ["open GPU 0 1g.5gb at 0", "close GPU 0 1g.5gb at 1"]
    );
}

/// Every place of an A100, those that are not on offer among them.
fn everywhere() -> Vec<Placement> {
    Gpu::bare_a100(0).geometry.placements().collect()
}

/// Units that an instance takes of an A100, by NVIDIA's table of its placements: written down here, so that judge and judged
/// share no code.
fn span(placement: Placement) -> std::ops::Range<u8> {
    let size = match placement.profile.to_string().as_str() {
        "1g.5gb" => 1,
        "2g.10gb" => 2,
        "3g.20gb" => 4,
        other => panic!("{other} is not on offer"),
    };
    placement.start..placement.start + size
}

proptest! {
    #[test]
    fn what_is_allowed_is_a_cut_of_what_is_on_offer(
        present in subsequence(everywhere(), 0..6),
        destroy in subsequence(everywhere(), 0..4),
        create in subsequence(everywhere(), 0..4),
    ) {
        let mut places: Vec<Placement> = Vec::new();
        for place in present {
            let with: Vec<Placement> = places.iter().copied().chain([place]).collect();
            if Gpu::bare_a100(0).geometry.legal(&with) {
                places = with;
            }
        }
        let create: Vec<Placement> = create.into_iter().filter(|place| !destroy.contains(place)).collect();
        let (inventory, cut) = (node(&places), cut("GPU-0", &destroy, &create));
        let Ok(targets) = targets(&cut, &settings(true), &inventory) else { return Ok(()) };
        prop_assert!(targets[0].mode.is_none());
        let after: Vec<Divided> = targets[0].instances.clone().unwrap();
        for placement in destroy.iter().chain(&create) {
            prop_assert!(MENU.contains(&placement.profile.to_string().as_str()));
        }
        for placement in &places {
            prop_assert!(destroy.contains(placement) || after.iter().any(|after| after.placement == *placement));
        }
        for placement in &create {
            prop_assert!(after.contains(&whole(*placement)));
            let others = after.iter().map(|after| after.placement).filter(|other| other != placement);
            for other in others.filter(|other| MENU.contains(&other.profile.to_string().as_str())) {
                let (a, b) = (span(*placement), span(other));
                prop_assert!(a.end <= b.start || b.end <= a.start, "{placement} and {other}");
            }
        }
    }
}
