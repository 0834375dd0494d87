//! The text of a first configuration.

use minijinja::{Error, context};

use super::layouts::LayoutOf;
use crate::config::written::{LayoutEntry, entries, word};
use crate::render::plain;
use crate::slurm::Settings;
use crate::slurm::settings::NodeEntry;

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
    /// The file.
    ///
    /// # Errors
    /// When the template cannot be filled in, which no node brings about.
    pub(super) fn render(&self) -> Result<String, Error> {
        let layouts = self.layouts.iter().map(|(of, written)| {
            context! { what => of.what(), label => of.label(), entries => entries(written) }
        });
        let slurm = self.slurm.map(|settings| {
            let node = |entry: &NodeEntry| context! { names => entry.names.clone(), attributes => entry.attributes.clone() };
            let paths = [
                ("gres-conf", &settings.paths.gres_conf),
                ("node-conf", &settings.paths.node_conf),
                ("cgroup-conf", &settings.paths.cgroup_conf),
                ("plugstack-conf", &settings.paths.plugstack_conf),
            ];
            let paths = paths.into_iter().filter_map(|(key, path)| Some(context! { key, path => path.clone()? }));
            context! {
                node => settings.node.clone(),
                nodes => settings.nodes.iter().map(node).collect::<Vec<_>>(),
                gres_types => settings.gres_types.0.clone(),
                aliases => settings.types.aliases.clone(),
                paths => paths.collect::<Vec<_>>(),
                adopt => settings.adopt,
            }
        });
        let mut environment = plain();
        environment.add_filter("word", |text: String| word(&text));
        environment.add_filter("text", |value: String| text(&value));
        environment.render_str(
            include_str!("config.yaml.j2"),
            context! {
                about => self.about,
                layouts => layouts.collect::<Vec<_>>(),
                meant => self.meant.label(),
                left_out => self.left_out.to_vec(),
                slurm,
                release => self.release.unwrap_or("24.11"),
            },
        )
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
