//! What slurmctld will not accept of what a node has.

use std::fmt;

use super::conf::Conf;
use super::control::gpus;
use super::gres::GresTable;
use super::lines::value;
use super::settings::Settings;
use crate::root::Root;

/// A type of which the node has another number than slurmctld was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// GRES type.
    pub gres_type: String,
    /// Devices slurmctld was told of.
    pub configured: u32,
    /// Devices there are.
    pub present: u32,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shortfall { gres_type, configured, present } = self;
        write!(
            f,
            "GRES type {gres_type}: slurm.conf says {configured}, the node has {present}; slurmctld will "
        )?;
        f.write_str(match present < configured {
            // "gres/gpu count reported lower than configured" (seen on 22.05.8, 24.11.5 and 26.05.5)
            true => "mark the node INVALID and drain it",
            false => "not use the others, and from 23.11 on refuse a type it was not told of",
        })
    }
}

/// The GPUs a NodeName line gives a node, as `Gres=` has them; none without such a line.
fn configured(node_conf: &Conf, node: &str) -> Vec<(String, u32)> {
    let line = node_conf.nodes().find(|(_, names)| names.iter().any(|name| name == node));
    line.and_then(|(line, _)| value(&line.pairs, "gres")).map(gpus).unwrap_or_default()
}

/// What slurmctld was told about a node by the line on disk and will refuse of a table, for a person.
pub fn refused(settings: &Settings, root: &Root, node: &str, table: &GresTable) -> Vec<String> {
    let told = Conf::read(&root.path(settings.paths.node_conf()), root);
    shortfalls(&configured(&told, node), table).iter().map(ToString::to_string).collect()
}

/// Types whose counts differ.
pub fn shortfalls(configured: &[(String, u32)], table: &GresTable) -> Vec<Shortfall> {
    let present =
        |name: &str| table.types.iter().find(|(n, _)| n.as_str() == name).map_or(0, |(_, count)| *count);
    let told = |name: &str| configured.iter().find(|(n, _)| n == name).map_or(0, |(_, count)| *count);
    let news = table.types.iter().map(|(name, _)| name.as_str()).filter(|name| told(name) == 0);
    let names = configured.iter().map(|(name, _)| name.as_str()).chain(news);
    names
        .map(|name| Shortfall { gres_type: name.to_owned(), configured: told(name), present: present(name) })
        .filter(|s| s.configured != s.present)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slurm::names::TypeName;

    #[test]
    fn what_slurmctld_will_refuse_is_said_beforehand() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "# x\nGresTypes=gpu\nnodename=n[1-2] CPUs=8 \\\n GRES=gpu:1g.5gb:4,gpu:3g.20gb:1,fpga:2 # Gres=gpu:9\n\
                    NodeName=n3 Gres=gpu:a:1\n";
        std::fs::write(file.path(), text).unwrap();
        let conf = Conf::read(file.path(), &Root::host());
        let configured = configured(&conf, "n2");
        assert_eq!(configured, [("1g.5gb".to_owned(), 4), ("3g.20gb".to_owned(), 1)]);
        assert_eq!(super::configured(&conf, "n4"), []);
        let types = [("1g.5gb", 2), ("3g.20gb", 1), ("2g.10gb", 1)];
        let types = types.map(|(name, count)| (TypeName::new(name).unwrap(), count)).to_vec();
        let found = shortfalls(&configured, &GresTable { types, records: vec![] });
        let lines: Vec<String> = found.iter().map(Shortfall::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        GRES type 1g.5gb: slurm.conf says 4, the node has 2; slurmctld will mark the node INVALID and drain it
        GRES type 2g.10gb: slurm.conf says 0, the node has 1; slurmctld will not use the others, and from 23.11 on refuse a type it was not told of
        ");
    }
}
