//! The text of a first configuration.

use std::fmt::Write;

use super::layouts::LayoutOf;
use crate::config::written::{LayoutEntry, entries, word};
use crate::slurm::Settings;

/// What is written.
pub(super) struct ConfigText<'a> {
    /// What the file is about, as words: `n1`.
    pub about: &'a str,
    /// The layouts, and the one that is meant; `None` for a file without.
    pub layouts: &'a [(LayoutOf, Vec<LayoutEntry>)],
    /// The one that is meant.
    pub meant: LayoutOf,
    /// GPUs that are in no layout.
    pub left_out: &'a [String],
    /// What Slurm has to know; `None` on a machine without it.
    pub slurm: Option<&'a Settings>,
    /// Release of the Slurm that is installed.
    pub release: Option<&'a str>,
}

impl ConfigText<'_> {
    pub(super) fn render(&self) -> String {
        let mut out = String::new();
        let (cut, know) = ("what the GPUs shall be cut into", "what Slurm has to know");
        let what = match (self.layouts.is_empty(), self.slurm) {
            (true, _) => know.to_owned(),
            (false, None) => cut.to_owned(),
            (false, Some(_)) => format!("{cut}, and {know}"),
        };
        let _ = writeln!(out, "# {}: {what}.", self.about);
        out.push_str("# Made by gresgen init from what was there, and yours from now on.\n# `gresgen plan` shows what it comes to.\n");
        out.push_str("version: v1\n");
        if !self.layouts.is_empty() {
            out.push_str(&self.mig());
        }
        if let Some(settings) = self.slurm {
            out.push_str(&self.section(settings));
        }
        out
    }

    fn mig(&self) -> String {
        let mut out = String::new();
        out.push_str("\n# The layout that `gresgen apply` makes, one of those below.\n");
        let _ = writeln!(out, "layout: {}", word(self.meant.label()));
        out.push_str("\n# A GPU ends with these instances and no others. `gresgen profiles` lists\n# what else the GPUs can be cut into.\n");
        for gpu in self.left_out {
            let _ = writeln!(
                out,
                "# {gpu} stays as it is: it cannot be cut, or its driver does not say\n# into what."
            );
        }
        out.push_str("mig-configs:\n");
        for (at, (of, written)) in self.layouts.iter().enumerate() {
            let gap = if at == 0 { "" } else { "\n" };
            let _ = write!(out, "{gap}  # {}\n  {}:\n{}", of.what(), word(of.label()), entries(written));
        }
        out
    }

    fn section(&self, settings: &Settings) -> String {
        let mut out = String::from("\nslurm:\n");
        if let Some(node) = &settings.node {
            let _ = write!(out, "  # Slurm's name of this node.\n  node: {}\n\n", word(node));
        }
        out.push_str("  # Slurm takes one NodeName line per node, and gresgen writes it: what else\n  # it says stands here.\n  nodes:\n");
        for entry in &settings.nodes {
            let _ = writeln!(out, "    - names: {}", word(&entry.names));
            let _ = writeln!(out, "      attributes: {}", text(&entry.attributes));
        }
        if settings.gres_types.0 != ["gpu"] {
            let types: Vec<String> = settings.gres_types.0.iter().map(|name| word(name)).collect();
            let _ = write!(
                out,
                "\n  # GresTypes of the whole cluster, of which Slurm reads one line.\n  gres-types: [{}]\n",
                types.join(", ")
            );
        }
        if !settings.types.aliases.is_empty() {
            out.push_str(
                "\n  # What jobs ask for: the names that Slurm has for these GPUs now.\n  types:\n    aliases:\n",
            );
            for (name, alias) in &settings.types.aliases {
                let _ = writeln!(out, "      {}: {}", text(name), text(alias));
            }
        }
        let paths = &settings.paths;
        let places = [
            ("gres-conf", &paths.gres_conf),
            ("node-conf", &paths.node_conf),
            ("cgroup-conf", &paths.cgroup_conf),
            ("plugstack-conf", &paths.plugstack_conf),
        ];
        if places.iter().any(|(_, path)| path.is_some()) {
            out.push_str("\n  # Where this Slurm has its files.\n  paths:\n");
            for (key, path) in places {
                let _ = path.as_ref().map(|path| writeln!(out, "    {key}: {}", text(path)));
            }
        }
        if settings.adopt {
            out.push_str(
                "\n  # There are files of yours in the places of gresgen's: the first apply keeps\n  \
                 # a copy of each, and of their lines all that it does not write itself.\n  adopt: true\n",
            );
        }
        out.push_str("\n  # The release that files are for; asked of the installed Slurm when absent.\n");
        let _ = writeln!(out, "  # release: \"{}\"", self.release.unwrap_or("24.11"));
        out.push_str(
            "\n  # How GRES types are spelled: {profile} gives gpu:1g.5gb, and\n  \
             # {model}_{profile} gpu:a100_1g.5gb.\n  # types: {pattern: \"{model}_{profile}\"}\n",
        );
        out
    }
}

/// A text of YAML: in quotes unless it is a word, or words of letters that mean nothing to YAML.
fn text(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || " =-._/,+()".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    if begins && text.contains(['=', '/']) && text.chars().all(plain) && !text.ends_with(' ') {
        text.to_owned()
    } else {
        word(text)
    }
}
