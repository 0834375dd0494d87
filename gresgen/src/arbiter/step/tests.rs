mod held;

use std::collections::BTreeMap;

use super::super::reach::{Errand, Outcome};
use super::super::wire::{Answer, Seen};
use super::*;
use crate::order::Code;
use crate::slurm::control::{Queued, Reservation};

/// What a slurmctld said: n1 with two A100 on request, of each of which a job has the 3g at 4; job 3 waits for another, 5 is an
/// array of 2g of which three may run.
const RECORDED: &str = include_str!("../../demand/recorded/24.11.5.txt");
const CONFIG: &str = include_str!("../../demand/recorded/config.yaml");

fn answers() -> Answers {
    answers_of(RECORDED)
}

fn answers_of(recorded: &str) -> Answers {
    let part = |name: &str| {
        let rest = recorded.split(&format!("== {name}\n")).nth(1).unwrap();
        rest.split("== ").next().unwrap()
    };
    let now = part("now").trim().parse().unwrap();
    Answers::read(now, part("queued"), part("requests"), part("records"), part("partitions"), part("nodes"))
}

fn places(text: &str) -> Vec<Placement> {
    let place = |text: &str| {
        let (profile, start) = text.split_once('@').unwrap();
        Placement { profile: profile.parse().unwrap(), start: start.parse().unwrap() }
    };
    text.split_whitespace().map(place).collect()
}

const FIRST: &str = "1g.5gb@0 1g.5gb@1 1g.5gb@2 3g.20gb@4";

/// A look at n1, of whose GPUs the first `takers` take orders.
fn look(cuts: [&str; 2], takers: usize) -> Result<Answer, String> {
    let gpus: Vec<_> = cuts
        .iter()
        .zip(0..)
        .map(|(text, index)| crate::inventory::Gpu::a100_cut(index, &places(text)))
        .collect();
    let menu = ["1g.5gb", "2g.10gb", "3g.20gb"].map(|name| name.parse().unwrap());
    let offers = gpus.iter().take(takers).map(|gpu| (gpu.uuid.clone(), menu.into())).collect();
    let inventory = Inventory { node: "n1".into(), gpus, ..Inventory::default() };
    let seen = Seen { known: (inventory, BTreeMap::new()), offers, running: false, interrupted: false };
    Ok(Answer { code: Code::Done, error: None, look: Some(Box::new(seen)) })
}

fn answer(code: Code) -> Option<Result<Answer, String>> {
    Some(Ok(Answer { code, error: None, look: None }))
}

fn stepped(answers: Answers, nodes: &mut Nodes) -> Step {
    stepped_with(32, answers, nodes)
}

fn stepped_with(room: usize, answers: Answers, nodes: &mut Nodes) -> Step {
    let config = Config::parse("c", CONFIG).unwrap();
    let names = Names::new(&config.slurm.types).unwrap();
    let layout = Some((&config, "first"));
    let site = Site { settings: &config.slurm, names, layout, policy: Policy::default() };
    step(answers, nodes, &site.policy, &mut Kept::new(&site), &Recall::default(), room)
}

/// n1 after one look.
fn seen(takers: usize) -> (Nodes, u64) {
    let (mut nodes, now) = (Nodes::default(), answers().now);
    nodes.keep(&on_request(&answers()));
    assert_eq!(nodes.to_see(now), ["n1"]);
    nodes.began("n1", Errand::Look, now);
    let events = nodes.ended("n1", Outcome { order: None, look: look([FIRST, FIRST], takers) }, now);
    assert_eq!(events.len(), 1, "{events:?}");
    (nodes, now)
}

fn at(now: u64) -> Answers {
    Answers { now, ..answers() }
}

/// What n1 is ordered.
fn order(step: &Step) -> String {
    step.orders.get("n1").map(NodeOrder::to_string).unwrap_or_default()
}

fn said(step: &Step, id: u32) -> &Said {
    &step.jobs.iter().find(|(job, _)| job.id == id).unwrap().1
}

const DUE: &str = "GPU 0: 1g.5gb at 0, 1, 2 -> 3g.20gb at 0; GPU 1: 1g.5gb at 0, 1, 2 -> 2g.10gb at 0, 2";

