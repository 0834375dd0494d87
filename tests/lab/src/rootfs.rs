//! Root filesystems of other Debian suites, made once by debootstrap and kept outside the source tree.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{LabError, Release};

/// What a lab runs. Tools that only build the namespaces come from the host.
const PACKAGES: &str = "slurmctld,slurmd,slurm-client";

/// Debian's release keys (package debian-archive-keyring).
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where root filesystems and built helpers live: `LAB_CACHE`, else `gresgen-lab` in the user's cache folder.
pub fn cache() -> PathBuf {
    let home = || env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_dir());
    let user_cache = || match env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        // A home that is not there is not to be made: Debian names one `/nonexistent` for users that have none.
        None => home().unwrap_or_else(|| "/root".into()).join(".cache"),
    };
    env::var_os("LAB_CACHE").map_or_else(|| user_cache().join("gresgen-lab"), PathBuf::from)
}

/// The folder to put a lab's overlay on; made on demand, which takes a minute and a mirror.
///
/// # Errors
/// When debootstrap is missing or fails; its log is kept and named.
pub fn ensure(release: Release) -> Result<PathBuf, LabError> {
    if host_runs(release) {
        return Ok(PathBuf::from("/"));
    }
    let folder = cache().join(release.suite());
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(cache()).map_err(LabError::file(cache()))?;
    let lock_path = cache().join(format!("{release}.lock"));
    let lock = File::create(&lock_path).map_err(LabError::file(&lock_path))?;
    lock.lock().map_err(LabError::file(&lock_path))?;
    if !folder.is_dir() {
        bootstrap(release, &folder)?;
    }
    Ok(folder)
}

/// Whether the host's own root filesystem is this suite, with Slurm's daemons installed.
fn host_runs(release: Release) -> bool {
    let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = format!("VERSION_CODENAME={release}");
    os.lines().any(|line| line == codename)
        && ["slurmctld", "slurmd"].iter().all(|daemon| Path::new("/usr/sbin").join(daemon).exists())
}

fn bootstrap(release: Release, folder: &Path) -> Result<(), LabError> {
    let failed = |what: String| LabError::Rootfs { suite: release.suite(), what };
    let mirror =
        mirror().ok_or_else(|| failed("apt knows no Debian mirror; add one to its sources".into()))?;
    let fresh = folder.with_extension("new");
    let log_path = folder.with_extension("log");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(LabError::file(&fresh))?;
    }
    let log = File::create(&log_path).map_err(LabError::file(&log_path))?;
    eprintln!("lab: making the {release} root filesystem in {} (once)", folder.display());
    let status = Command::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={PACKAGES}"), &format!("--keyring={KEYRING}")])
        .arg(release.suite())
        .arg(&fresh)
        .arg(mirror)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(LabError::file(&log_path))?)
        .stderr(log)
        .status()
        .map_err(|error| failed(format!("debootstrap: {error}; install debootstrap")))?;
    if !status.success() {
        return Err(failed(format!("debootstrap failed; its log is {}", log_path.display())));
    }
    let _ = fs::remove_dir_all(fresh.join("var/cache/apt/archives"));
    fs::rename(&fresh, folder).map_err(LabError::file(folder))
}

/// The mirror this machine already uses for Debian's main archive, as apt resolves its sources.
fn mirror() -> Option<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)", "Created-By: Packages"])
        .output()
        .ok()?;
    String::from_utf8_lossy(&output.stdout).lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (origin, codename, uri) = (words.next()?, words.next()?, words.next()?);
        // `bookworm-updates` and `bookworm-security` are not where other suites live.
        (origin == "Debian" && !codename.contains('-')).then(|| uri.to_owned())
    })
}
