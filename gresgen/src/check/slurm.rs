//! cgroup.conf, the plugin's line, slurmctld and its picture of the node, bugs of the release.

use super::{Facts, Link, SlurmFacts, few, plugstack};
use crate::site::is_ours;
use crate::slurm::names::clashes;

pub(super) fn judge(facts: &Facts, links: &mut Vec<Link>) {
    links.extend(facts.cgroup_conf.as_ref().map(|text| cgroup_conf(text)));
    if let (Some(lines), Some((plugin, there))) = (&facts.plugstack, &facts.plugin) {
        links.extend(plugstack::judge(lines, plugin, *there));
    }
    if !matches!(facts.slurm, Some(Ok(_))) && !facts.rivals.is_empty() {
        let what = format!("beside other models Slurm would take {}", few(&facts.rivals));
        let fix = "slurm.types.pattern: \"{model}_{profile}\", should the cluster have both";
        links.push(Link::warn("type names", what, fix));
    }
    match &facts.slurm {
        None => {}
        Some(Err(error)) => {
            links.push(Link::fail("slurmctld", error, "start slurmctld, or mend the network to it"));
        }
        Some(Ok(slurm)) => controller(facts, slurm, links),
    }
}

fn cgroup_conf(text: &str) -> Link {
    const NAME: &str = "cgroup.conf";
    let mut value = text.lines().filter_map(|line| {
        let line = line.split('#').next()?;
        let (key, value) = line.split_once('=')?;
        key.trim().eq_ignore_ascii_case("ConstrainDevices").then(|| value.trim().to_lowercase())
    });
    match value.next_back().as_deref() {
        Some("yes") => Link::pass(NAME, "ConstrainDevices=yes"),
        _ => Link::fail(
            NAME,
            "devices are not constrained: every job can open every slice",
            "ConstrainDevices=yes",
        ),
    }
}

fn controller(facts: &Facts, slurm: &SlurmFacts, links: &mut Vec<Link>) {
    let version = slurm.config.get("SLURM_VERSION").unwrap_or_default();
    links.push(match slurm.release {
        Some(release) => Link::pass("slurmctld", format!("runs Slurm {release}")),
        None => Link::warn(
            "slurmctld",
            format!("runs Slurm {version:?}, which gresgen does not know"),
            "update gresgen",
        ),
    });
    links.push(match slurm.config.lists("TaskPlugin", "task/cgroup") {
        true => Link::pass("TaskPlugin", "has task/cgroup"),
        false => Link::fail(
            "TaskPlugin",
            "has no task/cgroup, so nothing is constrained",
            "TaskPlugin=task/cgroup in slurm.conf",
        ),
    });
    links.push(match slurm.config.lists("GresTypes", "gpu") {
        true => Link::pass("GresTypes", "has gpu"),
        false => Link::fail("GresTypes", "has no gpu", "GresTypes=gpu in slurm.conf"),
    });
    node(facts, slurm, links);
    let clashes = clashes(slurm.types.iter().map(String::as_str));
    match clashes.is_empty() {
        true => links
            .push(Link::pass("type names", format!("{} types, which Slurm tells apart", slurm.types.len()))),
        false => links.extend(clashes.iter().map(|clash| {
            Link::fail("type names", clash.to_string(), "rename one; all nodes and slurm.conf have to follow")
        })),
    }
    links.extend(bugs(facts, slurm));
}

fn node(facts: &Facts, slurm: &SlurmFacts, links: &mut Vec<Link>) {
    const NAME: &str = "node";
    let view = match &slurm.node {
        Ok(view) => view,
        Err(error) => {
            let fix =
                "include gresgen-node.conf in slurm.conf, or set slurm.node to Slurm's name of this host";
            links.push(Link::fail(NAME, error, fix));
            return;
        }
    };
    if let Some(table) = &facts.table {
        let (ours, theirs) = (table.gres(), view.gres());
        links.push(match ours == theirs {
            true => Link::pass("node line", format!("slurmctld has Gres={theirs}")),
            false => Link::fail(
                "node line",
                format!("slurmctld has Gres={theirs}, the node has {ours}"),
                "bring gresgen-node.conf to slurmctld's slurm.conf; gresgen apply says what to restart",
            ),
        });
    }
    let bad = ["INVALID_REG", "INVAL", "DRAIN", "DOWN", "NOT_RESPONDING", "FAIL"];
    let found: Vec<&str> = bad.into_iter().filter(|state| view.is(state)).collect();
    links.push(match found.is_empty() {
        true => Link::pass(NAME, format!("is {}", view.state.join("+").to_lowercase())),
        false => {
            let reason = if view.reason.is_empty() { "no reason given" } else { &view.reason };
            let fix = match is_ours(view) {
                true => "gresgen took it out of scheduling: gresgen apply says what is left to do".to_owned(),
                false => format!("mend it, then scontrol update NodeName={} State=RESUME", view.name),
            };
            Link::fail(NAME, format!("is {}: {reason}", view.state.join("+").to_lowercase()), fix)
        }
    });
}

/// From 11 slices up: two GPUs and 22 capabilities (seen on 22.05.8; 10 slices hold).
const TOO_MANY_ON_V2: usize = 11;

fn bugs(facts: &Facts, slurm: &SlurmFacts) -> Vec<Link> {
    const NAME: &str = "release";
    let Some(release) = slurm.release else { return Vec::new() };
    let mut links = Vec::new();
    let slices = facts.table.as_ref().map_or(0, |table| table.records.len());
    if facts.unified_cgroup && !release.confines_many_devices_on_v2() && slices >= TOO_MANY_ON_V2 {
        let what = format!("Slurm {release} on cgroup v2 confines nothing on a node of {slices} devices");
        links.push(Link::fail(NAME, what, "update to 23.02.4 or later, use cgroup v1, or cut fewer slices"));
    }
    let digit: Vec<&String> =
        slurm.types.iter().filter(|t| t.starts_with(|c: char| c.is_ascii_digit())).collect();
    if release.needs_count_in_requests() && !digit.is_empty() {
        let what = format!("Slurm {release} refuses requests for {} without a count", few(&digit));
        links.push(Link::warn(
            NAME,
            what,
            "tell users to write --gres=gpu:TYPE:1, or choose types that begin with a letter",
        ));
    }
    if !release.types_gpus_per_task() && !slurm.types.is_empty() {
        let what = "a typed --gpus-per-task gives tasks other devices than they ask for, without a word";
        links.push(Link::warn(NAME, what, "refuse it in a job_submit plugin; --gres with --gpu-bind works"));
    }
    links
}
