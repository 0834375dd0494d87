//! What a verb did to a node, told without reading anything that Slurm says of GRES.

use lab::Output;

use crate::site::{Site, Witness};

/// Slurm's files that a verb may write, and the map of devices.
const FILES: [&str; 4] = [
    "/etc/slurm/gres.conf",
    "/etc/slurm/gresgen-node.conf",
    "/etc/slurm/cgroup.conf",
    "/run/gresgen/devices",
];

/// Where NVML's calls of one verb are written.
pub(crate) const CALLS: &str = "/var/lab/calls";

/// Everything that a verb that was refused leaves as it was.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture {
    /// The simulator's GPUs: modes, and instances with the revision that brought them.
    gpus: serde_json::Value,
    files: Vec<String>,
}

impl Picture {
    pub(crate) fn of(site: &Site) -> Self {
        let read = |path: &&str| site.lab.command(&["cat", path]).output().unwrap().stdout;
        Self { gpus: site.machine()["gpus"].clone(), files: FILES.iter().map(read).collect() }
    }

    /// What differs from a later one.
    pub(crate) fn changes(&self, later: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.gpus != later.gpus {
            changes.push("the GPUs are not what they were".to_owned());
        }
        changes.extend(self.files_that_differ(later).map(|path| format!("{path} was changed")));
        changes
    }

    /// Files that are not what they were.
    pub(crate) fn files_that_differ(&self, later: &Self) -> impl Iterator<Item = &'static str> {
        let files = FILES.into_iter().zip(self.files.iter().zip(&later.files));
        files.filter(|(_, (a, b))| a != b).map(|(path, _)| path)
    }
}

/// Calls that changed a GPU, or tried to.
pub(crate) fn changing_calls(site: &Site) -> Vec<String> {
    let log = site.lab.command(&["cat", CALLS]).output().unwrap().stdout;
    let names = log.lines().filter_map(|line| line.split(' ').next());
    let changing = |name: &&str| ["Create", "Destroy", "SetMigMode"].iter().any(|part| name.contains(part));
    names.filter(changing).map(str::to_owned).collect()
}

/// Whether the answer names one of these holders, by any of its names, and its user.
pub(crate) fn names(answer: &Output, holders: &[&Vec<String>], user: &str) -> Result<(), String> {
    let words: Vec<&str> =
        answer.stderr.split(|c: char| !(c.is_alphanumeric() || "._+-".contains(c))).collect();
    let said = |name: &str| words.iter().any(|word| word.trim_end_matches('.') == name);
    if !holders.iter().copied().flatten().any(|name| said(name)) {
        return Err(format!("names nobody of {holders:?}"));
    }
    if !user.is_empty() && !said(user) {
        return Err(format!("does not name {user}"));
    }
    Ok(())
}

/// What became of the devices that tasks had open.
pub(crate) fn lost(before: &[Witness], after: &[Witness]) -> Vec<String> {
    let lost = |task: &Witness| {
        let Some(end) = after.iter().find(|end| end.pid == task.pid) else {
            return Some(format!("task {} is gone with its report", task.pid));
        };
        match &end.after {
            None => Some(format!("task {} {:?} did not live to its end", task.pid, task.names)),
            Some(after) if *after != task.before => {
                Some(format!("task {} {:?} had {:?}, has {after:?}", task.pid, task.names, task.before))
            }
            Some(_) => None,
        }
    };
    before.iter().filter_map(lost).collect()
}

/// The first character of an answer that a terminal would obey, or that turns the text around it.
pub(crate) fn raw(answer: &Output) -> Option<char> {
    let obeyed =
        |c: char| c.is_control() && c != '\n' || "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}".contains(c);
    let turned = |c: char| ('\u{2066}'..='\u{2069}').contains(&c);
    answer.stdout.chars().chain(answer.stderr.chars()).find(|&c| obeyed(c) || turned(c))
}
