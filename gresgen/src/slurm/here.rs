//! This host as Slurm knows it: where its slurm.conf is, which node it is, and whether that node was ever in service.
//!
//! A slurmd says all of that of itself: on its command line, in its environment. Only processes of root are believed,
//! and by their program, not by the name they give themselves. Under a root other than `/`, which stands for another
//! host, no process counts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::conf::Conf;
use super::control::{Control, NodeView};
use super::error::SlurmError;
use super::lines::value;
use super::{Settings, hostlist};
use crate::devices::boot_id;
use crate::read;
use crate::root::Root;

mod daemon;

use daemon::Daemon;

/// Where a build of Slurm or a distribution of one keeps slurm.conf: Debian and packages of most sites, Debian before
/// 20.11, a build's own default with a prefix of /usr/local (`./configure`), Slurm on Google Cloud (slurm-gcp), AWS
/// ParallelCluster.
const PLACES: [&str; 5] =
    ["/etc/slurm", "/etc/slurm-llnl", "/usr/local/etc", "/usr/local/etc/slurm", "/opt/slurm/etc"];

/// Where a slurmd without a slurm.conf of its own keeps what slurmctld sent it: a link that slurmd makes, and the
/// default of SlurmdSpoolDir (slurm.conf(5); src/slurmd/slurmd/slurmd.c, `_establish_configuration`).
const CACHES: [&str; 2] = ["/run/slurm/conf", "/var/spool/slurmd/conf-cache"];

/// The slurm.conf of this host; `None` where no Slurm is set up. Slurm's commands are made to read the same where they
/// would not find it.
///
/// # Errors
/// [`SlurmError::NoConfiguration`].
pub(crate) fn configuration(root: &Root) -> Result<Option<PathBuf>, SlurmError> {
    // What the commands do themselves: the variable, else what they were built with (src/common/read_config.c).
    match std::env::var_os("SLURM_CONF").filter(|path| !path.is_empty()) {
        Some(path) => Ok(Some(named(root, path.into()))),
        None => found(root),
    }
}

/// The one that the variable names: of the node below the root, where that has it, and not the one of this host.
fn named(root: &Root, path: PathBuf) -> PathBuf {
    let below = root.path(&path);
    if below.exists() { below } else { path }
}

/// The one that nothing names.
fn found(root: &Root) -> Result<Option<PathBuf>, SlurmError> {
    let daemons = daemons(root);
    let told = daemons.iter().filter_map(|daemon| daemon.configuration.clone()).find(|path| path.exists());
    let places = PLACES.iter().chain(&CACHES).map(|place| root.path(place).join("slurm.conf"));
    let found = told.or_else(|| places.chain(beside_commands(root)).find(|path| path.exists()));
    if !root.is_host() {
        return Ok(found);
    }
    match found {
        Some(path) => {
            super::control::use_configuration(path.clone());
            Ok(Some(path))
        }
        None => sign(root).map_or(Ok(None), |sign| Err(SlurmError::NoConfiguration(sign))),
    }
}

/// The directory of this host's slurm.conf, with the files beside it.
pub(crate) fn directory(root: &Root) -> Option<PathBuf> {
    configuration(root).ok().flatten().and_then(|path| path.parent().map(Path::to_owned))
}

/// The plugstack.conf of this host: the one that slurmctld says, where that is here, or else the one beside slurm.conf.
pub(crate) fn plugstack_conf(said: Option<&str>, root: &Root) -> Option<PathBuf> {
    let said = said.map(|path| root.path(path)).filter(|path| path.exists());
    said.or_else(|| Some(directory(root)?.join("plugstack.conf")))
}

/// Where a build with a prefix of its own has it: `PREFIX/bin/scontrol` reads `PREFIX/etc/slurm.conf`.
fn beside_commands(root: &Root) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").filter(|_| root.is_host())?;
    let program =
        std::env::split_paths(&path).map(|folder| folder.join("scontrol")).find(|file| file.exists())?;
    let prefix = program.canonicalize().ok()?.parent()?.parent()?.to_owned();
    ["etc/slurm.conf", "etc/slurm/slurm.conf"].iter().map(|conf| prefix.join(conf)).find(|path| path.exists())
}

