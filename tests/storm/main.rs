//! Jobs of every form on GPUs that the arbiter has cut for them, while everything that can end does: no device to two jobs,
//! no job on a device that is not there or is not what it asked for, none rejected or failed, nothing left behind.
//!
//! Every task says which device files it can open, when it begins and before it ends. When which instance existed is told by the
//! simulator's state, watched all along; what became of jobs and nodes by slurmctld.
//!
//! `STORM_JOBS` says how many jobs a storm has; without it a breeze blows, which leaves Slurm and jobs alone. `STORM_ROUNDS` says how many
//! follow each other, `STORM_SEED` repeats one, `STORM_STEER=1` has the arbiter steer, and `STORM_KEEP` names a folder for the logs of one in which something was wrong;
//! `make storm` runs all of it.
#![forbid(unsafe_code)]

mod account;
mod arbiter;
mod away;
mod devices;
mod forms;
#[path = "../shared/history.rs"]
mod history;
mod jobs;
mod judge;
mod latency;
#[path = "../race/random.rs"]
mod random;
mod site;
mod storm;
mod weather;

use lab::{Cgroup, Release};

use latency::latency;
use random::number;
use site::Site;
use storm::{Sky, storm};

/// What blows where nobody asked for more.
const FEW: u64 = 6;
const SEED: u64 = 1;

/// Large requests are served before the storm is over, and what was cut may be cut anew soon.
const RESTLESS: &str = "cordon-after: 10s, dwell: 5s, cuts-per-hour: 100000";

/// The same, and idle slices that are not the best are closed; GPUs that nobody is on go back to their cut at once.
const STEERED: &str = "cordon-after: 10s, dwell: 5s, cuts-per-hour: 100000, linger: 0s, steer: true";

/// The policy of a storm.
fn policy() -> &'static str {
    if number("STORM_STEER").is_some_and(|steer| steer > 0) { STEERED } else { RESTLESS }
}

/// Storms by how devices are limited. Slurm 22.05 on cgroup v2 confines nothing on such a node (docs/on-request.md).
fn storms(cgroup: Cgroup) {
    let (sky, jobs) = number("STORM_JOBS").map_or((Sky::Breeze, FEW), |jobs| (Sky::Storm, jobs));
    let seed = number("STORM_SEED").unwrap_or(SEED);
    for round in 0..number("STORM_ROUNDS").unwrap_or(1) {
        let able = |release: &Release| cgroup == Cgroup::V1 || *release != Release::Bookworm;
        for release in Release::selected().into_iter().filter(able) {
            let site = Site { release, cgroup, nodes: 2, gpus: 2, policy: policy() };
            if storm(&site, sky, jobs, seed + round).is_none() {
                return;
            }
        }
    }
}

#[test]
fn nothing_is_lost_in_a_storm() {
    storms(Cgroup::V1);
}

#[test]
#[ignore = "minutes; make storm"]
fn nothing_is_lost_in_a_storm_on_cgroup_v2() {
    storms(Cgroup::V2);
}

#[test]
#[ignore = "minutes; make storm"]
fn fifty_nodes_are_served() {
    let nodes = number("STORM_NODES").unwrap_or(50) as usize;
    for release in Release::selected() {
        let site = Site { release, cgroup: Cgroup::V1, nodes, gpus: 2, policy: policy() };
        let jobs = number("STORM_JOBS").unwrap_or(200);
        if storm(&site, Sky::Calm, jobs, number("STORM_SEED").unwrap_or(1)).is_none() {
            return;
        }
    }
}

#[test]
#[ignore = "minutes; make storm"]
fn a_job_that_needs_a_cut_waits_for_seconds() {
    for release in Release::selected() {
        // Each cut undoes the one before, which was for a job that is over.
        let policy = "dwell: 0s, cuts-per-hour: 100000";
        let site = Site { release, cgroup: Cgroup::V1, nodes: 1, gpus: 1, policy };
        if latency(&site, number("STORM_LATENCIES").unwrap_or(50) as usize).is_none() {
            return;
        }
    }
}