#[test]
fn a_node_that_was_seen_has_all_cuts_in_one_order() {
    let mut unseen = Nodes::default();
    unseen.keep(&on_request(&answers()));
    assert_eq!(order(&stepped(answers(), &mut unseen)), "");

    let (mut nodes, _) = seen(2);
    let step = stepped(answers(), &mut nodes);
    assert_eq!(order(&step), DUE);
    assert_eq!(step.orders["n1"].job.as_deref(), Some("3"));
    assert_eq!(*said(&step, 3), Ok(Verdict::Cut(vec!["n1".into()])));
    assert_eq!(*said(&step, 5), Ok(Verdict::Cut(vec!["n1".into()])));
}

#[test]
fn a_type_is_unknown_only_where_no_node_has_it() {
    // Nothing is known of n1 yet, and slurmctld says that it has 3g.20gb.
    let mut unseen = Nodes::default();
    unseen.keep(&on_request(&answers()));
    let step = stepped(answers(), &mut unseen);
    assert_eq!(*said(&step, 3), Ok(Verdict::Unseen(vec!["n1".into()])));
    let mut other = answers();
    other.nodes.iter_mut().for_each(|view| view.gpus.retain(|(name, _)| name != "3g.20gb"));
    assert_eq!(*said(&stepped(other, &mut unseen), 3), Err(Cannot::Type("3g.20gb".into())));
}

/// It was said that they can never run, while a node was down or its sshd was since before the arbiter began.
#[test]
fn what_a_node_that_is_not_known_could_do_is_not_ruled_out() {
    let (mut nodes, now) = seen(2);
    nodes.keep(&on_request(&pair(now)));
    let with = |nodes: &mut Nodes, required: &str, excluded: &str, down: bool| {
        let mut answers = pair(now);
        let job = answers.queued.iter_mut().find(|job| job.listing.id == 3).unwrap();
        let place = job.place.as_mut().unwrap();
        (place.required, place.excluded) = (required.into(), excluded.into());
        let request = answers.requests.iter_mut().find(|request| request.id == 3).unwrap();
        request.nodes = if required.is_empty() { 2 } else { 1 };
        if down {
            answers
                .nodes
                .iter_mut()
                .filter(|view| view.name == "n2")
                .for_each(|view| view.state = vec!["DOWN".into()]);
        }
        said(&stepped(answers, nodes), 3).clone()
    };
    let n2 = || vec!["n2".to_owned()];
    for required in ["", "n2"] {
        assert_eq!(with(&mut nodes, required, "", false), Ok(Verdict::Unseen(n2())), "{required}");
        assert_eq!(with(&mut nodes, required, "", true), Ok(Verdict::Out(n2())), "{required}");
    }
    // One that it may not have is none that it waits for.
    assert_eq!(with(&mut nodes, "", "n2", true), Ok(Verdict::Never));
    assert_eq!(with(&mut nodes, "n1", "", true), Ok(Verdict::Cut(vec!["n1".into()])));
    let mut other = pair(now);
    other
        .nodes
        .iter_mut()
        .filter(|view| view.name == "n2")
        .for_each(|view| view.partitions = vec!["other".into()]);
    assert_eq!(*said(&stepped(other, &mut nodes), 3), Ok(Verdict::Never));
    // One that is reserved is again there after that, known or not.
    for node in ["n1", "n2"] {
        let mut other = pair(now);
        let job = other.queued.iter_mut().find(|job| job.listing.id == 3).unwrap();
        job.place.as_mut().unwrap().required = node.into();
        other.reservations.push(Reservation {
            name: "maintenance".into(),
            nodes: Some(vec![node.into()]),
            ..Reservation::default()
        });
        let Ok(Verdict::Other(why)) = said(&stepped(other, &mut nodes), 3).clone() else { panic!("{node}") };
        assert!(why.contains("are reserved"), "{why}");
    }
    // What it asks for is none of its types.
    let mut other = pair(now);
    let n2 = other.nodes.iter_mut().find(|view| view.name == "n2").unwrap();
    n2.gpus.retain(|(name, _)| name != "3g.20gb");
    assert_eq!(*said(&stepped(other, &mut nodes), 3), Ok(Verdict::Never));
}

