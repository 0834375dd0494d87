//! A trace of jobs as CSV: a heading, then a line per job.
//!
//! Columns, in any order: `submit` and `run` in seconds; `limit` in seconds (the run time); `gpus` (1) on each of `nodes`
//! (1); `type`, a GRES type, and without it a GPU, or where `share` says a part of a GPU, 0 to 1, the smallest slice that
//! is as large; `memory` used in MiB; `busy`, 0 to 1; `priority` (0).

use std::io::BufRead;

use super::error::AdviseError;
use super::lines::Lines;
use super::record::{Ask, Reason, Record, Skipped, Use};

/// Columns by name.
const NAMES: [&str; 10] =
    ["submit", "run", "limit", "gpus", "nodes", "type", "share", "memory", "busy", "priority"];

/// Whether a line is the heading of a trace.
pub fn is_heading(line: &str) -> bool {
    !line.contains('|')
        && fields(line.trim_start_matches('\u{feff}')).any(|name| name.eq_ignore_ascii_case("submit"))
}

/// Fields without the quotation marks that some programs write.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(|field| field.trim().trim_matches('"'))
}

/// Reads jobs, of which `each` gets one after the other.
///
/// # Errors
/// When the text cannot be read, or its heading lacks a column.
pub fn read(
    reader: impl BufRead,
    skipped: &mut Skipped,
    mut each: impl FnMut(Record, &mut Skipped),
) -> Result<(), AdviseError> {
    let mut lines = Lines::new(reader);
    let mut columns: Option<[Option<usize>; 10]> = None;
    while let Some(line) = lines.next(skipped)? {
        let Some(columns) = &columns else {
            let names: Vec<String> = fields(&line).map(str::to_ascii_lowercase).collect();
            let found = NAMES.map(|name| names.iter().position(|other| other == name));
            if let Some(missing) = NAMES.iter().zip(found).take(2).find(|(_, at)| at.is_none()) {
                return Err(AdviseError::Column(format!("{:?}", missing.0)));
            }
            columns = Some(found);
            continue;
        };
        match job(columns, &line) {
            Some(record) if record.nodes == 0 => skipped.add(Reason::Line),
            Some(record) => each(record, skipped),
            None => skipped.add(Reason::Times),
        }
    }
    Ok(())
}

fn job(columns: &[Option<usize>; 10], line: &str) -> Option<Record> {
    let fields: Vec<&str> = fields(line).collect();
    let field = |name: &str| -> &str {
        let column = NAMES.iter().position(|other| *other == name).and_then(|at| columns[at]);
        column.and_then(|at| fields.get(at)).copied().unwrap_or_default()
    };
    let number = |name: &str| field(name).parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    let seconds = |name: &str| number(name).filter(|n| *n <= f64::from(u32::MAX)).map(|n| n as u32);
    let count = |name: &str| if field(name).is_empty() { Some(1) } else { field(name).parse::<u32>().ok() };
    let run = seconds("run")?.max(1);
    let (gpus, nodes) = (count("gpus")?, count("nodes")?);
    let ask = match (field("type"), number("share").filter(|share| *share < 1.0)) {
        ("", Some(share)) if gpus == 1 && nodes == 1 => Ask::Share(share),
        ("", _) => Ask::Type(None, gpus.checked_mul(nodes)?),
        (kind, _) => Ask::Type(Some(kind.to_owned()), gpus.checked_mul(nodes)?),
    };
    let used = number("memory").map(|memory| Use {
        memory_mib: memory.ceil() as u64,
        busy: number("busy").map(|busy| busy.min(1.0)),
    });
    Some(Record {
        submit: seconds("submit")?,
        run,
        limit: seconds("limit").unwrap_or(run).max(run),
        priority: seconds("priority").unwrap_or(0),
        nodes,
        node_list: String::new(),
        asks: vec![ask],
        used,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_in_any_order_and_most_can_be_left_out() {
        let text = "run, submit,type,gpus,nodes,share,memory,busy,priority\n\
                    10,5,1g.5gb,,,,,,\n\
                    20,6,,4,2,,1000.5,2,3\n\
                    30,7,,,,0.46,,,\n\
                    30,7,\"3g.20gb\",1,0,,,,\n\
                    x,7,,,,,,,\n\
                    1,-7,,,,,,,\n";
        let (mut records, mut skipped) = (Vec::new(), Skipped::default());
        read(text.as_bytes(), &mut skipped, |record, _| records.push(record)).unwrap();
        assert_eq!(records[0].asks, [Ask::Type(Some("1g.5gb".to_owned()), 1)]);
        assert_eq!((records[1].asks.clone(), records[1].nodes), (vec![Ask::Type(None, 8)], 2));
        assert_eq!(records[1].used, Some(Use { memory_mib: 1001, busy: Some(1.0) }));
        assert_eq!((records[1].limit, records[1].priority), (20, 3));
        assert_eq!(records[2].asks, [Ask::Share(0.46)]);
        assert_eq!(
            (records.len(), skipped.to_string().as_str()),
            (3, "2 without times that can be read, 1 lines that are no job")
        );
        assert!(is_heading("\u{feff}\"run\",\"Submit\",x") && !is_heading("JobID|Submit"));
        let error = read("submit,type\n".as_bytes(), &mut skipped, |_, _| {}).unwrap_err();
        assert_eq!(error.to_string(), "no column \"run\" in the heading");
    }
}
