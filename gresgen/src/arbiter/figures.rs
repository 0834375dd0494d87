//! What Prometheus is told of the arbiter.

use std::collections::BTreeMap;

use super::step::Said;
use crate::metrics::Exposition;

/// Counts since the process began, and what the last pass saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures {
    /// Orders that cut GPUs.
    pub(super) cuts: u64,
    /// Answers to orders, by code; `no-answer` for none.
    pub(super) answers: BTreeMap<&'static str, u64>,
    /// Jobs that wait, by verdict.
    pub(super) waiting: BTreeMap<&'static str, u64>,
    pub(super) nodes: usize,
    /// Nodes that are not known, or that something is wrong with.
    pub(super) troubled: usize,
    pub(super) orders_underway: usize,
    /// Whether slurmctld answered when it was last asked.
    pub(super) slurmctld: bool,
    /// How long the last pass took, with what slurmctld was asked, in seconds.
    pub(super) seconds: f64,
    /// When it ended, in seconds since 1970.
    pub(super) at: u64,
}

impl Figures {
    /// Whether something happened beside the time that passed.
    pub(super) fn differs(&self, other: &Figures) -> bool {
        let still = Figures { seconds: other.seconds, at: other.at, ..self.clone() };
        still != *other
    }

    pub(super) fn text(&self) -> String {
        let mut text = Exposition::default();
        text.counter("gresgen_arbiter_cuts_total", "Orders that cut GPUs anew, since the arbiter began.")
            .add(&[], self.cuts);
        let mut answers = text.counter(
            "gresgen_arbiter_orders_total",
            "Orders by what nodes answered, since the arbiter began.",
        );
        for (code, count) in &self.answers {
            answers.add(&[("answer", code)], *count);
        }
        text.gauge("gresgen_arbiter_orders_underway", "Orders that are being carried out.")
            .add(&[], self.orders_underway);
        let help = "Jobs that wait for GPUs, by what is decided about them.";
        let mut waiting = text.gauge("gresgen_arbiter_waiting_jobs", help);
        for (verdict, count) in &self.waiting {
            waiting.add(&[("verdict", verdict)], *count);
        }
        text.gauge("gresgen_arbiter_nodes", "Nodes whose GPUs are on request.").add(&[], self.nodes);
        let help = "Nodes on request that are not seen, or refused an order a short time ago.";
        text.gauge("gresgen_arbiter_nodes_troubled", help).add(&[], self.troubled);
        text.gauge("gresgen_arbiter_slurmctld_up", "Whether slurmctld answered when it was last asked.")
            .add(&[], u8::from(self.slurmctld));
        text.gauge(
            "gresgen_arbiter_pass_seconds",
            "How long the last pass took, questions to slurmctld included.",
        )
        .add(&[], format_args!("{:.3}", self.seconds));
        text.gauge("gresgen_arbiter_pass_timestamp_seconds", "When the last pass ended.").add(&[], self.at);
        text.finish()
    }
}

/// What is said of a job, in one word for programs.
pub(super) fn keyword(said: &Said) -> &'static str {
    match said {
        Err(_) => "not-looked-at",
        Ok(verdict) => verdict.word(),
    }
}
