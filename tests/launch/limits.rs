//! Limits that are configured and not in force: Slurm 22.05 on cgroup v2 from eleven instances up, where its
//! device program does not load and nobody says so (seen on 22.05.8; mended in 23.02.4).

use std::collections::BTreeSet;

use lab::{Cgroup, FakeGpus, Lab, Output, Probe, Release, User};

use crate::fixture::{Layout, assert_healthy, on_each_release, options};

fn layout(count: u32) -> Layout {
    let instances: Vec<_> = (0..count).map(|index| (index / 7, 7 + index % 7, 0)).collect();
    Layout { name: "n1", gpus: FakeGpus::new(&instances), types: vec!["1g.5gb"; count as usize] }
}

fn start(release: Release, layout: &Layout) -> Option<Lab> {
    lab::require(Lab::start(release, options(&[layout], "").cgroup(Cgroup::V2)))
}

fn srun(lab: &Lab, arguments: &[&str]) -> Output {
    lab.command(&[&["srun", "--gres=gpu:1g.5gb:2"], arguments, &["lab-probe"]].concat()).output().unwrap()
}

#[test]
fn up_to_ten_instances_are_enforced_everywhere() {
    on_each_release(|release| {
        let layout = layout(10);
        let Some(lab) = start(release, &layout) else { return };
        let probes = srun(&lab, &[]).probes();
        assert_eq!(layout.opened(&probes[0]), [0, 1]);
        assert_eq!(probes[0].cuda_list(), layout.uuids(&[0, 1]));
    });
}

#[test]
fn beyond_them_the_plugin_notices() {
    on_each_release(|release| {
        let layout = layout(12);
        let Some(lab) = start(release, &layout) else { return };
        let unbound = srun(&lab, &[]);
        let bound = srun(&lab, &["-n2", "--gpu-bind=single:1"]);
        let probes = unbound.probes();
        assert_eq!(probes[0].cuda_list(), layout.uuids(&[0, 1]), "{unbound:?}");
        let mut handed_out = BTreeSet::new();
        for probe in bound.probes() {
            for uuid in probe.cuda_list() {
                assert!(handed_out.insert(uuid.to_owned()), "two tasks hold {uuid}: {bound:?}");
            }
        }
        if release == Release::Bookworm {
            assert_eq!(layout.opened(&probes[0]).len(), 12, "Slurm enforces nothing here: {unbound:?}");
            assert!(unbound.stderr.contains("[mig]"), "{unbound:?}");
            assert!(bound.stderr.contains("[mig]") && handed_out.is_empty(), "{bound:?}");
        } else {
            assert_eq!(layout.opened(&probes[0]), [0, 1], "{unbound:?}");
            assert_eq!(handed_out.len(), 2, "{bound:?}");
        }
        assert_healthy(&lab, &[&layout]);
    });
}

/// What slurmstepd leaves where a killed task was not reaped in time, for a job that is to begin anew: all devices denied.
const LEFTOVER: &str = r#"set -e
user=$(echo /sys/fs/cgroup/devices/slurm*)/uid_$(id -u alice)
job=$user/job_$1
shift
mkdir -p "$job/step_batch/task_0" "$job/step_0/task_0"
for device; do echo "c $device rwm" >"$job/devices.deny"; done
"#;

#[test]
fn limits_that_an_earlier_run_has_left_do_not_hold() {
    on_each_release(|release| {
        let layout = layout(4);
        let started = Lab::start(release, options(&[&layout], "").cgroup(Cgroup::V1));
        let Some(lab) = lab::require(started) else { return };
        // So that there are cgroups of Slurm.
        lab.command(&["srun", "lab-probe"]).output().unwrap();
        let job =
            lab.sbatch(User::Alice, &["--hold", "--gres=gpu:1g.5gb:2"], "lab-probe\nsrun lab-probe").unwrap();
        let files = layout.gpus.files_of(&[0, 1, 2, 3]);
        let numbers = files.iter().filter_map(|file| layout.gpus.number(file));
        let words: Vec<String> = std::iter::once(job.to_string())
            .chain(numbers.map(|(major, minor)| format!("{major}:{minor}")))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        lab.run(&[&["bash", "-c", LEFTOVER, "bash"], &words[..]].concat()).unwrap();
        lab.run(&["scontrol", "release", &job.to_string()]).unwrap();
        let job = lab.wait_job(job).unwrap();
        let probes = Probe::parse_all(&job.output);
        let opened: Vec<_> = probes.iter().map(|probe| layout.opened(probe)).collect();
        assert_eq!(
            (job.state.as_str(), opened),
            ("COMPLETED", vec![vec![0, 1]; 2]),
            "{release}: {}",
            job.output
        );
        assert_healthy(&lab, &[&layout]);
    });
}
