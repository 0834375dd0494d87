//! An advice as text, JSON, configuration and picture.

mod document;

use std::fmt::Write as _;

use advice::advise::{Advice, FEW};
use advice::demand::Demand;
use advice::judge::{Figures, judge};
use advice::layout::Layout;
use replay::Rules;

pub(super) use document::Document;

use super::out;
use crate::advise::fleet::Group as Nodes;
use crate::advise::layouts::{self, Labelled};
use crate::advise::picture::{Bar, Panel};
use crate::advise::record::Skipped;
use crate::config::{Config, ConfigError};
use crate::slurm::hostlist;

/// The advice for a group of equal nodes.
pub(super) struct Group<'a> {
    pub(super) group: &'a Nodes,
    pub(super) advice: Advice,
    /// What the jobs need of all GPUs, 0 to 1.
    pub(super) load: f64,
    /// Seconds from the first submission to the last.
    pub(super) span: u32,
    /// What jobs that wait now would have to wait on idle nodes, by layout as in [`Group::rows`]; `None` where they are not
    /// known.
    queue: Option<Vec<Figures>>,
}

/// The advice for all of them.
pub(super) struct Advised<'a> {
    pub(super) answers: Vec<Group<'a>>,
    /// What was not counted.
    pub(super) skipped: Skipped,
    /// What was not counted of the jobs that wait now.
    pub(super) queue_skipped: Skipped,
    /// Jobs given less than they asked for.
    pub(super) fitted: u64,
    /// Those of them of which it is not known how busy they were.
    pub(super) blindly: u64,
}

/// Part of the mean waiting below which it is worth saying what one reservation would do.
const RESERVE_HELPS: f64 = 0.8;

impl<'a> Group<'a> {
    /// With what each layout would mean for the jobs in `queue`.
    pub(super) fn new(
        group: &'a Nodes,
        advice: Advice,
        load: f64,
        span: u32,
        queue: Option<&Demand>,
        rules: Rules,
    ) -> Self {
        let mut answer = Group { group, advice, load, span, queue: None };
        answer.queue = queue.map(|queue| {
            let figures = |layout: &Layout| judge(&group.kinds, rules, layout, &queue.classes, &queue.jobs);
            answer.rows().into_iter().map(|(_, layout, _)| figures(layout)).collect()
        });
        answer
    }

    /// Jobs that wait now.
    fn waiting(&self) -> Option<usize> {
        self.queue.as_ref()?.first().map(|figures| figures.waits.count() + figures.never)
    }

    /// What it is about.
    fn title(&self) -> String {
        let fleet = self.group.fleet();
        let nodes = if fleet.nodes == 1 { "1 node".to_owned() } else { format!("{} nodes", fleet.nodes) };
        format!("{} on {nodes}, {} each", self.group.product, fleet.gpus)
    }