#[test]
fn nobody_is_told_of_a_cut_for_whose_order_there_is_no_room() {
    let (mut nodes, _) = seen(2);
    let step = stepped_with(0, answers(), &mut nodes);
    assert_eq!(order(&step), "");
    // The second looks at nothing but what the first leaves.
    assert_eq!([said(&step, 3), said(&step, 5)], [&Ok(Verdict::UnderWay), &Ok(Verdict::Busy(114))]);
    assert_eq!(order(&stepped_with(2, answers(), &mut nodes)), DUE);
}

#[test]
fn what_an_order_under_way_makes_is_not_ordered_again() {
    let (mut nodes, now) = seen(2);
    let first = stepped(answers(), &mut nodes).orders["n1"].clone();
    nodes.began("n1", Errand::Order(first), now);
    let step = stepped(at(now + 1), &mut nodes);
    assert_eq!((order(&step).as_str(), said(&step, 3)), ("", &Ok(Verdict::There)));
    // Slurm has given some of it out before the answer has come: the node stays known.
    let mut early = at(now + 1);
    early.nodes[0].used = crate::slurm::control::Devices::Listed([20, 21, 23].into());
    let step = stepped(early, &mut nodes);
    assert_eq!((order(&step).as_str(), said(&step, 5)), ("", &Ok(Verdict::Busy(113))));
    assert_eq!((nodes.to_see(now + 1000).len(), nodes.to_finish(now + 1000).len()), (0, 0));
}

#[test]
fn a_refusal_is_not_met_with_the_same_again_at_once() {
    let (mut nodes, mut now) = seen(2);
    let mut pauses = Vec::new();
    for code in [Code::Stale, Code::InUse, Code::Locked, Code::Nothing, Code::Unknown, Code::Refused] {
        let ordered = stepped(at(now), &mut nodes).orders["n1"].clone();
        nodes.began("n1", Errand::Order(ordered), now);
        nodes.ended("n1", Outcome { order: answer(code), look: look([FIRST, FIRST], 2) }, now);
        let begin = now;
        while order(&stepped(at(now), &mut nodes)).is_empty() {
            // An answer that is not understood may have left something to be done.
            for node in nodes.to_finish(now) {
                nodes.began(&node, Errand::Order(NodeOrder::default()), now);
                let order = if code == Code::Unknown { answer(Code::Nothing) } else { answer(code) };
                nodes.ended(&node, Outcome { order, look: look([FIRST, FIRST], 2) }, now);
            }
            now += 1;
        }
        pauses.push(now - begin);
    }
    assert_eq!(pauses, [2, 2, 2, 4, 9, 4]);
}

#[test]
fn what_takes_no_orders_is_not_cut() {
    let (mut nodes, _) = seen(1);
    assert_eq!(order(&stepped(answers(), &mut nodes)), "GPU 0: 1g.5gb at 0, 1, 2 -> 3g.20gb at 0");
    let (mut nodes, _) = seen(0);
    let step = stepped(answers(), &mut nodes);
    assert_eq!((order(&step).as_str(), said(&step, 5)), ("", &Ok(Verdict::Never)));
}

#[test]
fn a_fence_of_ours_is_finished_and_hides_no_node() {
    let (mut nodes, now) = seen(2);
    let mut fenced = answers();
    fenced.reservations.push(Reservation {
        name: "gresgen-n1".into(),
        nodes: Some(vec!["n1".into()]),
        ..Reservation::default()
    });
    let step = stepped(fenced.clone(), &mut nodes);
    assert_eq!((order(&step).as_str(), said(&step, 3)), ("", &Ok(Verdict::Busy(114))));
    assert_eq!(nodes.to_finish(now), ["n1"]);
    nodes.began("n1", Errand::Order(NodeOrder::default()), now);
    nodes.ended("n1", Outcome { order: answer(Code::Done), look: look([FIRST, FIRST], 2) }, now);
    assert_eq!(order(&stepped(answers(), &mut nodes)), DUE);
    // Somebody else's is his.
    fenced.reservations[0].name = "gresgen-n10".into();
    assert_eq!(order(&stepped(fenced, &mut nodes)), "");
    assert_eq!(nodes.to_finish(now), [""; 0]);
}

