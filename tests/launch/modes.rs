//! The ways to use a job that the soak picks from.

/// May tasks of one job hold one device at one time?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// No task shares with any other.
    Never,
    /// Tasks of a step share its devices: nothing binds them.
    InStep,
    /// Steps of the job were asked to overlap.
    InJob,
}

/// A way to use a job; `HOLD` stands for the time each task stays.
#[derive(Debug)]
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static [&'static str],
    pub(crate) script: &'static str,
    pub(crate) tasks: usize,
    pub(crate) sharing: Sharing,
}

pub(crate) const MODES: &[Mode] = &[
    Mode {
        name: "batch",
        arguments: &["--gres=gpu:1g.5gb:1"],
        script: "lab-probe HOLD",
        tasks: 1,
        sharing: Sharing::Never,
    },
    Mode {
        name: "batch, two types",
        arguments: &["--gres=gpu:1g.5gb:1,gpu:2g.10gb:1"],
        script: "lab-probe HOLD",
        tasks: 1,
        sharing: Sharing::Never,
    },
    Mode {
        name: "step",
        arguments: &["--gres=gpu:3g.20gb:1"],
        script: "srun lab-probe HOLD",
        tasks: 1,
        sharing: Sharing::Never,
    },
    Mode {
        name: "steps in turn",
        arguments: &["--gres=gpu:2g.10gb:1"],
        script: "srun lab-probe HOLD; srun lab-probe HOLD",
        tasks: 2,
        sharing: Sharing::Never,
    },
    Mode {
        name: "unbound tasks",
        arguments: &["-n2", "--gres=gpu:1g.5gb:2"],
        script: "srun lab-probe HOLD",
        tasks: 2,
        sharing: Sharing::InStep,
    },
    Mode {
        name: "bound one by one",
        arguments: &["-n2", "--gres=gpu:1g.5gb:2"],
        script: "srun --gpu-bind=single:1 lab-probe HOLD",
        tasks: 2,
        sharing: Sharing::Never,
    },
    Mode {
        name: "per task",
        arguments: &["-n3", "--gres=gpu:1g.5gb:3"],
        script: "srun -n3 --gpus-per-task=1 lab-probe HOLD",
        tasks: 3,
        sharing: Sharing::Never,
    },
    Mode {
        name: "per task, two each",
        arguments: &["-n2", "--gres=gpu:1g.5gb:4"],
        script: "srun -n2 --gpus-per-task=2 lab-probe HOLD",
        tasks: 2,
        sharing: Sharing::Never,
    },
    // What Slurm makes of a type per task differs by release; the cgroup says what it is.
    Mode {
        name: "a type per task",
        arguments: &["-n2", "--gpus-per-task=1g.5gb:1"],
        script: "srun lab-probe HOLD",
        tasks: 2,
        sharing: Sharing::InStep,
    },
    Mode {
        name: "types, bound",
        arguments: &["-n2", "--gres=gpu:1g.5gb:1,gpu:3g.20gb:1"],
        script: "srun --gpu-bind=single:1 lab-probe HOLD",
        tasks: 2,
        sharing: Sharing::Never,
    },
    Mode {
        name: "exact steps",
        arguments: &["-n2", "--gres=gpu:1g.5gb:2"],
        script: "for step in 1 2; do srun --exact -n1 -c1 --gres=gpu:1g.5gb:1 lab-probe HOLD & done; wait",
        tasks: 2,
        sharing: Sharing::Never,
    },
    Mode {
        name: "overlap",
        arguments: &["--gres=gpu:1g.5gb:1"],
        script: "for step in 1 2; do srun --overlap lab-probe HOLD & done; wait",
        tasks: 2,
        sharing: Sharing::InJob,
    },
    Mode {
        name: "no GPU in the step",
        arguments: &["--gres=gpu:1g.5gb:1"],
        script: "srun --gres=none lab-probe HOLD",
        tasks: 1,
        sharing: Sharing::Never,
    },
    Mode {
        name: "array",
        arguments: &["--array=0-1", "--gres=gpu:1g.5gb:1"],
        script: "lab-probe HOLD",
        tasks: 2,
        sharing: Sharing::Never,
    },
];