    /// What to do, in two words.
    fn verdict(&self) -> &'static str {
        let advised = &self.advice.advised.layout;
        let same = self.advice.present.as_ref().is_some_and(|p| p.layout.shares() == advised.shares());
        match (same, advised.is_whole(&self.group.kinds)) {
            (_, true) => "leave whole",
            (true, false) => "leave as it is",
            (false, false) => "cut",
        }
    }

    /// The layouts to compare, each once.
    fn rows(&self) -> Vec<(&'static str, &Layout, Figures)> {
        let Advice { advised, present, whole, .. } = &self.advice;
        let mut rows = vec![("advised", &advised.layout, advised.figures.clone())];
        rows.extend(present.as_ref().map(|p| ("present", &p.layout, p.figures.clone())));
        rows.push(("whole GPUs", &whole.layout, whole.figures.clone()));
        rows
    }

    fn labelled(&self, several: bool, begun: &mut u32) -> Vec<Labelled> {
        let layout = &self.advice.advised.layout;
        let mut number = (several || layout.patterns.len() > 1).then_some(*begun);
        let labelled = layouts::labelled(self.group, layout, "advised", &mut number);
        *begun = number.unwrap_or(*begun);
        labelled
    }

    fn text(&self, labelled: &[Labelled], turns: &[Labelled], reserve: u32) -> String {
        let Advice { sure, bound, calendar, jobs, one_reservation, .. } = &self.advice;
        let nodes = hostlist::fold(&self.group.nodes);
        let mut text = self.title();
        let line = format!(
            "{} jobs in {}, which need {:.0} % of the GPUs",
            jobs.0 + jobs.1,
            time(f64::from(self.span)),
            self.load * 100.0
        );
        let _ = write!(text, "\n{nodes}\n{line}\n\nadvice: {}\n", self.verdict());
        let mut rows = vec![["NODES", "LABEL", "GPUS"].map(str::to_owned).to_vec()];
        rows.extend(labelled.iter().map(|l| vec![shorten(&l.nodes), l.label.clone(), l.cut.clone()]));
        text.push_str(&wrapped(&rows));
        let replayed = self.advice.whole.figures.waits.count() + self.advice.whole.figures.never;
        let of = if replayed < jobs.1 { format!("{replayed} of ") } else { String::new() };
        let _ = writeln!(text, "\njudged by {of}the last {} jobs, which it was not learnt from", jobs.1);
        text.push_str(&out::table(&self.figures()));
        if let Some(jobs) = self.waiting() {
            let _ = writeln!(text, "QUEUE: mean wait of {jobs} jobs that wait now, were these GPUs idle");
        }
        let _ = writeln!(
            text,
            "no layout that runs every job gets below a mean of {},\nwhich is what they would wait if types did not hinder each other",
            time(*bound)
        );
        if reserve == 0
            && one_reservation.waits.mean() < self.advice.advised.figures.waits.mean() * RESERVE_HELPS
        {
            let mean = time(one_reservation.waits.mean());
            let _ = writeln!(text, "bf_job_part_count_reserve=1 in SchedulerParameters makes it {mean}");
        }
        let (low, high) = sure.range;
        let _ = writeln!(
            text,
            "\nhow sure: in {} samples of these jobs a mean of {} to {};",
            sure.samples,
            time(low),
            time(high)
        );
        let _ = write!(text, "no worse than whole GPUs in {}", sure.beats_whole);
        let present = sure.beats_present.map_or(String::new(), |n| format!(", than what there is in {n}"));
        let _ = writeln!(text, "{present}");
        if jobs.0 < FEW {
            let _ =
                writeln!(text, "few jobs: {} are too few to learn from; read more, from earlier on", jobs.0);
        }
        if let Some(calendar) = calendar {
            let _ = writeln!(
                text,
                "\nby day ({}) and by night: mean {}, draining included; {} nodes change",
                hours(calendar.from, calendar.to),
                time(calendar.figures.waits.mean()),
                calendar.changes
            );
            let mut rows = vec![["NODES", "LABEL", "GPUS"].map(str::to_owned).to_vec()];
            rows.extend(turns.iter().map(|l| vec![shorten(&l.nodes), l.label.clone(), l.cut.clone()]));
            text.push_str(&wrapped(&rows));
        }
        text
    }

    fn figures(&self) -> Vec<Vec<String>> {
        let mut table = vec![
            ["LAYOUT", "MEAN WAIT", "HALF WAIT", "95 % WAIT", "IN USE", "CANNOT RUN"]
                .map(str::to_owned)
                .to_vec(),
        ];
        let queue = self.queue.as_deref().unwrap_or_default();
        table[0].extend(self.queue.as_ref().map(|_| "QUEUE".to_owned()));
        for (number, (name, _, mut figures)) in self.rows().into_iter().enumerate() {
            table.push(vec![
                name.to_owned(),
                time(figures.waits.mean()),
                time(f64::from(figures.waits.quantile(0.5))),
                time(f64::from(figures.waits.quantile(0.95))),
                format!("{:.0} %", figures.utilisation * 100.0),
                figures.never.to_string(),
            ]);
            let wait = queue.get(number).map(|figures| time(figures.waits.mean()));
            table[number + 1].extend(wait);
        }
        table
    }
}

