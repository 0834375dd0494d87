use super::*;
use crate::arbiter::wire::Changes;
use crate::inventory::{Gpu, Inventory};

const FIRST: Placement = Placement { profile: Profile::new(1, 5, mig::Attribute::None), start: 0 };

fn answer(code: Code, inventory: Option<Inventory>) -> Result<Answer, String> {
    let seen = |inventory| Seen {
        known: (inventory, BTreeMap::new()),
        offers: BTreeMap::new(),
        running: false,
        interrupted: false,
    };
    Ok(Answer { code, error: None, look: inventory.map(seen).map(Box::new) })
}

fn n1(closed: bool) -> Inventory {
    let mut gpu = Gpu::a100_cut(0, &[FIRST]);
    gpu.instances[0].closed = closed;
    Inventory { node: "n1".into(), gpus: vec![gpu], ..Inventory::default() }
}

/// A node that was ordered to close an instance and says that it is done; what is said of it.
fn ordered(closes: bool, now: u64) -> (Nodes, Vec<String>) {
    let mut nodes = Nodes::default();
    nodes.keep(&["n1".to_owned()].into());
    let changes = Changes { close: vec![FIRST], ..Changes::default() };
    let order = NodeOrder { job: None, gpus: [(n1(false).gpus[0].uuid.clone(), changes)].into() };
    nodes.began("n1", Errand::Order(order), now);
    let outcome =
        Outcome { order: Some(answer(Code::Done, None)), look: answer(Code::Done, Some(n1(closes))) };
    let says = nodes.ended("n1", outcome, now).into_iter().map(|event| event.says).collect();
    (nodes, says)
}

#[test]
fn a_node_that_says_it_is_done_and_is_not_is_left_alone_for_a_while() {
    let (mut nodes, says) = ordered(true, 100);
    assert_eq!(says[0], "done");
    assert!(!nodes.state_mut("n1").unwrap().is_underway(100));
    let (mut nodes, says) = ordered(false, 100);
    assert_eq!(says[..2], ["done", "says that it is done, and is not as it was ordered"]);
    let state = nodes.state_mut("n1").unwrap();
    assert!(state.is_underway(101) && !state.is_underway(102));
    assert_eq!(nodes.troubled(), 1);
}

#[test]
fn a_clock_that_is_set_back_makes_no_pause_longer() {
    let (mut nodes, _) = ordered(false, 1_000_000);
    nodes.set_back(50);
    assert!(!nodes.state_mut("n1").unwrap().is_underway(50));
    assert_eq!(nodes.to_see(50 + OLD), ["n1"]);
}

#[test]
fn a_node_that_was_away_is_seen_before_it_is_ordered_anything() {
    let (mut nodes, _) = ordered(true, 100);
    assert_eq!(nodes.to_see(100), Vec::<String>::new());
    nodes.are_away(&["n1".to_owned()].into());
    assert!(nodes.state_mut("n1").unwrap().is_underway(100));
    assert_eq!(nodes.to_see(100), ["n1"]);
    nodes.began("n1", Errand::Look, 100);
    nodes.ended("n1", Outcome { order: None, look: answer(Code::Done, Some(n1(true))) }, 100);
    assert!(!nodes.state_mut("n1").unwrap().is_underway(100));
    // One that was never seen is due anyway.
    nodes.keep(&["n1".to_owned(), "n2".to_owned()].into());
    nodes.are_away(&["n2".to_owned()].into());
    assert_eq!(nodes.to_see(100), ["n2"]);
}

/// A node that was down from the start made the service fail whenever it was stopped.
#[test]
fn a_node_on_which_nobody_answers_is_not_one_that_was_not_seen() {
    let mut nodes = Nodes::default();
    let both: BTreeSet<String> = ["n1".to_owned(), "n2".to_owned()].into();
    nodes.keep(&both);
    nodes.are_away(&["n2".to_owned()].into());
    assert_eq!(nodes.unseen().collect::<Vec<_>>(), ["n1"]);
    // It is back, and is seen next.
    nodes.are_away(&BTreeSet::new());
    assert_eq!(nodes.unseen().collect::<Vec<_>>(), ["n1", "n2"]);
    // What is closed on one that was seen stays so while nobody answers there.
    let mut seen = answer(Code::Done, Some(n1(true)));
    let offers = &mut seen.as_mut().unwrap().look.as_mut().unwrap().offers;
    offers.insert(n1(true).gpus[0].uuid.clone(), BTreeSet::new());
    nodes.began("n1", Errand::Look, 100);
    nodes.ended("n1", Outcome { order: None, look: seen }, 100);
    nodes.are_away(&both);
    assert_eq!((nodes.unseen().count(), nodes.closed().len()), (0, 1));
}

#[test]
fn of_many_nodes_one_is_seen_each_second_where_nothing_asks_for_it() {
    let names: BTreeSet<String> = (0..1000).map(|number| format!("n{number:04}")).collect();
    let mut nodes = Nodes::default();
    nodes.keep(&names);
    for (name, second) in names.iter().zip(0..) {
        nodes.began(name, Errand::Look, second);
        let inventory = Inventory { node: name.clone(), ..Inventory::default() };
        nodes.ended(name, Outcome { order: None, look: answer(Code::Done, Some(inventory)) }, second);
    }
    assert_eq!(nodes.to_see(999), Vec::<String>::new());
    assert_eq!(nodes.to_see(1001), ["n0000", "n0001"]);
}

/// Seconds in which n1 is asked to finish what is left, and how often something is said of it beside the answers.
fn finishes(code: Code, interrupted: bool, fenced: bool) -> (Nodes, Vec<u64>, usize) {
    let look = || {
        let mut look = answer(Code::Done, Some(n1(false)));
        look.as_mut().unwrap().look.as_mut().unwrap().interrupted = interrupted;
        look
    };
    let fence = if fenced { ["n1".to_owned()].into() } else { BTreeSet::new() };
    let mut nodes = Nodes::default();
    nodes.keep(&["n1".to_owned()].into());
    nodes.began("n1", Errand::Look, 0);
    nodes.ended("n1", Outcome { order: None, look: look() }, 0);
    let (mut when, mut said) = (Vec::new(), 0);
    for now in 0..100 {
        said += nodes.fenced(&fence, now).len();
        if !nodes.to_finish(now).is_empty() {
            when.push(now);
            nodes.began("n1", Errand::Order(NodeOrder::default()), now);
            let outcome = Outcome { order: Some(answer(code, None)), look: look() };
            said += nodes.ended("n1", outcome, now).len() - 1;
        }
    }
    (nodes, when, said)
}

#[test]
fn a_node_that_never_finishes_what_was_cut_off_is_asked_less_and_less() {
    for code in [Code::Nothing, Code::Done] {
        let (_, when, said) = finishes(code, true, false);
        assert_eq!((when, said), (vec![0, 2, 6, 14, 30, 62], 1));
        let (mut nodes, when, said) = finishes(code, false, true);
        assert_eq!((when, said), (vec![0, 3, 8, 17, 34, 67], 1));
        assert_eq!(nodes.troubled(), 1);
        // Whoever has put it up takes it down.
        nodes.began("n1", Errand::Order(NodeOrder::default()), 200);
        nodes.ended(
            "n1",
            Outcome { order: Some(answer(code, None)), look: answer(code, Some(n1(false))) },
            200,
        );
        assert!(nodes.fenced(&BTreeSet::new(), 201).is_empty());
        assert!(!nodes.state_mut("n1").unwrap().is_underway(201));
        assert_eq!(nodes.troubled(), 0);
    }
}
