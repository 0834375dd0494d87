//! Broken nodes: the task does not run, one `[mig]` line says why, and the node stays up.

use lab::{Lab, Output, User};

use crate::fixture::{Layout, assert_healthy, on_each_release, options};

/// A way to break the copy of the map that tasks are resolved with, as shell code on `$map`.
struct Fault {
    name: &'static str,
    script: &'static str,
    /// Whether slurmd has to find it, too: not what it cannot know when it starts.
    at_start: bool,
}

const fn fault(name: &'static str, script: &'static str) -> Fault {
    Fault { name, script, at_start: true }
}

const fn later(name: &'static str, script: &'static str) -> Fault {
    Fault { name, script, at_start: false }
}

const MAP_FAULTS: &[Fault] = &[
    fault("cut short", "sed -i '$d' $map"),
    fault("empty", ": >$map"),
    fault(
        "a slice by the UUID of its GPU",
        "sed -i 's/^0 \\([^ ]*\\) [^ ]* \\([^ ]*\\) /0 \\1 \\2 \\2 /' $map",
    ),
    fault("garbage", "head -c 4096 /dev/urandom >$map"),
    fault("oversized", "head -c 100000000 /dev/zero >>$map"),
    fault("writable by all", "chmod 666 $map"),
    fault("owned by a user", "chown alice $map"),
    fault("a symlink", "mv $map $map.real; ln -s $map.real $map"),
    fault("a folder", "rm $map; mkdir $map"),
    fault("a pipe without a writer", "rm $map; mkfifo $map"),
    fault("of another boot", "sed -i 's/^boot .*/boot 00000000-0000-0000-0000-000000000000/' $map"),
    later("short of records", "sed -i '/^[1-6] /d; s/^end .*/end 1/' $map"),
    later("missing", "rm $map"),
    fault("writable by its group", "chmod 664 $map"),
    fault("in a folder writable by all", "chmod 777 ${map%/*}"),
    fault("in a user's folder", "chown alice ${map%/*}"),
];

#[test]
fn a_task_without_a_sound_map_does_not_run() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let Some(lab) = lab::require(Lab::start(release, options(&[&n1], ""))) else { return };
        let map = lab.run_file("n1", "devices.slurmd");
        for fault in MAP_FAULTS {
            break_map(&lab, &map, fault);
            refused(fault.name, &srun(&lab));
            mend(&lab, &map, &n1);
        }
        let job = lab.batch(&["--gres=gpu:3g.20gb:1"], "lab-probe").unwrap();
        assert_eq!(job.state, "COMPLETED", "{}", job.output);
        assert_healthy(&lab, &[&n1]);
    });
}

#[test]
fn a_refused_batch_job_fails_and_the_next_one_runs() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let Some(lab) = lab::require(Lab::start(release, options(&[&n1], ""))) else { return };
        let map = lab.run_file("n1", "devices.slurmd");
        break_map(&lab, &map, &MAP_FAULTS[0]);
        let failed = lab.batch(&["--gres=gpu:3g.20gb:1"], "lab-probe").unwrap();
        assert_eq!(failed.state, "FAILED", "{}", failed.output);
        assert!(!failed.output.contains("probe begin="), "the script ran: {}", failed.output);
        let without_gpu = lab.batch(&[], "echo ran").unwrap();
        assert_eq!(without_gpu.output, "ran\n", "a job without GPUs needs no map");
        assert_healthy(&lab, &[&n1]);
        mend(&lab, &map, &n1);
        assert_eq!(lab.batch(&["--gres=gpu:3g.20gb:1"], "lab-probe").unwrap().state, "COMPLETED");
    });
}

#[test]
fn with_warn_the_task_runs_and_is_told() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let Some(lab) = lab::require(Lab::start(release, options(&[&n1], "on_unresolved=warn"))) else {
            return;
        };
        break_map(&lab, &lab.run_file("n1", "devices.slurmd"), &MAP_FAULTS[0]);
        let output = srun(&lab);
        assert!(output.success(), "{output:?}");
        assert_eq!(output.probes().len(), 1, "{output:?}");
        assert_eq!(messages(&output).len(), 1, "{output:?}");
    });
}

#[test]
fn slurmd_starts_on_a_broken_map_and_tasks_are_told() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let Some(lab) = lab::require(Lab::start(release, options(&[&n1], ""))) else { return };
        let map = lab.run_file("n1", "devices");
        for fault in MAP_FAULTS.iter().filter(|fault| fault.at_start) {
            break_map(&lab, &map, fault);
            lab.restart_slurmd("n1").unwrap();
            lab.wait_nodes().unwrap();
            refused(fault.name, &srun(&lab));
            mend(&lab, &map, &n1);
        }
        refused("mended behind slurmd's back", &srun(&lab));
        lab.restart_slurmd("n1").unwrap();
        assert_eq!(srun(&lab).probes().len(), 1);
        assert_healthy(&lab, &[&n1]);
    });
}

