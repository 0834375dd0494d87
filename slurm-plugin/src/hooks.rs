//! The hooks, and what stands between them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock};

use device_map::holding::{Claim, Holding};
use device_map::{DeviceMap, Record};
use spank::export::Arguments;
use spank::{Context, Spank, log};

use crate::access::{self, Access};
use crate::args::{Args, OnUnresolved};
use crate::exporters;
use crate::leftover;
use crate::names::named_rows;
use crate::node::{self, NoMap};
use crate::options::{self, Naming};
use crate::publish;
use crate::resolve::{Resolution, resolve};
use crate::step::Step;

/// What the hook in slurmstepd found, for the tasks forked from it. Unset when that hook did not end well.
static PREPARED: OnceLock<Prepared> = OnceLock::new();

/// What exporters are told of the step, to be taken back when it ends.
static CLAIMED: Mutex<Option<(Holding, Claim)>> = Mutex::new(None);

struct Prepared {
    args: Args,
    /// `None` where there is nothing to do, which is so for most tasks of a cluster.
    given: Result<Option<Given>, String>,
}

/// A step with devices on a node with a map. The map is read before tasks exist: a job's own mount namespace
/// may hide it.
struct Given {
    step: Step,
    map: DeviceMap,
}

/// `slurm_spank_init`: runs in every process of Slurm that loads plugins.
pub fn init(spank: &mut Spank<'_>, arguments: Arguments<'_>) {
    match spank.context() {
        Context::Local | Context::Allocator => options::register(spank),
        Context::Remote => {
            options::register(spank);
            let args = arguments_of(arguments);
            let given = prepare(spank, &args);
            let Prepared { args, given } = PREPARED.get_or_init(|| Prepared { args, given });
            // Last: whatever becomes of it, the tasks get their devices.
            if let Ok(Some(Given { step, map })) = given {
                if let Err(error) = leftover::remove(spank, step.kind(), &map.node) {
                    log::error(&format!(
                        "[mig] the step's job: {error}; what a run before left is not looked for"
                    ));
                }
                claim(spank, step, map, args);
            }
        }
        Context::Slurmd => keep(&arguments_of(arguments)),
        Context::JobScript | Context::Other => {}
    }
}

/// `slurm_spank_exit`: runs in every process of Slurm that loaded plugins when it ends well; in slurmstepd after the last
/// task, and before slurmctld is told that the step has ended (`spank_fini` in src/slurmd/slurmstepd/mgr.c).
pub fn exit(_: &mut Spank<'_>, _: Arguments<'_>) {
    let claimed = CLAIMED.lock().map(|mut claimed| claimed.take()).unwrap_or_default();
    if let Some((holding, claim)) = claimed
        && let Err(error) = holding.release(claim)
    {
        log::error(&format!("[mig] {error}; exporters take an ended step for one that runs"));
    }
}

/// `slurm_spank_task_post_fork`: runs as root in slurmstepd, for each forked task in turn. None of them goes on to its
/// program before this has run for all (`_fork_all_tasks` in src/slurmd/slurmstepd/mgr.c), so that what the first tells is
/// there for every task; a hook in the first task itself would run beside the other tasks' programs.
pub fn task_post_fork(spank: &mut Spank<'_>, _: Arguments<'_>) {
    if spank.local_task() != Ok(0) {
        return;
    }
    if let Ok(claimed) = CLAIMED.lock()
        && let Some((holding, claim)) = &*claimed
        && let Err(error) = holding.tell(claim)
    {
        log_not_recorded(&error.to_string());
    }
}

/// `slurm_spank_task_init`: runs in the forked task, as its user, in its final cgroup.
pub fn task_init(spank: &mut Spank<'_>, arguments: Arguments<'_>) {
    match PREPARED.get() {
        Some(Prepared { given: Ok(None), .. }) => {}
        Some(Prepared { args, given: Ok(Some(given)) }) => {
            if let Err(why) = contained(|| give(spank, given, args)) {
                refuse(spank, args, Some(&why));
            }
        }
        Some(Prepared { args, given: Err(why) }) => refuse(spank, args, once(spank, why)),
        None => {
            let (args, _) = Args::parse(arguments.iter());
            refuse(spank, &args, once(spank, "the plugin failed at the start of the step, see slurmd's log"));
        }
    }
}

/// What is the same for every task on the node is said by one of them.
fn once<'a>(spank: &Spank<'_>, why: &'a str) -> Option<&'a str> {
    (spank.local_task() == Ok(0)).then_some(why)
}

