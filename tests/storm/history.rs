//! When which device existed on a node, what it was, and which device files are its own: by the simulator's state.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, sleep},
    time::Duration,
};

use nvml_sim::machine::{Gpu, Machine, MigDevice};
use rustix::time::{ClockId, clock_gettime};

/// Between two looks, for each machine that is watched. An instance lives for longer: its creation alone takes longer.
const PAUSE: Duration = Duration::from_millis(5);

/// The life of one MIG device, in milliseconds of CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) uuid: String,
    /// Its profile, which is its GRES type.
    pub(crate) kind: String,
    /// Device files that a task needs for it: those of its GPU, its GPU instance and its compute instance.
    pub(crate) files: BTreeSet<PathBuf>,
    /// Which of its kind: one that is made anew in the same place has the same UUID.
    pub(crate) birth: u64,
    /// When it was first seen.
    pub(crate) from: u64,
    /// When it was first seen to be gone: it was destroyed before.
    pub(crate) gone: Option<u64>,
}

/// Watches the machine of one node from its own thread.
pub(crate) struct Watch {
    lives: Arc<Mutex<Vec<Life>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Device files by what they are, as the driver says it (`/proc/driver/nvidia-caps/mig-minors`): `gpu0/gi1/access 12`.
pub(crate) struct Minors(BTreeMap<String, PathBuf>);

impl Minors {
    fn read(machine: &Path) -> Self {
        let text =
            std::fs::read_to_string(machine.join("proc/driver/nvidia-caps/mig-minors")).expect("the minors");
        let row = |line: &str| {
            let (what, minor) = line.split_once(' ')?;
            Some((what.to_owned(), format!("/dev/nvidia-caps/nvidia-cap{minor}").into()))
        };
        Self(text.lines().filter_map(row).filter(|(what, _)| what.starts_with("gpu")).collect())
    }

    fn files(&self, device: &MigDevice<'_>) -> BTreeSet<PathBuf> {
        let instance = format!("gpu{}/gi{}", device.gpu.minor, device.instance.id);
        let compute = format!("{instance}/ci{}/access", device.compute.id);
        let own = [format!("{instance}/access"), compute].map(|what| self.0[&what].clone());
        own.into_iter().chain([format!("/dev/nvidia{}", device.gpu.minor).into()]).collect()
    }
}

impl Watch {
    /// Watches what the simulator keeps in `machine`, one of `machines`.
    pub(crate) fn start(machine: &Path, machines: u32) -> Self {
        let lives = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, ended) = (Arc::clone(&lives), Arc::clone(&stop));
        let (minors, state) = (Minors::read(machine), machine.join("var/lib/nvml-sim/state.json"));
        let thread = std::thread::spawn(move || {
            let mut last = String::new();
            while !ended.load(Ordering::Relaxed) {
                // The state is replaced by rename, so what is read is a whole one.
                let text = std::fs::read_to_string(&state).unwrap_or_default();
                if !text.is_empty() && text != last {
                    let machine: Machine = serde_json::from_str(&text).expect("a state");
                    note(&mut seen.lock().unwrap(), present(&machine, &minors), now());
                    last = text;
                }
                sleep(machines * PAUSE);
            }
        });
        Self { lives, stop, thread: Some(thread) }
    }

    /// All lives so far, in no order.
    pub(crate) fn lives(&self) -> Vec<Life> {
        self.lives.lock().unwrap().clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn present(machine: &Machine, minors: &Minors) -> Vec<Life> {
    let life = |device: MigDevice<'_>| Life {
        uuid: device.uuid(),
        kind: device.profile_name(),
        files: minors.files(&device),
        birth: device.compute.birth,
        from: 0,
        gone: None,
    };
    machine.gpus.iter().flat_map(Gpu::mig_devices).map(life).collect()
}

/// Adds a look at the machine to the lives.
fn note(lives: &mut Vec<Life>, present: Vec<Life>, time: u64) {
    let is = |a: &Life, b: &Life| a.uuid == b.uuid && a.birth == b.birth;
    for life in
        lives.iter_mut().filter(|life| life.gone.is_none() && !present.iter().any(|other| is(life, other)))
    {
        life.gone = Some(time);
    }
    for life in present {
        if !lives.iter().any(|other| is(&life, other)) {
            lives.push(Life { from: time, ..life });
        }
    }
}

/// The life of a device that was there at `time`.
pub(crate) fn at<'a>(lives: &'a [Life], uuid: &str, time: u64) -> Option<&'a Life> {
    // Seen a moment after it was there, and seen to be gone a moment after it was.
    lives
        .iter()
        .find(|life| life.uuid == uuid && life.from <= time && life.gone.is_none_or(|gone| gone > time))
}

pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

#[test]
fn an_instance_made_anew_is_another() {
    let life = |birth| Life {
        uuid: "MIG-a".to_owned(),
        kind: "1g.5gb".to_owned(),
        files: BTreeSet::new(),
        birth,
        from: 0,
        gone: None,
    };
    let mut lives = Vec::new();
    note(&mut lives, vec![life(3)], 10);
    note(&mut lives, vec![life(3)], 20);
    note(&mut lives, Vec::new(), 30);
    note(&mut lives, vec![life(7)], 40);
    let seen = |time| at(&lives, "MIG-a", time).map(|life| (life.from, life.gone));
    assert_eq!(lives.len(), 2);
    assert_eq!(
        [9, 10, 29, 30, 40].map(seen),
        [None, Some((10, Some(30))), Some((10, Some(30))), None, Some((40, None))]
    );
    assert_eq!(at(&lives, "MIG-b", 20), None);
}
