//! The manual page, from the command line's own definition: every verb with its options, exit codes and files.

use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::report::{Exit, Failure, Outcome};
use super::{Cli, out};
use crate::root::Root;

/// What is at which path. The rest stands in the documents.
const FILES: [(&str, &str); 5] = [
    (Root::CONFIG, "the configuration"),
    (Root::GRES_CONF, "written: a record for each MIG device and whole GPU"),
    (Root::NODE_CONF, "written: the NodeName line, for slurm.conf to include"),
    (Root::DEVICE_MAP, "written: the device map, which spank_mig.so reads"),
    ("/usr/share/doc/gresgen", "the documents, with examples and templates"),
];

pub(super) fn run() -> Outcome {
    let page = page().map_err(|e| Failure::new(Exit::Failure, e))?;
    out::text(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Ok)
}

fn page() -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    let man = Man::new(command.clone()).title("GRESGEN").date(release_date()).manual("System administration");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold("gresgen"), roman(" [OPTIONS] VERB [ARGUMENTS]")]);
    roff.control("SH", ["VERBS"]);
    command.get_subcommands().filter(|verb| verb.get_name() != "help").for_each(|v| verb(&mut roff, v));
    roff.control("SH", ["GLOBAL OPTIONS"]);
    command.get_arguments().filter(|arg| arg.is_global_set()).for_each(|arg| option(&mut roff, arg));
    roff.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        entry(&mut roff, &(exit as u8).to_string(), exit.meaning());
    }
    roff.text([bold("gresgen run"), roman(" ends as its command does.")]);
    roff.control("SH", ["FILES"]);
    FILES.iter().for_each(|(path, what)| entry(&mut roff, path, what));
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("nvidia-smi(1), scontrol(1), srun(1), gres.conf(5), slurm.conf(5)")]);
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// The day of this release: the newest heading of CHANGELOG.md, `## VERSION - DATE`, ends with it.
fn release_date() -> &'static str {
    let lines = include_str!("../../../CHANGELOG.md").lines();
    let mut headings = lines.filter(|line| line.starts_with("## "));
    // What is not released yet has no day.
    headings.find_map(|heading| heading.split(" - ").nth(1)).unwrap_or_default()
}

fn verb(roff: &mut Roff, verb: &Command) {
    let own = || verb.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help");
    let arguments: String = own().filter(|arg| arg.is_positional()).map(|arg| format!(" {arg}")).collect();
    roff.control("SS", [format!("{}{arguments}", verb.get_name()).as_str()]);
    roff.text([roman(verb.get_about().map(ToString::to_string).unwrap_or_default())]);
    own().for_each(|arg| option(roff, arg));
}

fn option(roff: &mut Roff, arg: &Arg) {
    let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values = arg.get_possible_values();
    if arg.get_action().takes_values() && !values.is_empty() {
        let names: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
        help.push_str(&format!(": {}", names.join(", ")));
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if arg.get_action().takes_values() && !defaults.is_empty() {
        help.push_str(&format!(" [default: {}]", defaults.join(" ")));
    }
    entry(roff, &format!("{short}{arg}"), &help);
}

fn entry(roff: &mut Roff, term: &str, what: &str) {
    roff.control("TP", []);
    roff.text([bold(term)]);
    roff.text([roman(what)]);
}
