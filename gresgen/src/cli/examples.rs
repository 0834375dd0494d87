//! What people do with each verb, for `--help` and the manual page.

use clap::{Command, CommandFactory};

use super::Cli;

/// Of each verb the commands, each with its purpose in a line below; a blank line ends a verb.
const EXAMPLES: &str = include_str!("examples.txt");

/// The verbs, each with its examples as they stand in its help.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    EXAMPLES.split("\n\n").filter_map(|section| section.trim_end().split_once('\n'))
}

/// The command line, its examples included.
pub(super) fn command() -> Command {
    let mut command = Cli::command();
    for (verb, examples) in sections() {
        command =
            command.mut_subcommand(verb, |command| command.after_help(format!("Examples:\n{examples}")));
    }
    command
}

/// The examples of a verb: command lines, and what each is for.
pub(super) fn of(verb: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut lines =
        sections().filter(move |(name, _)| *name == verb).flat_map(|(_, text)| text.lines().map(str::trim));
    std::iter::from_fn(move || Some((lines.next()?, lines.next()?)))
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
            assert!(of(name).next().is_some(), "{name}: no example");
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
