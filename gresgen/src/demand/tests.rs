use std::collections::BTreeMap;
use std::fmt::Write as _;

use mig::Placement;

use super::answers::Held;
use super::*;
use crate::config::Config;
use crate::inventory::{Gpu, Holder, Inventory};
use crate::slurm::Names;
use crate::slurm::control::{Devices, NodeView, Queued, Records, Reservation};

/// What a slurmctld printed in a lab: a node with two A100 on request, of which two jobs have a 3g, beside one without GPUs and
/// a catalog that is not recorded; and jobs of many forms. Job 3 has the beginning of a record in its name.
const RECORDED: [(&str, &str); 3] = [
    ("22.05.8", include_str!("recorded/22.05.8.txt")),
    ("24.11.5", include_str!("recorded/24.11.5.txt")),
    ("26.05.5", include_str!("recorded/26.05.5.txt")),
];

/// The same node with arrays of which some elements have records of their own: one held, one with another time limit, two held where
/// there is no throttle, all held but one, one with another name, one requeued.
const ARRAYS: [(&str, &str); 2] = [
    ("22.05.8", include_str!("recorded/arrays/22.05.8.txt")),
    ("26.05.5", include_str!("recorded/arrays/26.05.5.txt")),
];

/// That of the node.
const CONFIG: &str = include_str!("recorded/config.yaml");

/// The part of a recording.
fn part<'a>(recorded: &'a str, name: &str) -> &'a str {
    let rest = recorded.split(&format!("== {name}\n")).nth(1).unwrap();
    rest.split("== ").next().unwrap()
}

fn answers(recorded: &str) -> Answers {
    Answers::read(
        part(recorded, "now").trim().parse().unwrap(),
        part(recorded, "queued"),
        part(recorded, "requests"),
        part(recorded, "records"),
        part(recorded, "partitions"),
        part(recorded, "nodes"),
    )
}

fn cut(text: &str) -> Vec<Placement> {
    let place = |text: &str| {
        let (profile, start) = text.split_once('@').unwrap();
        Placement { profile: profile.parse().unwrap(), start: start.parse().unwrap() }
    };
    text.split_whitespace().map(place).collect()
}

fn node(cuts: [&str; 2]) -> Inventory {
    let gpus = cuts.iter().zip(0..).map(|(text, index)| Gpu::a100_cut(index, &cut(text))).collect();
    Inventory { node: "n1".into(), gpus, ..Inventory::default() }
}

const FIRST: &str = "1g.5gb@0 1g.5gb@1 1g.5gb@2 3g.20gb@4";

fn look_at(answers: &Answers, inventory: Inventory) -> Look {
    let config = Config::parse("c", CONFIG).unwrap();
    let names = Names::new(&config.slurm.types).unwrap();
    let mut sheets = Sheets::new(&config.slurm, names, Some((&config, "first")));
    let stock = take(answers, &[sheets.of(&(inventory, BTreeMap::new()))]);
    look(&mut answers.clone(), stock)
}

/// Every job with what it wants and what is said, and every cut.
fn text(look: &Look) -> String {
    let mut text = String::new();
    for (job, said) in &look.jobs {
        let wants: Vec<String> =
            job.wants.iter().map(|wants| format!("{:?} x {}", wants.types, wants.nodes)).collect();
        let _ = writeln!(text, "{} {} [{}] {said:?}", job.id, job.shown, wants.join("; "));
    }
    for Cut { node, gpu, destroy, create, job } in &look.cuts {
        let list = |all: &[Placement]| {
            all.iter().map(|p| format!("{}@{}", p.profile, p.start)).collect::<Vec<_>>().join(" ")
        };
        let _ = writeln!(text, "{node} GPU {gpu} for {job}: {} -> {}", list(destroy), list(create));
    }
    for (why, nodes) in &look.unknown {
        let _ = writeln!(text, "{}: {why}", nodes.join(" "));
    }
    text
}

/// What is said of a job.
fn said(look: &Look, id: u32) -> String {
    let (_, said) = look.jobs.iter().find(|(job, _)| job.id == id).unwrap();
    format!("{said:?}")
}

