//! The layout that was last chosen with `apply --layout`: what a boot, `plan` and `check` mean until another one is.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::apply::desired::DesiredStateError;
use crate::apply::intent::Intent;
use crate::config::Config;
use crate::note;
use crate::path_error::PathError;
use crate::read;
use crate::root::Root;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChosenLayout {
    version: u32,
    /// Label of the layout.
    pub label: String,
    /// Who chose it: the login name behind sudo or of the session, else the user's number.
    pub by: String,
    /// When (RFC 3339, UTC).
    pub at: String,
}

impl ChosenLayout {
    /// The choice of whoever runs this program.
    pub(crate) fn new(label: &str) -> Self {
        let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        ChosenLayout { version: note::VERSION, label: label.to_owned(), by: who(), at }
    }

    /// The last choice, if there was one.
    ///
    /// # Errors
    /// [`DesiredStateError`] when it is there and cannot be read.
    pub(crate) fn load(root: &Root) -> Result<Option<Self>, DesiredStateError> {
        let path = root.path(Root::CHOSEN);
        let Some(text) = note::text(&path)? else { return Ok(None) };
        let chosen = note::parse(&path, &text, "a choice of a layout", |chosen: &Self| chosen.version);
        Ok(Some(chosen.map_err(DesiredStateError::Choice)?))
    }

    /// Forgets it: the configuration says again what is meant.
    pub(crate) fn forget(root: &Root) -> Result<(), PathError> {
        note::remove(&root.path(Root::CHOSEN))
    }

    /// Remembers it. The same choice again keeps who made it and when.
    pub(crate) fn save(&self, root: &Root) -> Result<(), PathError> {
        if matches!(Self::load(root), Ok(Some(before)) if before.label == self.label) {
            return Ok(());
        }
        note::save(&root.path(Root::CHOSEN), self)
    }
}

/// The layout that is meant: the one asked for, else that of an apply which was cut off and is to be finished, else
/// the last one chosen, else what the configuration says.
pub(crate) fn effective_layout<'a>(
    root: &Root,
    config: &'a Config,
    asked: Option<&str>,
    interrupted: Option<&Intent>,
) -> Result<&'a str, DesiredStateError> {
    let cut_off = interrupted.and_then(|intent| intent.layout.as_deref());
    if let Some(label) = asked.or(cut_off) {
        return Ok(config.choose(Some(label))?);
    }
    let Some(chosen) = ChosenLayout::load(root)? else {
        return Ok(config.choose(None)?);
    };
    config.choose(Some(&chosen.label)).map_err(|_| {
        let known = config.labels().map(str::to_owned).collect();
        DesiredStateError::Gone { label: chosen.label, by: chosen.by, at: chosen.at, known }
    })
}

/// Login name of whoever is behind this process.
pub(crate) fn who() -> String {
    if let Ok(user) = std::env::var("SUDO_USER") {
        return user;
    }
    let uid = rustix::process::getuid().as_raw().to_string();
    // The user who logged in, whoever he became since (audit_loginuid(8)); 4294967295 is none, as for services.
    let login = read::kernel("/proc/self/loginuid").unwrap_or_default();
    let uid = Some(login.trim()).filter(|id| id.parse().is_ok_and(|id: u32| id != u32::MAX)).unwrap_or(&uid);
    crate::holders::login(uid).unwrap_or_else(|| uid.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
version: v1
layout: a
mig-configs:
  a: [{devices: all, mig-enabled: false}]
  b: [{devices: all, mig-enabled: false}]
";

    #[test]
    fn what_was_chosen_is_meant_until_something_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path()).unwrap();
        let config = Config::parse("c", CONFIG).unwrap();
        let label = |asked| effective_layout(&root, &config, asked, None).unwrap();
        assert_eq!((label(None), label(Some("b"))), ("a", "b"));
        ChosenLayout { by: "ada".into(), ..ChosenLayout::new("b") }.save(&root).unwrap();
        assert_eq!((label(None), label(Some("a"))), ("b", "a"));
        // The same again is no news.
        ChosenLayout::new("b").save(&root).unwrap();
        assert_eq!(ChosenLayout::load(&root).unwrap().unwrap().by, "ada");

        ChosenLayout { by: "bob".into(), at: "2026-01-02T03:04:05Z".into(), ..ChosenLayout::new("c") }
            .save(&root)
            .unwrap();
        let error = effective_layout(&root, &config, None, None).unwrap_err().to_string();
        assert_eq!(
            error,
            "layout c: chosen 2026-01-02T03:04:05Z by bob, but the configuration has no such layout; it has a, b"
        );
        assert_eq!(label(Some("a")), "a", "which is the way out");
    }
}
