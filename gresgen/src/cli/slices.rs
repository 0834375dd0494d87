//! `gresgen slices`

use schemars::JsonSchema;
use serde::Serialize;

use super::progress::message;
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{Global, out};
use crate::slices::{self, Answers, Slice, fitting};
use crate::slurm::billing::Weight;
use crate::slurm::control::{Control, hurry};
use crate::slurm::{Names, SlurmError};
use crate::users::gigabytes;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the option that asks for the smallest type with so much memory: 8G, 500M; 8GiB counts in 1024s
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory: Option<u64>,
}

/// What `--json` says of a type.
#[derive(Serialize, JsonSchema)]
pub(super) struct Row<'a> {
    r#type: &'a str,
    /// The least that a device of the type has, and the most, where its name fits several models.
    memory_mib: Option<u64>,
    memory_mib_most: Option<u64>,
    sms: Option<u32>,
    sms_most: Option<u32>,
    total: u64,
    used: u64,
    free: u64,
    pending: u64,
    nodes: u64,
    /// Billing weights that partitions have for it.
    costs: Vec<String>,
    option: String,
}

/// What `--json` says.
#[derive(Serialize, JsonSchema)]
pub(super) struct Report<'a> {
    types: Vec<Row<'a>>,
    pending_of_any_type: u64,
    jobs_not_read: u64,
    /// Nodes whose GPUs are cut on request: of them every place is counted, and not all can be taken at once.
    nodes_on_request: usize,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let settings = session.settings_if_sound();
    let names = Names::new(&settings.types).map_err(Failure::usage)?;
    hurry();
    let answers = Control::connect().and_then(Answers::ask).map_err(unanswered)?;
    let slices = slices::slices(&answers, &names);
    match args.memory {
        Some(memory) => pick(&slices, memory, &session.global)?,
        None if session.global.json => out::json(&report(&slices, &answers))?,
        None => out::text(&text(&slices, &answers))?,
    }
    Ok(Exit::Ok)
}

fn unanswered(error: SlurmError) -> Failure {
    Failure::failed(error).hint("slices asks slurmctld; run it where sinfo works")
}

fn pick(slices: &[Slice], memory: u64, global: &Global) -> Result<(), Failure> {
    let Some(slice) = fitting(slices, memory) else {
        let largest = slices.iter().filter_map(|slice| Some((slice.figure.memory_mib?.0, &slice.name))).max();
        let largest = largest.map_or("of no type here is the memory known".to_owned(), |(mib, name)| {
            format!("the largest is {name} with {} GB", gigabytes(mib))
        });
        let error = format!("--memory: no type here has {:.1} GB; {largest}", memory as f64 / 1e9);
        return Err(Failure::failed(error));
    };
    if global.json {
        return out::json(&Row::new(slice));
    }
    if !global.quiet {
        let memory = slice.figure.memory_mib.map(|(least, _)| gigabytes(least)).unwrap_or_default();
        message(format_args!(
            "{}: {memory} GB, {} of {} free, {} waited for",
            slice.name, slice.free, slice.total, slice.pending
        ));
    }
    out::text(&format!("{}\n", option(slice)))
}

/// What to type. With the count, which 22.05 wants.
fn option(slice: &Slice) -> String {
    if slice.name.is_empty() { "--gres=gpu:1".to_owned() } else { format!("--gres=gpu:{}:1", slice.name) }
}

impl<'a> Row<'a> {
    fn new(slice: &'a Slice) -> Self {
        let figure = slice.figure;
        Row {
            r#type: &slice.name,
            memory_mib: figure.memory_mib.map(|(least, _)| least),
            memory_mib_most: figure.memory_mib.map(|(_, most)| most),
            sms: figure.sms.map(|(least, _)| least),
            sms_most: figure.sms.map(|(_, most)| most),
            total: slice.total,
            used: slice.used,
            free: slice.free,
            pending: slice.pending,
            nodes: slice.nodes,
            costs: slice.costs.iter().map(|cost| Weight(*cost).to_string()).collect(),
            option: option(slice),
        }
    }
}

