//! Jobs that wait now, as `squeue` lists them.
//!
//! What users write stands in the first four fields, as far as slurmctld let it pass, and none of it is printed. A line with
//! more fields than it should have is counted and skipped.

use advice::demand::{Demand, Request};

use super::record::{Ask, Reason, Record, Skipped};
use super::sacct::UNLIMITED;
use crate::slurm::control::{Waiting, asked, least};
use crate::slurm::duration;

/// The columns to ask for (squeue(1), `--Format`).
pub(crate) fn format() -> String {
    format!("{},TimeLimit:|", Waiting::FORMAT)
}

/// Reads jobs in the order in which they are to start, of which `each` gets one after the other. All of them come at once.
pub(crate) fn read(text: &str, skipped: &mut Skipped, mut each: impl FnMut(Record, &mut Skipped)) {
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match job(line) {
            Some(job) if job.asks.is_empty() => skipped.add(Reason::NoGpu),
            Some(job) => each(job, skipped),
            None => skipped.add(Reason::Line),
        }
    }
}

fn job(line: &str) -> Option<Record> {
    let fields: Vec<&str> = line.trim_end().strip_suffix('|')?.split('|').collect();
    let (limit, request) = fields.split_last()?;
    let request: [&str; 6] = request.try_into().ok()?;
    let nodes = u32::try_from(least(request[4])?).ok()?.max(1);
    let ask = |(name, count): (&str, u64)| {
        let kind = (!name.is_empty()).then(|| name.to_owned());
        Some(Ask::Type(kind, u32::try_from(count).ok()?))
    };
    let asks = asked(request)?.into_iter().filter(|(_, count)| *count > 0).map(ask).collect::<Option<_>>()?;
    let limit = duration(limit.trim(), 60).unwrap_or(UNLIMITED).max(1);
    Some(Record { run: limit, limit, nodes, asks, ..Record::default() })
}

/// Lets jobs of which the limit alone is known run as long as those of the past did: for the mean part of their limit, or
/// without one for the mean time.
pub(crate) fn estimate(waiting: &mut Demand, past: &[Request]) {
    let mean = |of: &dyn Fn(&Request) -> Option<f64>| {
        let known: Vec<f64> = past.iter().filter_map(of).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    let limited = |job: &Request| job.limit < UNLIMITED && job.limit > 0;
    let part = mean(&|job| limited(job).then(|| f64::from(job.run) / f64::from(job.limit)));
    let time = mean(&|job| Some(f64::from(job.run)));
    for job in &mut waiting.jobs {
        let guess = if limited(job) { part.map(|part| part * f64::from(job.limit)) } else { time };
        job.run = guess.map_or(job.limit, |seconds| (seconds as u32).clamp(1, job.limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> (Vec<Record>, Skipped) {
        let (mut records, mut skipped) = (Vec::new(), Skipped::default());
        read(text, &mut skipped, |record, _| records.push(record));
        (records, skipped)
    }

    #[test]
    fn jobs_keep_their_order_and_what_they_ask_for() {
        let (records, skipped) = read_all(
            "N/A|gres:gpu:1g.5gb:2|N/A|N/A|2-4|2|1-00:00:00|\nN/A|N/A|N/A|gres/gpu=1|1|2|30:00|\n\
             gres/gpu:a100:1,gres/gpu:3g.20gb:2|N/A|N/A|N/A|1|1|UNLIMITED|\nN/A|N/A|N/A|N/A|1|1|1:00|\n",
        );
        let typed = |name: &str, count| Ask::Type(Some(name.to_owned()), count);
        assert_eq!(records[0].asks, [typed("1g.5gb", 4)]);
        assert_eq!((records[0].nodes, records[0].limit), (2, 86_400));
        assert_eq!((records[1].asks.clone(), records[1].limit), (vec![Ask::Type(None, 2)], 1800));
        assert_eq!(records[2].asks, [typed("a100", 1), typed("3g.20gb", 2)]);
        assert_eq!((records[2].limit, skipped.to_string().as_str()), (UNLIMITED, "1 without a GPU"));
    }

    #[test]
    fn what_a_user_wrote_spoils_its_own_line_alone() {
        let (records, skipped) = read_all(
            "N/A|gres:gpu:a|b:1|N/A|N/A|1|1|1:00|\nN/A|gres:gpu:1g.5gb:99999999999|N/A|N/A|1|1|1:00|\nx\n\n\u{1b}[2J|\n\
             N/A|gres:gpu:1g.5gb:1|N/A|N/A||1|1:00|\nN/A|gres:gpu:1g.5gb:1|N/A|N/A|1|1|99999-99:99:99|\n\
             N/A|gres:gpu:1g.5gb:1|N/A|N/A|1|1|1:00",
        );
        assert_eq!((records.len(), records[0].limit), (1, UNLIMITED));
        assert_eq!(skipped.to_string(), "6 lines that are no job");
    }

    #[test]
    fn jobs_that_wait_run_as_those_of_the_past_did() {
        let job = |run, limit| Request { submit: 0, run, limit, priority: 0, class: 0 };
        let mut waiting = Demand { jobs: vec![job(100, 100), job(9, UNLIMITED)], ..Demand::default() };
        estimate(&mut waiting, &[job(10, 100), job(60, 200), job(50, UNLIMITED)]);
        assert_eq!(waiting.jobs, [job(20, 100), job(40, UNLIMITED)]);
        estimate(&mut waiting, &[]);
        assert_eq!(waiting.jobs[0].run, 100);
    }
}
