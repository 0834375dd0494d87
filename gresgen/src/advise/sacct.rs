//! What `sacct --parsable2` prints.
//!
//! Columns are found by their heading, so that a site's own habit will do, or taken for [`FORMAT`] where there is no heading. None
//! of these holds what a user wrote, apart from node lists and AdminComment, which comes last.

use std::io::BufRead;

use super::error::AdviseError;
use super::jobstats;
use super::lines::Lines;
use super::record::{Ask, Reason, Record, Skipped};
use crate::slurm::duration;

/// The columns to ask for.
pub(crate) const FORMAT: &str =
    "JobIDRaw,Submit,Eligible,Start,End,ElapsedRaw,TimelimitRaw,State,NNodes,AllocTRES,NodeList,AdminComment";

/// A time limit of none, in seconds: a year, which is more than plans look ahead.
pub(super) const UNLIMITED: u32 = 365 * 24 * 3600;

/// Where the columns are.
#[derive(Debug, Default)]
struct Columns {
    count: usize,
    job: Option<usize>,
    submit: Option<usize>,
    eligible: Option<usize>,
    start: Option<usize>,
    end: Option<usize>,
    elapsed: Option<usize>,
    limit: Option<usize>,
    state: Option<usize>,
    nodes: Option<usize>,
    tres: Option<usize>,
    node_list: Option<usize>,
    comment: Option<usize>,
}

impl Columns {
    fn new(heading: &str) -> Self {
        let names: Vec<String> = heading.split(['|', ',']).map(|name| name.trim().to_lowercase()).collect();
        let find = |known: &[&str]| known.iter().find_map(|name| names.iter().position(|n| n == name));
        Columns {
            count: names.len(),
            job: find(&["jobidraw", "jobid"]),
            submit: find(&["submit"]),
            eligible: find(&["eligible"]),
            start: find(&["start"]),
            end: find(&["end"]),
            elapsed: find(&["elapsedraw", "elapsed"]),
            limit: find(&["timelimitraw", "timelimit"]),
            state: find(&["state"]),
            nodes: find(&["nnodes", "allocnodes"]),
            tres: find(&["alloctres"]),
            node_list: find(&["nodelist"]),
            comment: find(&["admincomment"]),
        }
    }

    fn complete(self) -> Result<Self, AdviseError> {
        let times = self.start.is_some() && (self.elapsed.is_some() || self.end.is_some());
        let missing = [
            (self.submit.is_some(), "Submit"),
            (times, "Start with End or ElapsedRaw"),
            (self.tres.is_some(), "AllocTRES"),
        ];
        match missing.iter().find(|(there, _)| !there) {
            Some((_, name)) => Err(AdviseError::Column((*name).to_owned())),
            None => Ok(self),
        }
    }
}

/// Reads jobs, of which `each` gets one after the other.
///
/// # Errors
/// When the text cannot be read, or its heading lacks a column.
pub(crate) fn read(
    reader: impl BufRead,
    skipped: &mut Skipped,
    mut each: impl FnMut(Record, &mut Skipped),
) -> Result<(), AdviseError> {
    let mut lines = Lines::new(reader);
    let mut columns: Option<Columns> = None;
    let mut first = String::new();
    while let Some(line) = lines.next(skipped)? {
        let Some(columns) = &columns else {
            let heading = line
                .split('|')
                .any(|name| ["jobidraw", "jobid", "submit"].contains(&name.to_lowercase().as_str()));
            columns = Some(Columns::new(if heading { &line } else { FORMAT }).complete()?);
            if heading {
                first = line.into_owned();
            } else {
                job(columns.as_ref().unwrap_or(&Columns::default()), &line, skipped, &mut each);
            }
            continue;
        };
        // Files put one behind the other have their heading again.
        if line != first {
            job(columns, &line, skipped, &mut each);
        }
    }
    Ok(())
}

fn job(columns: &Columns, line: &str, skipped: &mut Skipped, each: &mut impl FnMut(Record, &mut Skipped)) {
    let last = columns.comment.is_some_and(|comment| comment + 1 == columns.count);
    // What AdminComment holds may look like more columns.
    let fields: Vec<&str> =
        if last { line.splitn(columns.count, '|').collect() } else { line.split('|').collect() };
    let field = |column: Option<usize>| column.and_then(|c| fields.get(c)).map_or("", |f| f.trim());
    if fields.len() != columns.count {
        return skipped.add(Reason::Line);
    }
    // Steps have a job's GPUs again.
    if field(columns.job).contains('.') {
        return;
    }
    let asks = asks(field(columns.tres));
    let start = field(columns.start);
    match () {
        _ if ["", "Unknown", "None"].contains(&start) => skipped.add(Reason::NotStarted),
        _ if asks.is_empty() => skipped.add(Reason::NoGpu),
        _ => match times(columns, field) {
            Some((submit, run, limit)) => {
                if field(columns.state).starts_with("RUNNING") {
                    skipped.running += 1;
                }
                let record = Record {
                    submit,
                    run,
                    limit,
                    priority: 0,
                    nodes: field(columns.nodes).parse().unwrap_or(1).max(1),
                    node_list: field(columns.node_list).to_owned(),
                    asks,
                    used: jobstats::read(field(columns.comment)),
                };
                each(record, skipped);
            }
            None => skipped.add(Reason::Times),
        },
    }
}

