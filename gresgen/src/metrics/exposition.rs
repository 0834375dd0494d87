//! The text format of Prometheus, version 0.0.4 (prometheus.io, "Exposition formats"). The textfile collector of
//! node_exporter reads it, and takes a whole node's file away for one line that is none.

use std::fmt::{Display, Write};

/// Metrics as they are written.
#[derive(Debug, Default)]
pub(crate) struct Exposition(String);

/// One metric; its head is written with its first value.
#[derive(Debug)]
pub(crate) struct Gauge<'a> {
    text: &'a mut String,
    name: &'static str,
    kind: &'static str,
    head: Option<&'static str>,
}

impl Exposition {
    /// A metric that goes up and down. A name is used once: readers refuse a metric whose lines are apart.
    pub(crate) fn gauge(&mut self, name: &'static str, help: &'static str) -> Gauge<'_> {
        Gauge { text: &mut self.0, name, kind: "gauge", head: Some(help) }
    }

    /// A metric that only goes up while the process runs that counts; its name ends in `_total`.
    pub(crate) fn counter(&mut self, name: &'static str, help: &'static str) -> Gauge<'_> {
        Gauge { kind: "counter", ..self.gauge(name, help) }
    }

    /// All that was added.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

impl Gauge<'_> {
    /// Adds a value. What others wrote, such as a user's name, stands in labels alone.
    pub(crate) fn add(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let (name, kind) = (self.name, self.kind);
        if let Some(help) = self.head.take() {
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let _ = if labels.is_empty() {
            writeln!(self.text, "{name} {value}")
        } else {
            writeln!(self.text, "{name}{{{}}} {value}", labels.join(","))
        };
    }
}

/// A label's value: backslash, quote and line feed as the format has them, and a sign for other characters that a
/// terminal obeys.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => escaped.push('\u{FFFD}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_holds_any_text_and_a_metric_without_values_is_not_there() {
        let mut text = Exposition::default();
        text.gauge("empty", "Nothing.");
        text.gauge("a", "Help.").add(&[("user", "x\"} 1\nb{\\\u{1b}[2J")], 3);
        let mut plain = text.gauge("b", "More.");
        plain.add(&[], 0);
        plain.add(&[("k", "")], 1);
        text.counter("c_total", "Most.").add(&[], 0.25);
        assert_eq!(
            text.finish(),
            "# HELP a Help.\n# TYPE a gauge\na{user=\"x\\\"} 1\\nb{\\\\\u{fffd}[2J\"} 3\n\
             # HELP b More.\n# TYPE b gauge\nb 0\nb{k=\"\"} 1\n\
             # HELP c_total Most.\n# TYPE c_total counter\nc_total 0.25\n"
        );
    }
}