#[test]
fn a_node_that_is_not_what_was_seen_is_seen_again_with_growing_pauses() {
    let (mut nodes, now) = seen(2);
    // Job 1 has the place 4 of GPU 0.
    let wrong = ["1g.5gb@0 1g.5gb@1 1g.5gb@2", FIRST];
    let mut looks = Vec::new();
    let mut words = 0;
    nodes.began("n1", Errand::Look, now);
    nodes.ended("n1", Outcome { order: None, look: look(wrong, 2) }, now);
    for second in 0..40 {
        let step = stepped(at(now + second), &mut nodes);
        words += step.events.len();
        assert_eq!(order(&step), "");
        if !nodes.to_see(now + second).is_empty() {
            looks.push(second);
            nodes.began("n1", Errand::Look, now + second);
            nodes.ended("n1", Outcome { order: None, look: look(wrong, 2) }, now + second);
        }
    }
    assert_eq!((looks, words), (vec![0, 2, 6, 14, 30], 1));
    nodes.began("n1", Errand::Look, now + 40);
    nodes.ended("n1", Outcome { order: None, look: look([FIRST, FIRST], 2) }, now + 40);
    assert_eq!(order(&stepped(at(now + 41), &mut nodes)), DUE);
}

#[test]
fn a_node_that_does_not_answer_is_named_once_and_left_alone() {
    let (mut nodes, now) = seen(2);
    let lost = || Outcome { order: None, look: Err("ssh: connect to host n1: refused".into()) };
    let mut looks = Vec::new();
    let mut words = Vec::new();
    assert!(!nodes.has_unreached());
    nodes.began("n1", Errand::Look, now);
    words.extend(nodes.ended("n1", lost(), now));
    assert!(nodes.has_unreached());
    for second in 0..1000 {
        assert_eq!(order(&stepped(at(now + second), &mut nodes)), "");
        if !nodes.to_see(now + second).is_empty() {
            looks.push(second);
            nodes.began("n1", Errand::Look, now + second);
            words.extend(nodes.ended("n1", lost(), now + second));
        }
    }
    assert_eq!(looks, [2, 6, 14, 30, 62, 126, 254, 510, 810]);
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["n1: is not reached: ssh: connect to host n1: refused"]);
    nodes.began("n1", Errand::Look, now + 1000);
    let events = nodes.ended("n1", Outcome { order: None, look: look([FIRST, FIRST], 2) }, now + 1000);
    assert_eq!(events[0].to_string(), "n1: is seen again");
    assert!(!nodes.has_unreached());
    assert!(
        order(&stepped(at(now + 1001), &mut nodes)).starts_with("GPU 0: 1g.5gb at 0, 1, 2 -> 3g.20gb at 0")
    );
    // It leaves Slurm.
    nodes.keep(&BTreeSet::new());
    assert_eq!((nodes.inventory("n1"), nodes.names().count()), (None, 0));
}

#[test]
fn what_was_closed_for_nobody_is_opened() {
    let (mut nodes, now) = seen(2);
    let mut closed = look([FIRST, FIRST], 2).unwrap();
    closed.look.as_mut().unwrap().known.0.gpus[1].instances[0].closed = true;
    nodes.began("n1", Errand::Look, now);
    nodes.ended("n1", Outcome { order: None, look: Ok(closed) }, now);
    let mut idle = answers();
    idle.queued.retain(|job| !job.waits());
    let step = stepped(idle, &mut nodes);
    assert_eq!((order(&step).as_str(), step.closed), ("GPU 1: opens 1g.5gb at 0", true));
}

#[test]
fn an_order_says_nothing_that_a_node_refuses() {
    let changes = Changes {
        index: 0,
        destroy: places("1g.5gb@0 1g.5gb@0"),
        create: places("2g.10gb@0"),
        close: places("1g.5gb@0 2g.10gb@0 3g.20gb@4"),
        open: places("2g.10gb@0 3g.20gb@4 1g.5gb@2"),
    };
    let mut order = NodeOrder { job: None, gpus: [("GPU-a".to_owned(), changes)].into() };
    settle(&mut order);
    let due = "GPU 0: 1g.5gb at 0 -> 2g.10gb at 0, closes 2g.10gb at 0 + 3g.20gb at 4, opens 1g.5gb at 2";
    assert_eq!(order.to_string(), due);
    let again = crate::order::read(
        order.text().replace("GPU-a", "GPU-8c4c05eb-4ff1-5bcd-b394-0c3c04a6ba58").as_bytes(),
    );
    assert!(again.is_ok(), "{again:?}");
}

