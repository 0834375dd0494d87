//! The file that slurm.conf includes in the place of the lines that are taken out of it.

use super::edits::{Purpose, gres_types, target, text};
use super::node_line::NodeLine;
use super::{Edit, InitError};
use crate::files::{Output, Scope, head, of_one_node};

/// What becomes of it: the lines as they were, whatever stands in its place. A file that is there was not included, so that
/// Slurm read nothing of it; below its line of [`crate::files::KEEP`] one of ours has lines of the site, which stay.
///
/// # Errors
/// [`InitError::File`] for a file of ours about other nodes, which nodes share that have one directory, and
/// [`InitError::Io`] for what is no file.
pub(super) fn edit(purpose: &Purpose<'_>, found: &[NodeLine<'_>]) -> Result<Edit, InitError> {
    let path = target(&purpose.root.path(purpose.node_conf))?;
    let old = text(&path)?;
    let ours = old.as_deref().filter(|old| old.starts_with(Output::MARKER.as_bytes()));
    if let (Some(old), [node]) = (ours, purpose.nodes) {
        of_one_node(&path, old, &Scope::Node(node.clone()))?;
    }
    let kept = ours.map_or(&[][..], |old| &old[head(old).len()..]);
    let new = [as_it_was(purpose, found).as_bytes(), kept].concat();
    Ok(Edit { path, new, old })
}

fn as_it_was(purpose: &Purpose<'_>, found: &[NodeLine<'_>]) -> String {
    let line = |node: &String| {
        let known = found.iter().find(|line| line.names.contains(node));
        known.map_or_else(|| format!("NodeName={node} {}", purpose.hardware), |line| line.alone(node))
    };
    let nodes: String = purpose.nodes.iter().map(|node| format!("{}\n", line(node))).collect();
    format!("{}\nGresTypes={}\n{nodes}", Output::MARKER, gres_types(purpose.conf).join(","))
}
