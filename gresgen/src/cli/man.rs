//! The manual pages: that of the program from the command line's own definition, those of its configuration and of the plugin
//! from the documents about them.

mod markdown;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::report::{Exit, Failure, Outcome};
use super::{examples, out};
use crate::root::Root;

/// What is at which path. The rest stands in the documents.
const FILES: [(&str, &str); 5] = [
    (Root::CONFIG, "the configuration"),
    (Root::GRES_CONF, "written: a record for each MIG device and whole GPU"),
    (Root::NODE_CONF, "written: the NodeName line, for slurm.conf to include"),
    (Root::DEVICE_MAP, "written: the device map, which spank_mig.so reads"),
    ("/usr/share/doc/gresgen", "the documents, with examples and templates"),
];

/// What the program and its plugin look at.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("GRESGEN_ROOT", "prefix of every path, as --root"),
    ("GRESGEN_NVML_LIB", "the NVML library, as --nvml-lib"),
    ("NO_COLOR", "set to anything: no colours (https://no-color.org)"),
    ("CLICOLOR_FORCE", "set to anything but 0: colours in pipes and files, too"),
    ("TERM", "dumb: no colours, and nothing is drawn over"),
    ("SLURM_CONF", "where slurm.conf is"),
    ("SLURMD_NODENAME", "Slurm's name of this node"),
];

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The page
    #[arg(default_value = "gresgen")]
    page: Page,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Page {
    /// gresgen(1), the program
    Gresgen,
    /// gresgen.yaml(5), its configuration
    #[value(name = "gresgen.yaml")]
    Config,
    /// spank_mig(8), the plugin
    #[value(name = "spank_mig")]
    Plugin,
}

pub(super) fn run(args: &Args) -> Outcome {
    let page = match args.page {
        Page::Gresgen => page(),
        Page::Config => {
            let document = include_str!("../../../docs/gresgen.md");
            let about = "configuration of gresgen(1): what the GPUs of nodes are cut into, and what their Slurm has to know";
            let name = "gresgen.yaml";
            of_document(name, "5", about, markdown::section(document, "## Configuration"), "gresgen(1)")
        }
        Page::Plugin => {
            let document = include_str!("../../../docs/plugin.md");
            let about = "SPANK plugin that gives Slurm jobs their MIG devices";
            of_document("spank_mig", "8", about, document, "gresgen(1), gresgen.yaml(5), spank(8), srun(1)")
        }
    };
    let page = page.map_err(Failure::failed)?;
    out::text(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Ok)
}

/// A page from a document.
fn of_document(
    name: &str,
    section: &str,
    about: &str,
    document: &str,
    see: &str,
) -> std::io::Result<Vec<u8>> {
    let mut roff = Roff::new();
    let title = name.to_uppercase();
    roff.control("TH", [&*title, section, release_date(), "gresgen", "System administration"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{name} - {about}"))]);
    markdown::add(&mut roff, document);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(see)]);
    let mut page = Vec::new();
    roff.to_writer(&mut page)?;
    Ok(page)
}

fn page() -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let mut command = examples::command();
    command.build();
    let man = Man::new(command.clone()).title("GRESGEN").date(release_date()).manual("System administration");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold("gresgen"), roman(" [OPTIONS] COMMAND [ARGUMENTS]")]);
    roff.control("SH", ["COMMANDS"]);
    command.get_subcommands().filter(|verb| verb.get_name() != "help").for_each(|v| verb(&mut roff, v));
    roff.control("SH", ["GLOBAL OPTIONS"]);
    command.get_arguments().filter(|arg| arg.is_global_set()).for_each(|arg| option(&mut roff, arg));
    roff.control("SH", ["EXIT STATUS"]);
    Exit::ALL.iter().for_each(|(exit, what)| entry(&mut roff, &(*exit as u8).to_string(), what));
    roff.control("PP", []);
    roff.text([bold("gresgen run"), roman(" ends as its command does.")]);
    roff.control("SH", ["ENVIRONMENT"]);
    ENVIRONMENT.iter().for_each(|(name, what)| entry(&mut roff, name, what));
    roff.control("SH", ["FILES"]);
    FILES.iter().for_each(|(path, what)| entry(&mut roff, path, what));
    roff.control("SH", ["EXAMPLES"]);
    for command in command.get_subcommands() {
        examples::of(command.get_name()).for_each(|(line, what)| entry(&mut roff, line, what));
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(
        "gresgen.yaml(5), spank_mig(8), nvidia-smi(1), scontrol(1), srun(1), gres.conf(5), slurm.conf(5)",
    )]);
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// The day of this release: the newest heading of CHANGELOG.md that has one, `## VERSION - DATE`, ends with it.
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
