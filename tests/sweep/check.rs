//! What must hold after a disturbed apply, and after one more.

use std::fs;
use std::path::{Path, PathBuf};

use device_map::DeviceMap;
use serde_json::Value;

use crate::faults::Case;
use crate::node::{APPLY, Bench, Ended, JOURNAL, Node, PUBLISHED};
use crate::picture::{Picture, devices};

/// What became of a case that went well.
pub(crate) struct Verdict {
    /// Whether it took another apply to reach the wanted layout.
    pub(crate) rescued: bool,
}

/// Exit codes of an apply: done, failed, bad input, in use, reset pending.
const EXITS: [i32; 5] = [0, 1, 2, 4, 5];

/// Runs a case from the scenario's first state and checks everything.
pub(crate) fn case(bench: &Bench, case: &Case) -> Result<Verdict, String> {
    bench.node.restore(&bench.template);
    let ended = Ended::of(case.apply(bench).output().unwrap());
    disturbed(bench, case, &ended).map_err(|what| format!("{what}; it said: {}", ended.stderr.trim()))?;
    let done = ended.code == Some(bench.scenario.exit);
    if done && !matches!(case, Case::Answer(_)) {
        return complete(bench).map(|()| Verdict { rescued: false }).map_err(|what| {
            format!("exit {}, but {what}; it said: {}", bench.scenario.exit, ended.stderr.trim())
        });
    }
    let again = bench.node.run(&APPLY);
    if again.code != Some(bench.scenario.exit) {
        return Err(format!("one more apply: exit {:?}: {}", again.code, again.stderr.trim()));
    }
    complete(bench).map_err(|what| format!("after one more apply: {what}"))?;
    Ok(Verdict { rescued: true })
}

/// The node right after the fault.
fn disturbed(bench: &Bench, case: &Case, ended: &Ended) -> Result<(), String> {
    untouched(bench)?;
    match ended.code {
        None if case.kills() => {}
        // A fault that is not injected shows nothing.
        Some(code) if matches!(case, Case::System(fault) if fault.kills()) => {
            return Err(format!("exit {code}, but it should have been killed"));
        }
        Some(code) if EXITS.contains(&code) => {}
        code => return Err(format!("exit {code:?}")),
    }
    if ended.code == Some(1) && !ended.stderr.contains("error: ") {
        return Err("failed without a word".into());
    }
    let picture = Picture::of(&bench.node.machine());
    let files = old_or_new(bench, matches!(case, Case::Answer(_)))?;
    let journal = journal(&bench.node)?;
    let as_before = picture == bench.before && files.iter().all(|f| f.old);
    let as_after = picture == bench.after && files.iter().all(|f| f.new);
    if journal {
        return reported(&bench.node, &picture);
    }
    let settled = match ended.code {
        Some(0 | 5) => true, // judged by what the scenario wants
        _ => as_before || as_after,
    };
    if !settled {
        let files: Vec<&str> = files.iter().filter(|f| !f.old).map(|f| f.name).collect();
        return Err(format!(
            "neither done nor undone, and no journal says so: new {files:?}, GPUs {picture:?}, before {:?}",
            bench.before
        ));
    }
    Ok(())
}

fn untouched(bench: &Bench) -> Result<(), String> {
    let machine = bench.node.machine();
    match bench.busy.iter().find(|busy| !busy.is_untouched(&machine)) {
        Some(busy) => Err(format!("an instance in use was touched: {busy:?}")),
        None => Ok(()),
    }
}

/// A published file after a fault.
struct File {
    name: &'static str,
    old: bool,
    new: bool,
}

/// Every published file, which must be the old one or the new one. After an answer that is not the truth a file
/// may say something else, but must be whole.
fn old_or_new(bench: &Bench, lied_to: bool) -> Result<Vec<File>, String> {
    let now = bench.node.published();
    let file = |i: usize| {
        let name = PUBLISHED[i];
        let (old, new) = (now[i] == bench.before_files[i], now[i] == bench.after_files[i]);
        let text = now[i].as_deref().unwrap_or_default();
        let whole = match name.ends_with("devices") {
            true => text.parse::<DeviceMap>().map_err(|e| e.to_string()).map(drop),
            false if text.ends_with('\n') && text.starts_with("# Written by gresgen") => Ok(()),
            false => Err("is cut off".into()),
        };
        match whole {
            _ if old || new => Ok(File { name, old, new }),
            Ok(()) if lied_to => Ok(File { name, old, new }),
            Ok(()) => Err(format!("{name} is neither the old nor the new one:\n{text}")),
            Err(what) => Err(format!("{name} is torn: {what}:\n{text}")),
        }
    };
    (0..PUBLISHED.len()).map(file).collect()
}