impl Advised<'_> {
    /// Of each group the labels of the layout advised, and those of its calendar.
    fn labels(&self) -> Vec<(Vec<Labelled>, Vec<Labelled>)> {
        let several = self.answers.len() > 1;
        let (mut begun, mut turns_begun) = (0, 0);
        let labels = |answer: &Group<'_>| {
            let calendar = answer.advice.calendar.iter();
            let turns = calendar.flat_map(|c| layouts::labelled_turns(answer.group, c, &mut turns_begun));
            (answer.labelled(several, &mut begun), turns.collect())
        };
        self.answers.iter().map(labels).collect()
    }

    /// The layouts advised as a configuration, with those of calendars behind.
    pub(super) fn config(&self) -> Result<String, ConfigError> {
        let labels = self.labels().into_iter().map(|(advised, turns)| [advised, turns].concat());
        let groups: Vec<(&Nodes, Vec<Labelled>)> = self.answers.iter().map(|a| a.group).zip(labels).collect();
        let text = layouts::config(&groups);
        Config::parse("the advice", &text).map(|_| text)
    }

    pub(super) fn panels(&self) -> Vec<Panel> {
        let panel = |answer: &Group<'_>| {
            let mut bars: Vec<Bar> = answer
                .rows()
                .into_iter()
                .map(|(name, _, mut figures)| Bar {
                    name: name.to_owned(),
                    mean: figures.waits.mean(),
                    p95: Some(f64::from(figures.waits.quantile(0.95))),
                    label: time(figures.waits.mean()),
                })
                .collect();
            let bound = answer.advice.bound;
            bars.push(Bar { name: "bound".to_owned(), mean: bound, p95: None, label: time(bound) });
            Panel { title: answer.title(), bars }
        };
        self.answers.iter().map(panel).collect()
    }

    pub(super) fn text(&self, reserve: u32) -> String {
        let labels = self.labels();
        let text = |(answer, (advised, turns)): (&Group<'_>, &(Vec<Labelled>, Vec<Labelled>))| {
            answer.text(advised, turns, reserve)
        };
        let groups: Vec<String> = self.answers.iter().zip(&labels).map(text).collect();
        let mut text = groups.join("\n");
        let by_reason = self.skipped.by_reason.iter();
        let mut notes: Vec<String> =
            by_reason.map(|(reason, count)| format!("not counted: {count} {reason}")).collect();
        let queue_skipped = self.queue_skipped.by_reason.iter();
        notes.extend(
            queue_skipped.map(|(reason, count)| format!("not counted of the queue: {count} {reason}")),
        );
        if self.skipped.parted > 0 {
            notes
                .push(format!("{} jobs asked for several types: each counts by itself", self.skipped.parted));
        }
        if self.skipped.running > 0 {
            notes.push(format!("{} jobs still run: they count with the time so far", self.skipped.running));
        }
        if self.fitted > 0 {
            notes.push(format!("{} jobs count with the slice that their memory fits in", self.fitted));
        }
        if self.blindly > 0 {
            notes.push(format!(
                "{} of them as fast as before, for how busy they were is not known",
                self.blindly
            ));
        }
        notes.iter().enumerate().for_each(|(number, note)| {
            let _ = writeln!(text, "{}{note}", if number == 0 { "\n" } else { "" });
        });
        text
    }
}

/// A time of the day, to the hour.
fn hours(from: u32, to: u32) -> String {
    format!("{:02}:00 to {:02}:00", from / 3600, to / 3600)
}

/// Seconds in the unit that tells them best.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 99.5 => format!("{s:.0} s"),
        s if s < 99.5 * 60.0 => format!("{:.0} min", s / 60.0),
        s if s < 99.5 * 3600.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86400.0),
    }
}

/// A host list that leaves room for the rest of a line.
fn shorten(nodes: &str) -> String {
    const MOST: usize = 16;
    if nodes.chars().count() > MOST {
        nodes.chars().take(MOST - 3).chain("...".chars()).collect()
    } else {
        nodes.to_owned()
    }
}

/// A table of which the last column goes on in further lines, at a comma or where it gets too long.
fn wrapped(rows: &[Vec<String>]) -> String {
    const MOST: usize = 48;
    let split = |row: &Vec<String>| -> Vec<Vec<String>> {
        let Some((last, first)) = row.split_last() else { return Vec::new() };
        let mut lines: Vec<String> = Vec::new();
        for part in last.split(", ") {
            lines.push(String::new());
            for (number, slice) in part.split(" + ").enumerate() {
                let line = lines.last_mut().expect("one was just begun");
                let plus = if number == 0 { "" } else { " + " };
                if line.chars().count() + plus.len() + slice.chars().count() <= MOST {
                    line.push_str(&format!("{plus}{slice}"))
                } else {
                    lines.push(format!("    + {slice}"))
                }
            }
        }
        let row = |(number, line): (usize, String)| {
            let before = first.iter().map(|cell| if number == 0 { cell.clone() } else { String::new() });
            before.chain([line]).collect()
        };
        lines.into_iter().enumerate().map(row).collect()
    };
    out::table(&rows.iter().flat_map(split).collect::<Vec<_>>())
}
