//! What can be wrong with the `slurm:` section whatever the node has.
//!
//! Found when the configuration is read, so that `plan` says it before anything is done.

use std::collections::HashSet;

use super::{NodeEntry, Settings};
use crate::cores::MAX_CPUS;
use crate::slurm::hostlist::{self, MAX_NAMES};
use crate::slurm::names::{Names, TypeName};
use crate::slurm::plugin_arguments;
use crate::slurm::release::{CgroupKey, Release};

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The value, by the keys and indexes that lead to it; an index past the end of a list is the list.
    pub place: Vec<String>,
    /// What is wrong with it, as a sentence that names it.
    pub what: String,
    /// Whether the hardware of the node is missing, which `slurmd -C` prints.
    pub hardware: bool,
}

/// The attributes of a node's line: those that are written as they are, and its GRES.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `CPUs=64 RealMemory=515000`.
    pub rest: String,
    /// Value of `Gres=`, which is joined with ours.
    pub gres: String,
}

/// Attributes that tell slurmctld how many CPUs a node has (slurm.conf(5)); without any it takes the node for one
/// of one CPU.
const CPUS: [&str; 4] = ["CPUs", "Sockets", "SocketsPerBoard", "CoresPerSocket"];

impl Attributes {
    /// Whether they say how many CPUs there are.
    pub fn have_cpus(&self) -> bool {
        let keys = self.rest.split_whitespace().filter_map(|word| word.split_once('='));
        keys.into_iter().any(|(key, _)| CPUS.iter().any(|cpus| key.eq_ignore_ascii_case(cpus)))
    }

    /// How many cores they give a node, as slurmctld counts them; `None` where they say nothing of CPUs
    /// (`_parse_nodename` in src/common/read_config.c).
    pub fn cores(&self) -> Option<usize> {
        let per = |key: &str| self.number(key).unwrap_or(1).max(1);
        let (boards, cores, threads) = (per("Boards"), per("CoresPerSocket"), per("ThreadsPerCore"));
        let each = cores.saturating_mul(threads);
        let of_cpus =
            self.number("CPUs").filter(|cpus| *cpus >= each && cpus % each == 0).map(|cpus| cpus / each);
        let sockets = self
            .number("SocketsPerBoard")
            .map(|sockets| sockets.saturating_mul(boards))
            .or(self.number("Sockets"))
            .or(of_cpus)
            .or(self.have_cpus().then_some(boards))?;
        usize::try_from(sockets.saturating_mul(cores))
            .ok()
            .filter(|cores| (1..=MAX_CPUS as usize).contains(cores))
    }

    /// How many of them slurmctld takes for a socket; one where they do not say it.
    pub fn cores_per_socket(&self) -> u32 {
        self.number("CoresPerSocket").and_then(|cores| u32::try_from(cores).ok()).unwrap_or(1).max(1)
    }

    /// The value of a number among them, as `RealMemory`.
    pub fn number(&self, key: &str) -> Option<u64> {
        let mut words = self.rest.split_whitespace().rev().filter_map(|word| word.split_once('='));
        words.find(|(name, _)| name.eq_ignore_ascii_case(key))?.1.parse().ok()
    }
}

impl Settings {
    /// What is said of a node beside its GPUs.
    pub fn entry(&self, node: &str) -> Option<&NodeEntry> {
        self.nodes.iter().find(|entry| hostlist::has(&entry.names, node))
    }
}

impl NodeEntry {
    /// Its attributes.
    ///
    /// # Errors
    /// Why they fit no line of slurm.conf, as a phrase.
    pub fn parts(&self) -> Result<Attributes, String> {
        if self.attributes.contains(|c: char| c.is_control() || c == '#') {
            return Err("attributes stand on one line and hold no '#'".to_owned());
        }
        // It joins the line with the one after it, or takes the next sign's meaning away.
        if self.attributes.contains('\\') {
            return Err("attributes hold no '\\': Slurm would read the next line with them".to_owned());
        }
        let mut rest: Vec<&str> = Vec::new();
        let mut gres = "";
        for word in self.attributes.split_whitespace() {
            match word.split_once('=') {
                Some((key, _)) if key.eq_ignore_ascii_case("NodeName") => {
                    return Err("NodeName= is written from names; remove it".to_owned());
                }
                Some((key, value)) if key.eq_ignore_ascii_case("Gres") => gres = value,
                _ => rest.push(word),
            }
        }
        if names(gres).any(|name| name.eq_ignore_ascii_case("gpu")) {
            return Err("Gres=gpu is written from the hardware; remove it".to_owned());
        }
        Ok(Attributes { rest: rest.join(" "), gres: gres.to_owned() })
    }
}

