//! The guard as `job_submit.lua` in a real slurmctld and as `cli_filter.lua` in the real commands: what it refuses
//! is refused with its message, and what it lets through runs.

use std::fs;

use lab::{Lab, Output, Release, User};

use crate::fixture::{Layout, assert_healthy, on_each_release, options};
use crate::script;

/// Where the guard stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    JobSubmit,
    CliFilter,
}

/// A request with a type per task.
struct Unsafe {
    command: &'static str,
    /// A variable that stands for an option.
    exported: Option<(&'static str, &'static str)>,
    since: Release,
    /// The first release in which slurmctld is not told of the type; `None` where it always is.
    hidden_since: Option<Release>,
}

const fn form(command: &'static str) -> Unsafe {
    Unsafe { command, exported: None, since: Release::Bookworm, hidden_since: None }
}

const fn exporting(name: &'static str, value: &'static str, command: &'static str) -> Unsafe {
    Unsafe { exported: Some((name, value)), ..form(command) }
}

/// `--tres-per-task` came with 23.11.
const fn newer(form: Unsafe) -> Unsafe {
    Unsafe { since: Release::Trixie, ..form }
}

/// Without a count slurmctld is given the plain number 1, as seen on 24.11.5 and 26.05.5.
const fn countless(command: &'static str) -> Unsafe {
    Unsafe { hidden_since: Some(Release::Trixie), ..form(command) }
}

/// slurmctld asks no plugin about a step.
const fn step(command: &'static str) -> Unsafe {
    Unsafe { hidden_since: Some(Release::Bookworm), ..form(command) }
}

const UNSAFE: &[Unsafe] = &[
    form("srun -n2 --gpus-per-task=1g.5gb:1 lab-probe"),
    form("srun -n1 --gpus-per-task=1g.5gb:2 lab-probe"),
    form("srun -n1 --gpus-per-task=a100:1 lab-probe"),
    form("srun -n2 --gpus-per-task=1g.5gb:1,3g.20gb:1 lab-probe"),
    countless("srun -n2 --gpus-per-task=1g.5gb lab-probe"),
    countless("srun -n1 --gpus-per-task=a100 lab-probe"),
    form("sbatch -n2 --gpus-per-task=1g.5gb:1 --wrap=lab-probe"),
    form("sbatch -n1 --gres=gpu:1g.5gb:1 : -n2 --gpus-per-task=1g.5gb:1 --wrap=lab-probe"),
    form("salloc -n2 --gpus-per-task=1g.5gb:1 lab-probe"),
    step("salloc -n1 --gres=gpu:1g.5gb:1 srun --gpus-per-task=1g.5gb:1 lab-probe"),
    exporting("SLURM_GPUS_PER_TASK", "1g.5gb:1", "srun -n2 lab-probe"),
    exporting("SBATCH_GPUS_PER_TASK", "1g.5gb:1", "sbatch -n2 --wrap=lab-probe"),
    exporting("SALLOC_GPUS_PER_TASK", "1g.5gb:1", "salloc -n2 lab-probe"),
    newer(form("srun -n2 --tres-per-task=gres/gpu:1g.5gb:1 lab-probe")),
    newer(form("srun -n2 --tres-per-task=cpu=1,gres/gpu:a100=1 lab-probe")),
    newer(exporting("SLURM_TRES_PER_TASK", "gres/gpu:1g.5gb:1", "srun -n2 lab-probe")),
];

/// Requests that Slurm reads right, the first release that has them, and how many tasks they run.
const SAFE: &[(Release, &str, usize)] = &[
    (Release::Bookworm, "srun -n2 --gres=gpu:1g.5gb:2 --gpu-bind=single:1 lab-probe", 2),
    (Release::Bookworm, "srun -n2 --gpus-per-task=1 lab-probe", 2),
    (Release::Bookworm, "srun -n2 --gpus-per-node=1g.5gb:2 lab-probe", 2),
    (Release::Bookworm, "srun -n2 --gpus=1g.5gb:2 lab-probe", 2),
    (Release::Bookworm, "srun -n1 lab-probe", 1),
    (Release::Bookworm, "salloc -n1 --gres=gpu:1g.5gb:1 srun --gpus-per-task=1 lab-probe", 1),
    (Release::Trixie, "srun -n1 --tres-per-task=cpu=1 lab-probe", 1),
    (Release::Trixie, "srun -n2 --tres-per-task=gres/gpu=1 lab-probe", 2),
];

