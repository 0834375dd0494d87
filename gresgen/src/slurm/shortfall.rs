//! What slurmctld will not accept of what a node has.

use super::conf::Conf;
use super::control::gpus;
use super::gres::GresTable;
use super::lines::value;
use super::settings::Settings;
use crate::root::Root;

/// The GPUs a NodeName line gives a node, as `Gres=` has them; none without such a line.
fn configured(node_conf: &Conf, node: &str) -> Vec<(String, u32)> {
    let line = node_conf.nodes().find(|(_, names)| names.iter().any(|name| name == node));
    line.and_then(|(line, _)| value(&line.pairs, "gres")).map(gpus).unwrap_or_default()
}

/// What slurmctld was told about a node by the line on disk and will refuse of a table, for a person.
pub(crate) fn refused(settings: &Settings, root: &Root, node: &str, table: &GresTable) -> Vec<String> {
    let told = Conf::read(&root.path(settings.paths.node_conf()), root);
    shortfalls(&configured(&told, node), table)
}

/// Types of which the node has another number than slurmctld was told, for a person.
fn shortfalls(configured: &[(String, u32)], table: &GresTable) -> Vec<String> {
    let present =
        |name: &str| table.types.iter().find(|(n, _)| n.as_str() == name).map_or(0, |(_, count)| *count);
    let told = |name: &str| configured.iter().find(|(n, _)| n == name).map_or(0, |(_, count)| *count);
    let news = table.types.iter().map(|(name, _)| name.as_str()).filter(|name| told(name) == 0);
    let names = configured.iter().map(|(name, _)| name.as_str()).chain(news);
    let differing = names.filter(|name| told(name) != present(name));
    differing.map(|name| shortfall(name, told(name), present(name))).collect()
}

fn shortfall(name: &str, told: u32, present: u32) -> String {
    let what = if present < told {
        // "gres/gpu count reported lower than configured" (seen on 22.05.8, 24.11.5 and 26.05.5)
        "mark the node INVALID and drain it"
    } else {
        "not use the others, and from 23.11 on refuse a type it was not told of"
    };
    format!("GRES type {name}: slurm.conf says {told}, the node has {present}; slurmctld will {what}")
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
        let found = shortfalls(&configured, &GresTable { types, records: vec![], form: None });
        insta::assert_snapshot!(found.join("\n"), @r"
        GRES type 1g.5gb: slurm.conf says 4, the node has 2; slurmctld will mark the node INVALID and drain it
        GRES type 2g.10gb: slurm.conf says 0, the node has 1; slurmctld will not use the others, and from 23.11 on refuse a type it was not told of
        ");
    }
}
