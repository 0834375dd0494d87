//! The file that slurm.conf includes in the place of the lines that are taken out of it.

use std::path::Path;

use super::InitError;
use super::node_line::NodeLine;
use crate::files::{Output, Scope, head, of_one_node};

pub(super) struct NodeConf<'a> {
    /// The nodes that it is about.
    pub nodes: &'a [String],
    /// Their lines in slurm.conf.
    pub found: &'a [NodeLine<'a>],
    /// What a node has that has no line, as `CPUs=2 RealMemory=1000`.
    pub hardware: &'a str,
    /// `GresTypes` of the cluster.
    pub types: &'a [String],
}

impl NodeConf<'_> {
    /// The text, whatever stands in its place, which was not included, so that Slurm read nothing of it. In a file of ours,
    /// what is below its line of [`crate::files::KEEP`] is the site's, and stays.
    ///
    /// # Errors
    /// [`InitError::File`] for a file of ours about other nodes, which nodes share that have one directory.
    pub(super) fn text(&self, path: &Path, old: Option<&[u8]>) -> Result<Vec<u8>, InitError> {
        let ours = old.filter(|old| old.starts_with(Output::MARKER.as_bytes()));
        if let (Some(old), [node]) = (ours, self.nodes) {
            of_one_node(path, old, &Scope::Node(node.clone()))?;
        }
        let kept = ours.map_or(&[][..], |old| &old[head(old).len()..]);
        Ok([self.lines_of_before().as_bytes(), kept].concat())
    }

    fn lines_of_before(&self) -> String {
        let line = |node: &String| {
            let known = self.found.iter().find(|line| line.names.contains(node));
            known.map_or_else(|| format!("NodeName={node} {}", self.hardware), |line| line.alone(node))
        };
        let nodes: String = self.nodes.iter().map(|node| format!("{}\n", line(node))).collect();
        format!("{}\nGresTypes={}\n{nodes}", Output::MARKER, self.types.join(","))
    }
}
