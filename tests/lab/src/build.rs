//! The C programs of a lab, compiled where it runs: the probe, the cgroup shim, and those of the benchmark.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    path::PathBuf,
    process::Command,
};

use crate::{LabError, rootfs};

/// Static, so that one binary runs in the root filesystem of every release.
pub(crate) fn probe() -> Result<PathBuf, LabError> {
    compile("lab-probe", include_str!("../assets/probe.c"), &["-O1", "-static"])
}

/// Loaded into the daemons, so it is linked like any library of the host they run on.
pub(crate) fn cgroup2_shim() -> Result<PathBuf, LabError> {
    compile("cgroup2-shim", include_str!("../assets/cgroup2_shim.c"), &["-O1", "-shared", "-fPIC"])
}

/// A SPANK plugin that times another one in Slurm's own processes; built for the Slurm of this machine.
pub(crate) fn hook_timer() -> Result<PathBuf, LabError> {
    compile("hook-timer", include_str!("../assets/hook_timer.c"), &["-O1", "-shared", "-fPIC"])
}

/// A SPANK plugin that does nothing; built for the Slurm of this machine.
pub(crate) fn empty_plugin() -> Result<PathBuf, LabError> {
    compile("empty-plugin", include_str!("../assets/empty_plugin.c"), &["-O2", "-shared", "-fPIC"])
}

/// A task that says when it began. Static, so that nothing but Slurm stands before its first instruction.
pub(crate) fn started() -> Result<PathBuf, LabError> {
    compile("started", include_str!("../assets/started.c"), &["-O2", "-static"])
}

/// Compiles a C program into the cache, under a name that tells its content, and returns the file.
///
/// # Errors
/// What the compiler said.
pub fn compile(name: &str, source: &str, flags: &[&str]) -> Result<PathBuf, LabError> {
    let mut digest = DefaultHasher::new();
    (source, flags).hash(&mut digest);
    let folder = rootfs::cache().join("bin");
    let target = folder.join(format!("{name}-{:016x}", digest.finish()));
    if target.exists() {
        return Ok(target);
    }
    fs::create_dir_all(&folder).map_err(LabError::file(&folder))?;
    let fresh = folder.join(format!("{name}.{}.{:?}.c", std::process::id(), std::thread::current().id()));
    fs::write(&fresh, source).map_err(LabError::file(&fresh))?;
    let built = fresh.with_extension("out");
    let result = run_compiler(&fresh, &built, flags);
    let _ = fs::remove_file(&fresh);
    result?;
    fs::rename(&built, &target).map_err(LabError::file(&target))?;
    Ok(target)
}

fn run_compiler(source: &std::path::Path, built: &std::path::Path, flags: &[&str]) -> Result<(), LabError> {
    let failed = |what: String| LabError::Command { command: format!("cc {}", source.display()), what };
    let output = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-o"])
        .args([built, source])
        .args(flags)
        .output()
        .map_err(|error| failed(format!("{error}; install gcc")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()))
}