fn report<'a>(slices: &'a [Slice], answers: &Answers) -> Report<'a> {
    Report {
        types: slices.iter().map(Row::new).collect(),
        pending_of_any_type: answers.waiting.any,
        jobs_not_read: answers.waiting.unread,
        nodes_on_request: answers.on_request(),
    }
}

const HEADINGS: [&str; 9] = ["TYPE", "GB", "SMs", "TOTAL", "USED", "FREE", "PENDING", "NODES", "COST"];

fn text(slices: &[Slice], answers: &Answers) -> String {
    if slices.is_empty() {
        return "no node has a GPU\n".to_owned();
    }
    let mut text = table(slices);
    if answers.waiting.any > 0 {
        text.push_str(&format!("{} more are waited for, of any type\n", answers.waiting.any));
    }
    if answers.waiting.unread > 0 {
        text.push_str(&format!(
            "not counted: {} waiting jobs, whose request cannot be read\n",
            answers.waiting.unread
        ));
    }
    match answers.on_request() {
        0 => {}
        1 => text.push_str("cut on request: 1 node, of which every place counts, and not all can be taken\n"),
        nodes => text.push_str(&format!(
            "cut on request: {nodes} nodes, of which every place counts, and not all can be taken\n"
        )),
    }
    text
}

/// A row for each type. A long name stands on a line of its own, so that the rest fits a terminal.
fn table(slices: &[Slice]) -> String {
    const LONG: usize = 12;
    let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
    rows.extend(slices.iter().map(cells));
    let mut above = vec![None; rows.len()];
    for (row, above) in rows.iter_mut().zip(&mut above) {
        if row[0].chars().count() > LONG {
            *above = Some(std::mem::take(&mut row[0]) + "\n");
        }
    }
    let text = out::table(&rows);
    text.lines().zip(above).map(|(line, above)| above.unwrap_or_default() + line + "\n").collect()
}

/// The least stands for what differs by model or by partition, with a sign.
fn cells(slice: &Slice) -> Vec<String> {
    let memory = slice.figure.memory_mib.map(|(least, most)| (gigabytes(least), least < most));
    let sms = slice.figure.sms.map(|(least, most)| (least.to_string(), least < most));
    let cost = slice.costs.first().map(|least| (Weight(*least).to_string(), slice.costs.len() > 1));
    let least = |found: Option<(String, bool)>, unknown: &str| match found {
        Some((least, more)) => least + if more { "+" } else { "" },
        None => unknown.to_owned(),
    };
    let name = if slice.name.is_empty() { "(none)" } else { &slice.name };
    let numbers = [slice.total, slice.used, slice.free, slice.pending, slice.nodes].map(|n| n.to_string());
    let mut cells = vec![name.to_owned(), least(memory, "?"), least(sms, "?")];
    cells.extend(numbers);
    cells.push(least(cost, "-"));
    cells
}

/// Reads an amount of memory as NVIDIA names it, in powers of 1000, unless it says otherwise.
fn bytes(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let unit = lower.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: Option<f64> = lower[..lower.len() - unit.len()].parse().ok();
    let factor = match unit {
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "mi" | "mib" => 1_048_576.0,
        "gi" | "gib" => 1_073_741_824.0,
        "ti" | "tib" => 1_099_511_627_776.0,
        _ => return Err("not an amount of memory such as 8G".to_owned()),
    };
    let bytes = number.map(|number| number * factor).filter(|bytes| (1.0..1e18).contains(bytes));
    bytes.map(|bytes| bytes.ceil() as u64).ok_or_else(|| "not an amount of memory such as 8G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory() {
        for (text, expected) in [
            ("8G", Some(8_000_000_000)),
            ("8gb", Some(8_000_000_000)),
            ("8GiB", Some(8 << 30)),
            ("1.5T", Some(1_500_000_000_000)),
            ("500M", Some(500_000_000)),
            ("8", None),
            ("G", None),
            ("0G", None),
            ("-1G", None),
            ("1e3G", None),
            ("9999999T", None),
        ] {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
    }
}
