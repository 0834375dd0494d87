//! The lab itself: what it promises the tests that stand on it.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use lab::{Cgroup, FakeGpus, Lab, Node, Options, Release, User};

fn two_slices() -> (FakeGpus, Options) {
    let gpus = FakeGpus::new(&[(0, 7, 0), (0, 8, 0)]);
    let node = Node::new("n1").gres("gpu:a:2").gres_conf(&gpus.gres_conf("n1", &["a", "a"]));
    let options = Options::new(node).gpus(&gpus);
    (gpus, options)
}

/// Every selected release on both cgroup plugins.
fn configurations() -> impl Iterator<Item = (Release, Cgroup)> {
    Release::selected()
        .into_iter()
        .flat_map(|release| [Cgroup::V1, Cgroup::V2].map(|cgroup| (release, cgroup)))
}

#[test]
fn the_judge_sees_exactly_the_allocated_device() {
    for (release, cgroup) in configurations() {
        let (gpus, options) = two_slices();
        let Some(lab) = lab::require(Lab::start(release, options.cgroup(cgroup))) else { return };
        let output = lab.srun(&["--gres=gpu:a:1", "lab-probe"]).unwrap();
        let probes = output.probes();
        assert_eq!(probes.len(), 1, "{output:?}");
        let (open, all) = (gpus.files(0), gpus.files_of(&[0, 1]));
        assert_eq!(probes[0].open, open, "{release}");
        assert_eq!(probes[0].denied, all.difference(&open).cloned().collect(), "{release}");
        assert!(probes[0].other.is_empty());
    }
}

#[test]
fn without_constraint_every_device_opens() {
    let (gpus, options) = two_slices();
    let Some(lab) = lab::require(Lab::start(Release::Bookworm, options.constrain(false))) else { return };
    let probes = lab.srun(&["--gres=gpu:a:1", "lab-probe"]).unwrap().probes();
    assert_eq!(probes[0].open, gpus.files_of(&[0, 1]));
}

#[test]
fn batch_jobs_run_as_a_user_and_on_two_nodes() {
    let (_, options) = two_slices();
    let Some(lab) = lab::require(Lab::start(Release::Bookworm, options.node(Node::new("n2")))) else {
        return;
    };
    let job = lab.sbatch(User::Alice, &["-N2"], "id -un; srun -n2 printenv SLURMD_NODENAME").unwrap();
    let job = lab.wait_job(job).unwrap();
    let mut lines: Vec<_> = job.output.lines().collect();
    lines.sort_unstable();
    assert_eq!((job.state.as_str(), &lines[..]), ("COMPLETED", &["alice", "n1", "n2"][..]));
    let failed = lab.batch(&[], "exit 3").unwrap();
    assert_eq!(failed.state, "FAILED");
}

#[test]
fn each_node_sees_its_own_map() {
    let (_, options) = two_slices();
    let options = options.node(Node::new("n2").map("of n2"));
    let Some(lab) = lab::require(Lab::start(Release::Bookworm, options)) else { return };
    lab.write_map("n1", "of n1").unwrap();
    for node in ["n1", "n2"] {
        let seen = lab.srun(&["-w", node, "cat", "/run/gresgen/devices"]).unwrap();
        assert_eq!(seen.stdout, format!("of {node}"));
    }
}

#[test]
fn daemons_restart_and_jobs_survive_it() {
    for release in Release::selected() {
        let (_, options) = two_slices();
        let Some(lab) = lab::require(Lab::start(release, options)) else { return };
        let job = lab
            .sbatch(User::Root, &[], "until [ -e /var/lab/out/go ]; do sleep 0.05; done; echo done")
            .unwrap();
        lab.wait("the job to run", || Ok(lab.node_state("n1")?.starts_with("MIXED").then_some(()))).unwrap();
        lab.restart_slurmd("n1").unwrap();
        lab.restart_slurmctld().unwrap();
        lab.reconfigure().unwrap();
        lab.write_file("/var/lab/out/go", "").unwrap();
        assert_eq!(lab.wait_job(job).unwrap().output, "done\n", "{release}");
    }
}

