use super::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

struct Node {
    place: TempDir,
    holding: Holding,
}

impl Node {
    fn new() -> Self {
        let place = TempDir::new().unwrap();
        let path = |name: &str| Some(place.path().join(name));
        let exporters = Exporters { dcgm: path("dcgm"), gpustat: path("gpustat") };
        let holding = Holding::beside(&place.path().join("devices"), exporters);
        holding.begin().unwrap();
        Node { place, holding }
    }

    fn claim(&self, step: Step) -> Claim {
        let claim = self.holding.claim(step).unwrap();
        self.holding.tell(&claim).unwrap();
        claim
    }

    /// Every file of an exporter and what it says.
    fn said(&self, exporter: &str) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.place.path().join(exporter)).unwrap().flatten();
        let read = |entry: fs::DirEntry| {
            (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
        };
        entries.map(read).collect()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.place.path().join(name), text).unwrap();
    }
}

fn device(index: u32) -> Device {
    Device { index, place: Some(format!("0.{}", index + 7)), uuid: format!("MIG-{index}") }
}

fn step(job: u32, step: u32, devices: &[u32]) -> Step {
    Step { job, step, uid: 1000 + job, devices: devices.iter().map(|index| device(*index)).collect() }
}

fn files(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_step_is_told_of_while_it_lasts() {
    let node = Node::new();
    let claim = node.claim(step(5, 0, &[0, 2]));
    assert_eq!(node.said("dcgm"), files(&[("0.7", "5\n"), ("0.9", "5\n")]));
    let gpustat = [("0.7", "5 1005\n"), ("0.9", "5 1005\n"), ("MIG-0", "5 1005\n"), ("MIG-2", "5 1005\n")];
    assert_eq!(node.said("gpustat"), files(&gpustat));
    assert_eq!(node.holding.steps().unwrap(), [step(5, 0, &[0, 2])]);
    let mode = fs::metadata(node.place.path().join("dcgm/0.7")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "exporters have users of their own");
    node.holding.release(claim).unwrap();
    assert_eq!((node.said("dcgm"), node.said("gpustat")), (files(&[]), files(&[])));
    assert!(node.holding.steps().unwrap().is_empty());
}

#[test]
fn a_device_stays_its_jobs_until_the_last_step_ends() {
    let node = Node::new();
    let batch = node.claim(step(5, 0xffff_fffb, &[0, 1]));
    let first = node.claim(step(5, 0, &[0]));
    node.holding.release(first).unwrap();
    assert_eq!(node.said("dcgm"), files(&[("0.7", "5\n"), ("0.8", "5\n")]));
    node.holding.release(batch).unwrap();
    assert_eq!(node.said("dcgm"), files(&[]));
}

#[test]
fn jobs_that_share_a_device_are_all_named() {
    let node = Node::new();
    let five = node.claim(step(5, 0, &[0]));
    let seven = node.claim(step(7, 0, &[0, 1]));
    assert_eq!(node.said("dcgm"), files(&[("0.7", "5\n7\n"), ("0.8", "7\n")]));
    assert_eq!(node.said("gpustat")["MIG-0"], "5 1005\n", "it reads one job");
    node.holding.release(five).unwrap();
    assert_eq!(node.said("dcgm"), files(&[("0.7", "7\n"), ("0.8", "7\n")]));
    assert_eq!(node.said("gpustat")["MIG-0"], "7 1007\n");
    node.holding.release(seven).unwrap();
    assert_eq!(node.said("gpustat"), files(&[]));
}

/// What a killed slurmstepd leaves: the lock goes with the process, here with the descriptor.
#[test]
fn what_the_dead_said_goes_with_a_sweep_the_next_step_or_slurmd() {
    let kill = |node: &Node| drop(node.claim(step(5, 0, &[0])));
    let node = Node::new();
    kill(&node);
    assert_eq!(node.said("dcgm"), files(&[("0.7", "5\n")]), "nobody has looked yet");
    assert!(node.holding.steps().unwrap().is_empty());
    node.holding.sweep().unwrap();
    assert_eq!((node.said("dcgm"), node.said("gpustat")), (files(&[]), files(&[])));

    kill(&node);
    let next = node.claim(step(6, 0, &[0]));
    assert_eq!(node.said("dcgm"), files(&[("0.7", "6\n")]));
    node.holding.release(next).unwrap();

    kill(&node);
    let elsewhere = node.claim(step(6, 0, &[1]));
    node.holding.release(elsewhere).unwrap();
    assert_eq!(node.said("dcgm"), files(&[]), "at the end of any other step");

    kill(&node);
    // The same step again: the job was requeued.
    let again = node.claim(step(5, 0, &[1]));
    node.holding.begin().unwrap();
    assert_eq!(node.said("dcgm"), files(&[("0.8", "5\n")]));
    drop(again);
}

#[test]
fn slurmd_begins_with_what_runs_and_touches_nothing_of_others() {
    let node = Node::new();
    let _claim = node.claim(step(5, 0, &[0]));
    for (name, text) in
        [("dcgm/3.1", "4\n"), ("dcgm/0.7", "4\n"), ("gpustat/MIG-old", "4 4\n"), ("dcgm/README", "x")]
    {
        node.write(name, text);
    }
    node.write("steps/9.0", "");
    node.holding.begin().unwrap();
    assert_eq!(node.said("dcgm"), files(&[("0.7", "5\n"), ("README", "x")]));
    assert!(!node.said("gpustat").contains_key("MIG-old"));
    assert!(!node.place.path().join("steps/9.0").exists(), "begun and never written");
}

#[test]
fn a_later_reader_knows_where_exporters_look() {
    let node = Node::new();
    assert_eq!(Holding::as_started(&node.place.path().join("devices")).unwrap(), node.holding);
    let nowhere = Holding::as_started(Path::new("/nonexistent/devices")).unwrap();
    nowhere.sweep().unwrap();
    assert!(!nowhere.exporters.any() && nowhere.steps().unwrap().is_empty());
}

#[test]
fn who_is_told_no_longer_is_left_with_nothing() {
    let node = Node::new();
    let _claim = node.claim(step(5, 0, &[0]));
    let dcgm = Exporters { dcgm: node.holding.exporters.dcgm.clone(), gpustat: None };
    Holding { exporters: dcgm, ..node.holding.clone() }.begin().unwrap();
    assert_eq!((node.said("dcgm"), node.said("gpustat")), (files(&[("0.7", "5\n")]), files(&[])));
}

#[test]
fn a_directory_that_others_can_write_is_left_alone() {
    let node = Node::new();
    let dcgm = node.place.path().join("dcgm");
    fs::set_permissions(&dcgm, fs::Permissions::from_mode(0o777)).unwrap();
    let claim = node.holding.claim(step(5, 0, &[0])).unwrap();
    let why = node.holding.tell(&claim).unwrap_err().to_string();
    assert!(why.starts_with(&dcgm.display().to_string()), "{why}");
    assert!(node.said("dcgm").is_empty());
}

#[test]
fn nothing_is_followed_and_nothing_waited_for() {
    let node = Node::new();
    let victim = node.place.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    std::os::unix::fs::symlink(&victim, node.place.path().join("dcgm/0.7")).unwrap();
    let path = node.place.path().join("dcgm/0.8");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let _claim = node.claim(step(5, 0, &[0, 1]));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert!(fs::symlink_metadata(node.place.path().join("dcgm/0.7")).unwrap().is_file());
    assert_eq!(node.said("dcgm"), files(&[("0.7", "5\n"), ("0.8", "5\n")]));
}

#[test]
fn only_whole_records_are_read() {
    let whole = step(5, 0, &[0, 2]).to_string();
    assert_eq!(whole.parse(), Ok(step(5, 0, &[0, 2])));
    for cut in 0..whole.len() {
        assert_eq!(whole[..cut].parse::<Step>(), Err(()), "{:?}", &whole[..cut]);
    }
    for (good, bad) in
        [("MIG-0", "MIG-0/../x"), ("0.7", "../7"), ("job 5", "job +5"), ("job 5 0", "job 5"), ("0.7", "")]
    {
        assert_eq!(whole.replacen(good, bad, 1).parse::<Step>(), Err(()), "{bad}");
    }
}

/// slurmd starts anew beside steps that begin: it looked at a record that was not locked or not whole yet, and took it away.
#[test]
fn no_start_of_slurmd_loses_a_step_that_begins() {
    let node = Node::new();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                node.holding.begin().unwrap();
            }
        });
        let lost = (0..2000).find(|number| {
            let claim = node.holding.claim(step(5, *number, &[0]));
            let there = node.holding.steps().unwrap();
            claim.is_err() || there != [step(5, *number, &[0])]
        });
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(lost, None);
    });
}

