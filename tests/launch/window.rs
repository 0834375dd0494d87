//! Between a new map and the restart of slurmd, Slurm's indexes still mean the old list.

use lab::{FakeGpus, Lab, Probe, Release};

use crate::fixture::{Layout, assert_healthy, on_each_release, options};

/// Two slices of each of two types; `swapped` exchanges the idle ones at indexes 1 and 3 for others of
/// their type, as an apply does that keeps count and every index a job may hold.
fn layout(swapped: bool) -> Layout {
    let (second, fourth) = if swapped { ((0, 9, 0), (1, 1, 0)) } else { ((0, 8, 0), (1, 2, 0)) };
    let gpus = FakeGpus::new(&[(0, 7, 0), second, (0, 1, 0), fourth]);
    Layout { name: "n1", gpus, types: vec!["1g.5gb", "1g.5gb", "3g.20gb", "3g.20gb"] }
}

/// A lab with the device nodes of both layouts and `before` loaded.
fn start(release: Release, before: &Layout, after: &Layout) -> Option<Lab> {
    lab::require(Lab::start(release, options(&[before], "").gpus(&after.gpus)))
}

fn probe_all(lab: &Lab) -> Probe {
    let probes = lab.srun(&["--gres=gpu:1g.5gb:2,gpu:3g.20gb:2", "lab-probe"]).unwrap().probes();
    probes.into_iter().next().unwrap()
}

fn assert_agrees(probe: &Probe, layout: &Layout, devices: &[usize]) {
    assert_eq!(layout.opened(probe), devices, "{probe:?}");
    assert_eq!(probe.cuda_list(), layout.uuids(devices), "{probe:?}");
}

#[test]
fn a_new_map_counts_from_the_restart_of_slurmd() {
    on_each_release(|release| {
        let (before, after) = (layout(false), layout(true));
        let Some(lab) = start(release, &before, &after) else { return };
        let all = [0, 1, 2, 3];
        assert_agrees(&probe_all(&lab), &before, &all);
        lab.write_map("n1", &after.map().to_string()).unwrap();
        lab.write_file("/etc/slurm/gres.conf", after.gres_conf()).unwrap();
        assert_agrees(&probe_all(&lab), &before, &all);
        lab.restart_slurmd("n1").unwrap();
        lab.wait_nodes().unwrap();
        assert_agrees(&probe_all(&lab), &after, &all);
        assert_healthy(&lab, &[&before]);
    });
}

#[test]
fn a_running_job_keeps_its_devices_across_a_change_that_keeps_indexes() {
    on_each_release(|release| {
        let (before, after) = (layout(false), layout(true));
        let Some(lab) = start(release, &before, &after) else { return };
        const STEPS: &str =
            "srun lab-probe; until [ -e /var/lab/out/go ]; do sleep 0.05; done; srun lab-probe";
        let job = lab.sbatch(lab::User::Alice, &["--gres=gpu:1g.5gb:1,gpu:3g.20gb:1"], STEPS).unwrap();
        let said =
            |lab: &Lab| lab.command(&["grep", "-q", "probe begin=", &format!("/var/lab/out/{job}")]).output();
        lab.wait("the first step", || Ok(said(&lab)?.success().then_some(()))).unwrap();
        lab.write_map("n1", &after.map().to_string()).unwrap();
        lab.write_file("/etc/slurm/gres.conf", after.gres_conf()).unwrap();
        lab.restart_slurmd("n1").unwrap();
        lab.wait_nodes().unwrap();
        let beside = lab.srun(&["--gres=gpu:1g.5gb:1,gpu:3g.20gb:1", "lab-probe"]).unwrap().probes();
        assert_agrees(&beside[0], &after, &[1, 3]);
        lab.write_file("/var/lab/out/go", "").unwrap();
        let probes = Probe::parse_all(&lab.wait_job(job).unwrap().output);
        assert_eq!(probes.len(), 2, "both steps ran");
        for probe in &probes {
            assert_agrees(probe, &before, &[0, 2]);
            assert_eq!(before.uuids(&[0, 2]), after.uuids(&[0, 2]));
        }
        assert_healthy(&lab, &[&before]);
    });
}

#[test]
fn a_map_that_slurmd_does_not_run_with_is_found_out() {
    on_each_release(|release| {
        let (before, after) = (layout(false), layout(true));
        let Some(lab) = start(release, &before, &after) else { return };
        // The copy says what gres.conf does not: index 1 is allocated, another node is open.
        lab.write_file(&lab.run_file("n1", "devices.slurmd"), after.map().to_string()).unwrap();
        let output = lab.command(&["srun", "--gres=gpu:1g.5gb:2", "lab-probe"]).output().unwrap();
        assert!(!output.success() && output.probes().is_empty(), "{output:?}");
        assert_eq!(output.stderr.matches("[mig]").count(), 1, "{output:?}");
        assert_healthy(&lab, &[&before]);
    });
}