#[test]
fn three_releases_are_read_alike() {
    let texts = RECORDED.map(|(release, recorded)| {
        let answers = answers(recorded);
        // Times differ by when the jobs were submitted; what is said does not go by them here.
        let start = answers.queued.iter().find(|job| job.listing.id == 1).and_then(|job| job.ends).unwrap();
        (release, text(&look_at(&answers, node([FIRST, FIRST]))).replace(&start.to_string(), "END"))
    });
    insta::assert_snapshot!(texts[0].1);
    for (release, text) in &texts[1..] {
        assert_eq!(*text, texts[0].1, "{release}");
    }
}

#[test]
fn what_cannot_be_known_takes_no_cut() {
    let answers = answers(RECORDED[1].1);
    // Job 1 has the place 4 of GPU 0.
    let old = node(["1g.5gb@0 1g.5gb@1 1g.5gb@2", FIRST]);
    let look = look_at(&answers, old);
    assert_eq!(look.unknown[0].0, "a job has an instance that its inventory lacks; take it anew");
    assert_eq!((look.cuts.len(), said(&look, 3).as_str()), (0, "Cannot(Type(\"3g.20gb\"))"));
    // One that asks for any GPU may wait for what is there.
    assert_eq!(said(&look, 10), r#"Decided(Unseen(["n1"]))"#);

    let mut smaller = node([FIRST, FIRST]);
    smaller.gpus.pop();
    assert_eq!(look_at(&answers, smaller).unknown[0].0, "slurmctld has other GPUs on it than its inventory");

    let elsewhere = Inventory { node: "n9".into(), ..node([FIRST, FIRST]) };
    let look = look_at(&answers, elsewhere);
    let why: Vec<&str> = look.unknown.iter().map(|(why, _)| why.as_str()).collect();
    assert_eq!(why, ["slurmctld has no node of this name", "there is no inventory of it"]);
}

#[test]
fn what_somebody_else_has_is_not_cut() {
    let answers = answers(RECORDED[0].1);
    let mut run = node([FIRST, FIRST]);
    for gpu in &mut run.gpus {
        gpu.instances[0].holders.push(Holder::Run { pid: 7 });
    }
    let look = look_at(&answers, run.clone());
    assert!(look.cuts.iter().all(|cut| cut.destroy.iter().all(|place| place.start != 0)), "{:?}", look.cuts);
    assert!(!look.cuts.is_empty());
    // Processes beside a job were the job's, and slurmctld says that it has ended.
    for gpu in &mut run.gpus {
        let ended = Holder::Process { pid: 8, command: "python".into(), user: "ada".into() };
        gpu.instances[0].holders = vec![Holder::Job { id: 9, user: "ada".into() }, ended];
    }
    assert_eq!(text(&look_at(&answers, run)), text(&look_at(&answers, node([FIRST, FIRST]))));
}

#[test]
fn a_job_that_ends_may_have_anything() {
    let mut answers = answers(RECORDED[0].1);
    let ending = answers.queued.iter_mut().find(|job| job.listing.id == 2).unwrap();
    ending.listing.state = "CG".into();
    // slurmctld has taken back what it had, and says no more than that there was something.
    let record = "JobId=2 X=y JOB_GRES=gpu:3g.20gb:1   Nodes=n1 CPU_IDs=1 Mem=0 GRES= MinCPUsNode=1 x";
    answers.records.extend(Records::parse(record).jobs);
    let view = answers.nodes.iter_mut().find(|view| view.name == "n1").unwrap();
    view.used = Devices::Listed([21].into());
    let look = look_at(&answers, node([FIRST, FIRST]));
    assert!(look.cuts.is_empty(), "{:?}", look.cuts);
}

/// `scontrol requeuehold State=SpecialExit` and a reservation that is deleted leave such jobs, for as long as nobody releases them.
#[test]
fn a_job_without_nodes_is_on_none() {
    let before = answers(RECORDED[1].1);
    let count = |answers: &Answers| {
        let on = answers.on_nodes();
        ["n1", "n2"].map(|node| on.get(node).map_or(0, Vec::len))
    };
    for (state, nodes, more) in [("SE", "", 0), ("RD", "", 0), ("RD", "n1", 1), ("SE", "n[", 1)] {
        let mut answers = before.clone();
        let held = answers.queued.iter_mut().find(|job| job.waits()).unwrap();
        (held.listing.state, held.nodes) = (state.to_owned(), nodes.to_owned());
        assert_eq!(count(&answers)[0], count(&before)[0] + more, "{state} on {nodes:?}");
    }
}

#[test]
fn nodes_are_narrowed_as_the_job_narrows_them() {
    let base = answers(RECORDED[2].1);
    let with = |change: &dyn Fn(&mut Answers)| {
        let mut answers = base.clone();
        change(&mut answers);
        said(&look_at(&answers, node([FIRST, FIRST])), 3)
    };
    let job = |answers: &mut Answers, change: &dyn Fn(&mut Queued)| {
        change(answers.queued.iter_mut().find(|job| job.listing.id == 3).unwrap());
    };
    let cut = "Cut { nodes: {\"n1\"}, all: true }";
    let never = "Decided(Never)";
    let feature = |text: &str, has: &str| {
        let (text, has) = (text.to_owned(), has.to_owned());
        with(&move |answers: &mut Answers| {
            answers.requests.iter_mut().find(|request| request.id == 3).unwrap().features.clone_from(&text);
            answers.nodes[0].features = has.split(',').map(str::to_owned).collect();
        })
    };
    for (text, has, due) in [
        ("", "a", cut),
        ("a&b", "a,b", cut),
        ("a&b", "a", never),
        ("a|b", "b", cut),
        ("a|b", "c", never),
        ("[a|b]", "a", "Cannot(Nodes)"),
        ("a*2", "a", "Cannot(Nodes)"),
        ("a|b&c", "a", "Cannot(Nodes)"),
    ] {
        assert_eq!(feature(text, has), due, "{text} {has}");
    }
    assert_eq!(with(&|answers| job(answers, &|job| job.partitions = vec!["other".into()])), never);
    let place = |required: &str, excluded: &str, reservation: &str| {
        let place = crate::slurm::control::Place {
            required: required.into(),
            excluded: excluded.into(),
            reservation: reservation.into(),
        };
        with(&move |answers: &mut Answers| {
            job(answers, &|job| job.place = Some(place.clone()));
            answers.reservations = vec![reserved("night", &["n1"])];
        })
    };
    assert_eq!((place("", "", "").as_str(), place("", "", "night").as_str()), (RESERVED, cut));
    assert_eq!((place("n1", "", "night").as_str(), place("n2", "", "night").as_str()), (cut, never));
    assert_eq!(
        (place("", "n[1-2]", "night").as_str(), place("", "n[", "night").as_str()),
        (never, "Cannot(Nodes)")
    );
    assert_eq!(with(&|answers| job(answers, &|job| job.place = None)), "Cannot(Nodes)");
    // A change is under way there, and nobody has reserved it.
    let fenced = with(&|answers| {
        answers.reservations = vec![reserved("gresgen-n1", &["n1"])];
    });
    assert_eq!(fenced, "Decided(UnderWay)");
    let unread = with(&|answers| {
        answers.reservations = vec![Reservation { nodes: None, ..reserved("x", &[]) }];
    });
    assert_eq!(unread, RESERVED);
}

const RESERVED: &str = "Decided(Other(\"its nodes are reserved before it would have to end\"))";

/// One that holds now.
fn reserved(name: &str, nodes: &[&str]) -> Reservation {
    let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
    Reservation { name: name.into(), nodes: Some(nodes), ..Reservation::default() }
}

/// What is said of a job of three hours that names `own`, beside reservations with their flags, hours until they begin and CPUs.
fn said_beside(own: &str, all: &[(&str, &str, u64, Option<u64>)]) -> String {
    said_of_a_job_with(&|answers| {
        let now = answers.now;
        let job = answers.queued.iter_mut().find(|job| job.listing.id == 3).unwrap();
        job.lasts = 3 * 3600;
        job.place.as_mut().unwrap().reservation = own.into();
        let read = |&(name, flags, hours, cpus): &(&str, &str, u64, Option<u64>)| Reservation {
            begins: Some(now + hours * 3600).filter(|_| hours > 0),
            flags: flags.split(',').map(str::to_owned).collect(),
            cpus,
            ..reserved(name, &["n1"])
        };
        answers.reservations = all.iter().map(read).collect();
    })
}

#[test]
fn a_reservation_to_come_keeps_from_its_nodes_who_would_run_into_it() {
    let cut = "Cut { nodes: {\"n1\"}, all: true }";
    let never = "Decided(Never)";
    for (own, all, due) in [
        ("", &[("x", "MAINT", 2, None)][..], RESERVED),
        ("", &[("x", "MAINT", 3, None)], RESERVED),
        ("", &[("x", "MAINT", 4, None)], cut),
        ("", &[("x", "SPEC_NODES", 4, None), ("y", "FLEX,MAGNETIC,OVERLAP", 2, Some(32))], RESERVED),
        // Of its cores alone.
        ("", &[("x", "SPEC_NODES", 2, Some(31))], cut),
        // Its own begins later, or is bound to no time.
        ("x", &[("x", "", 2, None)], never),
        ("x", &[("x", "FLEX", 2, None)], cut),
        ("x,y", &[("x", "", 4, None), ("y", "", 0, None)], cut),
        ("x,y", &[("x", "", 2, None), ("y", "", 0, None)], RESERVED),
        // Others that begin in its own.
        ("x", &[("x", "", 0, None), ("y", "", 2, None)], RESERVED),
        ("x", &[("x", "", 0, None), ("y", "", 0, None)], RESERVED),
        ("x", &[("x", "", 0, None), ("y", "", 4, None)], cut),
        ("x", &[("x", "", 0, None), ("y", "", 2, Some(31))], cut),
        ("x", &[("x", "OVERLAP", 0, None), ("y", "", 2, None)], cut),
        ("x", &[("x", "OVERLAP", 0, None), ("y", "MAINT", 2, None)], RESERVED),
        ("x", &[("x", "MAINT", 0, None), ("y", "MAINT", 2, None)], cut),
    ] {
        assert_eq!(said_beside(own, all), due, "{own:?} beside {all:?}");
    }
}

#[test]
fn how_long_a_job_lasts_is_its_limit_or_with_what_it_would_make_do() {
    let lasts = |limit: &str, record: &str| {
        let job = format!("7|1000|PD|7|7|N/A|N/A|{limit}|1|Resources||lab||||ada\n");
        Answers::read(0, &job, "", record, "", "").queued[0].lasts
    };
    let (hour, day) = (3600, 24 * 3600);
    for (limit, due) in [("3-00:00:00", 3 * day), ("1:00:00", hour), ("10:00", 600), ("UNLIMITED", 365 * day)]
    {
        assert_eq!(lasts(limit, ""), due, "{limit}");
    }
    let record =
        |least: &str| format!("JobId=7 JobName=x TimeLimit=3-00:00:00 TimeMin={least} JOB_GRES=(null)");
    assert_eq!(lasts("3-00:00:00", &record("N/A")), 3 * day);
    assert_eq!(lasts("3-00:00:00", &record("1-01:00:00")), day + hour);
}

/// Job 3 wants a 3g of any node, and nothing hinders it but what is changed here.
fn said_of_a_job_with(change: &dyn Fn(&mut Answers)) -> String {
    let mut answers = answers(RECORDED[2].1);
    change(&mut answers);
    said(&look_at(&answers, node([FIRST, FIRST])), 3)
}

#[test]
fn a_partition_that_gives_whole_nodes_is_promised_none() {
    let cut = "Cut { nodes: {\"n1\"}, all: true }";
    assert_eq!(said_of_a_job_with(&|_| ()), cut);
    assert_eq!(said_of_a_job_with(&|answers| answers.partitions[0].whole = true), "Cannot(Whole)");
}

#[test]
fn what_lists_ask_beside_each_other_is_not_left_out() {
    let asks = |tres: [&str; 4], nodes: u32, tasks: u32| {
        said_of_a_job_with(&|answers| {
            let request = answers.requests.iter_mut().find(|request| request.id == 3).unwrap();
            (request.tres, request.nodes, request.tasks) = (tres.map(str::to_owned), nodes, tasks);
        })
    };
    let (small, large) = ("gres/gpu:1g.5gb:1", "gres/gpu:3g.20gb:1");
    let cut = "Cut { nodes: {\"n1\"}, all: true }";
    assert_eq!(asks(["", large, "", ""], 1, 1), cut);
    assert_eq!(asks([large, large, "", ""], 1, 1), cut);
    for tres in [
        [large, small, "", ""],
        ["", small, "", large],
        [large, "", "", small],
        [large, "gres/gpu:1", "", ""],
    ] {
        assert_eq!(asks(tres, 1, 1), "Cannot(Request)", "{tres:?}");
    }
    for tasks in [u32::MAX, u32::MAX - 1] {
        assert_ne!(asks(["", "", "", large], 1, tasks), cut, "{tasks}");
        assert_ne!(asks(["", "", "", large], u32::MAX, tasks), cut, "{tasks}");
    }
}

#[test]
fn an_array_starts_up_to_its_throttle() {
    let mut answers = answers(RECORDED[0].1);
    let running = answers.queued.iter().find(|job| job.listing.id == 2).unwrap().clone();
    // Three of its elements run already.
    for id in 100..103 {
        let mut one = running.clone();
        (one.listing.id, one.array, one.nodes) = (id, 5, "n2".into());
        answers.queued.push(one);
    }
    let look = look_at(&answers, node([FIRST, FIRST]));
    assert!(look.cuts.iter().all(|cut| cut.job != "5"), "{:?}", look.cuts);
    assert_eq!(said(&look, 5), r#"Decided(Other("JobArrayTaskLimit"))"#);
    // One that is completing makes way for the next, though it has its device still.
    answers.queued.last_mut().unwrap().listing.state = "CG".into();
    let look = look_at(&answers, node([FIRST, FIRST]));
    assert_eq!(said(&look, 5), r#"Cut { nodes: {"n1"}, all: true }"#);
    let job = answers.queued.iter_mut().find(|job| job.listing.id == 5).unwrap();
    job.elements = None;
    assert_eq!(said(&look_at(&answers, node([FIRST, FIRST])), 5), "Cannot(Array)");
}

#[test]
fn an_end_that_is_not_known_is_none() {
    let answers = answers(RECORDED[1].1);
    let view = answers.nodes.iter().find(|view| view.name == "n1").unwrap();
    let held = |answers: &Answers| -> Held {
        let on = answers.on_nodes();
        answers.held(view, &on["n1"])
    };
    let known = answers.queued.iter().find(|job| job.listing.id == 1).unwrap().ends;
    assert!(known.is_some());
    let state = |answers: &Answers, index: usize| held(answers).state(index);
    assert_eq!(state(&answers, 21), State::Busy { until: known });
    // It has no limit.
    assert_eq!(state(&answers, 23), State::Busy { until: None });
    assert_eq!(state(&answers, 0), State::Idle);
    // No record at all: slurmctld's own count is what is left.
    let none = Answers { records: Default::default(), ..answers.clone() };
    assert!(matches!(state(&none, 21), State::Busy { .. }) && matches!(state(&none, 23), State::Busy { .. }));
    assert_eq!(state(&none, 0), State::Idle);
    // What slurmctld does not list may be anything.
    let cut = NodeView { used: Devices::Unlisted, used_count: None, ..view.clone() };
    let unlisted = answers.held(&cut, &answers.on_nodes()["n1"]);
    assert!(matches!(unlisted.state(0), State::Busy { until: None }));
}

#[test]
fn what_is_closed_for_a_job_is_kept_for_it() {
    let mut answers = answers(RECORDED[1].1);
    answers.queued.retain(|job| job.listing.id == 5 || !job.waits());
    answers.queued.iter_mut().filter(|job| job.waits()).for_each(|job| job.elements = Some((1, None)));
    let said_of = |closed: bool| {
        let mut busy = node([FIRST, FIRST]);
        for instance in busy.gpus.iter_mut().flat_map(|gpu| &mut gpu.instances) {
            instance.closed = closed;
            instance.holders.push(Holder::Run { pid: 7 });
        }
        said(&look_at(&answers, busy), 5)
    };
    let (open, closed) = (said_of(false), said_of(true));
    assert!(open.starts_with(r#"Decided(Cordon { nodes: ["n1"], until: Some("#), "{open}");
    assert!(closed.starts_with(r#"Kept { nodes: ["n1"], until: Some("#), "{closed}");
}

/// What of a recorded array may start: how many wait, how many run, and how many may run at once.
fn array(answers: &Answers, id: u32) -> (u32, u32, Option<u32>) {
    let look = look_at(answers, node([FIRST, FIRST]));
    let (job, _) = look.jobs.iter().find(|(job, _)| job.id == id).unwrap();
    let array = job.demand.as_ref().unwrap().array.unwrap();
    (array.waiting, array.running, array.throttle)
}

#[test]
fn of_an_array_what_can_start_is_counted() {
    for (release, recorded) in ARRAYS {
        let answers = answers(recorded);
        for (id, due) in [
            (3, (26, 0, Some(2))),
            (4, (9, 0, Some(2))),
            (6, (10, 0, Some(2))),
            (8, (2, 0, None)),
            (11, (1, 0, Some(2))),
            (13, (3, 0, Some(2))),
            (14, (1, 0, Some(2))),
        ] {
            assert_eq!(array(&answers, id), due, "{release}: {id}");
        }
        let look = look_at(&answers, node([FIRST, FIRST]));
        assert_eq!(said(&look, 15), r#"Decided(Other("JobArrayTaskLimit"))"#, "{release}");
        // Held as it was submitted, and one element of it released: the line has nothing of that one.
        let (job, _) = look.jobs.iter().find(|(job, _)| job.id == 11).unwrap();
        let line = answers.queued.iter().find(|job| job.listing.id == 11).unwrap();
        assert!(job.waited > 5 && line.priority > 0, "{release}: {job:?} {line:?}");
    }
}

/// As before they were read, or where they are too long.
#[test]
fn without_records_an_array_is_what_squeue_says() {
    let (_, recorded) = ARRAYS[0];
    let none = recorded.replace("\nJobId=", "\nX=");
    for (id, due) in [(3, (26, 0, Some(2))), (4, (10, 0, None)), (8, (4, 0, None))] {
        assert_eq!(array(&answers(&none), id), due, "{id}");
    }
}

#[test]
fn what_another_user_writes_changes_no_array() {
    for (release, recorded) in ARRAYS {
        let with = |forged: &str| {
            let in_a_name = format!("JobName=x\n{forged} JobName=y ");
            answers(&recorded.replacen("JobName=sbatch ", &in_a_name, 1))
        };
        let held = "JobName=held JobState=PENDING Reason=JobHeldUser Dependency=(null)";
        // Elements of a record that is there, or are not of the array; its number, or that of an element, twice.
        for (forged, due) in [
            (format!("JobId=99 ArrayJobId=4 ArrayTaskId=0-9 {held}"), (10, 0, Some(2))),
            (format!("JobId=99 ArrayJobId=4 ArrayTaskId=9 {held}"), (10, 0, Some(2))),
            (format!("JobId=99 ArrayJobId=4 ArrayTaskId=x {held}"), (10, 0, Some(2))),
            (format!("JobId=99 ArrayJobId=4 ArrayTaskId=0-4000000:2 {held}"), (10, 0, Some(2))),
            (format!("JobId=99 ArrayJobId=4 ArrayTaskId=12 {held}"), (9, 0, Some(2))),
            (format!("JobId=4 ArrayJobId=4 ArrayTaskId=0-9%1 ArrayTaskThrottle=1 {held}"), (10, 0, None)),
            (format!("JobId=5 ArrayJobId=4 ArrayTaskId=0-9 {held}"), (10, 0, None)),
            (format!("JobId=5 {held}"), (10, 0, None)),
            (format!("JobId=5 ArrayJobId=9 ArrayTaskId=0-9 {held}"), (10, 0, None)),
            (format!("JobId=1 ArrayJobId=4 ArrayTaskId=0-9 {held}"), (10, 0, None)),
        ] {
            assert_eq!(array(&with(&forged), 4), due, "{release}: {forged}");
        }
    }
}

#[test]
fn what_its_user_writes_hides_an_element_of_an_array_and_adds_none() {
    let (_, recorded) = ARRAYS[1];
    let with = |name: &str| recorded.replace("JobName=held ", &format!("JobName={name} "));
    // Which of its records waits for what is not known any more.
    for name in ["x JobState=PENDING Reason=JobHeldUser", "x\ny", "x JobState="] {
        assert_eq!(array(&answers(&with(name)), 4), (10, 0, Some(2)), "{name:?}");
    }
    for name in ["x Reason=JobHeldUser", "x ArrayTaskThrottle=1 ArrayTaskId=9", "x EligibleTime=1 Priority=9"]
    {
        assert_eq!(array(&answers(&with(name)), 4), (9, 0, Some(2)), "{name:?}");
    }
    let released = recorded.replace("JobName=released ", "JobName=x EligibleTime=1 Priority=9 ");
    let line = answers(&released).queued.into_iter().find(|job| job.listing.id == 11).unwrap();
    assert!(line.priority == 0 && line.eligible.is_some_and(|since| since > 1), "{line:?}");
}
