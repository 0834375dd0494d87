//! What stands around a change: hooks and services, and the history of it. None of it decides how the change ends, but for
//! a hook that refuses it before the first step.

use std::path::PathBuf;

use super::error::ApplyError;
use super::events::{Event, Events};
use crate::apply::intent::Intent;
use crate::history::{Ending, Entry};
use crate::hooks::{self, HookContext, HookError, Hooks};
use crate::root::Root;

/// One change, seen from outside.
pub(super) struct ChangeHooks<'a> {
    /// What is run; nothing where no GPU changes, because files alone disturb nobody.
    hooks: Option<&'a Hooks>,
    about: HookContext<'a>,
}

impl<'a> ChangeHooks<'a> {
    pub(super) fn new(hooks: Option<&'a Hooks>, about: HookContext<'a>) -> Self {
        ChangeHooks { hooks, about }
    }

    /// Before the first step.
    ///
    /// # Errors
    /// [`HookError`]; the change is not to be made, and [`ChangeHooks::leave`] is to be called.
    pub(super) fn begin(&self, events: &mut Events<'_>) -> Result<(), HookError> {
        let Some(hooks) = self.hooks else { return Ok(()) };
        let stop = events.stop.clone();
        hooks.begin(&self.about, &stop, &mut |error| warn(events, &error.to_string()))
    }

    /// After a change that was not made.
    pub(super) fn leave(&self, events: &mut Events<'_>) {
        self.run(true, events);
    }

    /// After a change: it wrote these files, or it failed. It is noted however it ended. Gives what went wrong here.
    pub(super) fn end(
        &self,
        result: Result<&[PathBuf], &ApplyError>,
        intent: &Intent,
        events: &mut Events<'_>,
    ) -> Vec<String> {
        let wrong = self.run(result.is_err(), events);
        let (ending, files) = match result {
            Ok(files) => (Ending::Done, files.to_vec()),
            Err(error) if error.is_undone() => (Ending::Undone, Vec::new()),
            Err(_) => (Ending::Failed, Vec::new()),
        };
        let errors: Vec<String> =
            result.err().map(ToString::to_string).into_iter().chain(wrong.clone()).collect();
        let entry = entry(intent, ending, (!errors.is_empty()).then(|| errors.join("; ")));
        // Who finishes what somebody else began says so himself.
        let entry = Entry { what: self.about.what.to_owned(), files, ..entry };
        let root = self.about.root;
        if let Err(error) = entry.append(root) {
            warn(events, &format!("{error}: the change is not noted in the history"));
        }
        // What stays to be finished must not be noted a second time by whoever finishes it.
        if matches!(Intent::load(root), Ok(Some(_))) {
            let _ = intent.clone().noted().save(root);
        }
        wrong
    }

    fn run(&self, failed: bool, events: &mut Events<'_>) -> Vec<String> {
        match self.hooks {
            Some(hooks) => warn_of(hooks.end(failed, &self.about, &events.stop), events),
            None => recover(self.about.root, self.about.boot, events),
        }
    }
}

/// Notes a change that could not do so itself, in this boot or before it. Whether its journal is there.
pub(super) fn note_cut_off(root: &Root, events: &mut Events<'_>) -> bool {
    let Ok(Some(left)) = Intent::load(root) else { return false };
    if !left.noted
        && let Err(error) = entry(&left, Ending::CutOff, None).append(root)
    {
        warn(events, &format!("{error}: the change that was cut off is not noted in the history"));
    }
    true
}

/// The change that a journal announced, and how it ended.
fn entry(intent: &Intent, result: Ending, error: Option<String>) -> Entry {
    let Intent { at, by, uid, what, steps, layout, layout_before, before, .. } = intent.clone();
    let before = serde_json::to_value(before).unwrap_or_default();
    Entry { id: 0, at, by, uid, what, result, error, steps, files: Vec::new(), layout, layout_before, before }
}

/// Starts services that a change which was killed has left stopped. Gives what went wrong.
pub(super) fn recover(root: &Root, boot: bool, events: &mut Events<'_>) -> Vec<String> {
    warn_of(hooks::recover(root, boot).err(), events)
}

fn warn_of(errors: impl IntoIterator<Item = HookError>, events: &mut Events<'_>) -> Vec<String> {
    let texts: Vec<String> = errors.into_iter().map(|error| error.to_string()).collect();
    texts.iter().for_each(|text| warn(events, text));
    texts
}

fn warn(events: &mut Events<'_>, text: &str) {
    (events.show)(Event::Warning(text));
}
