//! The `slurm:` section of the configuration.

pub mod arbiter;
mod check;
pub mod on_request;
pub mod submit;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::Error;

pub use check::{Attributes, Fault};

use super::billing::Billing;
use super::names::TypeSettings;
use super::release::Release;
use crate::forms::reads;
use crate::root::Root;

/// Everything a site can say about its Slurm. All of it is optional.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Slurm's name of this node, where it is not the short host name.
    pub node: Option<String>,
    /// What slurm.conf says about nodes beside `Gres=`; the first entry that names a node applies.
    pub nodes: Vec<NodeEntry>,
    /// How GRES types are spelled.
    pub types: TypeSettings,
    /// Release the files are for, as `22.05`; asked of the installed Slurm when absent.
    #[schemars(with = "Option<String>")]
    pub release: Option<Release>,
    /// Where files go.
    pub paths: Paths,
    /// How types are billed.
    pub billing: Option<Billing>,
    /// Whether accounting by GRES type is wanted. slurmctld ends at once on such TRES without slurmdbd
    /// ("slurmdbd is required to run with TRES gres/gpu", seen on 22.05.8), so it is off unless asked for.
    pub accounting: bool,
    /// `GresTypes=` of the whole cluster; an empty list leaves the line to the site's slurm.conf, where a
    /// second one would replace ours.
    pub gres_types: GresTypes,
    /// Whether `Cores=` is written from the GPUs' CPU affinity.
    pub cores: Option<bool>,
    /// Whether gres.conf names `/dev/gresgen/…` links, so that one text serves every node of a layout.
    pub stable_links: bool,
    /// GPUs that are cut anew beside running jobs: Slurm has a record of every instance they can have, for good.
    pub on_request: Vec<on_request::OnRequest>,
    /// Host list of the nodes that are never up and let requests wait for types of which nothing is cut.
    pub catalog: Option<String>,
    /// Who has them cut for jobs that wait.
    pub arbiter: arbiter::Arbiter,
    /// Further lines of cgroup.conf, such as `ConstrainRAMSpace: yes`.
    pub cgroup: BTreeMap<String, Scalar>,
    /// The SPANK plugin.
    pub plugin: PluginSettings,
    /// Rules for requests.
    pub submit: submit::Submit,
    /// Whether files of the site in the places of ours are taken over, as with `--adopt`.
    pub adopt: bool,
}

/// Nodes and their attributes in slurm.conf.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NodeEntry {
    /// Host list, such as `gpu[01-16]`.
    pub names: String,
    /// What follows `NodeName=`, as in slurm.conf: `CPUs=64 RealMemory=515000 Feature=a100`. GRES other than
    /// GPUs may stand here as `Gres=`; they are joined with ours, because Slurm takes one NodeName line per node.
    pub attributes: String,
}

/// Where files go; each replaces a default of [`Root`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Paths {
    /// gres.conf, instead of /etc/slurm/gres.conf. A site with GRES lines of its own may prefer a file that its gres.conf includes.
    pub gres_conf: Option<String>,
    /// cgroup.conf, instead of /etc/slurm/cgroup.conf
    pub cgroup_conf: Option<String>,
    /// The node line, instead of /etc/slurm/gresgen-node.conf
    pub node_conf: Option<String>,
    /// The plugin's line, instead of /etc/slurm/plugstack.conf.d/mig.conf
    pub plugstack_conf: Option<String>,
}

impl Paths {
    /// gres.conf, on the node.
    pub fn gres_conf(&self) -> &str {
        self.gres_conf.as_deref().unwrap_or(Root::GRES_CONF)
    }

    /// cgroup.conf, on the node.
    pub fn cgroup_conf(&self) -> &str {
        self.cgroup_conf.as_deref().unwrap_or(Root::CGROUP_CONF)
    }

    /// The node line, on the node.
    pub fn node_conf(&self) -> &str {
        self.node_conf.as_deref().unwrap_or(Root::NODE_CONF)
    }

    /// The plugstack fragment, on the node.
    pub fn plugstack_conf(&self) -> &str {
        self.plugstack_conf.as_deref().unwrap_or(Root::PLUGSTACK_CONF)
    }
}

/// The value of `GresTypes=`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct GresTypes(pub Vec<String>);

impl Default for GresTypes {
    fn default() -> Self {
        GresTypes(vec!["gpu".to_owned()])
    }
}