#[test]
fn labs_run_side_by_side() {
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let (gpus, options) = two_slices();
                let Some(lab) = lab::require(Lab::start(Release::Bookworm, options)) else { return };
                let probes = lab.srun(&["--gres=gpu:a:1", "lab-probe"]).unwrap().probes();
                assert_eq!(probes[0].open, gpus.files(0));
            });
        }
    });
}

#[test]
fn a_killed_owner_leaves_nothing_behind() {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["shell", "bookworm"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shell = owner.stdin.take().unwrap();
    // A job holds a cgroup and an open output at the moment of the kill.
    writeln!(
        shell,
        "srun --gres=gpu:1g.5gb:1 bash -c 'readlink /proc/self/ns/pid /proc/self/ns/mnt; sleep 600'"
    )
    .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let mut namespace = || lines.next().expect("the lab answers; see its error above").unwrap();
    let (pids, mounts) = (namespace(), namespace());
    let owner_pid = owner.id();
    assert!(!members("pid", &pids).is_empty() && !members("mnt", &mounts).is_empty());
    assert!(!groups_of(owner_pid).is_empty());

    owner.kill().unwrap();
    owner.wait().unwrap();

    let end = Instant::now() + Duration::from_secs(20);
    let left = || (members("pid", &pids), members("mnt", &mounts), groups_of(owner_pid));
    while left() != Default::default() && Instant::now() < end {
        sleep(Duration::from_millis(50));
    }
    assert_eq!(left(), Default::default(), "processes, processes, cgroups");
}

#[test]
fn without_root_it_says_so() {
    let shell = Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups"])
        // The binary may lie where only root may look.
        .args(["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"])
        .args([env!("CARGO_BIN_EXE_lab"), "shell", "bookworm"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&shell.stderr);
    assert_eq!(said, "error: lab: unavailable on this machine: a lab needs root; run it with sudo\n");
    assert_eq!(shell.status.code(), Some(1));
}

#[test]
fn where_every_device_is_denied_it_says_so() {
    let group = PathBuf::from(format!("/sys/fs/cgroup/devices/gresgen-lab-{}-denied", std::process::id()));
    fs::create_dir(&group).unwrap();
    // The major of the node that the lab checks with.
    fs::write(group.join("devices.deny"), "c 254:* rw").unwrap();
    let enter = r#"echo $$ >"$1/cgroup.procs" && exec "$2" shell bookworm"#;
    let shell = Command::new("sh")
        .args(["-c", enter, "sh"])
        .arg(&group)
        .arg(env!("CARGO_BIN_EXE_lab"))
        .output()
        .unwrap();
    // The kernel takes a moment to let go of who has ended.
    let removed = |attempt| {
        sleep(Duration::from_millis(attempt));
        fs::remove_dir(&group).is_ok()
    };
    assert!((0..100).any(removed), "{}", group.display());
    let said = String::from_utf8_lossy(&shell.stderr);
    assert!(said.contains("unavailable on this machine: this container denies every device node"), "{said}");
}

/// Every process of this machine in a namespace, which also means in its mounts.
fn members(kind: &str, namespace: &str) -> Vec<PathBuf> {
    let inside = |process: &PathBuf| {
        fs::read_link(process.join("ns").join(kind)).is_ok_and(|link| link == Path::new(namespace))
    };
    fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(inside).collect()
}

/// The cgroups, in any hierarchy, of labs that this process owns.
fn groups_of(owner: u32) -> Vec<PathBuf> {
    let prefix = format!("gresgen-lab-{owner}-");
    let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    hierarchies
        .flat_map(|hierarchy| fs::read_dir(hierarchy).into_iter().flatten().flatten())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect()
}
