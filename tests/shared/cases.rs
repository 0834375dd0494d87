//! The rows of the table: every way to start a task.

use lab::Release;

/// How a case reaches Slurm.
#[derive(Clone, Copy)]
pub(crate) enum Launch {
    /// `srun ARGUMENTS lab-probe`.
    Srun,
    /// `sbatch ARGUMENTS` with this script.
    Batch(&'static str),
    /// `salloc ARGUMENTS` on a terminal, with these lines typed into its shell, which is an interactive step.
    Salloc(&'static str),
}
use Launch::{Batch, Salloc, Srun};

/// Who knows which devices a task has.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Judge {
    /// The kernel, by what the task can open; where devices are not constrained, Slurm's list for the task.
    Kernel,
    /// The kernel knows the step's devices; each task has others of them.
    ShareOfStep,
}

/// A row of the table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) launch: Launch,
    pub(crate) arguments: &'static str,
    /// Variables the user has exported.
    pub(crate) exported: &'static [(&'static str, &'static str)],
    /// Devices of each task, in the order of jobs, steps and tasks; empty where Slurm's own choice is at fault.
    pub(crate) devices: &'static [usize],
    pub(crate) judge: Judge,
    /// First release that has the feature.
    pub(crate) since: Release,
}

const fn case(
    name: &'static str,
    launch: Launch,
    arguments: &'static str,
    devices: &'static [usize],
) -> Case {
    Case { name, launch, arguments, exported: &[], devices, judge: Judge::Kernel, since: Release::Bookworm }
}

/// What came after 22.05.
const fn newer(case: Case) -> Case {
    Case { since: Release::Trixie, ..case }
}

const fn sharing(case: Case) -> Case {
    Case { judge: Judge::ShareOfStep, ..newer(case) }
}

const fn exporting(case: Case, exported: &'static [(&'static str, &'static str)]) -> Case {
    Case { exported, ..case }
}

const MISLEADING: &[(&str, &str)] = &[
    ("SLURM_JOB_GPUS", "5"),
    ("SLURM_STEP_GPUS", "5"),
    ("CUDA_VISIBLE_DEVICES", "MIG-00000001-0000-5000-8000-000002000000"),
];

pub(crate) const PROBE: &str = "lab-probe";

