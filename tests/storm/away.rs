//! Jobs whose srun found no slurmctld, while none was there.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};

use lab::JobId;

use crate::jobs::AWAY;

/// From when a slurmctld was told to end until the one after it had answered, in seconds since 1970.
pub(crate) type Away = RangeInclusive<f64>;

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Jobs whose last word is srun's that it could not ask slurmctld for its step, written while slurmctld was away: by what jobs said,
/// each line behind the name of its file, `./NUMBER.JOB:`, and by the time of the last write to each file, `TIME ./NUMBER.JOB`.
///
/// srun tries for `MessageTimeout` (10 s) to reach one (`_open_controller` in src/common/slurm_protocol_api.c, 22.05 to 26.05).
/// A request that one took and had not answered when it ended is not made again (`slurm_send_recv_controller_msg`), and srun ends
/// (`existing_allocation` in src/srun/allocate.c, `launch_common_step_retry_errno` in launch.c), and with it the job's script.
pub(crate) fn unreached(output: &str, written: &str, away: &[Away]) -> BTreeSet<JobId> {
    let mut ended = BTreeSet::new();
    for (file, said) in output.lines().filter_map(|line| line.split_once(':')) {
        if found_none(said) {
            ended.insert(file);
        } else if !said.starts_with("srun: Check SLURM_JOB_ID environment variable. ") {
            ended.remove(file);
        }
    }
    let of_file = |line: &str| {
        let (time, file) = line.split_once(' ')?;
        let time: f64 = time.parse().ok()?;
        let said_so = ended.contains(file) && away.iter().any(|away| away.contains(&time));
        said_so.then(|| file.rsplit('.').next()?.parse().ok()).flatten()
    };
    written.lines().filter_map(of_file).collect()
}

fn found_none(said: &str) -> bool {
    let asks = ["srun: error: Unable to confirm allocation for ", "srun: error: Unable to create step for "];
    asks.iter().any(|asks| said.starts_with(asks)) && AWAY.iter().any(|away| said.contains(away))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIRM: &str = "./3.8:srun: error: Unable to confirm allocation for job 8: Zero Bytes were transmitted or received\n\
        ./3.8:srun: Check SLURM_JOB_ID environment variable. Expired or invalid job 8\n";
    const CREATE: &str = "./3.8:first 3/any 0 probe\n\
        ./3.8:srun: error: Unable to create step for job 8: Unable to contact slurm controller (connect failure)\n";

    #[test]
    fn an_srun_that_found_no_slurmctld_said_so_last_while_none_was_there() {
        let jobs = |time: f64, said: &str| {
            let written = format!("5.5 ./2.7\n{time} ./3.8\n");
            unreached(said, &written, &[1.0..=2.0, 5.0..=6.5]).into_iter().collect::<Vec<_>>()
        };
        for said in [CONFIRM, CREATE] {
            assert_eq!(jobs(5.5, said), [8], "{said}");
            assert!(jobs(4.9, said).is_empty() && jobs(6.6, said).is_empty(), "{said}");
            let went_on = format!("{said}./3.8:srun: error: n1: task 0: Exited with exit code 1\n");
            assert!(jobs(5.5, &went_on).is_empty(), "{said}");
        }
        for said in [
            "srun: error: Unable to confirm allocation for job 8: Invalid job id specified",
            "srun: error: Unable to create step for job 8: Requested node configuration is not available",
            "srun: error: n1: task 0: Terminated",
            "[mig] Unable to create step for job 8: Unable to contact",
        ] {
            assert!(jobs(5.5, &format!("./3.8:{said}\n")).is_empty(), "{said}");
        }
    }
}