/// When a job could start, how long it ran and may run, in seconds.
fn times<'a>(columns: &Columns, field: impl Fn(Option<usize>) -> &'a str) -> Option<(u32, u32, u32)> {
    let start = time(field(columns.start))?;
    let submit = time(field(columns.submit))?;
    let eligible = time(field(columns.eligible)).unwrap_or(submit);
    let by_end = || time(field(columns.end))?.checked_sub(start);
    let run = duration(field(columns.elapsed), 1).or_else(by_end)?.max(1);
    let limit = duration(field(columns.limit), 60).unwrap_or(UNLIMITED).max(run);
    Some((eligible.max(submit).min(start), run, limit))
}

/// Seconds since 1970, as `SLURM_TIME_FORMAT=%s` and as sacct by itself prints a time.
pub(super) fn time(text: &str) -> Option<u32> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    u32::try_from(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// GPUs of `billing=8,gres/gpu:1g.5gb=2,gres/gpu=2,node=1`: those of each type, and those of none.
fn asks(tres: &str) -> Vec<Ask> {
    let mut asks = Vec::new();
    let (mut all, mut typed) = (0u32, 0u32);
    for (name, count) in tres.split(',').filter_map(|item| item.split_once('=')) {
        let Ok(count) = count.parse::<u32>() else { continue };
        match name.strip_prefix("gres/gpu") {
            Some("") => all = count,
            Some(kind) if count > 0 && kind.starts_with(':') => {
                typed = typed.saturating_add(count);
                asks.push(Ask::Type(Some(kind[1..].to_owned()), count));
            }
            _ => {}
        }
    }
    if all > typed {
        asks.push(Ask::Type(None, all - typed));
    }
    asks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> (Vec<Record>, Skipped) {
        let (mut records, mut skipped) = (Vec::new(), Skipped::default());
        read(text.as_bytes(), &mut skipped, |record, _| records.push(record)).unwrap();
        (records, skipped)
    }

    const JOB: &str = "17|2026-01-02T03:04:05|2026-01-02T04:00:00|2026-01-02T05:00:00|2026-01-02T06:00:00|3600|120|\
                       COMPLETED|1|billing=4,cpu=4,gres/gpu:1g.5gb=2,gres/gpu=2,node=1|n1|";

    #[test]
    fn a_job_is_read_with_and_without_a_heading() {
        let expected = Record {
            submit: 1_767_326_400,
            run: 3600,
            limit: 7200,
            priority: 0,
            nodes: 1,
            node_list: "n1".to_owned(),
            asks: vec![Ask::Type(Some("1g.5gb".to_owned()), 2)],
            used: None,
        };
        let heading = FORMAT.replace(',', "|");
        for text in [JOB.to_owned(), format!("{heading}\n{JOB}\n"), format!("{heading}\r\n{JOB}|x|y\r\n")] {
            assert_eq!(read_all(&text), (vec![expected.clone()], Skipped::default()), "{text}");
        }
    }

    #[test]
    fn columns_are_found_by_name_and_steps_left_out() {
        let text = "JobID|Elapsed|AllocTRES|Submit|Start|Timelimit|State\n\
                    5|1-00:00:10|gres/gpu=1|100|200|UNLIMITED|RUNNING\n\
                    5.batch|00:00:10|gres/gpu=1|100|200||RUNNING\n\
                    6|00:00:10|gres/gpu:a=1,gres/gpu:b=2,gres/gpu=4,gres/gpumem=7|100|200|00:01:00|COMPLETED\n";
        let (records, skipped) = read_all(text);
        assert_eq!((records.len(), skipped.running), (2, 1));
        assert_eq!((records[0].submit, records[0].run, records[0].limit), (100, 86410, UNLIMITED));
        let typed = |name: &str, count| Ask::Type(Some(name.to_owned()), count);
        assert_eq!(records[1].asks, [typed("a", 1), typed("b", 2), Ask::Type(None, 1)]);
    }

    #[test]
    fn what_is_no_job_is_counted() {
        let heading = FORMAT.replace(',', "|");
        let lines = [
            JOB.replace("2026-01-02T05:00:00", "Unknown"),
            JOB.replace("gres/gpu", "gres/disk"),
            JOB.replace("2026-01-02T03:04:05", "02.01.2026 03:04"),
            "17|half a li".to_owned(),
            JOB.to_owned(),
        ];
        let (records, skipped) = read_all(&format!("{heading}\n{}\n", lines.join("\n")));
        assert_eq!(records.len(), 1);
        assert_eq!(
            skipped.to_string(),
            "1 without a GPU, 1 not started, 1 without times that can be read, 1 lines that are no job"
        );
        let mut skipped = Skipped::default();
        let error = read("JobID|State\n1|x\n".as_bytes(), &mut skipped, |_, _| {}).unwrap_err();
        assert_eq!(error.to_string(), "no column Submit in the heading");
        assert_eq!(read_all(""), (Vec::new(), Skipped::default()));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}", fields in "[-0-9:TgresunkowN/=,|.]{0,120}") {
            let heading = FORMAT.replace(',', "|");
            read_all(&format!("{heading}\n{fields}\n{text}\n"));
            let _ = read(text.as_bytes(), &mut Skipped::default(), |_, _| {});
        }
    }
}