/// The SPANK plugin's line.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PluginSettings {
    /// Its file: a path, or a name that Slurm looks up in PluginDir.
    pub path: String,
    /// Its arguments as `key: value`.
    pub arguments: BTreeMap<String, Scalar>,
}

impl Default for PluginSettings {
    fn default() -> Self {
        PluginSettings { path: "spank_mig.so".to_owned(), arguments: BTreeMap::new() }
    }
}

/// A value of one word: YAML reads `yes`, `1` and `95.5` as other things than text.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Scalar(#[schemars(with = "Word")] pub String);

/// What YAML may read a word as.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "the schema is made of it")]
#[serde(untagged)]
enum Word {
    Text(String),
    Number(f64),
    Yes(bool),
}

reads!(Scalar as "a word, a number or a yes or no";
    bool(yes) => Ok(Scalar(if yes { "yes" } else { "no" }.to_owned())),
    i64(number) => Ok(Scalar(number.to_string())),
    u64(number) => Ok(Scalar(number.to_string())),
    f64(number) => Ok(Scalar(number.to_string())),
    str(text) => {
        let one_line = !text.is_empty() && !text.contains(char::is_control);
        one_line.then(|| Scalar(text.to_owned())).ok_or_else(|| {
            Error::custom("an empty value, or one of several lines, fits no line of Slurm's files")
        })
    },
);

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_the_default() {
        let read: Settings = serde_saphyr::from_str("{}").unwrap();
        assert_eq!(read, Settings::default());
        assert_eq!(read.gres_types.0, ["gpu"]);
        assert_eq!(read.types.pattern, "{profile}");
        assert_eq!(read.paths.gres_conf(), "/etc/slurm/gres.conf");
    }

    #[test]
    fn every_key_is_read() {
        let text = "\
node: n1
nodes: [{names: 'n[1-2]', attributes: CPUs=4}]
types: {pattern: '{model}_{profile}', safe: true, models: {NVIDIA A30: x}, aliases: {1g.5gb: small}}
release: '24.11'
paths: {gres-conf: /a, cgroup-conf: /b, node-conf: /c, plugstack-conf: /d}
billing: memory
accounting: true
gres-types: [gpu, mps]
cores: false
stable-links: true
on-request: [{nodes: n1, devices: [0, GPU-a], profiles: [1g.5gb, 3g.20gb], orders: true}]
catalog: 'cut-on-request-[1-2]'
arbiter: {reach: [ssh, '{node}'], patience: 5s, cordon-after: 1m, cordon-within: 2h, dwell: 10s, grace: 2m, linger: never,
  cuts-per-hour: 7, steer: true, comments: false}
cgroup: {ConstrainRAMSpace: yes, AllowedRAMSpace: 95, CgroupMountpoint: /sys/fs/cgroup}
plugin: {path: /p.so, arguments: {on_unresolved: warn, notices: yes}}
submit: {default-type: small, require-type: false, max-slices: 1, synonyms: {tiny: small}, other-types: [v100],
  defaults: {small: {cpus: 2, memory: 35G}}}
adopt: true
";
        insta::assert_debug_snapshot!(serde_saphyr::from_str::<Settings>(text).unwrap());
    }

    #[test]
    fn cores_are_counted_as_slurmctld_does() {
        for (attributes, cores) in [
            ("CPUs=32 RealMemory=4000", Some(32)),
            ("CPUs=64 Sockets=2 CoresPerSocket=16 ThreadsPerCore=2", Some(32)),
            ("CPUs=2 Boards=1 SocketsPerBoard=1 CoresPerSocket=1 ThreadsPerCore=2", Some(1)),
            ("CPUs=64 ThreadsPerCore=2", Some(32)),
            ("CPUs=64 CoresPerSocket=8 ThreadsPerCore=2", Some(32)),
            ("CoresPerSocket=8", Some(8)),
            ("RealMemory=4000", None),
            ("CPUs=18446744073709551615", None),
        ] {
            let rest = attributes.to_owned();
            assert_eq!(Attributes { rest, ..Attributes::default() }.cores(), cores, "{attributes}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        assert!(
            serde_saphyr::from_str::<Settings>("nodename: n1").unwrap_err().to_string().contains("nodename")
        );
        assert!(serde_saphyr::from_str::<Settings>("release: '21.08'").is_err());
    }
}