/// Names of GRES in a value of `Gres=`.
fn names(gres: &str) -> impl Iterator<Item = &str> {
    gres.split(',').filter(|entry| !entry.is_empty()).map(|entry| entry.split(':').next().unwrap_or(entry))
}

impl Settings {
    /// Checks what can be checked without a node.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self) -> Result<(), Fault> {
        if let Some(node) = self.node.as_ref().filter(|node| !hostlist::is_name(node)) {
            return Err(fault(&["node"], format!("slurm.node {node:?}: not a node name")));
        }
        self.check_nodes()?;
        self.check_types()?;
        self.check_cgroup()?;
        self.check_paths()?;
        self.check_plugin()?;
        self.check_on_request()?;
        self.check_catalog()?;
        self.arbiter.check().map_err(|(mut place, what)| {
            place.insert(0, "arbiter".to_owned());
            Fault { place, what: format!("slurm.arbiter.{what}"), hardware: false }
        })
    }

    fn check_nodes(&self) -> Result<(), Fault> {
        let mut room = MAX_NAMES;
        for (at, entry) in self.nodes.iter().enumerate() {
            let index = at.to_string();
            let place = ["nodes", &index, "names"];
            let wrong = |what: String| fault(&place, format!("slurm.nodes: {what}"));
            let names = hostlist::expand(&entry.names).map_err(|error| wrong(error.to_string()))?;
            let left = room.checked_sub(names.len());
            room = left.ok_or_else(|| wrong(format!("more than {MAX_NAMES} names")))?;
            let place = ["nodes", &index, "attributes"];
            let wrong = |what: String| fault(&place, format!("slurm.nodes {:?}: {what}", entry.names));
            let attributes = entry.parts().map_err(wrong)?;
            if !attributes.have_cpus() {
                let what = "no CPUs= in the attributes, so slurmctld would take a node for one of one CPU";
                return Err(Fault { hardware: true, ..wrong(what.to_owned()) });
            }
            if let Some(gres) = self.unlisted(&attributes.gres) {
                let list = self.gres_types.0.join(",");
                return Err(wrong(format!(
                    "Gres={gres} is not in slurm.gres-types ({list}), so slurmctld would drop it; add {gres} there"
                )));
            }
        }
        Ok(())
    }

    /// The first GRES that is not in the `GresTypes=` that is written. Slurm ignores the case of GRES names.
    fn unlisted<'a>(&self, gres: &'a str) -> Option<&'a str> {
        let listed = |name: &str| self.gres_types.0.iter().any(|g| g.eq_ignore_ascii_case(name));
        names(gres).find(|name| !self.gres_types.0.is_empty() && !listed(name))
    }

    fn check_types(&self) -> Result<(), Fault> {
        for (map, names) in [("models", &self.types.models), ("aliases", &self.types.aliases)] {
            for (key, name) in names {
                TypeName::new(name).map_err(|error| fault(&["types", map, key], error.to_string()))?;
            }
        }
        Names::new(&self.types).map_err(|error| fault(&["types", "pattern"], error.to_string()))?;
        for (at, name) in self.gres_types.0.iter().enumerate() {
            if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) || name.is_empty() {
                let what = format!("slurm.gres-types {name:?}: not the name of a GRES");
                return Err(fault(&["gres-types", &at.to_string()], what));
            }
        }
        let mut types = self.gres_types.0.iter();
        if self.gres_types.0.is_empty() || types.any(|name| name.eq_ignore_ascii_case("gpu")) {
            return Ok(());
        }
        let what = "slurm.gres-types: gpu is missing; add it, or leave the line to slurm.conf with []";
        Err(fault(&["gres-types", &self.gres_types.0.len().to_string()], what.to_owned()))
    }

    fn check_on_request(&self) -> Result<(), Fault> {
        for (at, entry) in self.on_request.iter().enumerate() {
            if let Err((place, what)) = entry.check() {
                let index = at.to_string();
                let place: Vec<&str> =
                    ["on-request", &index].into_iter().chain(place.iter().map(String::as_str)).collect();
                return Err(fault(&place, format!("slurm.on-request: {what}")));
            }
        }
        if self.on_request.is_empty() {
            return Ok(());
        }
        if self.stable_links {
            let what = "slurm.stable-links: not beside slurm.on-request, whose records have device nodes of their own; \
                        remove one of the two";
            return Err(fault(&["stable-links"], what.to_owned()));
        }
        Ok(())
    }

    fn check_catalog(&self) -> Result<(), Fault> {
        let Some(names) = &self.catalog else { return Ok(()) };
        let wrong = |what: String| fault(&["catalog"], format!("slurm.catalog {names:?}: {what}"));
        // They are written as they stand here, and slurmctld does not start where it reads a word of it as another key, or one
        // name twice.
        if names.contains(char::is_whitespace) {
            return Err(wrong(
                "has a blank, which ends a value in slurm.conf; write names with commas alone".to_owned(),
            ));
        }
        if ends_behind_bracket(names) {
            return Err(wrong(
                "has text behind a bracket, which Slurm reads from 23.11 on; end names in it".to_owned(),
            ));
        }
        let names = hostlist::expand(names).map_err(|error| wrong(error.to_string()))?;
        let mut seen = HashSet::new();
        if let Some(name) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(wrong(format!("names {name} twice, at which slurmctld ends; write each name once")));
        }
        if self.on_request.is_empty() {
            return Err(wrong("nothing can be missing without slurm.on-request; remove it".to_owned()));
        }
        names.iter().find(|name| self.entry(name).is_some()).map_or(Ok(()), |name| {
            Err(wrong(format!("{name} stands in slurm.nodes, and these nodes are none; choose other names")))
        })
    }

    fn check_cgroup(&self) -> Result<(), Fault> {
        for key in self.cgroup.keys() {
            let release = self.release.unwrap_or_else(Release::latest);
            let verdict = match release.cgroup_key(key) {
                _ if key.eq_ignore_ascii_case("ConstrainDevices") => CgroupKey::Read,
                // Which release it is for is not said.
                CgroupKey::Gone if self.release.is_none() => continue,
                CgroupKey::Read => continue,
                known => known,
            };
            let what = verdict.phrase(release);
            return Err(fault(&["cgroup", key], format!("slurm.cgroup {key}: {what}")));
        }
        Ok(())
    }

    fn check_paths(&self) -> Result<(), Fault> {
        let paths = &self.paths;
        for (key, path) in [
            ("gres-conf", &paths.gres_conf),
            ("cgroup-conf", &paths.cgroup_conf),
            ("node-conf", &paths.node_conf),
            ("plugstack-conf", &paths.plugstack_conf),
        ] {
            let absolute = |path: &String| path.starts_with('/') && !path.contains(char::is_control);
            if let Some(path) = path.as_ref().filter(|path| !absolute(path)) {
                let what = format!("slurm.paths.{key} {path:?}: not an absolute path");
                return Err(fault(&["paths", key], what));
            }
        }
        Ok(())
    }

    fn check_plugin(&self) -> Result<(), Fault> {
        let is_word = |text: &str| {
            !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#')
        };
        if !is_word(&self.plugin.path) {
            let what =
                format!("slurm.plugin.path {:?}: not one word, as plugstack.conf needs it", self.plugin.path);
            return Err(fault(&["plugin", "path"], what));
        }
        // A plugin of another name may be another one.
        let ours = self.plugin.path.rsplit('/').next() == Some("spank_mig.so");
        const ONE: &str = "not one word, as plugstack.conf needs it";
        for (key, value) in &self.plugin.arguments {
            let wrong = if ours { plugin_arguments::wrong(key, &value.0) } else { None };
            let what = match wrong {
                Some(what) => what,
                None if !is_word(key) || key.contains('=') => ONE.to_owned(),
                None if !is_word(&value.0) => format!("{:?} is {ONE}", value.0),
                None => continue,
            };
            let what = format!("slurm.plugin.arguments {key:?}: {what}");
            return Err(fault(&["plugin", "arguments", key], what));
        }
        Ok(())
    }
}

/// Whether a name of a host list goes on behind its last bracket.
fn ends_behind_bracket(list: &str) -> bool {
    list.split(']').skip(1).any(|rest| {
        let end = rest.find(['[', ',']).unwrap_or(rest.len());
        end > 0 && !rest[end..].starts_with('[')
    })
}

fn fault(place: &[&str], what: String) -> Fault {
    let place = place.iter().map(|step| (*step).to_owned()).collect();
    Fault { place, what, hardware: false }
}