/// slurmctld, where Slurm's commands can ask it at all: they wait a minute for a file that slurm.conf includes and that
/// is not there (seen on 22.05.8), as before the first `apply` of a node, and no daemon starts without it.
pub(crate) fn reach(root: &Root) -> Result<Control, SlurmError> {
    let unread = configuration(root).ok().flatten().map(|path| Conf::read(&path, root).unread);
    match unread.unwrap_or_default().first() {
        Some((file, error)) => {
            Err(SlurmError::Unreachable(format!("slurm.conf includes {}: {error}", file.display())))
        }
        None => Control::connect(),
    }
}

/// Slurm's name of this node: what the settings or slurmd's environment say, what a slurmd that runs was told, the node
/// of slurm.conf or of slurmctld that is this host, or the host name up to its first dot, as slurmd takes it
/// (slurm.conf(5), NodeName).
///
/// # Errors
/// [`SlurmError::Several`] where that is more than one.
pub(crate) fn node_name(
    root: &Root,
    settings: &Settings,
    configuration: Option<&Path>,
) -> Result<String, SlurmError> {
    if let Some(name) = settings.node.clone().or_else(told_node) {
        return Ok(name);
    }
    let host = Host::this();
    let named: BTreeSet<String> =
        settings.nodes.iter().flat_map(|node| hostlist::expand(&node.names).unwrap_or_default()).collect();
    let daemons: BTreeSet<String> = daemons(root).into_iter().filter_map(|daemon| daemon.node).collect();
    // The settings may be about this host while the slurmd that runs is another node's, as at a boot.
    let own = host.names.iter().find(|name| named.contains(*name)).cloned();
    if let Some(name) =
        one(daemons, &host, &named)?.filter(|name| own.is_none() || named.contains(name)).or(own)
    {
        return Ok(name);
    }
    let Some(path) = configuration else { return Ok(host.short().to_owned()) };
    if let Some(name) = one(host.nodes(&node_lines(&Conf::read(path, root))), &host, &named)? {
        return Ok(name);
    }
    let views = reach(root).and_then(Control::nodes).unwrap_or_default();
    Ok(one(host.nodes(&views), &host, &named)?.unwrap_or_else(|| host.short().to_owned()))
}

