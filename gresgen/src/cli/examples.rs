//! What people do with each verb, for `--help` and the manual page.

use std::fmt::Write;

use clap::{Command, CommandFactory};

use super::Cli;

/// A command line, and what it is for.
type Example = (&'static str, &'static str);

const EXAMPLES: [(&str, &[Example]); 22] = [
    (
        "init",
        &[
            ("gresgen init", "a first configuration, and the edits of Slurm's files as a patch"),
            ("gresgen init --layout-of 7x1g --write", "seven slices of each GPU, and the edits made"),
        ],
    ),
    ("history", &[("gresgen history -n 5", "the last five changes, who made them and how they ended")]),
    (
        "metrics",
        &[("gresgen metrics --output /var/lib/prometheus/node-exporter/gresgen.prom", "for node_exporter")],
    ),
    (
        "status",
        &[
            ("gresgen status", "all GPUs, idle ones that are alike as one"),
            ("gresgen status --short", "a line per GPU"),
            ("gresgen status -v 0", "GPU 0 with whole UUIDs, ids and device files"),
            ("gresgen status --watch=5", "again every five seconds"),
            ("gresgen --json status > n1.json", "the inventory, for render and advise"),
        ],
    ),
    (
        "profiles",
        &[
            ("gresgen profiles", "what the GPUs here can be cut into, and how many still fit"),
            ("gresgen profiles --model a100-80gb", "the same of a model that is not here"),
        ],
    ),
    (
        "plan",
        &[
            ("gresgen plan", "what apply would do"),
            ("gresgen --layout small plan --svg plan.svg", "another layout, as a picture"),
            ("gresgen plan --detailed-exitcode", "for scripts: 10 where something is to be done"),
        ],
    ),
    (
        "apply",
        &[
            ("gresgen apply", "make the layout of the configuration"),
            ("gresgen --layout small apply --drain=30m", "another one, once jobs have ended"),
            ("gresgen apply --slurm apply", "and tell Slurm's daemons"),
            ("gresgen apply --undo", "go back to what an apply that was cut off had found"),
        ],
    ),
    (
        "order",
        &[(
            "gresgen order < order.json",
            "try an order on the node: what ssh would send it on standard input",
        )],
    ),
    (
        "clear",
        &[
            ("gresgen clear 0", "destroy all instances of GPU 0"),
            ("gresgen clear all --drain", "of every GPU, once jobs have ended"),
        ],
    ),
    (
        "mode",
        &[
            ("gresgen mode on --reset", "switch MIG on everywhere, with a GPU reset where it needs one"),
            ("gresgen mode off 3", "make GPU 3 a whole one again"),
        ],
    ),
    (
        "render",
        &[
            ("gresgen render --diff", "what would change in which file"),
            ("gresgen render --inventory n1.json n2.json", "the files of a cluster"),
        ],
    ),
    (
        "check",
        &[
            ("gresgen check", "the whole chain, what does not hold first"),
            ("gresgen check --quick", "for Prolog: in milliseconds, without the driver"),
        ],
    ),
    (
        "slices",
        &[
            ("gresgen slices", "the GPU types of the cluster, and how many of each are free"),
            ("gresgen slices --memory 8G", "the smallest type with so much memory, and what to type for it"),
        ],
    ),
    (
        "demand",
        &[
            (
                "gresgen demand --inventory /var/lib/inventories",
                "of nodes that send what `gresgen --json status` says",
            ),
            ("gresgen demand --job 4711", "why this job waits, on a node that is all there is"),
        ],
    ),
    (
        "arbiter",
        &[
            ("gresgen arbiter", "what gresgen-arbiter.service runs"),
            ("gresgen arbiter --once", "one pass, to see what it does"),
        ],
    ),
    ("export", &[("gresgen export > config.yaml", "what the node has, as a configuration to start from")]),
    (
        "advise",
        &[
            ("gresgen advise --since now-30days", "by the jobs of the last month"),
            (
                "gresgen advise --jobs jobs.csv --nodes gpu[01-04]=8xa100-40gb",
                "for nodes that are not there yet",
            ),
        ],
    ),
    ("run", &[("gresgen run 1g.5gb -- ./program", "on a free slice of this profile")]),
    ("env", &[("eval \"$(gresgen env)\"", "in a shell that pam_slurm_adopt put into a job")]),
    ("schema", &[("gresgen schema config > gresgen.schema.json", "for editors that know JSON Schema")]),
    (
        "completions",
        &[("gresgen completions bash > /etc/bash_completion.d/gresgen", "complete in every bash")],
    ),
    ("man", &[("gresgen man gresgen.yaml | man -l -", "read the page about the configuration")]),
];

/// The command line, its examples included.
pub(super) fn command() -> Command {
    let mut command = Cli::command();
    for (verb, _) in EXAMPLES {
        command = command.mut_subcommand(verb, |command| command.after_help(text(verb)));
    }
    command
}

/// The examples of a verb.
pub(super) fn of(verb: &str) -> &'static [Example] {
    EXAMPLES.iter().find(|(name, _)| *name == verb).map_or(&[], |(_, examples)| examples)
}

/// The examples of a verb as a part of its help, each with its purpose in a line below.
fn text(verb: &str) -> String {
    let mut text = String::from("Examples:\n");
    for (line, what) in of(verb) {
        let _ = writeln!(text, "  {line}\n      {what}");
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of a line, as a shell would cut it up to where its output goes.
    fn words(line: &str) -> Vec<String> {
        let inner = line.strip_prefix("eval \"$(").and_then(|rest| rest.strip_suffix(")\"")).unwrap_or(line);
        inner.split(' ').take_while(|word| ![">", "<", "|"].contains(word)).map(str::to_owned).collect()
    }

    #[test]
    fn every_verb_has_examples_that_the_command_line_takes() {
        let command = command();
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            let name = verb.get_name();
            assert!(!of(name).is_empty(), "{name}: no example");
            for (line, _) in of(name) {
                let matches = command.clone().try_get_matches_from(words(line));
                assert_eq!(
                    matches.unwrap_or_else(|e| panic!("{line}: {e}")).subcommand_name(),
                    Some(name),
                    "{line}"
                );
            }
        }
    }
}
