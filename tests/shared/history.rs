//! When which device existed on a node, by the simulator's state.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, sleep},
    time::Duration,
};

use nvml_sim::machine::{Gpu, Machine, MigDevice};
use rustix::time::{ClockId, clock_gettime};

/// Between two looks. An instance lives for longer: its creation alone takes longer.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

/// The life of one MIG device, in milliseconds of CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life<T> {
    pub(crate) uuid: String,
    /// Which of its kind: one that is made anew in the same place has the same UUID.
    pub(crate) birth: u64,
    /// What it is, as far as it matters to whoever watches.
    pub(crate) what: T,
    /// When it was first seen.
    pub(crate) from: u64,
    /// When it was first seen to be gone: it was destroyed before.
    pub(crate) gone: Option<u64>,
}

/// Watches a state file from its own thread.
pub(crate) struct Watch<T> {
    lives: Arc<Mutex<Vec<Life<T>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Clone + Send + 'static> Watch<T> {
    /// Looks each `pause`; `what` says what a device is.
    pub(crate) fn start(
        state: PathBuf,
        pause: Duration,
        what: impl Fn(&MigDevice<'_>) -> T + Send + 'static,
    ) -> Self {
        let lives = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, ended) = (Arc::clone(&lives), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut last = String::new();
            while !ended.load(Ordering::Relaxed) {
                // The state is replaced by rename, so what is read is a whole one.
                let text = std::fs::read_to_string(&state).unwrap_or_default();
                if !text.is_empty() && text != last {
                    let machine: Machine = serde_json::from_str(&text).expect("a state");
                    note(&mut seen.lock().unwrap(), present(&machine, &what), now());
                    last = text;
                }
                sleep(pause);
            }
        });
        Self { lives, stop, thread: Some(thread) }
    }

    /// All lives so far, in no order.
    pub(crate) fn lives(&self) -> Vec<Life<T>> {
        self.lives.lock().unwrap().clone()
    }
}

impl<T> Drop for Watch<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn present<T>(machine: &Machine, what: impl Fn(&MigDevice<'_>) -> T) -> Vec<Life<T>> {
    let life = |device: MigDevice<'_>| Life {
        uuid: device.uuid(),
        birth: device.compute.birth,
        what: what(&device),
        from: 0,
        gone: None,
    };
    machine.gpus.iter().flat_map(Gpu::mig_devices).map(life).collect()
}

/// Adds a look at the machine to the lives.
fn note<T>(lives: &mut Vec<Life<T>>, present: Vec<Life<T>>, time: u64) {
    let is = |a: &Life<T>, b: &Life<T>| a.uuid == b.uuid && a.birth == b.birth;
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
pub(crate) fn at<'a, T>(lives: &'a [Life<T>], uuid: &str, time: u64) -> Option<&'a Life<T>> {
    // Seen a moment after it was there, and seen to be gone a moment after it was.
    lives
        .iter()
        .find(|life| life.uuid == uuid && life.from <= time && life.gone.is_none_or(|gone| gone > time))
}

/// What was wrong with a device that somebody had from `begin` to `end`.
pub(crate) fn fault<T>(lives: &[Life<T>], uuid: &str, begin: u64, end: u64) -> Option<String> {
    let Some(life) = at(lives, uuid, begin) else {
        return Some(format!("{uuid} was not there at {begin}"));
    };
    let gone = life.gone.filter(|gone| *gone <= end)?;
    Some(format!("{uuid} went before {gone}, in use from {begin} to {end}"))
}

pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

#[test]
fn an_instance_made_anew_is_another() {
    let life = |birth| Life { uuid: "MIG-a".to_owned(), birth, what: (), from: 0, gone: None };
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
    assert_eq!(fault(&lives, "MIG-a", 12, 25), None);
    assert!(fault(&lives, "MIG-a", 12, 31).unwrap().contains("went before 30"));
    assert!(fault(&lives, "MIG-a", 32, 33).unwrap().contains("was not there"));
    assert_eq!(fault(&lives, "MIG-a", 41, 99), None);
    assert!(fault(&lives, "MIG-b", 41, 99).is_some());
}
