//! Programs of other makers, fetched once and kept in Cargo's directory for test files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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

/// The directory to name in PYTHONPATH for a package of PyPI, given with its versions.
#[allow(dead_code, reason = "not every test that fetches takes from PyPI")]
pub(crate) fn pip(requirement: &str) -> PathBuf {
    let name = requirement.split(['<', '>', '=']).next().unwrap_or(requirement);
    // What was fetched for other versions is not this.
    kept(&requirement.replace(['<', '>', '=', ','], "-"), |directory| {
        let part = directory.with_extension("part");
        let _ = fs::remove_dir_all(&part);
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        pip.arg(&part).arg(requirement);
        let need =
            format!("{name}: install python3-pip and allow the network, or set NVML_SIM_SKIP_JUDGES=1");
        must(&mut pip, &need);
        fs::rename(&part, directory).unwrap();
    })
}

/// Where packages of a Debian suite are unpacked, as they would be below `/`.
///
/// Architectures and versions are those that the suite has today; the first package names the directory.
pub(crate) fn debian(suite: &str, packages: &[&str]) -> PathBuf {
    let directory = kept(&format!("{}-{suite}", packages[0]), |directory| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/shared/fetch-debian.sh");
        let mut fetch = Command::new("sh");
        fetch.arg(script).arg(directory).arg(suite).args(packages);
        must(&mut fetch, &format!("{}: allow the network, or set NVML_SIM_SKIP_JUDGES=1", packages[0]));
    });
    directory.join("tree")
}

/// A file of that name in an unpacked package.
///
/// # Panics
/// When there is none: the package is not what it was.
pub(crate) fn file_of(tree: &Path, name: &str) -> PathBuf {
    let mut directories = vec![tree.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let status = fs::symlink_metadata(&path).unwrap();
            if status.is_dir() {
                directories.push(path);
            } else if status.is_file() && path.file_name().is_some_and(|n| n == name) {
                return path;
            }
        }
    }
    panic!("{name}: not in {}", tree.display())
}
