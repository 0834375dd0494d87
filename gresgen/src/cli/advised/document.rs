//! An advice as JSON.

use std::collections::BTreeMap;

use advice::advise::{Advice, FEW};
use advice::judge::Figures;
use advice::layout::Layout;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Advised, Group, hours};
use crate::advise::layouts::{self, Labelled};
use crate::advise::record::{Reason, Skipped};
use crate::slurm::hostlist;

/// What `--json` prints.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document<'a> {
    groups: Vec<GroupDocument>,
    skipped: BTreeMap<String, u64>,
    /// What of the queue was not counted, by reason.
    queue_skipped: BTreeMap<String, u64>,
    parted: u64,
    running: u64,
    fitted: u64,
    config: &'a str,
}

#[derive(Serialize, JsonSchema)]
struct GroupDocument {
    model: String,
    nodes: String,
    gpus_per_node: u32,
    jobs: usize,
    days: f64,
    load: f64,
    advice: &'static str,
    learnt_from: usize,
    judged_by: usize,
    effective: f64,
    few: bool,
    layouts: Vec<LayoutDocument>,
    bound_mean_s: f64,
    samples: usize,
    no_worse_than_whole: usize,
    no_worse_than_present: Option<usize>,
    mean_s_range: (f64, f64),
    queued: Option<usize>,
    calendar: Option<CalendarDocument>,
}

#[derive(Serialize, JsonSchema)]
struct LayoutDocument {
    name: &'static str,
    cut: Vec<String>,
    mean_s: f64,
    p50_s: u32,
    p95_s: u32,
    utilisation: f64,
    jobs: usize,
    cannot_run: usize,
    queue_mean_s: Option<f64>,
    queue_cannot_run: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct CalendarDocument {
    day: String,
    nodes_changing: usize,
    mean_s: f64,
    cannot_run: usize,
    layouts: Vec<(String, String, String)>,
}

impl Group<'_> {
    fn document(&self, turns: &[Labelled]) -> GroupDocument {
        let Advice { sure, bound, calendar, jobs, effective, .. } = &self.advice;
        let group = self.group;
        let queue = |row: usize| self.queue.as_ref().and_then(|queue| queue.get(row));
        let layout =
            |(row, (name, layout, mut figures)): (usize, (&'static str, &Layout, Figures))| LayoutDocument {
                name,
                cut: layout
                    .patterns
                    .iter()
                    .map(|p| format!("{} nodes: {}", p.nodes, layouts::words(&group.kinds, &p.gpus)))
                    .collect(),
                mean_s: figures.waits.mean(),
                p50_s: figures.waits.quantile(0.5),
                p95_s: figures.waits.quantile(0.95),
                utilisation: figures.utilisation,
                jobs: figures.waits.count() + figures.never,
                cannot_run: figures.never,
                queue_mean_s: queue(row).map(|figures| figures.waits.mean()),
                queue_cannot_run: queue(row).map(|figures| figures.never),
            };
        let calendar = calendar.as_ref().map(|calendar| CalendarDocument {
            day: hours(calendar.from, calendar.to),
            nodes_changing: calendar.changes,
            mean_s: calendar.figures.waits.mean(),
            cannot_run: calendar.figures.never,
            layouts: turns.iter().map(|l| (l.label.clone(), l.nodes.clone(), l.cut.clone())).collect(),
        });
        GroupDocument {
            model: group.product.clone(),
            nodes: hostlist::fold(&group.nodes),
            gpus_per_node: group.fleet().gpus,
            jobs: jobs.0 + jobs.1,
            days: f64::from(self.span) / 86400.0,
            load: self.load,
            advice: self.verdict(),
            learnt_from: jobs.0,
            judged_by: jobs.1,
            effective: *effective,
            few: jobs.0 < FEW,
            layouts: self.rows().into_iter().enumerate().map(layout).collect(),
            bound_mean_s: *bound,
            samples: sure.samples,
            no_worse_than_whole: sure.beats_whole,
            no_worse_than_present: sure.beats_present,
            mean_s_range: sure.range,
            queued: self.waiting(),
            calendar,
        }
    }
}

impl Advised<'_> {
    /// What `--json` prints, with the configuration in it.
    pub(crate) fn document<'b>(&self, config: &'b str) -> Document<'b> {
        let Skipped { by_reason, parted, running } = &self.skipped;
        Document {
            groups: self
                .answers
                .iter()
                .zip(&self.labels())
                .map(|(a, (_, turns))| a.document(turns))
                .collect(),
            skipped: reasons(by_reason),
            queue_skipped: reasons(&self.queue_skipped.by_reason),
            parted: *parted,
            running: *running,
            fitted: self.fitted,
            config,
        }
    }
}

fn reasons(counts: &BTreeMap<Reason, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(reason, count)| (reason.to_string(), *count)).collect()
}
