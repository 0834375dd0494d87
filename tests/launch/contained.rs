//! Jobs with a mount namespace of their own (job_container/tmpfs), which hides the device map from their tasks, and
//! with an extern step (`PrologFlags=Contain`). From 24.05 with `contain_spank`, which runs hooks in there.

use lab::{Lab, Probe, Release, User};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};

use crate::fixture::{Layout, assert_healthy, on_each_release, options};
use crate::told::{EXPORTERS, files};

const SLURM_CONF: &str = "\
ProctrackType=proctrack/cgroup
PrologFlags=Contain
JobContainerType=job_container/tmpfs
";

/// What is private to a job: up to 22.05 `/tmp` and `/dev/shm` alone.
const CONTAINER: &str = "AutoBasePath=true\nBasePath=/var/lab/containers\n";
const HIDING: &str = "Dirs=/run/gresgen,/tmp\n";

/// Keeps what this thread starts on one CPU. Slurm binds the namespace of a job into that of slurmd, which the kernel
/// allows for a younger one alone, and Linux 6.18 numbers namespaces by CPU: made on another, it may look older.
fn stay_on_one_cpu() {
    let mut one = CpuSet::new();
    one.set(sched_getcpu());
    sched_setaffinity(None, &one).expect("a CPU this thread runs on");
}

fn start(release: Release, layout: &Layout) -> Option<Lab> {
    stay_on_one_cpu();
    let old = release == Release::Bookworm;
    let container = if old { CONTAINER.to_owned() } else { format!("{CONTAINER}{HIDING}") };
    let parameters = if old { "" } else { "SlurmdParameters=config_overrides,contain_spank\n" };
    let arguments = format!("notices=off {EXPORTERS}");
    let options = options(&[layout], &arguments).slurm_conf(&format!("{SLURM_CONF}{parameters}"));
    lab::require(Lab::start(release, options.text("/etc/slurm/job_container.conf", &container)))
}

fn assert_told(layout: &Layout, probes: &[Probe], devices: &[usize]) {
    let told: Vec<_> = probes.iter().map(|probe| probe.cuda_list().len()).collect();
    assert_eq!(told, devices, "{probes:?}");
    for probe in probes {
        assert_eq!(probe.cuda_list(), layout.uuids(&layout.opened(probe)), "{probe:?}");
    }
}

#[test]
fn tasks_that_cannot_see_the_map_are_told_their_devices() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let Some(lab) = start(release, &n1) else { return };
        let script = "ls /run/gresgen; lab-probe; srun lab-probe; srun --gpu-bind=single:1 lab-probe\n\
                      until [ -e /var/lab/out/go ]; do sleep 0.1; done";
        let id = lab.sbatch(User::Alice, &["-n2", "--gres=gpu:1g.5gb:2"], script).unwrap();
        let told = lab.wait("the job to be told of", || {
            let told = files(&lab, "n1", "dcgm");
            Ok((told.len() == 2).then_some(told))
        });
        let told: Vec<_> = told.unwrap().into_values().collect();
        assert_eq!(told, [id.to_string(), id.to_string()], "{release}");
        lab.write_file("/var/lab/out/go", "").unwrap();
        let job = lab.wait_job(id).unwrap();
        assert_eq!(job.state, "COMPLETED", "{}", job.output);
        let hidden = !job.output.lines().any(|line| line == "devices.slurmd");
        assert_eq!(hidden, release != Release::Bookworm, "{}", job.output);
        assert_told(&n1, &Probe::parse_all(&job.output), &[2, 2, 2, 1, 1]);
        assert_healthy(&lab, &[&n1]);
    });
}

/// The extern step comes before every other: what is wrong with the map is not its business.
#[test]
fn a_broken_map_ends_tasks_with_devices_alone() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let Some(lab) = start(release, &n1) else { return };
        lab.write_file(&lab.run_file("n1", "devices.slurmd"), "garbage\n").unwrap();
        let job = |arguments: &[&str]| lab.batch(arguments, "lab-probe").unwrap();
        let without = job(&[]);
        assert_eq!((without.state.as_str(), Probe::parse_all(&without.output).len()), ("COMPLETED", 1));
        let refused = job(&["--gres=gpu:3g.20gb:1"]);
        assert_eq!((refused.state.as_str(), Probe::parse_all(&refused.output).len()), ("FAILED", 0));
        assert_eq!(refused.output.matches("[mig]").count(), 1, "{}", refused.output);
        assert_healthy(&lab, &[&n1]);
    });
}
