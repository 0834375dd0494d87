//! How long a job waits for a slice that has to be cut, from sbatch to its first instruction.

use std::time::Duration;

use lab::{Fleet, LabError, Probe, User};

use crate::arbiter;
use crate::history::now;
use crate::site::Site;

/// Both take all of a GPU, so that each needs what the other leaves to be cut anew.
const REQUESTS: [&str; 2] = ["--gres=gpu:7g.40gb:1", "--gres=gpu:2g.10gb:3"];

/// What the simulator waits for in each of these cuts ([`site::LATENCY`](crate::site::LATENCY)): three instances destroyed and
/// one made, and the other way round.
const NVML: [Duration; 2] = [Duration::from_millis(3 * 200 + 300), Duration::from_millis(200 + 3 * 300)];

/// Jobs for which no cut is needed, for comparison.
const FREE: usize = 10;

/// Runs so many jobs one after the other that need a cut each, and prints how long they waited. `None` where no lab can run.
pub(crate) fn latency(site: &Site, jobs: usize) -> Option<()> {
    let fleet = site.start()?;
    arbiter::start(&fleet).unwrap();
    // The GPU has another cut at first.
    run(&fleet, REQUESTS[1]).unwrap();
    let cut: Vec<Duration> =
        (0..jobs).map(|job| run(&fleet, REQUESTS[job % 2]).unwrap().saturating_sub(NVML[job % 2])).collect();
    let free: Vec<Duration> = (0..FREE).map(|_| run(&fleet, REQUESTS[(jobs + 1) % 2]).unwrap()).collect();
    assert!(arbiter::end(&fleet, "TERM").unwrap(), "{}", fleet.lab.read_file(arbiter::LOG).unwrap());
    println!(
        "latency: {}: {} that need a cut, NVML's part taken off: {}",
        site.release,
        cut.len(),
        text(cut)
    );
    println!("latency: {}: {} that need none: {}", site.release, free.len(), text(free));
    Some(())
}

fn run(fleet: &Fleet, request: &str) -> Result<Duration, LabError> {
    let begin = now();
    let job = fleet.lab.wait_job(fleet.lab.sbatch(User::Alice, &["-t5", request], "exec lab-probe")?)?;
    let probes = Probe::parse_all(&job.output);
    assert_eq!((job.state.as_str(), probes.len()), ("COMPLETED", 1), "{request}: {}", job.output);
    Ok(Duration::from_millis(probes[0].begin - begin))
}

fn text(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let seconds = |at: usize| times[at].as_secs_f64();
    format!("median {:.1} s, worst {:.1} s", seconds(times.len() / 2), seconds(times.len() - 1))
}
