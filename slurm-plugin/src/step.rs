//! What Slurm says a step and a task were given.
//!
//! slurmstepd writes the device variables of the step before any hook runs, and those of a bound task just
//! before `slurm_spank_task_init`. Which variable it writes depends on the kind of the step: `SLURM_JOB_GPUS`
//! in batch and interactive steps, `SLURM_STEP_GPUS` in all others (`_step_setup`, src/slurmd/slurmstepd). The
//! other one comes from the user's environment, or from the step around this one, and is never read: a step
//! with `--gres=none` inside a job with devices still carries the job's list.

use std::ffi::CStr;

use spank::release::Version;
use spank::{Spank, StepKind};

use crate::names::{Visible, indexes};

/// What Slurm's variables and the release say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepView {
    /// Whether Slurm can bind tasks of this step to some of its devices. The script of a job and an interactive
    /// step are one task each, with all devices of the job on the node.
    pub binds_tasks: bool,
    /// Indexes of the step's devices on this node.
    pub devices: Vec<usize>,
    /// The same variable as the task sees it, which is where Slurm writes a binding; `None` where it is unset.
    pub task: Option<Vec<usize>>,
    /// `CUDA_VISIBLE_DEVICES` of the step, in which Slurm, where it names devices, names the step's in the order
    /// of `devices`.
    pub step_cuda: Visible,
    /// The task's own `CUDA_VISIBLE_DEVICES`.
    pub cuda: Visible,
    /// Whether Slurm takes the devices for constrained (task/cgroup with `ConstrainDevices=yes`).
    pub constrained: bool,
    /// What `--gres-flags=allow-task-sharing` does to the task's list in this release.
    pub sharing: Sharing,
}

/// What the list of a task counts under `--gres-flags=allow-task-sharing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// The release has no task sharing.
    Absent,
    /// Devices of the node: 23.11.4 to 24.05.1.
    Node,
    /// Devices of the step: from 24.05.2.
    Step,
}

impl Sharing {
    /// What `version` does; a version that cannot be read is taken for the newest.
    pub fn of(version: Option<Version>) -> Self {
        match version {
            Some(version) if version < Version::new(23, 11, 4) => Sharing::Absent,
            Some(version) if version < Version::new(24, 5, 2) => Sharing::Node,
            _ => Sharing::Step,
        }
    }
}

/// The variable that Slurm writes in steps of `kind`; `None` where it writes none.
pub fn variable(kind: StepKind) -> Option<&'static CStr> {
    match kind {
        StepKind::Batch | StepKind::Interactive => Some(c"SLURM_JOB_GPUS"),
        StepKind::Numbered(_) => Some(c"SLURM_STEP_GPUS"),
        StepKind::Extern => None,
    }
}

/// What the hook in slurmstepd notes before tasks exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    kind: StepKind,
    devices: Vec<usize>,
    cuda: Visible,
    constrained: bool,
    sharing: Sharing,
}

impl Step {
    /// Reads the step; `None` where Slurm gave it no device.
    ///
    /// # Errors
    /// A phrase that names the variable Slurm cannot have written.
    pub fn read(spank: &Spank<'_>) -> Result<Option<Step>, String> {
        let kind = spank.step().map_err(|error| format!("the kind of the step: {error}"))?;
        let Some(name) = variable(kind) else { return Ok(None) };
        let Some(devices) = list(spank, name)? else { return Ok(None) };
        let cuda = Visible::parse(env(spank, c"CUDA_VISIBLE_DEVICES")?.as_deref());
        // Without Slurm's own word: a list that starts at 0 beside one that does not counts devices of the step.
        let counted = matches!(&cuda, Visible::Positions(positions) if *positions != devices);
        let constrained = spank::counts_devices_of_the_step().unwrap_or(counted);
        Ok(Some(Step { kind, devices, cuda, constrained, sharing: Sharing::of(spank.version()) }))
    }

    /// Whether Slurm named devices of the step.
    pub fn is_named(&self) -> bool {
        self.cuda.devices().is_some()
    }

    /// What kind of step it is.
    pub fn kind(&self) -> StepKind {
        self.kind
    }

    /// Indexes of its devices, and the step's `CUDA_VISIBLE_DEVICES`.
    pub fn given(&self) -> (&[usize], &Visible) {
        (&self.devices, &self.cuda)
    }

    /// What can be said in a task of the step.
    ///
    /// # Errors
    /// As for [`Step::read`].
    pub fn view(&self, spank: &Spank<'_>) -> Result<StepView, String> {
        let task = match variable(self.kind) {
            Some(name) => list(spank, name)?,
            None => None,
        };
        Ok(StepView {
            binds_tasks: matches!(self.kind, StepKind::Numbered(_)),
            devices: self.devices.clone(),
            task,
            step_cuda: self.cuda.clone(),
            cuda: Visible::parse(env(spank, c"CUDA_VISIBLE_DEVICES")?.as_deref()),
            constrained: self.constrained,
            sharing: self.sharing,
        })
    }
}

/// A list of indexes; `None` where the variable is unset or empty.
fn list(spank: &Spank<'_>, name: &CStr) -> Result<Option<Vec<usize>>, String> {
    match env(spank, name)?.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => match indexes(text) {
            Some(indexes) => Ok(Some(indexes)),
            None => Err(format!("{}={text:?} is no list of device indexes", name.to_string_lossy())),
        },
    }
}

fn env(spank: &Spank<'_>, name: &CStr) -> Result<Option<String>, String> {
    spank.env(name).map_err(|error| format!("{}: {error}", name.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_step_has_its_own_variable() {
        assert_eq!(variable(StepKind::Batch), Some(c"SLURM_JOB_GPUS"));
        assert_eq!(variable(StepKind::Interactive), Some(c"SLURM_JOB_GPUS"));
        assert_eq!(variable(StepKind::Numbered(0)), Some(c"SLURM_STEP_GPUS"));
        assert_eq!(variable(StepKind::Extern), None);
    }

    #[test]
    fn only_what_slurm_writes_is_a_list_of_indexes() {
        assert_eq!(indexes("0"), Some(vec![0]));
        assert_eq!(indexes("2,0,13"), Some(vec![2, 0, 13]));
        for text in ["", ",", "0,", "0,0", "+1", " 1", "1-3", "MIG-a", "-1", "99999999999999999999"] {
            assert_eq!(indexes(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_variable_holds_numbers_or_names() {
        assert_eq!(Visible::parse(None), Visible::Unset);
        assert_eq!(Visible::parse(Some("1,0")), Visible::Positions(vec![1, 0]));
        assert_eq!(Visible::parse(Some("MIG-a,MIG-b")), Visible::Names(vec!["MIG-a".into(), "MIG-b".into()]));
        assert_eq!(Visible::parse(Some("")), Visible::Names(vec![String::new()]));
    }

    #[test]
    fn sharing_came_with_23_11_4_and_changed_with_24_05_2() {
        let of = |major, minor, micro| Sharing::of(Some(Version::new(major, minor, micro)));
        assert_eq!(of(22, 5, 8), Sharing::Absent);
        assert_eq!(of(23, 11, 3), Sharing::Absent);
        assert_eq!(of(23, 11, 4), Sharing::Node);
        assert_eq!(of(24, 5, 1), Sharing::Node);
        assert_eq!(of(24, 5, 2), Sharing::Step);
        assert_eq!(of(26, 5, 5), Sharing::Step);
        assert_eq!(Sharing::of(None), Sharing::Step);
    }
}
