//! The launch modes: in each, a task's `CUDA_VISIBLE_DEVICES` names the devices it can open, and no others.

use std::collections::BTreeSet;

use lab::{Cgroup, Invocation, Lab, LabError, Probe, Release, User};

use crate::fixture::{Layout, assert_healthy, on_each_release, options};

/// How a case reaches Slurm.
#[derive(Clone, Copy)]
enum Launch {
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
enum Judge {
    /// The kernel, by what the task can open; where devices are not constrained, Slurm's list for the task.
    Kernel,
    /// The kernel knows the step's devices; each task has another one of them.
    ShareOfStep,
}

/// A row of the table.
struct Case {
    name: &'static str,
    launch: Launch,
    arguments: &'static str,
    /// Variables the user has exported.
    exported: &'static [(&'static str, &'static str)],
    /// Devices of each task, in the order of jobs, steps and tasks; empty where Slurm's own choice is at fault.
    devices: &'static [usize],
    judge: Judge,
    /// First release that has the feature.
    since: Release,
}

const fn case(
    name: &'static str,
    launch: Launch,
    arguments: &'static str,
    devices: &'static [usize],
) -> Case {
    Case { name, launch, arguments, exported: &[], devices, judge: Judge::Kernel, since: Release::Bookworm }
}

const fn exporting(case: Case, exported: &'static [(&'static str, &'static str)]) -> Case {
    Case { exported, ..case }
}

const MISLEADING: &[(&str, &str)] = &[
    ("SLURM_JOB_GPUS", "5"),
    ("SLURM_STEP_GPUS", "5"),
    ("CUDA_VISIBLE_DEVICES", "MIG-00000001-0000-5000-8000-000002000000"),
];

const PROBE: &str = "lab-probe";

/// All of them run while another job holds index 0, so that positions and indexes differ.
const CASES: &[Case] = &[
    case("no GPU", Srun, "", &[0]),
    case("batch script", Batch(PROBE), "--gres=gpu:1g.5gb:1", &[1]),
    case("step of a batch job", Batch("srun lab-probe"), "--gres=gpu:1g.5gb:1", &[1]),
    case("srun alone", Srun, "--gres=gpu:3g.20gb:1", &[1]),
    case("interactive step", Salloc(PROBE), "--gres=gpu:1g.5gb:2", &[2]),
    case("step of an interactive job", Salloc("srun lab-probe"), "--gres=gpu:1g.5gb:1", &[1]),
    case("job array", Batch("lab-probe 300"), "--array=0-2 --gres=gpu:1g.5gb:1", &[1, 1, 1]),
    case(
        "heterogeneous job",
        Batch("srun --het-group=0,1 lab-probe"),
        "-wn1 --gres=gpu:3g.20gb:1 : -wn2 --gres=gpu:1g.5gb:1",
        &[1, 1],
    ),
    case("step without GPUs", Batch("srun --gres=none lab-probe"), "--gres=gpu:1g.5gb:1", &[0]),
    case(
        "overlapping steps",
        Batch("srun --overlap lab-probe 300 & srun --overlap lab-probe 300; wait"),
        "--gres=gpu:1g.5gb:2",
        &[2, 2],
    ),
    case(
        "exact steps side by side",
        Batch("for step in 1 2; do srun --exact -n1 -c1 --gres=gpu:1g.5gb:1 lab-probe 400 & done; wait"),
        "-n2 --gres=gpu:1g.5gb:2",
        &[1, 1],
    ),
    case(
        "exact steps of several types",
        Batch(
            "srun --exact -n1 -c1 --gres=gpu:3g.20gb:1 lab-probe 400 &\n\
             srun --exact -n1 -c1 --gres=gpu:1g.5gb:1 lab-probe 400 & wait",
        ),
        "-n2 --gres=gpu:1g.5gb:1,gpu:3g.20gb:1",
        &[1, 1],
    ),
    case("--gpus", Srun, "-n2 --gpus=1g.5gb:2", &[2, 2]),
    case("--gpus-per-node", Srun, "-n2 --gpus-per-node=1g.5gb:2", &[2, 2]),
    case("--gpus-per-task", Srun, "-n2 --gpus-per-task=1", &[1, 1]),
    case(
        "--gpus-per-task in a batch job",
        Batch("srun -n2 --gpus-per-task=1 lab-probe"),
        "-n2 --gpus=2",
        &[1, 1],
    ),
    case("--gpu-bind=single", Srun, "-n2 --gres=gpu:1g.5gb:2 --gpu-bind=single:1", &[1, 1]),
    // What these numbers count depends on the form and on constraint; 1 and 2 mean something in every reading.
    case("--gpu-bind=map_gpu", Srun, "-n2 --gres=gpu:1g.5gb:3 --gpu-bind=map_gpu:1,2", &[1, 1]),
    case("--gpu-bind=mask_gpu", Srun, "-n2 --gres=gpu:1g.5gb:3 --gpu-bind=mask_gpu:0x6,0x2", &[2, 1]),
    case("--gpu-bind=closest", Srun, "-n2 --gres=gpu:1g.5gb:2 --gpu-bind=closest", &[2, 2]),
    Case {
        judge: Judge::ShareOfStep,
        since: Release::Trixie,
        ..case(
            "--gres-flags=allow-task-sharing",
            Srun,
            "-n2 --gres=gpu:1g.5gb:2 --gpu-bind=single:1 --gres-flags=allow-task-sharing",
            &[1, 1],
        )
    },
    case("several types", Srun, "--gres=gpu:1g.5gb:1,gpu:3g.20gb:1", &[2]),
    case("several types in a batch script", Batch(PROBE), "--gres=gpu:3g.20gb:2,gpu:1g.5gb:2", &[4]),
    case("several types, bound", Srun, "-n2 --gres=gpu:1g.5gb:1,gpu:3g.20gb:1 --gpu-bind=single:1", &[1, 1]),
    case("several devices", Srun, "--gres=gpu:1g.5gb:3", &[3]),
    case("every free device", Srun, "--gres=gpu:1g.5gb:3,gpu:3g.20gb:2,gpu:a100:1", &[6]),
    case("whole GPU", Srun, "--gres=gpu:a100:1", &[1]),
    case("whole GPU beside MIG", Srun, "--gres=gpu:a100:1,gpu:1g.5gb:1", &[2]),
    case("two nodes", Srun, "-wn1,n2 -n2 --gres=gpu:1g.5gb:1", &[1, 1]),
    case("two nodes in a batch job", Batch("srun lab-probe"), "-wn1,n2 -n2 --gres=gpu:1g.5gb:1", &[1, 1]),
    exporting(case("exported to srun", Srun, "--gres=gpu:1g.5gb:1", &[1]), MISLEADING),
    exporting(case("exported to srun without GPUs", Srun, "", &[0]), MISLEADING),
    exporting(case("exported to sbatch", Batch("lab-probe"), "--gres=gpu:1g.5gb:1", &[1]), MISLEADING),
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

#[derive(Clone, Copy)]
struct Setup {
    release: Release,
    cgroup: Cgroup,
    constrain: bool,
    user: User,
}

impl Setup {
    /// Whether slurmstepd runs hooks in a clone of itself, as it can from 24.05.
    fn contained(&self) -> bool {
        self.user == User::Root && self.release != Release::Bookworm
    }
}

#[test]
fn constrained_as_root() {
    on_each_release(|release| run(Setup { release, cgroup: Cgroup::V1, constrain: true, user: User::Root }));
}

#[test]
fn constrained_as_user_on_cgroup_v2() {
    on_each_release(|release| run(Setup { release, cgroup: Cgroup::V2, constrain: true, user: User::Alice }));
}

#[test]
fn unconstrained_as_user() {
    on_each_release(|release| {
        run(Setup { release, cgroup: Cgroup::V1, constrain: false, user: User::Alice })
    });
}

fn run(setup: Setup) {
    let (n1, n2) = (Layout::n1(), Layout::n2());
    let layouts = [&n1, &n2];
    let options = options(&layouts, "notices=off").cgroup(setup.cgroup).constrain(setup.constrain);
    let options = if setup.contained() {
        options.slurm_conf("SlurmdParameters=config_overrides,contain_spank")
    } else {
        options
    };
    let Some(lab) = lab::require(Lab::start(setup.release, options)) else { return };
    let holder = lab.sbatch(User::Root, &["-wn1", "--gres=gpu:1g.5gb:1"], "sleep 600").unwrap();
    lab.wait("the holder to run", || Ok(lab.node_state("n1")?.starts_with("MIXED").then_some(()))).unwrap();

    let mut wrong = Vec::new();
    for case in CASES.iter().filter(|case| case.since as u8 <= setup.release as u8) {
        let said = launch(&lab, case, setup.user).unwrap_or_else(|error| error.to_string());
        if let Err(why) = check(case, setup, &layouts, &said) {
            wrong.push(format!("{}: {why}\n{said}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} {:?}: {}", setup.release, setup.cgroup, wrong.join("\n"));
    lab.run(&["scancel", &holder.to_string()]).unwrap();
    assert_healthy(&lab, &layouts);
}

/// Everything the case wrote.
fn launch(lab: &Lab, case: &Case, user: User) -> Result<String, LabError> {
    // Cases that do not say where run on the node whose first device is held.
    let place = if case.arguments.contains("-w") { &[][..] } else { &["-wn1"] };
    let arguments: Vec<_> = place.iter().copied().chain(case.arguments.split_whitespace()).collect();
    let exporting = |command: Invocation| {
        case.exported.iter().fold(command.user(user), |command, (name, value)| command.env(name, value))
    };
    let run = |command: Invocation| {
        let output = exporting(command).output()?;
        Ok(format!("{}{}", output.stdout, output.stderr))
    };
    match case.launch {
        Srun => run(lab.command(&[&["srun"], &arguments[..], &[PROBE]].concat())),
        Batch(script) => {
            let job = lab.submit(exporting(lab.submission(&arguments, script)))?;
            Ok(lab.wait_job(job)?.output)
        }
        Salloc(typed) => {
            let salloc = format!("salloc {}", arguments.join(" "));
            run(lab.command(&["script", "-qec", &salloc, "/dev/null"]).input(format!("{typed}\nexit\n")))
        }
    }
}

fn check(case: &Case, setup: Setup, layouts: &[&Layout], said: &str) -> Result<(), String> {
    if case.judge == Judge::ShareOfStep && !setup.constrain {
        return ambiguous(case, said);
    }
    let probes = Probe::parse_all(said);
    if probes.is_empty() {
        return Err("no task ran".into());
    }
    let mut counts = Vec::new();
    let mut shares = BTreeSet::new();
    for probe in &probes {
        let layout = layouts.iter().find(|layout| layout.name == probe.node).ok_or("a task on no node")?;
        let slurm = slurm_list(probe);
        let opened = if setup.constrain { layout.opened(probe) } else { slurm.clone() };
        if setup.constrain {
            nothing_else_opens(layout, probe, &opened)?;
        }
        let told = probe.cuda_list();
        counts.push(told.len());
        match case.judge {
            Judge::Kernel if told != layout.uuids(&opened) => {
                return Err(format!("told {told:?}, has {opened:?} {:?}", layout.uuids(&opened)));
            }
            Judge::ShareOfStep if told.iter().any(|uuid| !layout.uuids(&opened).contains(uuid)) => {
                return Err(format!("told {told:?}, the step has {opened:?}"));
            }
            _ => shares.extend(told.iter().map(|uuid| (*uuid).to_owned())),
        }
    }
    if !case.devices.is_empty() && counts != case.devices {
        return Err(format!("devices per task: {counts:?}, wanted {:?}", case.devices));
    }
    if case.judge == Judge::ShareOfStep && shares.len() != probes.len() {
        return Err(format!("{} tasks share {shares:?}", probes.len()));
    }
    Ok(())
}

/// Without constraint nothing tells Slurm's step-relative lists from node-wide ones: the step fails, and whoever ran
/// in it had a device to itself.
fn ambiguous(case: &Case, said: &str) -> Result<(), String> {
    if !(said.contains("[mig]") && said.contains("task sharing")) {
        return Err("not refused".into());
    }
    let probes = Probe::parse_all(said);
    let told: Vec<_> = probes.iter().flat_map(Probe::cuda_list).collect();
    let apart = BTreeSet::from_iter(&told).len() == told.len();
    if apart && probes.len() < case.devices.len() {
        Ok(())
    } else {
        Err(format!("all ran, or shared {told:?}"))
    }
}

/// The nodes that open are those of the devices, their GPUs' included.
fn nothing_else_opens(layout: &Layout, probe: &Probe, devices: &[usize]) -> Result<(), String> {
    let all: Vec<_> = (0..layout.types.len()).collect();
    let of_node: BTreeSet<_> = layout.gpus.files_of(&all).intersection(&probe.open).cloned().collect();
    let wanted = layout.gpus.files_of(devices);
    if of_node == wanted { Ok(()) } else { Err(format!("opens {of_node:?}, Slurm allocated {wanted:?}")) }
}

/// Slurm's own list of a task, which is right where devices are not constrained.
fn slurm_list(probe: &Probe) -> Vec<usize> {
    // A batch or interactive step is known by its job alone.
    let list = if is_job_step(probe) { &probe.job_gpus } else { &probe.step_gpus };
    let list = list.iter().flat_map(|list| list.split(','));
    list.filter_map(|index| index.parse().ok()).collect()
}

fn is_job_step(probe: &Probe) -> bool {
    // Slurm's numbers of the batch and the interactive step (slurm.h, SLURM_BATCH_SCRIPT and
    // SLURM_INTERACTIVE_STEP), which 26.05 writes with a sign; 22.05 has none in a batch script.
    ["", "4294967291", "4294967290", "-5", "-6"].contains(&probe.step.as_str())
}