impl Unsafe {
    fn refused(&self, place: Place, release: Release) -> bool {
        let hidden = self.hidden_since.is_some_and(|since| since as u8 <= release as u8);
        place == Place::CliFilter || !hidden
    }
}

fn start(place: Place, release: Release) -> Option<Lab> {
    let (line, file) = match place {
        Place::JobSubmit => ("JobSubmitPlugins=lua", "/etc/slurm/job_submit.lua"),
        Place::CliFilter => ("CliFilterPlugins=lua", "/etc/slurm/cli_filter.lua"),
    };
    let guard = fs::read_to_string(script()).unwrap();
    lab::require(Lab::start(
        release,
        options(&[&Layout::n1()], "notices=off").slurm_conf(line).text(file, &guard),
    ))
}

fn submit(lab: &Lab, command: &str, exported: Option<(&str, &str)>) -> Output {
    let words: Vec<&str> = command.split(' ').collect();
    let command = exported
        .iter()
        .fold(lab.command(&words).user(User::Alice), |command, (name, value)| command.env(name, value));
    // A job that is let through leaves its output there.
    command.env("SBATCH_OUTPUT", "/var/lab/out/%j").output().unwrap()
}

fn judge(place: Place) {
    on_each_release(|release| {
        let Some(lab) = start(place, release) else { return };
        let has = |since: Release| since as u8 <= release as u8;
        for form in UNSAFE.iter().filter(|form| has(form.since)) {
            let output = submit(&lab, form.command, form.exported);
            let said = output.stderr.contains("[mig] --gpus-per-task=")
                && output.stderr.contains("use --gres=gpu:TYPE:COUNT");
            let ran = output.success() || !output.probes().is_empty();
            let (command, refused) = (form.command, form.refused(place, release));
            assert_eq!((said, ran), (refused, !refused), "{release}: {command}: {output:?}");
        }
        for (_, command, tasks) in SAFE.iter().filter(|(since, ..)| has(*since)) {
            let output = submit(&lab, command, None);
            assert!(output.success(), "{release}: {command}: {output:?}");
            assert_eq!(output.probes().len(), *tasks, "{release}: {command}: {output:?}");
            assert!(!output.stderr.contains("[mig]"), "{release}: {command}: {output:?}");
        }
        assert_healthy(&lab, &[&Layout::n1()]);
    });
}

#[test]
fn in_slurmctld_it_refuses_jobs() {
    judge(Place::JobSubmit);
}

#[test]
fn in_the_commands_it_refuses_jobs_and_steps() {
    judge(Place::CliFilter);
}

#[test]
fn a_job_cannot_be_changed_to_what_is_refused() {
    on_each_release(|release| {
        let Some(lab) = start(Place::JobSubmit, release) else { return };
        let job = lab.sbatch(User::Alice, &["--hold", "-n2", "--gpus-per-task=1"], "true").unwrap();
        let update = |field: &str| {
            lab.command(&["scontrol", "update", &format!("jobid={job}"), field]).output().unwrap()
        };
        assert!(update("TimeLimit=5").success());
        let refused = update("TresPerTask=gres/gpu:1g.5gb:1");
        assert!(!refused.success(), "{release}: {refused:?}");
        let shown = lab.run(&["scontrol", "show", "job", &job.to_string()]).unwrap().stdout;
        assert!(!shown.contains("1g.5gb"), "{release}: {shown}");
        lab.run(&["scancel", &job.to_string()]).unwrap();
    });
}