/// Two such nodes, of which n2 has no jobs; job 3 alone waits, for a 3g on each.
fn pair(now: u64) -> Answers {
    let text =
        |name: &str| RECORDED.split(&format!("== {name}\n")).nth(1).unwrap().split("== ").next().unwrap();
    let n1 = text("nodes").lines().next().unwrap();
    let n2 = n1.replace("NodeName=n1", "NodeName=n2").replace("3g.20gb:2(IDX:21,23)", "3g.20gb:0(IDX:N/A)");
    let nodes = format!("{n1}\n{}\n", n2.replace("CPUAlloc=2", "CPUAlloc=0"));
    let requests = text("requests").replace(
        "3|1|1|1|1795745327|N/A|cpu=1,mem=4000M,node=1",
        "3|2|2|2|1795745327|N/A|cpu=2,mem=8000M,node=2",
    );
    let mut answers =
        Answers::read(now, text("queued"), &requests, text("records"), text("partitions"), &nodes);
    answers.queued.retain(|job| !job.waits() || job.listing.id == 3);
    answers
}

fn seen_pair() -> (Nodes, u64) {
    let (mut nodes, now) = (Nodes::default(), answers().now);
    nodes.keep(&on_request(&pair(now)));
    for name in ["n1", "n2"] {
        nodes.began(name, Errand::Look, now);
        nodes.ended(name, Outcome { order: None, look: look_at(name) }, now);
    }
    (nodes, now)
}

fn look_at(name: &str) -> Result<Answer, String> {
    let mut seen = look([FIRST, FIRST], 2)?;
    seen.look.as_mut().unwrap().known.0.node = name.to_owned();
    Ok(seen)
}

/// Those in which a pause that doubles begins or ends, and some between.
const SECONDS: [u64; 24] =
    [0, 1, 2, 3, 5, 6, 7, 13, 14, 15, 29, 30, 31, 61, 62, 125, 126, 253, 254, 509, 510, 809, 810, 1110];

/// It was closed and opened on the other node in turn, for as long as the one refused.
#[test]
fn while_a_node_refuses_to_be_cut_nothing_is_closed_elsewhere_for_the_job() {
    let (mut nodes, now) = seen_pair();
    let (mut tries, mut other, mut said_so) = (Vec::new(), Vec::new(), 0);
    for second in SECONDS {
        let step = stepped(pair(now + second), &mut nodes);
        said_so += u32::from(*said(&step, 3) == Ok(Verdict::Refused(vec!["n1".into()])));
        for (name, order) in step.orders {
            let code = if name == "n1" { Code::InUse } else { Code::Done };
            if name == "n1" { &mut tries } else { &mut other }.push((second, order.to_string()));
            nodes.began(&name, Errand::Order(order), now + second);
            nodes.ended(&name, Outcome { order: answer(code), look: look_at(&name) }, now + second);
        }
    }
    let when: Vec<u64> = tries.iter().map(|(second, _)| *second).collect();
    assert_eq!(when, [0, 2, 6, 14, 30, 62, 126, 254, 510, 810, 1110]);
    assert!(tries.iter().all(|(_, order)| order.contains("-> 3g.20gb at 0")), "{tries:?}");
    // The first time nobody knew.
    assert_eq!(other.iter().filter(|(second, _)| *second > 0).count(), 0, "{other:?}");
    assert_eq!(said_so, SECONDS.len() as u32 - when.len() as u32);

    // Once it takes the cut the rest follows.
    let second = 1500;
    let mut step = stepped(pair(now + second), &mut nodes);
    let cut = step.orders.remove("n1").unwrap();
    assert!(step.orders.is_empty(), "{:?}", step.orders);
    nodes.began("n1", Errand::Order(cut), now + second);
    assert!(stepped(pair(now + second + 1), &mut nodes).orders.is_empty(), "while it is tried");
    let mut done = look(["1g.5gb@0 1g.5gb@1 1g.5gb@2 3g.20gb@4", FIRST], 2).unwrap();
    let inventory = &mut done.look.as_mut().unwrap().known.0;
    inventory.gpus[0] = crate::inventory::Gpu::a100_cut(0, &places("3g.20gb@0 3g.20gb@4"));
    inventory.gpus[0].instances[0].closed = true;
    nodes.ended("n1", Outcome { order: answer(Code::Done), look: Ok(done) }, now + second + 2);
    assert!(!nodes.has_refused("n1"));
}

