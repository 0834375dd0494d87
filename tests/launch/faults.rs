//! Broken nodes: the task does not run, one `[mig]` line says why, and the node stays up.

use lab::{Lab, Output, User};

use crate::fixture::{Layout, assert_healthy, on_each_release, options};

/// A way to break the copy of the map that tasks are resolved with, as shell code on `$map`.
struct Fault {
    name: &'static str,
    script: &'static str,
}

const fn fault(name: &'static str, script: &'static str) -> Fault {
    Fault { name, script }
}

const MAP_FAULTS: &[Fault] = &[
    fault("cut short", "sed -i '$d' $map"),
    fault("empty", ": >$map"),
    fault("garbage", "head -c 4096 /dev/urandom >$map"),
    fault("oversized", "head -c 100000000 /dev/zero >>$map"),
    fault("writable by all", "chmod 666 $map"),
    fault("owned by a user", "chown alice $map"),
    fault("a symlink", "mv $map $map.real; ln -s $map.real $map"),
    fault("a folder", "rm $map; mkdir $map"),
    fault("a pipe without a writer", "rm $map; mkfifo $map"),
    fault("of another boot", "sed -i 's/^boot .*/boot 00000000-0000-0000-0000-000000000000/' $map"),
    fault("short of records", "sed -i '/^[1-6] /d; s/^end .*/end 1/' $map"),
    fault("in a folder writable by all", "chmod 777 ${map%/*}"),
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
        let node = n1.node().map("gresgen-devices 1\nnode n1\n");
        let Some(lab) = lab::require(Lab::start(release, options(&[&n1], "").first_node(node))) else {
            return;
        };
        refused("broken at the start of slurmd", &srun(&lab));
        lab.write_map("n1", &n1.map().to_string()).unwrap();
        refused("mended behind slurmd's back", &srun(&lab));
        lab.restart_slurmd("n1").unwrap();
        assert_eq!(srun(&lab).probes().len(), 1);
        assert_healthy(&lab, &[&n1]);
    });
}

#[test]
fn a_device_that_vanished_is_named() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let Some(lab) = lab::require(Lab::start(release, options(&[&n1], ""))) else { return };
        // Index 4 is the first 3g.20gb.
        let own = n1.gpus.gpus[4].files.last().unwrap().display().to_string();
        lab.run(&["rm", &own]).unwrap();
        let output = srun(&lab);
        refused("vanished", &output);
        assert!(output.stderr.contains(&own), "{}", output.stderr);
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
    lab.run(&["sh", "-c", "rm -rf \"$1\"; chmod 755 \"${1%/*}\"", "sh", map]).unwrap();
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