/// Whether there is a journal; it must be whole.
fn journal(node: &Node) -> Result<bool, String> {
    let path = node.path(JOURNAL);
    let Ok(text) = fs::read_to_string(path) else { return Ok(false) };
    serde_json::from_str::<Value>(&text).map_err(|e| format!("the journal is torn: {e}"))?;
    Ok(true)
}

/// An apply that was cut off and orphans must be seen by `status`, by people and by scripts.
fn reported(node: &Node, picture: &Picture) -> Result<(), String> {
    let status = |arguments: &[&str]| {
        let ended = node.run(arguments);
        match ended.code {
            Some(0) => Ok(ended.stdout),
            code => Err(format!("status: exit {code:?}: {}", ended.stderr.trim())),
        }
    };
    let json: Value = serde_json::from_str(&status(&["--json", "status"])?).map_err(|e| e.to_string())?;
    if json["interrupted"] != "layout after" {
        return Err(format!("there is a journal, but status says interrupted: {}", json["interrupted"]));
    }
    let instances = |gpu: &Value| gpu["instances"].as_array().cloned().unwrap_or_default();
    let gpus = json["gpus"].as_array().ok_or("status shows no GPUs")?;
    let empty = |i: &Value| i["compute"].as_array().is_some_and(Vec::is_empty);
    let orphans = gpus.iter().flat_map(instances).filter(empty).count();
    if orphans != picture.orphans() {
        return Err(format!("{} orphans, but status shows {orphans}: {json}", picture.orphans()));
    }
    if orphans > 0 {
        let text = status(&["status"])?;
        if text.matches("no compute instance").count() != orphans
            || !text.contains("interrupted: layout after")
        {
            return Err(format!("{orphans} orphans and a journal, but status says:\n{text}"));
        }
    }
    Ok(())
}

/// The node as the scenario wants it, with files that say the same.
pub(crate) fn complete(bench: &Bench) -> Result<(), String> {
    untouched(bench)?;
    if bench.node.path(JOURNAL).exists() {
        return Err("the journal is still there".into());
    }
    if let Some(path) = staged(&bench.node) {
        return Err(format!("{} was staged and is still there", path.display()));
    }
    let machine = bench.node.machine();
    let picture = Picture::of(&machine);
    if bench.scenario.exit == 4 {
        return if picture == bench.before {
            Ok(())
        } else {
            Err("a refused apply changed something".into())
        };
    }
    if let Some(what) = picture.lacks(bench.scenario) {
        return Err(what);
    }
    agree(&bench.node, &devices(&machine))
}

/// A file that was staged beside its place.
fn staged(node: &Node) -> Option<PathBuf> {
    let folders = [
        "etc/slurm",
        "etc/slurm/plugstack.conf.d",
        "run/gresgen",
        "var/lib/gresgen",
        "var/lib/gresgen/previous",
    ];
    let entries =
        folders.iter().filter_map(|folder| fs::read_dir(node.path(folder)).ok()).flatten().flatten();
    entries
        .map(|entry| entry.path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with(".gresgen-"))
}

/// Map and gres.conf list exactly these devices.
pub(crate) fn agree(node: &Node, devices: &[String]) -> Result<(), String> {
    let text =
        fs::read_to_string(node.path("run/gresgen/devices")).map_err(|e| format!("device map: {e}"))?;
    let map: DeviceMap = text.parse().map_err(|e| format!("device map: {e}"))?;
    let mut listed: Vec<&str> = map.records.iter().map(|r| r.uuid.as_str()).collect();
    listed.sort_unstable();
    if listed != devices {
        return Err(format!("the map lists {listed:?}, the GPUs have {devices:?}"));
    }
    let gres = fs::read_to_string(node.path("etc/slurm/gres.conf")).map_err(|e| format!("gres.conf: {e}"))?;
    let lines: Vec<&str> = gres.lines().filter(|l| l.contains("Name=gpu")).collect();
    let same = |(line, record): (&&str, &device_map::Record)| {
        record.files.iter().all(|f| line.contains(f.path.to_str().unwrap()) && Path::new(&f.path).exists())
    };
    if lines.len() == map.records.len() && lines.iter().zip(&map.records).all(same) {
        Ok(())
    } else {
        Err(format!("gres.conf and the map differ, or name what is not there:\n{gres}\n{text}"))
    }
}
