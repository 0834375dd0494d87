//! Daemons of Slurm that run on this host, by what /proc tells of them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::read;
use crate::root::Root;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Daemon {
    pub(super) pid: u32,
    /// The name of its node, where it was told one.
    pub(super) node: Option<String>,
    /// Its slurm.conf, where it was told one.
    pub(super) configuration: Option<PathBuf>,
}

/// The slurmds that run here. Their steps are forks of the same program with another name.
pub(super) fn slurmds() -> Vec<Daemon> {
    let daemon = |pid: u32| {
        let words = |file: &str| {
            read::bytes(Path::new(&format!("/proc/{pid}/{file}")), read::MAX_KERNEL).unwrap_or_default()
        };
        let mut daemon = daemon_of(&words("cmdline"), &words("environ"));
        daemon.pid = pid;
        // A path of another mount namespace is another file, or none.
        daemon.configuration = daemon.configuration.filter(|_| same(pid, "mnt"));
        daemon
    };
    roots(&["slurmd"]).map(|(pid, _)| daemon(pid)).collect()
}

/// The daemons and steps of Slurm that run. Under a root other than `/` those of containers on this host are not meant.
pub(super) fn all(root: &Root) -> impl Iterator<Item = (u32, &'static str)> {
    roots(&["slurmd", "slurmstepd"]).filter(|(pid, _)| root.is_host() || same(*pid, "pid"))
}

/// One of them, in words.
pub(super) fn any(root: &Root) -> Option<String> {
    all(root).next().map(|(pid, program)| format!("{program} (process {pid})"))
}

/// Processes that run one of these programs and are root's from the start: one that became so by a set-user-id bit has
/// the arguments and the name that its user chose.
fn roots<'a>(programs: &'a [&'a str]) -> impl Iterator<Item = (u32, &'a str)> + 'a {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(move |pid| {
        let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let name = program.file_name()?.to_str()?;
        let found = programs.iter().copied().find(|program| is(name, program))?;
        let status = read::kernel(format!("/proc/{pid}/status")).ok()?;
        let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        ids.split_whitespace().all(|id| id == "0").then_some((pid, found))
    })
}

/// Whether a file is this program: by its own name, as Debian names it (`slurmd-wlm`), or replaced while it runs.
fn is(file: &str, program: &str) -> bool {
    file.strip_prefix(program).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ' ']))
}

/// Whether a process shares a namespace with this one.
fn same(pid: u32, namespace: &str) -> bool {
    let of = |process: &str| fs::read_link(Path::new("/proc").join(process).join("ns").join(namespace)).ok();
    of(&pid.to_string()).is_some_and(|theirs| of("self") == Some(theirs))
}

/// What a slurmd was told on its command line and in its environment (slurmd(8): `-f`, `-N`, SLURM_CONF,
/// SLURMD_NODENAME).
fn daemon_of(arguments: &[u8], environment: &[u8]) -> Daemon {
    let words = |bytes: &[u8]| -> Vec<OsString> {
        bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect()
    };
    let (arguments, environment) = (words(arguments), words(environment));
    let variable = |name: &str| {
        let value = |word: &OsString| Some(word.to_str()?.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        environment.iter().find_map(value).filter(|value| !value.is_empty())
    };
    let mut daemon = Daemon {
        node: variable("SLURMD_NODENAME"),
        configuration: variable("SLURM_CONF").map(PathBuf::from),
        ..Daemon::default()
    };
    let mut rest = arguments.iter().skip(1).filter_map(|word| word.to_str());
    while let Some(word) = rest.next() {
        // Short options with a value, which may follow the letter at once (src/slurmd/slurmd/slurmd.c, `_process_cmdline`).
        let Some(letter) = word.strip_prefix('-').and_then(|word| word.chars().next()) else { continue };
        if !"bdfLNMn".contains(letter) || "bM".contains(letter) {
            continue;
        }
        let value = if word.len() > 2 { Some(&word[2..]) } else { rest.next() };
        match letter {
            'N' => daemon.node = value.map(str::to_owned),
            'f' => daemon.configuration = value.map(PathBuf::from),
            _ => {}
        }
    }
    daemon
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_their_files() {
        assert!(is("slurmd", "slurmd") && is("slurmd-wlm", "slurmd") && is("slurmd (deleted)", "slurmd"));
        assert!(!is("slurmdbd", "slurmd") && !is("sslurmd", "slurmd") && !is("", "slurmd"));
        assert_eq!(roots(&["no such program"]).next(), None);
    }

    #[test]
    fn a_slurmd_says_what_it_was_told() {
        let read = |arguments: &str, environment: &str| {
            let daemon =
                daemon_of(arguments.replace(' ', "\0").as_bytes(), environment.replace(' ', "\0").as_bytes());
            let path = daemon.configuration.map(|path| path.display().to_string());
            (daemon.node.unwrap_or_default(), path.unwrap_or_default())
        };
        let pair = |node: &str, path: &str| (node.to_owned(), path.to_owned());
        assert_eq!(read("slurmd", ""), pair("", ""));
        assert_eq!(read("slurmd -D -N n1.x -f /a", "HOME=/ SLURM_CONF=/b"), pair("n1.x", "/a"));
        assert_eq!(read("slurmd -Nn1 -f/a", ""), pair("n1", "/a"));
        assert_eq!(read("slurmd -b -L -N -M", "SLURMD_NODENAME=n2 SLURM_CONF=/b"), pair("n2", "/b"));
        assert_eq!(read("slurmd -Z --conf Gres=gpu:1 --conf-server h -N n3", "SLURM_CONF="), pair("n3", ""));
    }
}
