//! cgroup.conf, the plugin's line, slurmctld and its picture of the node, bugs of the release.

use std::collections::HashSet;

use super::{Facts, Link, SlurmFacts, catalog, few, plugstack};
use crate::files::SHARING;
use crate::site::is_ours;
use crate::slurm::lines::{lines, value};
use crate::slurm::names::clashes;
use crate::slurm::settings::on_request::GATE;
use crate::words::count;

pub(super) fn judge(facts: &Facts, links: &mut Vec<Link>) {
    let running = match &facts.slurm {
        Some(Ok(slurm)) => slurm.config.get("ConstrainDevices"),
        _ => None,
    };
    links.extend(facts.cgroup_conf.as_ref().map(|text| cgroup_conf(text, running)));
    if let (Some(lines), Some((plugin, there))) = (&facts.plugstack, &facts.plugin) {
        links.extend(plugstack::judge(lines, plugin, *there));
    }
    if !matches!(facts.slurm, Some(Ok(_))) && !facts.rivals.is_empty() {
        let what = format!("beside other models Slurm would take {}", few(&facts.rivals));
        links.push(Link::warn("type names", what, format!("{PATTERN}, should the cluster have both")));
    }
    if !facts.mixed.is_empty() {
        let what = format!("the same name for several models: {}", few(&facts.mixed));
        let fix = format!("{PATTERN}, and slurm.types.models where their short names are the same");
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

const PATTERN: &str = "slurm.types.pattern: \"{model}_{profile}\"";

/// What cgroup.conf of this node says, and what the running Slurm says that it has, whatever files it read.
fn cgroup_conf(text: &str, running: Option<&str>) -> Link {
    const NAME: &str = "cgroup.conf";
    const FIX: &str = "ConstrainDevices=yes";
    let lines = lines(text.as_bytes());
    let mut said = lines.iter().rev().filter_map(|line| value(&line.pairs(), "constraindevices").map(is_yes));
    match (said.next(), running.map(is_yes)) {
        (Some(true), Some(true) | None) => Link::pass(NAME, "ConstrainDevices=yes"),
        (Some(true), Some(false)) => Link::fail(
            NAME,
            "has ConstrainDevices=yes, and the running Slurm has no",
            "bring it to slurmctld's host too, and restart slurmctld and slurmd",
        ),
        // It may stand in a file that is not looked at here; or slurmctld has it and slurmd has not.
        (None, Some(true)) => Link::warn(
            NAME,
            "of this node does not say ConstrainDevices=yes, which the running slurmctld has",
            "gresgen apply writes it; slurmd reads its own",
        ),
        _ => Link::fail(NAME, "devices are not constrained: every job can open every slice", FIX),
    }
}

/// Slurm's words for yes (src/common/parse_config.c, `s_p_handle_boolean`).
fn is_yes(text: &str) -> bool {
    ["yes", "up", "true", "1"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
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
    // slurm.conf(5): the prefix may be left out, and `scontrol show config` repeats what was written.
    let lists = |entry: &str| slurm.config.lists("TaskPlugin", entry);
    links.push(if lists("task/cgroup") || lists("cgroup") {
        Link::pass("TaskPlugin", "has task/cgroup")
    } else {
        let now = slurm.config.get("TaskPlugin").unwrap_or("task/none");
        let fix = match now {
            "task/none" => "TaskPlugin=task/cgroup in slurm.conf".to_owned(),
            now => format!("TaskPlugin={now},task/cgroup in slurm.conf"),
        };
        Link::fail("TaskPlugin", "has no task/cgroup, so nothing is constrained", fix)
    });
    links.extend(slurm.config.get("SelectType").map(select_type));
    links.push(if slurm.config.lists("GresTypes", "gpu") {
        Link::pass("GresTypes", "has gpu")
    } else {
        Link::fail("GresTypes", "has no gpu", "GresTypes=gpu in slurm.conf")
    });
    // slurmd: "Ignoring gres.conf record, invalid name" (src/interfaces/gres.c, `_parse_gres_config`).
    let unknown = |gres: &&String| !slurm.config.lists("GresTypes", gres);
    let (gate, unknown): (Vec<&String>, Vec<&String>) =
        facts.other_gres.iter().filter(unknown).partition(|gres| **gres == GATE);
    if !gate.is_empty() {
        let what = format!(
            "has no {GATE}, by which slurmctld shows what it has read of GPUs on request: no cut is confirmed"
        );
        let fix = format!(
            "GresTypes=gpu,{GATE} in slurm.conf, where the last such line counts; restart slurmctld and slurmd"
        );
        links.push(Link::fail("GresTypes", what, fix));
    }
    if !unknown.is_empty() {
        let what = format!("lacks {}, which gres.conf gives this node and slurmd ignores", few(&unknown));
        links.push(Link::warn(
            "GresTypes",
            what,
            "add it to slurm.gres-types, whose line is the last that counts",
        ));
    }
    node(facts, slurm, links);
    links.extend(hardware(facts, slurm));
    links.extend(sharing(facts, slurm));
    let clashes = clashes(slurm.types.iter().map(String::as_str));
    if clashes.is_empty() {
        let types = count(slurm.types.len(), "type");
        links.push(Link::pass("type names", format!("{types}, which Slurm tells apart")))
    } else {
        links.extend(clashes.iter().map(|clash| {
            Link::fail("type names", clash.to_string(), "rename one; all nodes and slurm.conf have to follow")
        }))
    }
    links.extend(bugs(facts, slurm));
}

/// A job gets no slice from select/linear, which is the default up to 23.02: "Unable to create step: Invalid generic
/// resource (gres) specification" (seen on 22.05.8).
fn select_type(plugin: &str) -> Link {
    const NAME: &str = "SelectType";
    const FIX: &str = "SelectType=select/cons_tres in slurm.conf, and restart slurmctld and slurmd";
    match plugin.trim_start_matches("select/") {
        "cons_tres" => Link::pass(NAME, "is select/cons_tres"),
        "linear" => Link::fail(NAME, "is select/linear, which gives no job a device of several types", FIX),
        "cons_res" => Link::warn(NAME, "is select/cons_res, which refuses --gpus", FIX),
        _ => Link::warn(NAME, format!("is {plugin}, of which it is not known that it gives GPUs out"), FIX),
    }
}

/// slurmctld takes a node line without CPUs for one of one CPU, and without memory for 1 MB (slurm.conf(5)).
fn hardware(facts: &Facts, slurm: &SlurmFacts) -> Option<Link> {
    const NAME: &str = "node hardware";
    let now = slurm.node.as_ref().ok()?.hardware;
    let differs = |what: &str, now: Option<u64>, due: Option<u64>, lost: bool| {
        let (now, due) = now.zip(due)?;
        (now != due && lost).then(|| format!("slurmctld has {what}={now}, not {due}"))
    };
    let (said, host) = (facts.configured.unwrap_or_default(), facts.host.unwrap_or_default());
    let found: Vec<String> = [
        differs("CPUs", now.cpus, said.cpus, true)
            .or_else(|| differs("CPUs", now.cpus, host.cpus, said.cpus.is_none() && now.cpus == Some(1))),
        differs("RealMemory", now.memory, said.memory, true).or_else(|| {
            differs("RealMemory", now.memory, host.memory, said.memory.is_none() && now.memory == Some(1))
        }),
    ]
    .into_iter()
    .flatten()
    .collect();
    if found.is_empty() {
        let shown = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
        let what = format!("slurmctld has CPUs={} RealMemory={}", shown(now.cpus), shown(now.memory));
        return Some(Link::pass(NAME, what));
    }
    let fix = "say them in slurm.nodes as slurmd -C prints them, bring the line to slurm.conf and restart slurmctld";
    Some(Link::fail(NAME, found.join(", "), fix))
}

/// Up to 23.02 slurmctld counts every file of `MultipleFiles=` for a GPU of its own as soon as there is a sharing GRES,
/// and gives out neither whole GPUs nor shares; with whole GPUs before the slices it does (seen on 22.05.8). Beside slices
/// alone shares are shares of slices on 24.11.5 and 26.05.5, and none is given out on 22.05.8 (tried with a line
/// `Name=shard Count=8`).
fn sharing(facts: &Facts, slurm: &SlurmFacts) -> Option<Link> {
    let release = slurm.release.filter(|release| release.miscounts_shared_gpus())?;
    let shares: Vec<&str> =
        SHARING.into_iter().filter(|gres| slurm.config.lists("GresTypes", gres)).collect();
    let records = &facts.table.as_ref()?.records;
    let whole = records.iter().rposition(|record| record.uuid == record.parent);
    let slice = records.iter().position(|record| record.instance.is_some())?;
    // Where there are slices alone, `GresTypes` may have it for other nodes.
    let harms = match whole {
        Some(whole) => slice < whole,
        None => shares.iter().any(|gres| facts.other_gres.iter().any(|here| here == gres)),
    };
    if shares.is_empty() || !harms {
        return None;
    }
    let shares = shares.join(" and ");
    let lacks = if whole.is_some() { "and no whole GPUs beside MIG slices" } else { "of MIG slices" };
    let what = format!("Slurm {release} gives out no shares ({shares}) {lacks}");
    Some(Link::fail(
        "sharing GRES",
        what,
        format!("take {shares} out of GresTypes, or update to 24.11 or later"),
    ))
}

fn node(facts: &Facts, slurm: &SlurmFacts, links: &mut Vec<Link>) {
    const NAME: &str = "node";
    const RECORDS: &str = "records";
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
        links.push(if ours == theirs {
            Link::pass("node line", format!("slurmctld has Gres={theirs}"))
        } else {
            Link::fail(
                "node line",
                format!("slurmctld has Gres={theirs}, the node has {ours}"),
                "include gresgen-node.conf in slurmctld's slurm.conf, in place of the NodeName line of this node; gresgen apply says \
                 what to restart",
            )
        });
    }
    if let Some(form) = facts.table.as_ref().and_then(|table| table.form) {
        links.push(if view.form == Some(form) {
            Link::pass(RECORDS, "slurmctld has read those of GPUs on request")
        } else {
            let what = "slurmctld has not read those of GPUs on request that are in place";
            Link::fail(RECORDS, what, "gresgen apply makes it")
        });
    }
    let bad = ["INVALID_REG", "INVAL", "DRAIN", "DOWN", "NOT_RESPONDING", "FAIL"];
    let found: Vec<&str> = bad.into_iter().filter(|state| view.is(state)).collect();
    links.extend(catalog::judge(facts, slurm, view));
    links.push(if found.is_empty() {
        Link::pass(NAME, format!("is {}", view.state.join("+").to_lowercase()))
    } else {
        let reason = if view.reason.is_empty() { "no reason given" } else { &view.reason };
        let fix = if is_ours(view) {
            "gresgen took it out of scheduling: gresgen apply says what is left to do".to_owned()
        } else {
            format!("mend it, then scontrol update NodeName={} State=RESUME", view.name)
        };
        Link::fail(NAME, format!("is {}: {reason}", view.state.join("+").to_lowercase()), fix)
    });
}

/// Device nodes from which on limits do not load: two GPUs and 22 capabilities (seen on 22.05.8; 22 nodes hold).
const TOO_MANY_ON_V2: usize = 24;

fn bugs(facts: &Facts, slurm: &SlurmFacts) -> Vec<Link> {
    const NAME: &str = "release";
    let Some(release) = slurm.release else { return Vec::new() };
    let mut links = Vec::new();
    let files = facts.table.iter().flat_map(|table| &table.records).flat_map(|record| &record.files);
    let nodes = files.map(|file| (file.major, file.minor)).collect::<HashSet<_>>().len();
    if facts.unified_cgroup && !release.confines_many_devices_on_v2() && nodes >= TOO_MANY_ON_V2 {
        let what = format!("Slurm {release} on cgroup v2 confines nothing on a node of {nodes} device nodes");
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
    // No release seen gives them what they ask for.
    if !slurm.types.is_empty() {
        let what = "a typed --gpus-per-task gives tasks other devices than they ask for, without a word";
        let fix = "refuse it in a job_submit plugin, as /usr/share/gresgen/mig_guard.lua does; --gres with --gpu-bind \
                   works";
        links.push(Link::warn(NAME, what, fix));
    }
    links
}