/// Makes a panic an error: Slurm would ignore it in a plugin loaded as `optional`, and run the task.
fn contained(give: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let failed = |_| Err("the plugin failed in this task, see slurmd's log".to_owned());
    catch_unwind(AssertUnwindSafe(give)).unwrap_or_else(failed)
}

fn arguments_of(arguments: Arguments<'_>) -> Args {
    let (args, complaints) = Args::parse(arguments.iter());
    for complaint in complaints {
        log::error(&format!("[mig] plugstack.conf: {complaint}"));
    }
    args
}

fn claim(spank: &Spank<'_>, step: &Step, map: &DeviceMap, args: &Args) {
    if !args.exporters.any() {
        return;
    }
    let holding = Holding::beside(&args.map, args.exporters.clone());
    let claim = exporters::step_record(spank, step, map)
        .and_then(|step| holding.claim(step).map_err(|error| error.to_string()));
    match (claim, CLAIMED.lock()) {
        (Ok(claim), Ok(mut claimed)) => *claimed = Some((holding, claim)),
        (Ok(_), Err(_)) => {}
        (Err(why), _) => log_not_recorded(&why),
    }
}

fn log_not_recorded(why: &str) {
    log::error(&format!("[mig] {why}; the step runs, and exporters do not know all of its devices"));
}

fn keep(args: &Args) {
    log::info(&format!("[mig] {}", device_map::version::PLUGIN));
    match node::keep(&args.map) {
        Ok((map, done)) => {
            log::debug(&format!("[mig] {done}"));
            for why in exporters::prepare(args, map.as_ref()) {
                log::error(&format!("[mig] {why}; jobs run, and exporters know less of them"));
            }
        }
        Err(why) => log::error(&format!("[mig] {why}; jobs with MIG devices will fail on this node")),
    }
}

fn prepare(spank: &Spank<'_>, args: &Args) -> Result<Option<Given>, String> {
    let Some(step) = Step::read(spank)? else { return Ok(None) };
    match node::map(&args.map) {
        Ok(map) => Ok(map.map(|map| Given { step, map })),
        // A node that Slurm looks after itself.
        Err(NoMap::Missing(_)) if step.is_named() => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn give(spank: &mut Spank<'_>, given: &Given, args: &Args) -> Result<(), String> {
    let Given { step, map } = given;
    let view = step.view(spank)?;
    let named = named_rows(map, &view.step_cuda, view.devices.len()).unwrap_or_default();
    let access = |index: usize, record: &Record| {
        if view.devices.contains(&index) || named.contains(&index) {
            return access::ask_and_compare(record);
        }
        match access::ask(record) {
            // Open against expectation: perhaps because another device stands there.
            Access::Allowed if view.constrained => access::ask_and_compare(record),
            verdict => verdict,
        }
    };
    let resolution = resolve(map, &view, access).map_err(|error| error.to_string())?;
    let (mut wishes, complaints) = options::wishes(spank);
    // Where Slurm has named devices there are no numbers to keep.
    if wishes.naming == Naming::Index && view.cuda.devices().is_some() {
        wishes.naming = Naming::Uuid;
    }
    let task = spank.local_task().map_or(0, |task| task as usize);
    let changes = publish::changes(map, &resolution, wishes, task, &args.set);
    publish::apply(spank, &changes)?;
    // Once per step is enough.
    if spank.global_task() == Ok(0) {
        let notices = [publish::notice(map, &resolution, wishes, &args.set), limits(&resolution)];
        let notices = notices.into_iter().flatten().filter(|_| args.notices);
        complaints.into_iter().chain(notices).for_each(|said| log::user(&format!("[mig] {said}")));
    }
    Ok(())
}

fn limits(resolution: &Resolution) -> Option<String> {
    resolution.devices().limits_not_in_force.then(|| {
        "cgroup.conf has ConstrainDevices=yes but this task can open devices of other jobs; tell your administrator".to_owned()
    })
}

/// Says why, then ends the task or lets it run as Slurm set it up.
fn refuse(spank: &Spank<'_>, args: &Args, why: Option<&str>) {
    if let Some(why) = why {
        log::user(&format!("[mig] {why}"));
    }
    if args.on_unresolved == OnUnresolved::Fail {
        spank.abandon_task(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_reason_to_refuse_a_task() {
        assert_eq!(contained(|| Ok(())), Ok(()));
        assert_eq!(contained(|| Err("why".into())), Err("why".into()));
        let panicked = contained(|| panic!("out of cheese"));
        assert_eq!(panicked, Err("the plugin failed in this task, see slurmd's log".into()));
    }
}