/// What it opens and closes in between says nothing of whether it can be cut.
#[test]
fn a_node_that_refuses_is_asked_less_and_less_though_it_does_other_things() {
    let (mut nodes, now) = seen(2);
    let mut tries = Vec::new();
    let close = Changes { close: places("1g.5gb@0"), ..Changes::default() };
    let close = NodeOrder { job: None, gpus: [(crate::inventory::Gpu::a100_cut(0, &[]).uuid, close)].into() };
    let mut closed = look([FIRST, FIRST], 2).unwrap();
    closed.look.as_mut().unwrap().known.0.gpus[0].instances[0].closed = true;
    for second in SECONDS {
        let step = stepped(at(now + second), &mut nodes);
        if let Some(order) = step.orders.get("n1").filter(|order| order.cuts()) {
            tries.push(second);
            nodes.began("n1", Errand::Order(order.clone()), now + second);
            nodes.ended(
                "n1",
                Outcome { order: answer(Code::InUse), look: look([FIRST, FIRST], 2) },
                now + second,
            );
            nodes.began("n1", Errand::Order(close.clone()), now + second);
            let look = Ok(closed.clone());
            nodes.ended("n1", Outcome { order: answer(Code::Done), look }, now + second);
        }
    }
    assert_eq!(tries, [0, 2, 6, 14, 30, 62, 126, 254, 510, 810, 1110]);
}

/// What is kept for a large job would be given away else, because a small one was just ending.
#[test]
fn what_is_closed_stays_so_over_refusals_until_they_last() {
    let (mut nodes, now) = seen(2);
    let mut closed = look([FIRST, FIRST], 2).unwrap();
    closed.look.as_mut().unwrap().known.0.gpus[0].instances[0].closed = true;
    let mut opened = Vec::new();
    for second in SECONDS {
        let step = stepped(at(now + second), &mut nodes);
        let Some(order) = step.orders.get("n1") else { continue };
        if !order.cuts() {
            opened.push(second);
            continue;
        }
        nodes.began("n1", Errand::Order(order.clone()), now + second);
        nodes.ended("n1", Outcome { order: answer(Code::InUse), look: Ok(closed.clone()) }, now + second);
    }
    // The fifth refusal was at 30.
    assert_eq!(opened, [31, 61, 125, 253, 509, 809]);
}

/// Each of them was carried out, and the node is as it was before the first.
#[test]
fn a_node_is_cut_no_more_often_in_an_hour_than_a_site_lets_it() {
    let (mut nodes, now) = seen(2);
    let small = places("1g.5gb@0 1g.5gb@1 1g.5gb@2");
    let cut = |destroy: &[Placement], create: &[Placement]| {
        let changes = Changes { destroy: destroy.to_vec(), create: create.to_vec(), ..Changes::default() };
        NodeOrder { job: None, gpus: [(crate::inventory::Gpu::a100_cut(0, &[]).uuid, changes)].into() }
    };
    let large = places("3g.20gb@0");
    let ways = [
        (cut(&small, &large), look(["3g.20gb@0 3g.20gb@4", FIRST], 2)),
        (cut(&large, &small), look([FIRST, FIRST], 2)),
    ];
    let most = u64::from(Policy::default().cuts_per_hour);
    for (second, (order, look)) in (1..=most).zip(ways.into_iter().cycle()) {
        let step = stepped(at(now + second), &mut nodes);
        assert_ne!(*said(&step, 3), Ok(Verdict::Limit), "before cut {second}");
        nodes.began("n1", Errand::Order(order), now + second);
        nodes.ended("n1", Outcome { order: answer(Code::Done), look }, now + second);
    }
    let step = stepped(at(now + 3600), &mut nodes);
    assert_eq!((order(&step).as_str(), said(&step, 3)), ("", &Ok(Verdict::Limit)));
    // The first of them is an hour ago.
    assert!(stepped(at(now + 3601), &mut nodes).orders["n1"].cuts());
}

