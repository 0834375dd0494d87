//! Verbs and options of other tools that people try here, with the way to what they want. clap would suggest what is spelled
//! alike, and `create` is spelled like `clear`.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use strsim::damerau_levenshtein;

use super::report::Failure;
use crate::words::nearest;

/// Words of other tools, and what does that here. Nobody is led to what destroys who did not ask for it.
const VERBS: [(&[&str], &str); 18] = [
    (
        &["create", "add", "new", "set", "configure", "config", "partition", "split", "cut"],
        "gresgen apply makes the layout of the configuration; gresgen plan shows it first",
    ),
    (
        &["list", "ls", "show", "info", "get", "ps", "top", "query", "devices", "gpus"],
        "gresgen status shows GPUs and slices, gresgen profiles what they can be cut into",
    ),
    (
        &["destroy", "delete", "remove", "rm", "del", "clean", "wipe", "drop"],
        "gresgen clear GPU destroys all instances of a GPU; to lose some, leave them out of the layout and look at gresgen plan",
    ),
    (
        &["reset", "reload", "restart", "sync", "update", "install"],
        "gresgen apply makes the node what the configuration says; gresgen plan shows what that changes",
    ),
    (&["enable", "on", "activate"], "gresgen mode on GPU switches MIG on"),
    (
        &["disable", "off", "deactivate"],
        "gresgen mode off GPU switches MIG off, and ends all instances of the GPU",
    ),
    (&["undo", "rollback", "revert", "back"], "gresgen apply --undo goes back to what was before"),
    (&["log", "audit", "journal"], "gresgen history shows what was changed, by whom and when"),
    (&["setup", "bootstrap", "import"], "gresgen init writes a first configuration from what is there"),
    (&["diff", "preview", "dry-run", "dryrun", "simulate"], "gresgen plan shows what apply would change"),
    (
        &["assert", "verify", "validate", "doctor", "test", "lint", "health"],
        "gresgen check looks at the whole chain",
    ),
    (&["restore", "boot", "start", "up"], "gresgen apply --boot restores the layout at boot"),
    (&["models", "boards", "placements"], "gresgen profiles --models lists the models known"),
    (&["watch", "monitor"], "gresgen status --watch draws again every two seconds"),
    (&["exec"], "gresgen run SLICE -- COMMAND runs a command on a free slice"),
    (&["save", "dump"], "gresgen export prints what the node has as a configuration"),
    (&["generate", "gen", "write"], "gresgen render writes Slurm's files from what the GPUs are now"),
    (&["version"], "gresgen --version"),
];

/// Options of other tools.
const OPTIONS: [(&[&str], &str); 5] = [
    (
        &["--dry-run", "-n", "--diff", "--whatif", "--no-act"],
        "gresgen plan shows what apply would do, and changes nothing",
    ),
    (
        &["-y", "--yes", "--force", "-f", "--assume-yes", "--auto-approve", "--no-confirm"],
        "nothing is asked: apply does what gresgen plan shows, and refuses what is in use",
    ),
    (&["-i", "--gpu", "--id", "-g"], "name the GPUs as arguments: gresgen status 0 1"),
    (&["--no-color", "--colour"], "write --color never"),
    (&["--output", "-o", "--format"], "write --json"),
];

/// The answer to a command line that clap does not take; `None` where clap's own will do.
pub fn answer(error: &clap::Error) -> Option<Failure> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand)?;
            let near = match error.get(ContextKind::SuggestedSubcommand) {
                Some(ContextValue::Strings(near)) => &near[..],
                _ => &[],
            };
            let hint = found(&VERBS, word).map(str::to_owned).or_else(|| alike(word, near));
            // Or it is another tool's word, misspelled.
            let theirs = || nearest(word, VERBS.iter().flat_map(|(words, _)| words.iter().copied()));
            let hint = hint.or_else(|| found(&VERBS, theirs()?).map(str::to_owned));
            Some(refused(
                word,
                "no such command",
                &hint.unwrap_or_else(|| "gresgen --help lists them".to_owned()),
            ))
        }
        ErrorKind::UnknownArgument => {
            let word = text(ContextKind::InvalidArg)?;
            // What follows an option whose value may be left out is an argument of its own.
            let hint = match found(&OPTIONS, word) {
                Some(hint) => hint.to_owned(),
                None if humantime::parse_duration(word).is_ok() => format!("write --drain={word}"),
                None => return None,
            };
            Some(refused(word, "no such option", &hint))
        }
        _ => None,
    }
}

fn refused(word: &str, what: &str, hint: &str) -> Failure {
    Failure::usage(format!("{word}: {what}")).hint(hint)
}

fn found(table: &[(&[&str], &'static str)], word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let word = word.split('=').next().unwrap_or_default();
    table.iter().find(|(words, _)| words.contains(&word)).map(|(_, hint)| *hint)
}

/// What clap takes the word for. A verb that destroys has to be all but written.
fn alike(word: &str, near: &[String]) -> Option<String> {
    let meant = |verb: &&String| {
        let most = if ["clear", "mode"].contains(&verb.as_str()) { 1 } else { word.chars().count() / 3 };
        damerau_levenshtein(word, verb) <= most
    };
    let verbs: Vec<&str> = near.iter().filter(meant).map(String::as_str).collect();
    (!verbs.is_empty()).then(|| format!("did you mean {}?", verbs.join(" or ")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn said(line: &str) -> String {
        let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
        answer(&error).map_or_else(|| "clap".to_owned(), |failure| failure.to_string())
    }

    #[test]
    fn who_tries_another_tools_verb_is_led_to_ours() {
        let lines = [
            "gresgen create 1g.5gb",
            "gresgen list",
            "gresgen destroy 0",
            "gresgen Reset",
            "gresgen claer 0",
            "gresgen cleat 0",
            "gresgen creat",
            "gresgen stauts",
            "gresgen frobnicate",
            "gresgen apply --dry-run",
            "gresgen apply -y",
            "gresgen apply --drain 5m",
            "gresgen apply --force=now",
            "gresgen apply --adpot",
        ];
        let said: Vec<String> = lines.iter().map(|line| format!("{line}\n{}\n", said(line))).collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    /// Whatever is typed for making or looking, nobody is led to destroy.
    #[test]
    fn no_answer_leads_to_clear_but_that_for_destroying() {
        for (words, hint) in VERBS {
            let destroys = words.contains(&"destroy") || words.contains(&"disable");
            assert_eq!(hint.contains("clear") || hint.contains("mode off"), destroys, "{words:?}");
            for word in words {
                let said = said(&format!("gresgen {word}"));
                assert!(said.contains(hint), "{word}: {said}");
            }
        }
    }
}