/// All of them run while another job holds index 0, so that positions and indexes differ.
pub(crate) const CASES: &[Case] = &[
    case("no GPU", Srun, "", &[0]),
    case("batch script", Batch(PROBE), "--gres=gpu:1g.5gb:1", &[1]),
    case("step of a batch job", Batch("srun lab-probe"), "--gres=gpu:1g.5gb:1", &[1]),
    case("srun alone", Srun, "--gres=gpu:3g.20gb:1", &[1]),
    case("interactive step", Salloc(PROBE), "--gres=gpu:1g.5gb:2", &[2]),
    case("step of an interactive job", Salloc("srun lab-probe"), "--gres=gpu:1g.5gb:1", &[1]),
    case("srun on a terminal", Salloc("srun --pty lab-probe"), "--gres=gpu:1g.5gb:2", &[2]),
    // mpirun starts its daemons in such a step.
    newer(case(
        "external launcher",
        Batch("srun --external-launcher lab-probe"),
        "-n2 --gres=gpu:1g.5gb:2",
        &[2],
    )),
    case("job array", Batch("lab-probe 300"), "--array=0-2 --gres=gpu:1g.5gb:1", &[1, 1, 1]),
    case(
        "steps of a job array",
        Batch("lab-probe; srun lab-probe"),
        "--array=0-1 --gres=gpu:1g.5gb:1",
        &[1, 1, 1, 1],
    ),
    case(
        "heterogeneous job",
        Batch("srun --het-group=0,1 lab-probe"),
        "-wn1 --gres=gpu:3g.20gb:1 : -wn2 --gres=gpu:1g.5gb:1",
        &[1, 1],
    ),
    case(
        "script of a heterogeneous job",
        Batch(PROBE),
        "-wn1 --gres=gpu:1g.5gb:2 : -wn2 --gres=gpu:1g.5gb:1",
        &[2],
    ),
    case(
        "heterogeneous job of several tasks",
        Batch("srun --het-group=0,1 lab-probe"),
        "-wn1 -n2 --gres=gpu:1g.5gb:2 : -wn2 -n2 --gres=gpu:1g.5gb:1,gpu:2g.10gb:1",
        &[2, 2, 2, 2],
    ),
    case("step without GPUs", Batch("srun --gres=none lab-probe"), "--gres=gpu:1g.5gb:1", &[0]),
    case(
        "step without GPUs beside one with",
        Batch("srun --overlap --gres=none lab-probe 300 & srun --overlap lab-probe 300; wait"),
        "-n2 --gres=gpu:1g.5gb:1",
        &[],
    ),
    case(
        "overlapping steps",
        Batch("srun --overlap lab-probe 300 & srun --overlap lab-probe 300; wait"),
        "--gres=gpu:1g.5gb:2",
        &[2, 2],
    ),
    case(
        "exact steps side by side",
        Batch("for step in 1 2; do srun --exact -n1 -c1 --gres=gpu:1g.5gb:1 lab-probe 3000 & done; wait"),
        "-n2 --gres=gpu:1g.5gb:2",
        &[1, 1],
    ),
    case(
        "exact steps of several types",
        Batch(
            "srun --exact -n1 -c1 --gres=gpu:3g.20gb:1 lab-probe 3000 &\n\
             srun --exact -n1 -c1 --gres=gpu:1g.5gb:1 lab-probe 3000 & wait",
        ),
        "-n2 --gres=gpu:1g.5gb:1,gpu:3g.20gb:1",
        &[1, 1],
    ),
    case(
        "exact steps of bound tasks",
        Batch(
            "for step in 1 2; do\n\
               srun --exact -n2 -c1 --gres=gpu:1 --gpu-bind=single:1 lab-probe 400 &\n\
             done; wait",
        ),
        "-n4 --gres=gpu:1g.5gb:2",
        &[1, 1, 1, 1],
    ),
    case(
        "overlapping steps of bound tasks",
        Batch("for step in 1 2; do srun --overlap --gpu-bind=single:1 lab-probe 300 & done; wait"),
        "-n2 --gres=gpu:1g.5gb:2",
        &[1, 1, 1, 1],
    ),
    case("--gpus", Srun, "-n2 --gpus=1g.5gb:2", &[2, 2]),
    case("--gpus of a batch script", Batch(PROBE), "--gpus=1g.5gb:1,3g.20gb:1", &[2]),
    case("--gpus with --ntasks-per-gpu", Srun, "--gpus=1g.5gb:2 --ntasks-per-gpu=2", &[1, 1, 1, 1]),
    case("--gpus-per-node", Srun, "-n2 --gpus-per-node=1g.5gb:2", &[2, 2]),
    case("--gpus-per-node, bound", Srun, "-n2 --gpus-per-node=1g.5gb:2 --gpu-bind=single:1", &[1, 1]),
    case("--gpus-per-task", Srun, "-n2 --gpus-per-task=1", &[1, 1]),
    case("--gpus-per-task, two each", Srun, "-n2 --gpus-per-task=2", &[2, 2]),
    case(
        "--gpus-per-task on two nodes",
        Srun,
        "-wn1,n2 -n4 --ntasks-per-node=2 --gpus-per-task=1",
        &[1, 1, 1, 1],
    ),
    case(
        "--gpus-per-task given to sbatch",
        Batch("lab-probe; srun lab-probe"),
        "-n2 --gpus-per-task=1",
        &[2, 1, 1],
    ),
    newer(case("--tres-per-task", Srun, "-n2 --tres-per-task=gres/gpu:1", &[1, 1])),
    case(
        "--gpus-per-task in a batch job",
        Batch("srun -n2 --gpus-per-task=1 lab-probe"),
        "-n2 --gpus=2",
        &[1, 1],
    ),
    case("--gpu-bind=single", Srun, "-n2 --gres=gpu:1g.5gb:2 --gpu-bind=single:1", &[1, 1]),
    case(
        "--gpu-bind=single, two tasks on each",
        Srun,
        "-n4 --gres=gpu:1g.5gb:2 --gpu-bind=single:2",
        &[1, 1, 1, 1],
    ),
    case("--gpu-bind=verbose", Srun, "-n2 --gres=gpu:1g.5gb:2 --gpu-bind=verbose,single:1", &[1, 1]),
    case("--gpu-bind of a single task", Srun, "--gres=gpu:1g.5gb:2 --gpu-bind=single:1", &[]),
    // What these numbers count depends on the form and on constraint; 1 and 2 mean something in every reading.
    case("--gpu-bind=map_gpu", Srun, "-n2 --gres=gpu:1g.5gb:3 --gpu-bind=map_gpu:1,2", &[1, 1]),
    case("--gpu-bind=mask_gpu", Srun, "-n2 --gres=gpu:1g.5gb:3 --gpu-bind=mask_gpu:0x6,0x2", &[2, 1]),
    case("--gpu-bind=closest", Srun, "-n2 --gres=gpu:1g.5gb:2 --gpu-bind=closest", &[2, 2]),
    sharing(case(
        "--gres-flags=allow-task-sharing",
        Srun,
        "-n2 --gres=gpu:1g.5gb:2 --gpu-bind=single:1 --gres-flags=allow-task-sharing",
        &[1, 1],
    )),
    sharing(case(
        "--gpus-per-task with sharing",
        Srun,
        "-n2 --gpus-per-task=1 --gres-flags=allow-task-sharing",
        &[1, 1],
    )),
    sharing(case(
        "shares of several devices",
        Srun,
        "-n2 --gres=gpu:1g.5gb:3 --gpu-bind=mask_gpu:0x3,0x4 --gres-flags=allow-task-sharing",
        &[2, 1],
    )),
    case("several types", Srun, "--gres=gpu:1g.5gb:1,gpu:3g.20gb:1", &[2]),
    case("several types in a batch script", Batch(PROBE), "--gres=gpu:3g.20gb:2,gpu:1g.5gb:2", &[4]),
    case("several types, bound", Srun, "-n2 --gres=gpu:1g.5gb:1,gpu:3g.20gb:1 --gpu-bind=single:1", &[1, 1]),
    case("several devices", Srun, "--gres=gpu:1g.5gb:3", &[3]),
    case("every free device", Srun, "--gres=gpu:1g.5gb:3,gpu:3g.20gb:2,gpu:a100:1", &[6]),
    case("whole GPU", Srun, "--gres=gpu:a100:1", &[1]),
    case("whole GPU beside MIG", Srun, "--gres=gpu:a100:1,gpu:1g.5gb:1", &[2]),
    case("two nodes", Srun, "-wn1,n2 -n2 --gres=gpu:1g.5gb:1", &[1, 1]),
    case("two nodes in a batch job", Batch("srun lab-probe"), "-wn1,n2 -n2 --gres=gpu:1g.5gb:1", &[1, 1]),
    case("script of a job on two nodes", Batch(PROBE), "-wn1,n2 -n2 --gres=gpu:1g.5gb:1", &[1]),
    case(
        "two nodes, bound",
        Srun,
        "-wn1,n2 -n4 --ntasks-per-node=2 --gpus-per-node=2 --gpu-bind=single:1",
        &[1, 1, 1, 1],
    ),
    exporting(case("exported to srun", Srun, "--gres=gpu:1g.5gb:1", &[1]), MISLEADING),
    exporting(case("exported to srun without GPUs", Srun, "", &[0]), MISLEADING),
    exporting(case("exported to sbatch", Batch("lab-probe"), "--gres=gpu:1g.5gb:1", &[1]), MISLEADING),
    exporting(
        case("exported to sbatch without GPUs", Batch("lab-probe; srun lab-probe"), "", &[0, 0]),
        MISLEADING,
    ),
    exporting(
        case("exported to sbatch, for a step", Batch("srun lab-probe"), "--gres=gpu:1g.5gb:1", &[1]),
        MISLEADING,
    ),
    exporting(
        case("exported to salloc", Salloc("lab-probe; srun lab-probe"), "--gres=gpu:1g.5gb:1", &[1, 1]),
        MISLEADING,
    ),
    exporting(case("exported to bound tasks", Srun, "-n2 --gpus-per-task=1", &[1, 1]), MISLEADING),
    exporting(
        case(
            "exported to a step without GPUs",
            Batch("srun --gres=none lab-probe"),
            "--gres=gpu:1g.5gb:1",
            &[0],
        ),
        MISLEADING,
    ),
    case(
        "exported in the batch script",
        Batch("export SLURM_JOB_GPUS=5 SLURM_STEP_GPUS=5 CUDA_VISIBLE_DEVICES=5; srun lab-probe"),
        "--gres=gpu:1g.5gb:1",
        &[1],
    ),
    // Slurm itself misreads these; what it grants in the end is what the task must be told.
    case("typed --gpus-per-task", Srun, "-n2 --gpus-per-task=1g.5gb:1", &[]),
    case("typed --gpus-per-task, two", Srun, "-n1 --gpus-per-task=1g.5gb:2", &[]),
];