#[test]
fn what_no_job_has_is_known_where_slurmctld_says_all_of_a_node() {
    let counts = |change: &dyn Fn(&mut Answers)| {
        let (mut nodes, _) = seen(2);
        // Nobody's text looks like a record of job 1.
        let mut said = answers_of(&RECORDED.replace("\nJobId=1 b|c", ""));
        said.nodes[0].used = crate::slurm::control::Devices::Listed([0, 21, 23].into());
        change(&mut said);
        stepped(said, &mut nodes).counts
    };
    let unexplained = |devices: &[usize]| {
        let devices = crate::slurm::control::Devices::Listed(devices.iter().copied().collect());
        Counts::from([("n1".to_owned(), devices)])
    };
    assert_eq!(counts(&|_| ()), unexplained(&[0]));
    assert_eq!(counts(&|said| said.nodes[0].used = answers().nodes[0].used.clone()), unexplained(&[]));
    // The node has not registered, is down, or a job is completing there.
    assert_eq!(counts(&|said| said.nodes[0].registered = false), Counts::new());
    assert_eq!(counts(&|said| said.nodes[0].state = vec!["DOWN".into()]), Counts::new());
    let ended = |said: &mut Answers| {
        let on = said.queued.iter_mut().find(|job| job.nodes == "n1").unwrap();
        on.listing.state = "CG".into();
    };
    assert_eq!(counts(&ended), Counts::new());
    // Job 1 may have anything.
    assert_eq!(counts(&|said| said.records = answers().records), Counts::new());
    // Not all jobs could be read, or none is there and somebody has CPUs.
    assert_eq!(counts(&|said| said.unread = 1), Counts::new());
    assert_eq!(counts(&|said| said.queued.retain(Queued::waits)), Counts::new());
}

/// slurmctld as it is after a change of the records of n1: the gate is in its other form, and nothing else need differ.
fn changed(now: u64) -> Answers {
    let mut said = at(now);
    let n1 = said.nodes.iter_mut().find(|view| view.name == "n1").unwrap();
    n1.listed = n1.listed.replace("gate:2(S:0-31)", "gate:2");
    assert_ne!(n1.listed, at(now).nodes[0].listed);
    said
}

#[test]
fn a_node_that_an_admin_has_cut_is_seen_at_once() {
    let (mut nodes, now) = seen(2);
    let looked = |nodes: &mut Nodes, now| {
        nodes.began("n1", Errand::Look, now);
        nodes.ended("n1", Outcome { order: None, look: look([FIRST, FIRST], 2) }, now);
    };
    stepped(at(now), &mut nodes);
    assert_eq!(nodes.to_see(now), Vec::<String>::new());
    // What was seen is not what there is: nothing is ordered by it.
    assert_eq!(order(&stepped(changed(now + 1), &mut nodes)), "");
    assert_eq!(nodes.to_see(now + 1), ["n1"]);
    looked(&mut nodes, now + 1);
    assert_eq!(order(&stepped(changed(now + 2), &mut nodes)), DUE);
    assert_eq!(nodes.to_see(now + 2), Vec::<String>::new());
    // It changed while it was looked at, after it had said what it is.
    nodes.began("n1", Errand::Look, now + 10);
    stepped(at(now + 11), &mut nodes);
    nodes.ended("n1", Outcome { order: None, look: look([FIRST, FIRST], 2) }, now + 12);
    stepped(at(now + 12), &mut nodes);
    assert_eq!(nodes.to_see(now + 12), ["n1"]);
    // However often it changes, or says so, it is seen now and then.
    let mut looks = Vec::new();
    for second in 20..40 {
        let now = now + second;
        stepped(if second % 2 == 0 { at(now) } else { changed(now) }, &mut nodes);
        if !nodes.to_see(now).is_empty() {
            looks.push(second);
            looked(&mut nodes, now);
        }
    }
    assert!((3..=5).contains(&looks.len()), "{looks:?}");
}

