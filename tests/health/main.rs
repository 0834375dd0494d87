//! `packaging/health/gresgen-health.sh` as Prolog and as HealthCheckProgram of a real Slurm: a node with a broken
//! device map is drained with a readable reason before queued jobs fall into it one after the other.
#![forbid(unsafe_code)]

use std::env;
use std::path::{Path, PathBuf};

use lab::{JobId, Lab, LabError, Release, Simulated, User};

const CONFIG: &str = "\
version: v1
layout: half
mig-configs:
  half:
    - devices: [0]
      mig-enabled: true
      mig-devices: {3g.20gb: 1, 1g.5gb: 2}
";

/// Where the script lies in the lab.
const SCRIPT: &str = "/usr/local/libexec/gresgen-health.sh";

const JOB: &[&str] = &["--gres=gpu:1g.5gb:1", "--requeue"];

/// The plugin of this build, or `SPANK_MIG_SO`: it keeps the map that the check compares with.
fn plugin() -> PathBuf {
    let test = env::current_exe().unwrap();
    let beside = test.with_file_name("libspank_mig.so");
    let built = Path::new(env!("CARGO_BIN_EXE_gresgen")).with_file_name("libspank_mig.so");
    let found =
        env::var_os("SPANK_MIG_SO").map(PathBuf::from).or([built, beside].into_iter().find(|p| p.exists()));
    found.expect("libspank_mig.so is not built: cargo build -p slurm-plugin")
}

/// A cluster of one cut node with `lines` in slurm.conf.
fn cluster(release: Release, lines: &str) -> Option<Lab> {
    let node = Simulated {
        gresgen: env!("CARGO_BIN_EXE_gresgen").into(),
        simulator: nvml_sim::library_path().unwrap(),
        plugin: plugin(),
        gpus: "a100-40gb:1".into(),
        config: format!("{CONFIG}{}", Simulated::NODE),
    };
    let lab = lab::require(node.node(release))?;
    let apply = lab.gresgen(&["apply"]).unwrap();
    assert!([0, 6].contains(&apply.code), "{apply:?}");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/health/gresgen-health.sh");
    lab.install(&script, SCRIPT).unwrap();
    let conf = lab.read_file("/etc/slurm/slurm.conf").unwrap();
    lab.write_file("/etc/slurm/slurm.conf", format!("{conf}{lines}\n")).unwrap();
    lab.start_slurm().unwrap();
    Some(lab)
}

fn show(lab: &Lab, what: &str, name: &str) -> String {
    lab.run(&["scontrol", "--oneliner", "show", what, name]).unwrap().stdout
}

fn field<'a>(text: &'a str, key: &str) -> &'a str {
    text.split(' ').find_map(|word| word.strip_prefix(key)).unwrap_or_default()
}

fn wait_drained(lab: &Lab) {
    lab.wait("the node to be drained", || Ok(lab.node_state("n1")?.contains("DRAIN").then_some(()))).unwrap();
}

/// Cuts the map short and returns what it was.
fn break_map(lab: &Lab) -> String {
    let map = lab.read_file("/run/gresgen/devices").unwrap();
    let short = map.lines().take(6).map(|line| format!("{line}\n")).collect::<String>();
    lab.write_map("n1", &short).unwrap();
    map
}

fn submit(lab: &Lab) -> JobId {
    lab.sbatch(User::Root, JOB, "echo ran").unwrap()
}

fn output(lab: &Lab, job: JobId) -> Result<String, LabError> {
    Ok(lab.command(&["cat", &format!("/var/lab/out/{job}")]).output()?.stdout)
}

