//! What a change came to, for a person and as JSON.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::report::{Exit, Failure};
use super::{Global, out, screen, steps_text};
use crate::apply::preview::Preview;
use crate::apply::steps::Step;
use crate::node::Done;

/// What `--json` says of a change.
#[derive(Clone, Serialize, JsonSchema)]
pub(super) struct Report {
    changed: bool,
    preview: Preview,
    files: Vec<PathBuf>,
    backups: Vec<PathBuf>,
    /// UUIDs of GPUs whose MIG mode waits for a reset or reboot.
    reset_pending: Vec<String>,
    /// What is left to do to Slurm, as shell lines in order.
    slurm_pending: Vec<String>,
    /// What slurmctld will not accept of what the node has.
    slurm_refuses: Vec<String>,
    /// Why somebody drained the node before: it is not resumed.
    stays_drained: Option<String>,
    /// What went wrong beside the change, which is made: a command after it failed, a service was not started again.
    went_wrong: Vec<String>,
}

impl Report {
    pub(super) fn new(done: &Done) -> Self {
        Report {
            changed: done.carried_out > 0 || !done.files.written.is_empty(),
            preview: Preview::new(&done.before, &carried_out(done)),
            files: done.files.written.clone(),
            backups: done.files.backups.clone(),
            reset_pending: done.pending.iter().map(|(gpu, _)| gpu.clone()).collect(),
            slurm_pending: done.pending_actions.actions.iter().map(ToString::to_string).collect(),
            slurm_refuses: done.slurm_refuses.clone(),
            stays_drained: done.stays_drained.clone(),
            went_wrong: done.beside.clone(),
        }
    }

    /// The same where somebody else's drain holds the node.
    pub(super) fn drained(self, reason: Option<String>) -> Self {
        Report { stays_drained: self.stays_drained.or(reason), ..self }
    }

    /// Whether anything became another.
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    pub(super) fn exit(&self) -> Exit {
        if !self.reset_pending.is_empty() {
            Exit::ResetPending
        } else if !self.slurm_pending.is_empty() {
            Exit::SlurmPending
        } else if !self.went_wrong.is_empty() {
            Exit::Failure
        } else {
            Exit::Ok
        }
    }

    /// Prints what is not said yet; `shown` are the steps that were, before they were done.
    pub(super) fn print(&self, done: &Done, shown: &[Step], global: &Global) -> Result<(), Failure> {
        if global.json {
            return out::json(self);
        }
        if global.quiet {
            return Ok(());
        }
        let node = &done.before.node;
        if self.preview.changed && carried_out(done) != shown {
            if !shown.is_empty() {
                out::text("what was done:\n")?;
            }
            out::painted(&steps_text::gpus(&done.before, &self.preview))?;
        }
        let mut text = wrote(self.changed, &self.files, &self.backups);
        for (uuid, code) in &done.pending {
            let index = done.before.gpus.iter().find(|gpu| gpu.uuid == *uuid).map(|gpu| gpu.index);
            let gpu = index.map_or_else(|| uuid.clone(), |index| format!("GPU {index}"));
            text.push_str(&format!("{gpu}: MIG mode is pending: {code}\n"));
        }
        if !done.pending.is_empty() {
            text.push_str("next: the same command with --reset, or a reboot and the same command\n");
        }
        for refused in &self.slurm_refuses {
            text.push_str(&format!("{node}: {refused}\n"));
        }
        if let Some(reason) = &self.stays_drained {
            text.push_str(&format!("{node}: was drained before ({reason}) and stays so\n"));
        }
        let told: Vec<String> = done.done_in_slurm.iter().map(ToString::to_string).collect();
        text.push_str(&steps_text::in_slurm("done in Slurm", &told));
        text.push_str(&steps_text::in_slurm("left to do in Slurm", &self.slurm_pending));
        out::text(&screen::output(&text, 2))
    }
}

/// Files that were written, and where those are that were there before, by their names; or that nothing was to be done.
pub(super) fn wrote(changed: bool, files: &[PathBuf], backups: &[PathBuf]) -> String {
    let nothing = if changed { "" } else { "nothing to change\n" };
    let files = files.iter().map(|file| format!("wrote {}\n", file.display()));
    let backups = backups.iter().map(|backup| {
        let name = backup.file_name().unwrap_or_default().display();
        format!("kept the previous {name} as {}\n", backup.display())
    });
    std::iter::once(nothing.to_owned()).chain(files).chain(backups).collect()
}

/// Steps that were done: where the mode waits for a reset, nothing was made behind it.
fn carried_out(done: &Done) -> Vec<Step> {
    let waits = |step: &Step| done.pending.iter().any(|(uuid, _)| done.before.gpus[step.gpu()].uuid == *uuid);
    let done_before = |step: &Step| matches!(step, Step::Mode { .. } | Step::Destroy { .. });
    done.steps.iter().filter(|step| done_before(step) || !waits(step)).cloned().collect()
}
