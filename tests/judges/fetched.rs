//! Programs of other makers, fetched once and kept in Cargo's directory for test files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The scripts beside this file.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/judges").canonicalize().unwrap()
}

/// Whether judges that take the network are to be passed over.
pub(crate) fn skipped() -> bool {
    let skip = std::env::var_os("NVML_SIM_SKIP_JUDGES").is_some_and(|v| v == "1");
    if skip {
        eprintln!("skipped, as NVML_SIM_SKIP_JUDGES=1 asks");
    }
    skip
}

/// A directory that holds what `fetch` puts there; fetched once.
pub(crate) fn kept(name: &str, fetch: impl FnOnce(&Path)) -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("judges");
    fs::create_dir_all(&all).unwrap();
    // Tests run side by side, in one process or in several.
    let lock = fs::File::create(all.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let directory = all.join(name);
    if !directory.exists() {
        fetch(&directory);
    }
    directory
}

/// The output of a command that must succeed; `need` says what to do if it does not.
pub(crate) fn must(command: &mut Command, need: &str) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|e| panic!("{:?}: {e}; {need}", command.get_program()));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{:?}: {status}; {need}\n{stdout}{stderr}", command.get_program());
    stdout.into_owned() + &stderr
}

/// Debian's `slurm-wlm-nvml-plugin`, unpacked below `tree`.
pub(crate) fn nvml_plugin() -> PathBuf {
    kept("slurm-nvml-plugin", |directory| {
        let mut fetch = Command::new("sh");
        fetch.arg(scripts().join("fetch-plugin.sh")).arg(directory);
        must(&mut fetch, "allow the network, or set NVML_SIM_SKIP_JUDGES=1");
    })
}