/// Whether device limits are programs of cgroup v2 here.
pub(crate) fn has_unified_cgroup(root: &Root) -> bool {
    root.path("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The name that slurmd tells the processes of its jobs, and whoever runs gresgen may tell it.
pub(crate) fn told_node() -> Option<String> {
    std::env::var("SLURMD_NODENAME").ok().filter(|name| !name.is_empty())
}

/// Other nodes that have a slurmd on this host.
pub(crate) fn neighbours(root: &Root, node: &str) -> Vec<String> {
    let names: BTreeSet<String> = daemons(root).into_iter().filter_map(|daemon| daemon.node).collect();
    names.into_iter().filter(|name| name != node).collect()
}

/// The nodes of slurm.conf that are this host; none where it has no line for it.
pub(crate) fn own_names(root: &Root) -> BTreeSet<String> {
    let path = configuration(root).ok().flatten();
    path.map(|path| Host::this().nodes(&node_lines(&Conf::read(&path, root)))).unwrap_or_default()
}

/// The host name up to its first dot.
pub(crate) fn host_name() -> String {
    Host::this().short().to_owned()
}

/// The one among these names; where they are several, the one of this host's own name, or the one that the settings
/// are about.
fn one(names: BTreeSet<String>, host: &Host, named: &BTreeSet<String>) -> Result<Option<String>, SlurmError> {
    let own = host.names.iter().find(|name| names.contains(*name));
    let mut meant = names.intersection(named);
    match (names.len(), own, meant.next(), meant.next()) {
        (0, ..) => Ok(None),
        (1, ..) => Ok(names.into_iter().next()),
        (_, _, Some(name), None) => Ok(Some(name.clone())),
        (_, Some(name), ..) => Ok(Some(name.clone())),
        _ => Err(SlurmError::Several(names.into_iter().collect())),
    }
}

/// Names of the nodes that slurmctld has on this host, `view` being all of its nodes.
pub(crate) fn other_names(views: &[NodeView]) -> Vec<String> {
    Host::this().nodes(views).into_iter().collect()
}

/// Whether Slurm works on a node of this host now: its slurmd runs, or a step of a job of one that was stopped. A slurmd
/// that was told to be another node is no sign of this one.
pub(crate) fn in_service(root: &Root, node: &str) -> bool {
    let other = |pid: u32| {
        let daemon = daemons(root).into_iter().find(|daemon| daemon.pid == pid);
        daemon.and_then(|daemon| daemon.node).is_some_and(|name| name != node)
    };
    daemon::all(root).any(|(pid, _)| !other(pid))
}

/// Whether a job of Slurm may have come to this host since its boot, or a slurmd has loaded the devices. Where that is
/// not so, slurmctld need not be there to be asked.
pub(crate) fn was_in_service(root: &Root) -> bool {
    sign(root).is_some()
}

/// What says that Slurm was here since the boot.
fn sign(root: &Root) -> Option<String> {
    let loaded = root.path(Root::LOADED_MAP);
    // Only a map that is surely of another boot says nothing about this one.
    let stale =
        || device_map::load(&loaded).is_ok_and(|map| boot_id(root).is_ok_and(|boot| boot != map.boot));
    daemon::any(root).or_else(|| (loaded.exists() && !stale()).then(|| loaded.display().to_string()))
}

fn daemons(root: &Root) -> Vec<Daemon> {
    if root.is_host() { daemon::slurmds() } else { Vec::new() }
}

/// The nodes of a slurm.conf, with no more than host and address; the host and the address of the n-th name of a line are the n-th of their lists.
fn node_lines(conf: &Conf) -> Vec<NodeView> {
    let lines = conf.nodes().flat_map(|(line, names)| {
        let list = |key: &str| value(&line.pairs, key).map(hostlist::unfold).and_then(Result::ok);
        let (hosts, addresses) = (list("nodehostname"), list("nodeaddr"));
        let at = |list: &Option<Vec<String>>, index: usize| {
            list.as_ref().and_then(|list| list.get(index).or(list.last())).cloned().unwrap_or_default()
        };
        let nodes = names.into_iter().enumerate();
        nodes
            .map(|(i, name)| NodeView {
                name,
                host: at(&hosts, i),
                address: at(&addresses, i),
                ..NodeView::default()
            })
            .collect::<Vec<_>>()
    });
    lines.collect()
}

/// This host by what others call it.
struct Host {
    /// The short name, and the full one where it differs.
    names: Vec<String>,
    /// Its own addresses, but for loopback.
    addresses: BTreeSet<String>,
}

impl Host {
    fn this() -> Self {
        let full = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let short = full.split('.').next().unwrap_or_default().to_owned();
        let names = if short == full { vec![short] } else { vec![short, full] };
        let read = |file| read::lossy(Path::new(file), read::MAX_TEXT).unwrap_or_default();
        Host { names, addresses: addresses(&read("/proc/net/fib_trie"), &read("/proc/net/if_inet6")) }
    }

    fn short(&self) -> &str {
        self.names.first().map(String::as_str).unwrap_or_default()
    }

    /// The nodes that are this host: by their own name, else by that of their host, else by their address.
    fn nodes(&self, lines: &[NodeView]) -> BTreeSet<String> {
        let by = |is: &dyn Fn(&NodeView) -> bool| -> BTreeSet<String> {
            lines.iter().filter(|line| is(line)).map(|line| line.name.clone()).collect()
        };
        let named = |text: &str| self.names.iter().any(|name| name == text);
        let own = by(&|line| named(&line.name));
        let hosted = by(&|line| named(&line.host));
        let reached = || by(&|line| named(&line.address) || self.addresses.contains(&line.address));
        [own, hosted].into_iter().find(|nodes| !nodes.is_empty()).unwrap_or_else(reached)
    }
}

/// Addresses of this host's interfaces: `|-- 10.0.0.1` before `/32 host LOCAL` (proc(5), Linux net/ipv4/fib_trie.c), and
/// the first word of each line of if_inet6.
fn addresses(trie: &str, inet6: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut last = "";
    for line in trie.lines() {
        if let Some(address) = line.trim().strip_prefix("|-- ") {
            last = address;
        } else if line.trim() == "/32 host LOCAL" && !last.starts_with("127.") {
            all.insert(last.to_owned());
        }
    }
    let inet6 =
        inet6.lines().filter_map(|line| u128::from_str_radix(line.split_whitespace().next()?, 16).ok());
    let inet6 = inet6.map(std::net::Ipv6Addr::from).filter(|address| !address.is_loopback());
    all.extend(inet6.map(|address| address.to_string()));
    all
}

#[cfg(test)]
mod tests;