#[test]
fn a_failing_prolog_requeues_the_job_and_drains_the_node() {
    for release in Release::selected() {
        let Some(lab) = cluster(release, &format!("Prolog={SCRIPT}")) else { return };
        assert_eq!(lab.batch(JOB, "echo ran").unwrap().output, "ran\n", "a sound node takes jobs");
        let map = break_map(&lab);
        let jobs: Vec<_> = (0..4).map(|_| submit(&lab)).collect();
        wait_drained(&lab);
        let node = show(&lab, "node", "n1");
        assert!(node.contains("Reason=gresgen: device map"), "{release}: {node}");
        // Those that had already been started when the first one met the prolog come back as well.
        for &job in &jobs {
            let state = lab
                .wait("the job to be queued again", || {
                    let job = show(&lab, "job", &job.to_string());
                    Ok((field(&job, "JobState=") == "PENDING").then_some(job))
                })
                .unwrap();
            let said = output(&lab, job).unwrap();
            assert!(
                !said.lines().any(|line| line == "ran"),
                "{release}: ran on a broken node: {state}\n{said}"
            );
        }
        let held =
            jobs.iter().filter(|job| field(&show(&lab, "job", &job.to_string()), "Priority=") == "0").count();
        assert!(held >= 1, "{release}: the job that met the prolog is held for its owner to see");

        lab.write_map("n1", &map).unwrap();
        // slurmd takes a start in the second of the end for one of the job that it ended, by times in seconds
        // (src/slurmd/slurmd/cred_context.c, `cred_revoked`).
        std::thread::sleep(std::time::Duration::from_secs(2));
        lab.run(&["scontrol", "update", "nodename=n1", "state=resume"]).unwrap();
        for job in jobs {
            // Slurm starts a requeued job two minutes later otherwise. Jobs that met no prolog have run by now, which
            // makes both commands fail.
            lab.command(&["scontrol", "release", &job.to_string()]).output().unwrap();
            lab.command(&["scontrol", "update", &format!("jobid={job}"), "starttime=now"]).output().unwrap();
            let job = lab.wait_job(job).unwrap();
            assert_eq!((job.state.as_str(), job.output.as_str()), ("COMPLETED", "ran\n"), "{release}");
        }
    }
}

#[test]
fn the_health_check_drains_an_idle_node() {
    for release in Release::selected() {
        let lines = format!("HealthCheckProgram={SCRIPT}\nHealthCheckInterval=1\nHealthCheckNodeState=ANY");
        let Some(lab) = cluster(release, &lines) else { return };
        let map = break_map(&lab);
        wait_drained(&lab);
        let node = show(&lab, "node", "n1");
        assert!(node.contains("Reason=gresgen: device map"), "{release}: {node}");
        let job = submit(&lab);
        lab.write_map("n1", &map).unwrap();
        // A check that has read the other map drains the node, as soon as it is not drained any more.
        lab.wait("the check to end", || {
            Ok((lab.command(&["pgrep", "-f", "gresgen-healt[h]"]).output()?.code == 1).then_some(()))
        })
        .unwrap();
        lab.run(&["scontrol", "update", "nodename=n1", "state=resume"]).unwrap();
        let job = lab.wait_job(job).unwrap();
        assert_eq!((job.state.as_str(), job.output.as_str()), ("COMPLETED", "ran\n"), "{release}");
    }
}

#[test]
fn the_script_keeps_an_admins_reason_and_does_not_drain_without_a_finding() {
    let Some(lab) = cluster(Release::Bookworm, "") else { return };
    let run = || lab.command(&[SCRIPT]).env("SLURMD_NODENAME", "n1").output().unwrap();
    assert_eq!(run().code, 0);

    // The check itself cannot run: nothing is known about the node.
    let config = lab.read_file("/etc/gresgen/config.yaml").unwrap();
    lab.write_file("/etc/gresgen/config.yaml", "version: [").unwrap();
    let blind = run();
    assert_eq!(blind.code, 0, "{blind:?}");
    assert!(blind.stderr.contains("the node stays in service"), "{blind:?}");
    assert_eq!(lab.node_state("n1").unwrap(), "IDLE");
    lab.write_file("/etc/gresgen/config.yaml", config).unwrap();

    lab.run(&["scontrol", "update", "nodename=n1", "state=drain", "reason=new fans"]).unwrap();
    break_map(&lab);
    assert_eq!(run().code, 1);
    assert!(show(&lab, "node", "n1").contains("Reason=new fans"));
}
