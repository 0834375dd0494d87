//! slurmd over hundreds of steps.
//!
//! Each step is a slurmstepd of its own, so what a hook leaks there ends with it (`tests/abi` runs the hooks 10,000
//! times in one process). slurmd stays, and has the plugin loaded.

use lab::{Lab, Release, User};

use crate::fixture::{Layout, assert_healthy, on_each_release, options};

/// Steps in one batch job: a lab gives a job a minute.
const CHUNK: usize = 20;
const CHUNKS: usize = 15;

/// Open files, and resident memory in KiB, of the slurmd of `n1`.
fn slurmd(lab: &Lab) -> (u64, u64) {
    const SCRIPT: &str = "pid=$(cat /run/slurmd-n1.pid); ls /proc/$pid/fd | wc -l; sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$pid/status";
    let text = lab.run(&["sh", "-c", SCRIPT]).unwrap().stdout;
    let mut numbers = text.lines().map(|line| line.trim().parse().expect("a number"));
    (numbers.next().expect("a count"), numbers.next().expect("a size"))
}

fn steps(lab: &Lab) {
    let script =
        format!("for i in $(seq {CHUNK}); do srun -n1 --overlap true || echo step $i; done; echo done");
    let job = lab.sbatch(User::Alice, &["--gres=gpu:1g.5gb:1"], &script).unwrap();
    let output = lab.wait_job(job).unwrap().output;
    // srun of 26.05 says now and then, when it ends, that its own socket is closed already.
    let closed = |line: &&str| {
        lab.release() == Release::Sid
            && line.starts_with("srun: error: _attempt_accept: ")
            && line.ends_with("Error on accept socket: Bad file descriptor\n")
    };
    let said: String = output.split_inclusive('\n').filter(|line| !closed(line)).collect();
    assert_eq!(said, "done\n");
}

#[test]
fn slurmd_does_not_grow_with_steps() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let Some(lab) = lab::require(Lab::start(release, options(&[&n1], "notices=off"))) else { return };
        // The first steps fill slurmd's own caches and thread stacks.
        (0..3).for_each(|_| steps(&lab));
        let (files, memory) = slurmd(&lab);
        (0..CHUNKS).for_each(|_| steps(&lab));
        let (files_after, memory_after) = slurmd(&lab);
        println!(
            "{release}: {} steps, open files {files} -> {files_after}, resident {memory} -> {memory_after} KiB",
            CHUNK * CHUNKS
        );
        // A connection that is just being closed may be among them.
        assert!(files_after <= files + 2, "{release}: {files} -> {files_after} open files");
        // Less than a page per step, which is what a leak of one map would be.
        assert!(
            memory_after < memory + (CHUNK * CHUNKS) as u64 * 4,
            "{release}: {memory} -> {memory_after} KiB"
        );
        assert_healthy(&lab, &[&n1]);
    });
}