/// Whoever has seen that the run before is dead removes its record when the next run has begun.
#[test]
fn what_a_run_left_is_removed_without_the_run_after_it() {
    let node = Node::new();
    drop(node.claim(step(5, 0, &[0])));
    let steps = Directory::open(&node.holding.steps).unwrap();
    let seen = read(&steps);
    let again = node.claim(step(5, 0, &[0]));
    assert!(seen.iter().all(|record| record.dead));
    seen.iter().for_each(|record| steps.remove(&record.name).unwrap());
    assert_eq!(node.holding.steps().unwrap(), [step(5, 0, &[0])]);
    drop(again);
}

#[test]
fn what_was_begun_is_left_alone_until_it_is_old() {
    let node = Node::new();
    node.write("steps/.begun-5.0.1", "");
    node.write("steps/5.1", &step(5, 1, &[0]).to_string());
    let begun = node.place.path().join("steps/.begun-5.0.1");
    node.holding.begin().unwrap();
    assert!(
        begun.exists() && !node.place.path().join("steps/5.1").exists(),
        "an earlier release's, abandoned"
    );
    let old = std::time::SystemTime::now() - Duration::from_secs(120);
    fs::File::options().write(true).open(&begun).unwrap().set_modified(old).unwrap();
    node.holding.begin().unwrap();
    assert!(!begun.exists());
}
