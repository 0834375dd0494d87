//! Signals while a task is inside the plugin's hook.
//!
//! strace holds the task there: it delays the `faccessat` that asks the kernel about a device, which in a forked
//! task only the plugin calls.

use lab::{JobId, Lab, Release, User};

use crate::fixture::{Layout, assert_healthy, options};

/// How long each `faccessat` takes: longer than it takes to send a signal.
const HOLD: &str = "inject=faccessat,faccessat2:delay_enter=2s";

/// A way to end a job whose task is in the hook.
struct End {
    command: &'static str,
    /// Whether the task may still come to its program: slurmstepd's own matter unless the task itself is killed.
    runs: bool,
    /// Whether Slurm has to be told that the job is over.
    orphaned: bool,
}

const ENDS: &[End] = &[
    End { command: "scancel $job", runs: true, orphaned: false },
    End { command: "scancel --full --signal=KILL $job", runs: true, orphaned: false },
    // slurmstepd blocks it.
    End { command: "kill -TERM $stepd", runs: true, orphaned: false },
    // Its task is nobody's now and goes on; slurmctld hears of it when it next asks the node.
    End { command: "kill -KILL $stepd", runs: true, orphaned: true },
    End { command: "kill -KILL $task", runs: false, orphaned: false },
];

/// Attaches to slurmd and follows what it forks. Returns when it has attached.
fn hold_tasks(lab: &Lab) {
    const SCRIPT: &str = "\
        strace -f -o /dev/null -e trace=faccessat,faccessat2 -e \"$1\" -p $(cat /run/slurmd-n1.pid) \
            </dev/null >/dev/null 2>/var/lab/out/strace & \
        until grep -q attached /var/lab/out/strace; do sleep 0.05; done";
    lab.run(&["bash", "-c", SCRIPT, "hold", HOLD]).unwrap();
}

/// Lets slurmd go.
fn let_go(lab: &Lab) {
    lab.run(&["sh", "-c", "kill $(pidof strace); while pidof strace; do sleep 0.05; done"]).unwrap();
}

/// slurmstepd's processes of a user: of root the daemon itself, of Alice her task before its program.
fn stepds(lab: &Lab, user: &str) -> String {
    lab.command(&["pgrep", "-x", "-u", user, "slurmstepd"]).output().unwrap().stdout.trim().to_owned()
}

/// Starts a batch job and waits until its task is held in the hook. Its number and the pid of the task.
fn held_job(lab: &Lab) -> (JobId, String) {
    // strace stops a process at each system call for a moment; at a delayed one for long.
    const HELD: &str = "for i in 1 2 3; do grep -q '^State:.t' /proc/$1/status || exit 1; sleep 0.05; done";
    let job = lab.sbatch(User::Alice, &["--no-requeue", "--gres=gpu:3g.20gb:1"], "echo ran").unwrap();
    let task = lab
        .wait("the task to be in the hook", || {
            let task = stepds(lab, "alice");
            let held = !task.is_empty() && lab.command(&["sh", "-c", HELD, "sh", &task]).output()?.success();
            Ok(held.then_some(task))
        })
        .unwrap();
    (job, task)
}

#[test]
fn what_is_killed_in_the_hook_leaves_nothing_behind() {
    let n1 = Layout::n1();
    let Some(lab) = lab::require(Lab::start(Release::Bookworm, options(&[&n1], ""))) else { return };
    hold_tasks(&lab);
    for end in ENDS {
        let (job, task) = held_job(&lab);
        let script = format!("job=$1 task=$2 stepd=$3; {}", end.command);
        let stepd = stepds(&lab, "root");
        lab.run(&["sh", "-c", &script, "sh", &job.to_string(), &task, &stepd]).unwrap();
        lab.wait("slurmstepd to end", || {
            Ok((stepds(&lab, "root") + &stepds(&lab, "alice")).is_empty().then_some(()))
        })
        .unwrap();
        if end.orphaned {
            lab.command(&["scancel", &job.to_string()]).output().unwrap();
        }
        let ended = lab.wait_job(job).unwrap();
        assert!(end.runs || !ended.output.contains("ran"), "{}: the script ran: {ended:?}", end.command);
        lab.wait("the node to be free", || Ok((lab.node_state("n1")? == "IDLE").then_some(()))).unwrap();
    }
    let_go(&lab);
    // Every device is free again, and tasks get theirs.
    let probes = lab.srun(&["--gres=gpu:3g.20gb:2", "lab-probe"]).unwrap().probes();
    assert_eq!(probes[0].cuda_list(), n1.uuids(&[4, 5]));
    assert_healthy(&lab, &[&n1]);
}
