//! Faults of the file system: injected into system calls by strace, or real ones on a mount of the test's own.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use crate::faults::spread;
use crate::node::{APPLY, Bench, Ended, Node};

/// System calls that put a file in its place, and those before and after them.
const TRACED: &str = "rename,renameat,renameat2,fsync,write,fchmod,unlink,mkdir";
/// How many kills and errors the default run takes of each system call.
const TAKEN: usize = 4;

/// A fault at the n-th call of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    call: String,
    number: usize,
    what: &'static str,
    /// What the call is about, for a person.
    path: String,
}

/// Directories that cannot be written to as usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    directory: &'static str,
    /// Pages left on it; none when it is read-only.
    pages: Option<usize>,
}

impl Fault {
    /// strace with this fault, to stand before a command.
    pub(crate) fn wrapper(&self) -> Vec<String> {
        let Fault { call, number, what, .. } = self;
        // strace 6.1 injects errors beside --seccomp-bpf, which spares it all other calls, but no signals.
        let fast = if self.kills() { "-f" } else { "--seccomp-bpf" };
        let words = ["strace", "-f", fast, "-o", "/dev/null", "-e"];
        let inject =
            [format!("trace={call}"), "-e".to_owned(), format!("inject={call}:{what}:when={number}")];
        words.iter().map(|w| (*w).to_owned()).chain(inject).collect()
    }

    pub(crate) fn kills(&self) -> bool {
        self.what.starts_with("signal")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{} ({})", self.call, self.number, self.what, self.path)
    }
}

/// Faults at the system calls of a peaceful apply. Those of the simulator's own files are left out: its calls
/// fail and die in other cases.
pub(crate) fn faults(bench: &Bench) -> Vec<Fault> {
    let mut places: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
    for (call, number, path) in trace(bench) {
        places.entry(call).or_default().push((number, path));
    }
    let mut faults = Vec::new();
    for (call, places) in places {
        let kinds: &[&'static str] = match call.as_str() {
            "rename" | "renameat" | "renameat2" => &["signal=KILL", "error=ENOSPC", "error=EROFS"],
            "fsync" => &["signal=KILL", "error=EIO", "error=ENOSPC"],
            "write" => &["signal=KILL", "error=ENOSPC"],
            "mkdir" => &["error=EROFS"],
            "fchmod" => &["error=EPERM"],
            _ => &["signal=KILL"],
        };
        for what in kinds {
            let of = |(number, path)| Fault { call: call.clone(), number, what, path };
            // Renames are what decides between old and new: all of them, always.
            let count = if call.starts_with("rename") { places.len() } else { TAKEN };
            faults.extend(spread(&places, count).map(of));
        }
    }
    faults
}

/// The traced system calls of a peaceful apply on gresgen's own files: name, how many of that name there
/// were, path.
fn trace(bench: &Bench) -> Vec<(String, usize, String)> {
    let log = bench.node.beside("trace");
    let log_name = log.to_str().unwrap();
    let trace = format!("trace={TRACED}");
    let strace = ["strace", "-f", "--seccomp-bpf", "-y", "-s", "0", "-o", log_name, "-e", &trace];
    bench.node.restore(&bench.template);
    let ended = Ended::of(bench.node.gresgen(&strace, &APPLY).output().unwrap());
    assert_eq!(ended.code, Some(bench.scenario.exit), "strace: {}", ended.stderr);
    let text = fs::read_to_string(log).unwrap();
    let ours = ["etc/slurm", "run/gresgen", "var/lib/gresgen"].map(|d| bench.node.path(d));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((call, rest)) = line.split_once(' ').and_then(|(_, l)| l.trim_start().split_once('('))
        else {
            continue;
        };
        let number = seen.entry(call.to_owned()).and_modify(|n| *n += 1).or_insert(1);
        let path = ours.iter().find_map(|d| rest.rfind(d.to_str().unwrap()).map(|at| &rest[at..]));
        if let Some(path) = path {
            let end = path.find(['"', '>']).unwrap_or(path.len());
            let path = path[..end].strip_prefix(bench.node.path("").to_str().unwrap()).unwrap_or(path);
            found.push((call.to_owned(), *number, path.to_owned()));
        }
    }
    found
}

/// Full and read-only file systems under each directory that gresgen writes to.
pub(crate) fn mounts(_: &Bench) -> Vec<Mount> {
    let directories = ["etc/slurm", "run/gresgen", "var/lib/gresgen"];
    let sizes = (0..6).map(Some).chain([None]);
    sizes.flat_map(|pages| directories.map(|directory| Mount { directory, pages })).collect()
}

impl Mount {
    /// A shell that mounts, runs what follows, and brings the files back, in a mount namespace of its own.
    pub(crate) fn wrapper(&self, node: &Node) -> Vec<String> {
        let place = node.path(self.directory);
        let (place, kept) = (place.display(), node.beside("mounted"));
        let kept = kept.display();
        let script = match self.pages {
            None => format!(
                "mkdir -p {place}; mount --bind {place} {place}; mount -o remount,bind,ro {place}; \"$@\""
            ),
            // What is there already has room; then the rest is filled up but for so many pages.
            Some(pages) => format!(
                "mkdir -p {place}; rm -rf {kept}; cp -a {place} {kept}
                mount -t tmpfs -o size=256k,mode=755 full {place}; cp -a {kept}/. {place}
                cat /dev/zero >{place}/filler 2>/dev/null; truncate -s -{}k {place}/filler; \"$@\"; end=$?
                rm -rf {kept} {place}/filler; cp -a {place} {kept}
                umount {place}; rm -rf {place}; cp -a {kept} {place}; exit $end",
                pages * 4
            ),
        };
        ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pages {
            None => write!(f, "{} is read-only", self.directory),
            Some(pages) => write!(f, "{} has {pages} pages left", self.directory),
        }
    }
}
