//! docs/gresgen.md names what there is: every verb, option, exit code and key, and none that is not there.

use std::collections::BTreeSet;

use gresgen::cli::report::Exit;
use gresgen::config::Config;

use crate::checkout;
use crate::plain::plain;

fn reference() -> String {
    std::fs::read_to_string(checkout().join("docs/gresgen.md")).unwrap()
}

/// What stands under a heading, up to the next one of its rank or above.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let rank = heading.split(' ').next().unwrap();
    let start = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading:?}"));
    let rest = &text[start + heading.len() + 2..];
    let is_next = |line: &&str| line.starts_with('#') && line.split(' ').next().unwrap().len() <= rank.len();
    let end = rest.lines().find(is_next).map_or(rest.len(), |line| rest.find(line).unwrap());
    &rest[..end]
}

/// The first word of the first cell of every row of the tables in a text.
fn keys(text: &str) -> BTreeSet<String> {
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    cells.map(|cell| cell.split([' ', '=', '[']).next().unwrap().to_owned()).collect()
}

fn help(arguments: &[&str]) -> String {
    let output = plain(env!("CARGO_BIN_EXE_gresgen")).args(arguments).arg("--help").output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Long options in a part of a help text.
fn options(help: &str) -> BTreeSet<String> {
    // Descriptions, which may be wrapped before an option they mention, are indented further.
    let is_option =
        |line: &&str| line.len() - line.trim_start().len() <= 6 && line.trim_start().starts_with('-');
    let lines = help.lines().filter(is_option);
    let long = lines.filter_map(|line| line.split([' ', '=', '[', ',']).find(|word| word.starts_with("--")));
    long.filter(|option| *option != "--help").map(str::to_owned).collect()
}

fn verbs() -> Vec<String> {
    let help = help(&[]);
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !["help", ""].contains(name)).map(str::to_owned).collect()
}

#[test]
fn every_verb_and_option_is_described() {
    let text = reference();
    let verbs = verbs();
    assert!(verbs.len() >= 12, "{verbs:?}");
    for verb in &verbs {
        let help = help(&[verb]);
        let own = help.split("Global options:").next().unwrap();
        let described = keys(section(&text, &format!("### {verb}")));
        let described = described.into_iter().filter(|key| key.starts_with('-')).collect();
        assert_eq!(options(own), described, "{verb}");
    }
    let headings = section(&text, "## Verbs").lines().filter_map(|line| line.strip_prefix("### "));
    assert_eq!(headings.collect::<BTreeSet<_>>(), verbs.iter().map(String::as_str).collect());
}

#[test]
fn every_global_option_is_described() {
    let help = help(&["status"]);
    let global = options(help.split("Global options:").nth(1).unwrap());
    assert_eq!(global.len(), 9, "{global:?}");
    assert_eq!(keys(section(&reference(), "## Global options")), global);
}

#[test]
fn every_exit_code_is_described() {
    let rows = |(exit, meaning)| format!("| `{}` | {meaning} |", exit as u8);
    let text = reference();
    let described = section(&text, "## Exit codes").replace("`check`", "check");
    let lines = described.lines().filter(|line| line.starts_with("| `"));
    assert_eq!(lines.collect::<Vec<_>>(), Exit::ALL.map(rows));
}

/// The keys that may stand where `place` puts an unknown one, as the error for it lists them.
fn known(place: &str) -> BTreeSet<String> {
    let error = Config::parse("c", &format!("version: v1\n{place}\n")).unwrap_err().to_string();
    let list = error.split("expected one of ").nth(1).and_then(|rest| rest.lines().next());
    let list = list.unwrap_or_else(|| panic!("{error}"));
    list.split(", ").map(str::to_owned).collect()
}

/// gresgen refuses arguments of the plugin that it does not know.
#[test]
fn every_argument_of_the_plugin_is_known() {
    let text = std::fs::read_to_string(checkout().join("docs/plugin.md")).unwrap();
    let place = "version: v1\nslurm: {plugin: {arguments: {zzzzzz: 1}}}\n";
    let error = Config::parse("c", place).unwrap_err().to_string();
    let known = error.split("no argument of the plugin, only ").nth(1).and_then(|rest| rest.lines().next());
    let known: BTreeSet<String> =
        known.unwrap_or_else(|| panic!("{error}")).split(", ").map(str::to_owned).collect();
    let described = keys(section(&text, "### Arguments"));
    assert!(described.len() >= 4 && described.is_subset(&known), "{described:?} {known:?}");
}

#[test]
fn every_key_of_the_configuration_is_described() {
    let text = reference();
    let places = [
        ("## Configuration", "zzz: 1"),
        ("### mig-configs", "mig-configs: {a: [{zzz: 1}]}"),
        ("### slurm", "slurm: {zzz: 1}"),
        ("### hooks", "hooks: {zzz: 1}"),
        ("#### slurm.nodes", "slurm: {nodes: [{zzz: 1}]}"),
        ("#### slurm.types", "slurm: {types: {zzz: 1}}"),
        ("#### slurm.on-request", "slurm: {on-request: [{zzz: 1}]}"),
        ("#### slurm.arbiter", "slurm: {arbiter: {zzz: 1}}"),
        ("#### slurm.paths", "slurm: {paths: {zzz: 1}}"),
        ("#### slurm.billing", "slurm: {billing: {zzz: 1}}"),
        ("#### slurm.submit", "slurm: {submit: {zzz: 1}}"),
        ("#### slurm.plugin", "slurm: {plugin: {zzz: 1}}"),
    ];
    for (heading, place) in places {
        let section = section(&text, heading);
        // The keys of this rank alone, not those of the headings below.
        let own = section.split("\n#").next().unwrap();
        assert_eq!(keys(own), known(place), "{heading}");
    }
}
