//! Layouts in words, and as a configuration that `gresgen apply` takes.

use std::fmt::Write as _;

use advice::calendar::Calendar;
use advice::kinds::{Cut, Kinds};
use advice::layout::Layout;

use super::fleet::Group;
use crate::slurm::hostlist;

/// How some GPUs of a node are cut.
type Gpus = Vec<(Cut, u32)>;

/// Nodes that are cut alike, under the label that the configuration has for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labelled {
    pub label: String,
    /// Host list.
    pub nodes: String,
    /// `2 whole, 6 x (3g.20gb + 2g.10gb + 2 x 1g.5gb)`.
    pub cut: String,
    gpus: Gpus,
    indexes: Vec<u32>,
}

/// Labels for a layout of a group: `advised`, or `advised-1` and so on where nodes differ. `begun` counts on from other groups.
pub(crate) fn labelled(group: &Group, layout: &Layout, name: &str, begun: &mut Option<u32>) -> Vec<Labelled> {
    let patterns = layout.patterns.iter().map(|pattern| (&pattern.gpus, pattern.nodes));
    label(group, patterns.collect(), name, begun)
}

/// Labels for both layouts of a calendar: `day-1`, `night-1` and so on.
pub(crate) fn labelled_turns(group: &Group, calendar: &Calendar, begun: &mut u32) -> Vec<Labelled> {
    let mut both = Vec::new();
    for (name, day) in [("day", true), ("night", false)] {
        let turns = calendar.turns.iter().map(|t| (if day { &t.day } else { &t.night }, t.nodes));
        let mut number = Some(*begun);
        both.extend(label(group, turns.collect(), name, &mut number));
    }
    *begun += calendar.turns.len() as u32;
    both
}

fn label(group: &Group, patterns: Vec<(&Gpus, u32)>, name: &str, begun: &mut Option<u32>) -> Vec<Labelled> {
    let mut rest = group.nodes.iter().map(String::as_str);
    let mut labelled = Vec::new();
    for (gpus, nodes) in patterns {
        let names: Vec<&str> = rest.by_ref().take(nodes as usize).collect();
        let label = match begun {
            Some(number) => {
                *number += 1;
                format!("{name}-{number}")
            }
            None => name.to_owned(),
        };
        labelled.push(Labelled {
            label,
            nodes: hostlist::fold(names),
            cut: words(&group.kinds, gpus),
            gpus: gpus.clone(),
            indexes: group.gpus.clone(),
        });
    }
    labelled
}

/// `2 whole, 6 x (3g.20gb + 2g.10gb + 2 x 1g.5gb)`.
pub(crate) fn words(kinds: &Kinds, gpus: &[(Cut, u32)]) -> String {
    let words = |(cut, count): &(Cut, u32)| {
        if *cut == kinds.uncut() {
            format!("{count} whole")
        } else {
            format!("{count} x ({})", slices(kinds, cut))
        }
    };
    gpus.iter().map(words).collect::<Vec<_>>().join(", ")
}

fn slices(kinds: &Kinds, cut: &Cut) -> String {
    let largest_first = kinds.all.iter().zip(cut).rev().filter(|(_, count)| **count > 0);
    let slice = |(kind, count): (&advice::kinds::Kind, &u32)| {
        let name = kind.profile.map_or_else(|| "whole".to_owned(), |profile| profile.to_string());
        if *count == 1 { name } else { format!("{count} x {name}") }
    };
    let all: Vec<String> = largest_first.map(slice).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(" + ") }
}

/// The configuration. Which label is for which node stands in comments; a lone one is the default.
pub(crate) fn config(groups: &[(&Group, Vec<Labelled>)]) -> String {
    let mut text = String::from(
        "# Written by gresgen advise. On each node: gresgen apply --layout LABEL\nversion: v1\n",
    );
    let all: Vec<&Labelled> = groups.iter().flat_map(|(_, labelled)| labelled).collect();
    if let [only] = all[..] {
        let _ = writeln!(text, "layout: {}", only.label);
    }
    text.push_str("mig-configs:\n");
    for (group, labelled) in groups {
        labelled.iter().for_each(|labelled| entry(&mut text, &group.kinds, labelled));
    }
    text
}

fn entry(text: &mut String, kinds: &Kinds, labelled: &Labelled) {
    let _ = writeln!(text, "  # {}\n  {}:", labelled.nodes, labelled.label);
    let mut indexes = labelled.indexes.iter();
    for (cut, count) in &labelled.gpus {
        let devices: Vec<String> = indexes.by_ref().take(*count as usize).map(ToString::to_string).collect();
        let whole = *cut == kinds.uncut();
        let _ = writeln!(text, "    - devices: [{}]\n      mig-enabled: {}", devices.join(", "), !whole);
        if !whole {
            let slices = kinds.all.iter().zip(cut).filter(|(_, count)| **count > 0);
            let slice = |(kind, count): (&advice::kinds::Kind, &u32)| {
                kind.profile.map(|profile| format!("{profile}: {count}"))
            };
            let slices: Vec<String> = slices.filter_map(slice).collect();
            let _ = writeln!(text, "      mig-devices: {{{}}}", slices.join(", "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_layout_is_a_configuration() {
        let group = Group::parse("n[1-4]=4xa100-40gb").unwrap();
        let mut cut = vec![0; group.kinds.all.len()];
        let position = |name: &str| group.kinds.of(name.parse().unwrap(), &group.geometry).unwrap();
        cut[position("3g.20gb")] = 1;
        cut[position("1g.5gb")] = 4;
        let layout = Layout::together(group.fleet(), &vec![(group.kinds.uncut(), 5), (cut, 11)]);
        let labels = labelled(&group, &layout, "advised", &mut Some(0));
        assert_eq!(labels[1].cut, "1 whole, 3 x (3g.20gb + 4 x 1g.5gb)");
        let text = config(&[(&group, labels)]);
        insta::assert_snapshot!(text);
        let config = Config::parse("advice", &text).unwrap();
        assert_eq!(config.labels().collect::<Vec<_>>(), ["advised-1", "advised-2", "advised-3"]);
        let whole = Layout::uniform(group.fleet(), group.kinds.uncut());
        let text = super::config(&[(&group, labelled(&group, &whole, "advised", &mut None))]);
        assert_eq!(Config::parse("advice", &text).unwrap().choose(None).unwrap(), "advised");
    }
}
