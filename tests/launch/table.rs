//! The launch modes: in each, a task's `CUDA_VISIBLE_DEVICES` names the devices it can open, and no others.

use std::collections::BTreeSet;

use lab::{Cgroup, Invocation, Lab, LabError, Probe, Release, User};

use crate::cases::Launch::{Batch, Salloc, Srun};
use crate::cases::{CASES, Case, Judge, PROBE};
use crate::fixture::{Layout, assert_healthy, on_each_release, options};
use crate::told::{self, EXPORTERS};

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
fn unconstrained_as_root_on_cgroup_v2() {
    on_each_release(|release| run(Setup { release, cgroup: Cgroup::V2, constrain: false, user: User::Root }));
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
    let options = options(&layouts, &format!("notices=off {EXPORTERS}"))
        .cgroup(setup.cgroup)
        .constrain(setup.constrain);
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
        let checked = check(case, setup, &layouts, &said)
            .and_then(|()| told::check(case, setup.constrain, &layouts, holder, &said))
            .and_then(|()| told::check_end(&lab, &layouts, holder));
        if let Err(why) = checked {
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
    if case.judge == Judge::ShareOfStep && shares.len() != counts.iter().sum::<usize>() {
        return Err(format!("{} tasks have {shares:?}", probes.len()));
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
pub(crate) fn slurm_list(probe: &Probe) -> Vec<usize> {
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
