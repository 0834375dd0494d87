//! More than one at a time: two applies, signals in the middle of one, somebody else's hold on a GPU.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::check::agree;
use crate::corpus::{SCENARIOS, Scenario};
use crate::node::{APPLY, Ended, JOURNAL, Node};
use crate::picture::{Picture, devices};

/// Long enough for another process to act within one call, in milliseconds.
const SLOW: &str = "nvmlDeviceCreateGpuInstanceWithPlacement=200,nvmlGpuInstanceDestroy=100";
/// Gives up waiting for what must come; no test depends on how long it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The scenario of two layouts that share nothing.
fn scenario() -> &'static Scenario {
    SCENARIOS.iter().find(|s| s.name == "a demand of the node").unwrap()
}

/// A node in its first state, without jobs.
fn node() -> Node {
    let node = Node::new(scenario().machine, &scenario().config());
    let ended = node.run(&["--layout", "before", "-q", "apply"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    node
}

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> Ended {
    Ended::of(child.wait_with_output().unwrap())
}

fn wait_for(what: &str, happened: impl Fn() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "never saw {what}");
        sleep(Duration::from_millis(5));
    }
}

fn called(log: &Path, call: &str) -> usize {
    fs::read_to_string(log).unwrap_or_default().lines().filter(|line| line.starts_with(call)).count()
}

#[test]
fn of_two_applies_one_is_refused_by_name() {
    let node = node();
    let mut first = node.gresgen(&[], &APPLY);
    let first = start(first.env("NVML_SIM_LATENCY", SLOW));
    wait_for("the journal", || node.path(JOURNAL).exists());
    let second = node.run(&["--layout", "before", "-q", "apply"]);
    assert_eq!(second.code, Some(4), "{}", second.stderr);
    assert!(second.stderr.contains(&format!("held by process {}", first.id())), "{}", second.stderr);
    let first = end(first);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert_eq!(Picture::of(&node.machine()).lacks(scenario()), None);
    agree(&node, &devices(&node.machine())).unwrap();
}

#[test]
fn of_many_applies_each_wins_or_is_refused() {
    let node = node();
    let before = Picture::of(&node.machine());
    for _ in 0..5 {
        let layouts = ["before", "after", "before", "after"];
        let run = |layout: &&str| start(&mut node.gresgen(&[], &["--layout", layout, "-q", "apply"]));
        let children: Vec<Child> = layouts.iter().map(run).collect();
        let ended: Vec<Ended> = children.into_iter().map(end).collect();
        assert!(ended.iter().all(|e| matches!(e.code, Some(0 | 4))), "{ended:?}");
        let winners: Vec<&str> =
            layouts.iter().zip(&ended).filter(|(_, e)| e.code == Some(0)).map(|(l, _)| *l).collect();
        let machine = node.machine();
        let picture = Picture::of(&machine);
        let is_after = picture.lacks(scenario()).is_none();
        let is_before = picture.same_counts(&before);
        assert!(
            is_after && winners.contains(&"after") || is_before && winners.contains(&"before"),
            "{winners:?}"
        );
        assert!(!node.path(JOURNAL).exists());
        agree(&node, &devices(&machine)).unwrap();
    }
}

#[test]
fn a_signal_between_steps_brings_back_what_was() {
    for (signal, impatient) in [(Signal::INT, false), (Signal::TERM, false), (Signal::TERM, true)] {
        let node = node();
        let (before, files) = (Picture::of(&node.machine()), node.published());
        let log = node.beside("calls");
        let mut apply = node.gresgen(&[], &APPLY);
        let apply = start(apply.env("NVML_SIM_LATENCY", SLOW).env("NVML_SIM_CALLS", &log));
        let pid = Pid::from_child(&apply);
        wait_for("the second instance", || called(&log, "nvmlDeviceCreateGpuInstance") == 2);
        kill_process(pid, signal).unwrap();
        if impatient {
            let destroyed = called(&log, "nvmlGpuInstanceDestroy");
            wait_for("the undoing", || called(&log, "nvmlGpuInstanceDestroy") > destroyed);
            kill_process(pid, signal).unwrap();
        }
        let ended = end(apply);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("interrupted by a signal"), "{}", ended.stderr);
        assert!(ended.stderr.contains("the previous layout is back"), "{}", ended.stderr);
        assert_eq!(Picture::of(&node.machine()), before);
        assert_eq!(node.published(), files);
        assert!(!node.path(JOURNAL).exists());
    }
}

#[test]
fn what_an_apply_that_was_cut_off_set_out_from_can_be_brought_back() {
    let node = node();
    let (before, files) = (Picture::of(&node.machine()), node.published());
    let killed = node.gresgen(&[], &APPLY).env("NVML_SIM_FAULTS", "kill@5").output().unwrap();
    assert_eq!(Ended::of(killed).code, None);
    assert_ne!(Picture::of(&node.machine()), before);
    let undone = node.run(&["-q", "apply", "--undo"]);
    assert_eq!(undone.code, Some(0), "{}", undone.stderr);
    assert_eq!(Picture::of(&node.machine()), before);
    assert_eq!(node.published(), files);
    // The change that was cut off and its undoing are one in the history, and what was before that is there.
    let again = node.run(&["-q", "apply", "--undo"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(Picture::of(&node.machine()), before);
}

#[test]
fn a_mode_that_somebody_keeps_from_changing_is_refused() {
    let wanted = "- devices: [0]\n      mig-enabled: true\n      mig-devices: {7g.80gb: 1}";
    let node = Node::new("h100-80gb-sxm:1", &format!("version: v1\nmig-configs:\n  x:\n    {wanted}\n"));
    assert_eq!(node.run(&["status"]).code, Some(0));
    let (before, gpu) = (Picture::of(&node.machine()), node.machine().gpus[0].uuid());
    let refused = |ended: &Ended, why: &str| {
        assert_eq!(ended.code, Some(4), "{}", ended.stderr);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
        assert_eq!(Picture::of(&node.machine()), before);
        assert!(!node.path(JOURNAL).exists() && node.published().iter().all(Option::is_none));
    };
    // Whom NVML lists is named, and the driver is not even asked.
    fs::write(node.store().processes_file(), format!("{gpu} {}\n", std::process::id())).unwrap();
    refused(&node.run(&["-q", "apply"]), &format!("process {} ", std::process::id()));
    fs::remove_file(node.store().processes_file()).unwrap();
    // Of a client that is in no list the driver has the last word.
    let mut apply = node.gresgen(&[], &["-q", "apply"]);
    let ended = apply.env("NVML_SIM_FAULTS", "nvmlDeviceSetMigMode@*=IN_USE").output().unwrap();
    refused(&Ended::of(ended), "nvmlDeviceSetMigMode: In use by another client");
    assert_eq!(node.run(&["-q", "apply"]).code, Some(0));
}