#[test]
fn what_an_order_changes_is_not_seen_twice() {
    let (mut nodes, now) = seen(2);
    let step = stepped(at(now), &mut nodes);
    nodes.began("n1", Errand::Order(step.orders["n1"].clone()), now);
    stepped(changed(now + 1), &mut nodes);
    let after = ["3g.20gb@0 3g.20gb@4", "2g.10gb@0 2g.10gb@2 3g.20gb@4"];
    nodes.ended("n1", Outcome { order: answer(Code::Done), look: look(after, 2) }, now + 2);
    stepped(changed(now + 2), &mut nodes);
    assert_eq!(nodes.to_see(now + 2), Vec::<String>::new());
}

#[test]
fn a_node_that_slurmctld_has_not_heard_of_yet_shows_nothing() {
    let (mut nodes, now) = seen(2);
    stepped(at(now), &mut nodes);
    let mut restarted = changed(now + 1);
    restarted.nodes.iter_mut().for_each(|view| view.registered = false);
    stepped(restarted, &mut nodes);
    assert_eq!(nodes.to_see(now + 1), Vec::<String>::new());
}

#[test]
fn what_a_job_waits_for_although_it_is_free_is_looked_at() {
    let (mut nodes, now) = (Nodes::default(), answers().now);
    nodes.keep(&on_request(&answers()));
    // As it was seen there is a 3g for job 3.
    let before = ["3g.20gb@0 3g.20gb@4", FIRST];
    let mut looks = Vec::new();
    for second in 0..80 {
        let now = now + second;
        if !nodes.to_see(now).is_empty() {
            looks.push(second);
            nodes.began("n1", Errand::Look, now);
            nodes.ended("n1", Outcome { order: None, look: look(before, 2) }, now);
        }
        let step = stepped(at(now), &mut nodes);
        assert!(matches!(said(&step, 3), Ok(Verdict::There)), "{:?}", said(&step, 3));
    }
    // Before the pass that asks for it: a second later.
    assert_eq!(looks, [0, 9, 19, 39, 79]);
}

#[test]
fn a_node_whose_profiles_were_changed_is_named_with_what_to_do() {
    let (mut nodes, now) = seen(2);
    let other = || {
        let mut answer = look([FIRST, FIRST], 2).unwrap();
        let seen = answer.look.as_mut().unwrap();
        seen.offers
            .values_mut()
            .for_each(|menu| *menu = ["1g.5gb", "7g.40gb"].map(|name| name.parse().unwrap()).into());
        Ok(answer)
    };
    let mut said = Vec::new();
    for second in 0..10 {
        let mut answers = at(now + second);
        let n1 = answers.nodes.iter_mut().find(|view| view.name == "n1").unwrap();
        n1.gpus = vec![("1g.5gb".into(), 14), ("7g.40gb".into(), 2), ("guard".into(), 4)];
        said.extend(stepped(answers, &mut nodes).events);
        nodes.began("n1", Errand::Look, now + second);
        said.extend(nodes.ended("n1", Outcome { order: None, look: other() }, now + second));
    }
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("offers other profiles") && said[0].ends_with("restart gresgen-arbiter"),
        "{said:?}"
    );
}

#[test]
fn why_a_node_is_not_known_is_said_in_short() {
    let (mut nodes, now) = seen(2);
    let strange = || {
        let mut answer = look(["", ""], 2).unwrap();
        let geometry = &mut answer.look.as_mut().unwrap().known.0.gpus[0].geometry;
        let spec = |memory: u16| mig::Spec {
            profile: mig::Profile::new(7, 10_000 + memory, mig::Attribute::None),
            ..geometry.specs[0].clone()
        };
        geometry.specs = (0..60).map(spec).collect();
        Ok(answer)
    };
    let mut said = Vec::new();
    for second in 0..10 {
        said.extend(stepped(at(now + second), &mut nodes).events);
        nodes.began("n1", Errand::Look, now + second);
        nodes.ended("n1", Outcome { order: None, look: strange() }, now + second);
    }
    assert!(!said.is_empty());
    assert!(said.iter().all(|event| event.says.chars().count() <= 300), "{said:?}");
}