#[test]
fn no_task_of_a_step_runs_and_one_says_why() {
    on_each_release(|release| {
        let (n1, n2) = (Layout::n1(), Layout::n2());
        let Some(lab) = lab::require(Lab::start(release, options(&[&n1, &n2], ""))) else { return };
        break_map(&lab, &lab.run_file("n2", "devices.slurmd"), &MAP_FAULTS[0]);
        let on_n2 = ["srun", "-wn2", "-n4", "--gres=gpu:1g.5gb:1", "lab-probe"];
        refused("four tasks", &lab.command(&on_n2).output().unwrap());
        // Tasks on the other node are none of its business, and nobody waits for those that did not start.
        let both = ["srun", "-wn1,n2", "-n4", "--ntasks-per-node=2", "--gres=gpu:1g.5gb:1", "lab-probe"];
        let output = lab.command(&both).output().unwrap();
        let nodes: Vec<_> = output.probes().iter().map(|probe| probe.node.clone()).collect();
        assert_eq!(nodes, ["n1", "n1"], "{output:?}");
        assert!(!output.success() && messages(&output).len() == 1, "{output:?}");
        assert_healthy(&lab, &[&n1, &n2]);
    });
}

#[test]
fn an_interactive_job_ends_at_once() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let Some(lab) = lab::require(Lab::start(release, options(&[&n1], ""))) else { return };
        break_map(&lab, &lab.run_file("n1", "devices.slurmd"), &MAP_FAULTS[0]);
        let salloc = ["script", "-qec", "salloc --gres=gpu:3g.20gb:1", "/dev/null"];
        let output = lab.command(&salloc).user(User::Alice).input("lab-probe\nexit\n").output().unwrap();
        assert!(output.probes().is_empty(), "the shell started: {output:?}");
        assert_eq!(output.stdout.matches("[mig]").count(), 1, "{output:?}");
        lab.wait("the node to be free", || Ok((lab.node_state("n1")? == "IDLE").then_some(()))).unwrap();
    });
}

/// A way in which the node of a device is not what it was, as shell code on `$file`, and a part of what is said.
const DEVICE_FAULTS: [(&str, &str); 4] = [
    ("rm $file", "does not exist"),
    ("n=$(stat -c '0x%t 0x%T' $file); rm $file; mknod -m 666 $file c ${n% *} 4095", "since slurmd started"),
    ("rm $file; echo >$file; chmod 666 $file", "is no character device"),
    ("chmod 660 $file", "chmod a+r"),
];

#[test]
fn a_device_that_is_not_what_it_was_is_named() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let Some(lab) = lab::require(Lab::start(release, options(&[&n1], ""))) else { return };
        // Index 4 is the first 3g.20gb.
        let own = n1.gpus.gpus[4].files.last().unwrap().display().to_string();
        let was = lab.run(&["stat", "-c", "0x%t 0x%T", &own]).unwrap().stdout;
        for (script, said) in DEVICE_FAULTS {
            lab.run(&["sh", "-c", &format!("file=$1; {script}"), "sh", &own]).unwrap();
            let output = srun(&lab);
            refused(script, &output);
            assert!(output.stderr.contains(&own) && output.stderr.contains(said), "{script}: {output:?}");
            // Nobody else has to care.
            let other = lab.srun(&["--gres=gpu:1g.5gb:1", "lab-probe"]).unwrap();
            assert_eq!(other.probes()[0].cuda_list(), n1.uuids(&[0]), "{script}");
            let mend = format!("rm -f $1; mknod -m 666 $1 c {was}");
            lab.run(&["sh", "-c", &mend, "sh", &own]).unwrap();
        }
        assert_eq!(srun(&lab).probes()[0].cuda_list(), n1.uuids(&[4]));
        assert_healthy(&lab, &[&n1]);
    });
}

#[test]
fn a_node_without_map_and_without_mig_is_left_alone() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let Some(lab) = lab::require(Lab::start(release, options(&[&n1], ""))) else { return };
        lab.run(&["sh", "-c", "rm \"$1\"devices*", "sh", &lab.run_file("n1", "")]).unwrap();
        lab.restart_slurmd("n1").unwrap();
        let output = srun(&lab);
        assert_eq!(output.probes()[0].cuda.as_deref(), Some("0"), "what Slurm sets");
        assert_eq!(messages(&output), Vec::<&str>::new());

        let instance =
            "mount -t tmpfs lab /proc/driver && mkdir -p /proc/driver/nvidia/capabilities/gpu0/mig/gi7";
        lab.run(&["sh", "-c", instance]).unwrap();
        lab.restart_slurmd("n1").unwrap();
        refused("no map although the GPU is cut", &srun(&lab));
        assert_healthy(&lab, &[&n1]);
    });
}

fn srun(lab: &Lab) -> Output {
    lab.command(&["srun", "--gres=gpu:3g.20gb:1", "lab-probe"]).user(User::Alice).output().unwrap()
}

fn break_map(lab: &Lab, map: &str, fault: &Fault) {
    lab.run(&["sh", "-c", &format!("map=$1; {}", fault.script), "sh", map]).unwrap();
}

/// Puts a sound copy in the place of whatever is there.
fn mend(lab: &Lab, map: &str, layout: &Layout) {
    const CLEAR: &str = "rm -rf \"$1\"; chmod 755 \"${1%/*}\"; chown root \"${1%/*}\"";
    lab.run(&["sh", "-c", CLEAR, "sh", map]).unwrap();
    lab.write_file(map, layout.map().to_string()).unwrap();
}

fn messages(output: &Output) -> Vec<&str> {
    output.stderr.lines().filter(|line| line.contains("[mig]")).collect()
}

/// The task did not run, and one line says why.
fn refused(name: &str, output: &Output) {
    assert!(!output.success(), "{name}: {output:?}");
    assert!(output.probes().is_empty(), "{name}: the task ran: {output:?}");
    assert_eq!(messages(output).len(), 1, "{name}: {output:?}");
}
