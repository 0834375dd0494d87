//! When which instance existed, by the simulator's state.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, sleep},
    time::Duration,
};

use nvml_sim::machine::{Gpu, Machine};
use rustix::time::{ClockId, clock_gettime};

/// Between two looks. An instance lives for longer: its creation alone takes longer.
const PAUSE: Duration = Duration::from_millis(5);

/// The life of one compute instance, in milliseconds of CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) uuid: String,
    /// When it was first seen.
    pub(crate) from: u64,
    /// When it was first seen to be gone: it was destroyed before.
    pub(crate) gone: Option<u64>,
}

/// Watches a state file from its own thread.
pub(crate) struct Watch {
    lives: Arc<Mutex<Vec<Life>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(state: PathBuf) -> Self {
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
                    note(&mut seen.lock().unwrap(), &instances(&machine), now());
                    last = text;
                }
                sleep(PAUSE);
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

/// UUID and birth of every compute instance: one that is made anew in the same place has the same UUID.
type Instances = BTreeMap<String, u64>;

fn instances(machine: &Machine) -> Instances {
    let devices = machine.gpus.iter().flat_map(Gpu::mig_devices);
    devices.map(|device| (device.uuid(), device.compute.birth)).collect()
}

/// Adds a look at the machine to the lives. Births are told apart by their revision, which stands before the UUID.
fn note(lives: &mut Vec<Life>, present: &Instances, time: u64) {
    let key = |uuid: &str, birth: u64| format!("{uuid}@{birth}");
    let present: Vec<String> = present.iter().map(|(uuid, birth)| key(uuid, *birth)).collect();
    for life in lives.iter_mut().filter(|life| life.gone.is_none() && !present.contains(&life.uuid)) {
        life.gone = Some(time);
    }
    for uuid in present {
        if !lives.iter().any(|life| life.uuid == uuid) {
            lives.push(Life { uuid, from: time, gone: None });
        }
    }
}

/// What was wrong with a device that a job had from `begin` to `end`.
pub(crate) fn fault(lives: &[Life], uuid: &str, begin: u64, end: u64) -> Option<String> {
    let mine = |life: &&Life| life.uuid.rsplit_once('@').is_some_and(|(name, _)| name == uuid);
    // Seen a moment after it was there, and seen to be gone a moment after it was.
    let there = |life: &&Life| life.from <= begin && life.gone.is_none_or(|gone| gone > begin);
    let Some(life) = lives.iter().filter(mine).find(there) else {
        return Some(format!("{uuid} was not there at {begin}"));
    };
    let gone = life.gone.filter(|gone| *gone <= end)?;
    Some(format!("{uuid} went before {gone}, in use from {begin} to {end}"))
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_made_anew_is_another() {
        let look = |birth: u64| BTreeMap::from([("MIG-a".to_owned(), birth)]);
        let mut lives = Vec::new();
        note(&mut lives, &look(3), 10);
        note(&mut lives, &look(3), 20);
        note(&mut lives, &BTreeMap::new(), 30);
        note(&mut lives, &look(7), 40);
        assert_eq!(lives.len(), 2);
        assert_eq!(fault(&lives, "MIG-a", 12, 25), None);
        assert!(fault(&lives, "MIG-a", 12, 31).unwrap().contains("went before 30"));
        assert!(fault(&lives, "MIG-a", 32, 33).unwrap().contains("was not there"));
        assert_eq!(fault(&lives, "MIG-a", 41, 99), None);
        assert!(fault(&lives, "MIG-b", 41, 99).is_some());
    }
}
