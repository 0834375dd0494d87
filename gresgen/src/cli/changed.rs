//! What a change came to, for a person and as JSON.

use std::path::PathBuf;

use serde::Serialize;

use super::report::{Exit, Failure};
use super::{Global, out, plan};
use crate::apply::Applied;
use crate::apply::preview::Preview;
use crate::apply::steps::Step;
use crate::inventory::Inventory;
use crate::nvml::Code;

/// What `--json` says of a change.
#[derive(Serialize)]
pub(super) struct Report {
    changed: bool,
    preview: Preview,
    files: Vec<PathBuf>,
    backups: Vec<PathBuf>,
    /// UUIDs of GPUs whose MIG mode waits for a reset or reboot.
    reset_pending: Vec<String>,
    /// What is left to do to Slurm, as shell lines in order.
    pub(super) slurm_pending: Vec<String>,
    /// What slurmctld will not accept of what the node has.
    pub(super) slurm_refuses: Vec<String>,
    /// Why somebody drained the node before: it is not resumed.
    pub(super) stays_drained: Option<String>,
}

impl Report {
    pub(super) fn new(before: &Inventory, steps: &[Step], applied: &Applied) -> Self {
        Report {
            changed: applied.steps > 0 || !applied.files.written.is_empty(),
            preview: Preview::new(before, &done(before, steps, &applied.pending)),
            files: applied.files.written.clone(),
            backups: applied.files.backups.clone(),
            reset_pending: applied.pending.iter().map(|(gpu, _)| gpu.clone()).collect(),
            slurm_pending: Vec::new(),
            slurm_refuses: Vec::new(),
            stays_drained: None,
        }
    }

    pub(super) fn exit(&self) -> Exit {
        if !self.reset_pending.is_empty() {
            Exit::ResetPending
        } else if !self.slurm_pending.is_empty() {
            Exit::SlurmPending
        } else {
            Exit::Ok
        }
    }

    pub(super) fn print(
        &self,
        before: &Inventory,
        applied: &Applied,
        global: &Global,
    ) -> Result<(), Failure> {
        if global.json {
            return out::json(self);
        }
        if global.quiet {
            return Ok(());
        }
        let mut text = String::new();
        if !self.changed {
            text.push_str("nothing to change\n");
        }
        if self.preview.changed {
            text.push_str(&plan::text(before, &self.preview));
        }
        for file in &self.files {
            text.push_str(&format!("wrote {}\n", file.display()));
        }
        for backup in &self.backups {
            text.push_str(&format!("kept the previous one as {}\n", backup.display()));
        }
        for (uuid, code) in &applied.pending {
            let index = before.gpus.iter().find(|gpu| gpu.uuid == *uuid).map(|gpu| gpu.index);
            let gpu = index.map_or_else(|| uuid.clone(), |index| format!("GPU {index}"));
            text.push_str(&format!("{gpu}: MIG mode is pending: {code}\n"));
        }
        if !applied.pending.is_empty() {
            text.push_str("next: the same command with --reset, or a reboot and the same command\n");
        }
        for refused in &self.slurm_refuses {
            text.push_str(&format!("{}: {refused}\n", before.node));
        }
        if let Some(reason) = &self.stays_drained {
            text.push_str(&format!("{}: was drained before ({reason}) and stays so\n", before.node));
        }
        if !self.slurm_pending.is_empty() {
            text.push_str("left to do in Slurm:\n");
            self.slurm_pending.iter().for_each(|action| text.push_str(&format!("  {action}\n")));
        }
        out::text(&text)
    }
}

/// Steps that were done: where the mode waits for a reset, it is all there is.
fn done(before: &Inventory, steps: &[Step], pending: &[(String, Code)]) -> Vec<Step> {
    let waits = |step: &Step| pending.iter().any(|(uuid, _)| before.gpus[step.gpu()].uuid == *uuid);
    steps.iter().filter(|step| matches!(step, Step::Mode { .. }) || !waits(step)).cloned().collect()
}
