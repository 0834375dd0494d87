//! Holders times verbs.

use std::fmt::Write as _;

use lab::{JobId, LabError, Release};

use crate::judge::{self, Picture};
use crate::site::{Setup, Site, Witness};
use crate::verbs::{self, Devices, Verb};

/// Somebody who holds devices.
pub(crate) struct Held {
    /// Each holder by all its names, with what it holds.
    pub(crate) holders: Vec<(Vec<String>, Devices)>,
    /// Whose they are; nobody where that cannot be told.
    pub(crate) user: &'static str,
    /// Slurm knows of it.
    pub(crate) by_job: bool,
    /// Tasks that have reported.
    pub(crate) tasks: Vec<Witness>,
    /// What an answer may say instead of a name: what has to be set before anything can be told. Then the exit code may
    /// be 2, too.
    pub(crate) instead: Option<&'static str>,
}

impl Held {
    /// Jobs of Alice with these tasks.
    pub(crate) fn by_tasks(site: &Site, tasks: Vec<Witness>) -> Self {
        let holder = |task: &Witness| (task.names.clone(), site.held(std::slice::from_ref(task)));
        Self {
            holders: tasks.iter().map(holder).collect(),
            user: "alice",
            by_job: true,
            tasks,
            instead: None,
        }
    }

    /// A job of Alice that has no task now.
    pub(crate) fn by_job(id: JobId, devices: Devices) -> Self {
        Self {
            holders: vec![(vec![id.to_string()], devices)],
            user: "alice",
            by_job: true,
            tasks: Vec::new(),
            instead: None,
        }
    }

    /// All that is held.
    pub(crate) fn devices(&self) -> Devices {
        let mut all = Devices::default();
        for (_, devices) in &self.holders {
            all.slices.extend(&devices.slices);
            all.whole.extend(&devices.whole);
        }
        all
    }

    /// Names of those who stand against a verb.
    fn against(&self, verb: &Verb) -> Vec<&Vec<String>> {
        let concerned = |devices: &Devices| verb.takes.is_none_or(|slice| devices.slices.contains(&slice));
        self.holders.iter().filter(|(_, devices)| concerned(devices)).map(|(names, _)| names).collect()
    }
}

type Hold = Box<dyn Fn(&Site) -> Result<Held, LabError>>;
type Release_ = fn(&Site) -> Result<(), LabError>;

/// A row: a way to hold a device.
pub(crate) struct Holder {
    pub(crate) name: String,
    /// First release that has the feature.
    pub(crate) since: Release,
    /// Brings it about.
    hold: Hold,
    /// What it takes before its tasks can end.
    let_go: Release_,
}

impl Holder {
    pub(crate) fn new(name: &str, hold: impl Fn(&Site) -> Result<Held, LabError> + 'static) -> Self {
        Self { name: name.to_owned(), since: Release::Bookworm, hold: Box::new(hold), let_go: |_| Ok(()) }
    }

    pub(crate) fn since(self, since: Release) -> Self {
        Self { since, ..self }
    }

    pub(crate) fn let_go(self, let_go: Release_) -> Self {
        Self { let_go, ..self }
    }
}

/// Runs every verb against every holder, on each release.
///
/// # Panics
/// With every combination that went wrong.
pub(crate) fn run(setup: &Setup, holders: &[Holder]) {
    run_with(setup, holders, Site::start);
}

/// The same on nodes made by `start`.
pub(crate) fn run_with(setup: &Setup, holders: &[Holder], start: impl Fn(Release, &Setup) -> Option<Site>) {
    let only = std::env::var("HOLDERS").unwrap_or_default();
    let mut wrong = String::new();
    for release in Release::selected() {
        let mut site = None;
        let wanted = holders.iter().filter(|holder| holder.name.contains(&only));
        for holder in wanted.filter(|holder| holder.since as u8 <= release as u8) {
            let Some(node) = site.take().or_else(|| start(release, setup)) else { return };
            let found = row(&node, holder);
            for problem in &found {
                let _ = writeln!(wrong, "{release}: {}: {problem}", holder.name);
            }
            // What went wrong may have left anything.
            if found.is_empty() {
                site = Some(node);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn row(site: &Site, holder: &Holder) -> Vec<String> {
    let held = match (holder.hold)(site) {
        Ok(held) => held,
        Err(error) => return vec![format!("nothing is held: {error}")],
    };
    let mut wrong = Vec::new();
    for verb in verbs::against(site, &held.devices(), held.by_job) {
        let before = Picture::of(site);
        site.lab.run(&["rm", "-f", judge::CALLS]).unwrap();
        let answer = verb.run(site, judge::CALLS);
        let mut problems = before.changes(&Picture::of(site));
        let changed = !problems.is_empty();
        let calls = judge::changing_calls(site);
        if !calls.is_empty() {
            problems.push(format!("{} changing calls, {} first", calls.len(), calls[0]));
        }
        let asks = held.instead.is_some_and(|word| answer.stderr.contains(word));
        if answer.code != 4 && !(asks && answer.code == 2) {
            problems.push(format!("exit code {}", answer.code));
        }
        if !asks && let Err(why) = judge::names(&answer, &held.against(&verb), held.user) {
            problems.push(why);
        }
        problems.extend(judge::raw(&answer).map(|c| format!("prints {c:?}")));
        if !problems.is_empty() {
            let said = answer.stderr.trim().replace('\n', " | ");
            wrong.push(format!("{}: {}; it said: {said}", verb.name, problems.join(", ")));
        }
        if changed {
            return wrong; // the other verbs would meet another node
        }
    }
    wrong.extend(end(site, holder, &held).unwrap_or_else(|error| vec![error.to_string()]));
    wrong
}

/// Lets the holder go, and says what became of it and of the node.
fn end(site: &Site, holder: &Holder, held: &Held) -> Result<Vec<String>, LabError> {
    (holder.let_go)(site)?;
    site.go()?;
    let pids: Vec<u32> = held.tasks.iter().map(|task| task.pid).collect();
    let done =
        |tasks: &[Witness]| tasks.iter().filter(|t| pids.contains(&t.pid)).all(|task| task.after.is_some());
    // A task that was killed never reports.
    for _ in 0..1200 {
        if done(&site.witnesses()?) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let mut wrong = judge::lost(&held.tasks, &site.witnesses()?);
    site.idle()?;
    let fences = site.lab.command(&["scontrol", "-o", "show", "reservation"]).output()?.stdout;
    if fences.contains("ReservationName=") {
        wrong.push(format!("a reservation is left: {fences}"));
    }
    Ok(wrong)
}
