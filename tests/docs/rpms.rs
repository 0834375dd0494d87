//! RPMs in a root of their own, and the archive that they are built of elsewhere.
//!
//! The root has a shell for what packages run, and the libraries of what is tried in it. Dependencies are passed over: no RPM of
//! Slurm is at hand. dnf, mock and a real Fedora are not here either.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checkout;
use crate::node::build;
use crate::packages::packages;

const NAMES: [&str; 3] = ["gresgen", "slurm-spank-mig", "gresgen-simulator"];

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{error}");
    said
}

/// Puts programs of this host below `root`, each with the libraries that the loader finds for it.
fn furnish(root: &Path, programs: &[(&Path, &str)]) {
    let copy = |from: &Path, to: &str| {
        let to = root.join(to.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    };
    for (program, place) in programs {
        copy(program, place);
        let libraries = run(Command::new("ldd").arg(program));
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            copy(Path::new(library), library);
        }
    }
}

#[test]
fn rpms_are_installed_upgraded_and_removed() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: packages are installed by root");
        return;
    }
    let (build, work) = (build(), tempfile::tempdir().unwrap());
    let root = work.path().join("root");
    std::fs::create_dir_all(root.join("tmp")).unwrap();
    // The libraries of gresgen itself come with a copy of it that no package owns.
    furnish(&root, &[(Path::new("/bin/sh"), "/bin/sh"), (&build.path().join("gresgen"), "/opt/gresgen")]);
    let rpm = |arguments: &[&str]| {
        // Debian's rpm wants to hear that alien(1) is not meant.
        let mut command = Command::new("rpm");
        run(command.arg("--force-debian").arg("--root").arg(&root).args(arguments))
    };
    let made = |version: &str| -> Vec<String> {
        let made = packages("rpm", version, build.path(), &work.path().join(version));
        made.iter().map(|package| package.display().to_string()).collect()
    };
    let with = |verb: &[&str], packages: &[String]| {
        rpm(&verb.iter().copied().chain(packages.iter().map(String::as_str)).collect::<Vec<_>>())
    };
    rpm(&["--initdb"]);
    let before = files(&root);
    for (verb, version) in [("--install", "1.0"), ("--upgrade", "1.1")] {
        with(&["--nodeps", verb], &made(version));
        let installed = rpm(&["-q", "--queryformat", "%{name} %{version}\n", NAMES[0], NAMES[1], NAMES[2]]);
        assert_eq!(installed, NAMES.map(|name| format!("{name} {version}\n")).concat());
        // Contents, modes and owners are those of the packages.
        assert_eq!(with(&["--verify", "--nodeps"], &NAMES.map(str::to_owned)), "");
        let said = run(Command::new("chroot").arg(&root).args(["/usr/bin/gresgen", "--version"]));
        assert!(said.starts_with("gresgen "), "{said}");
        std::fs::write(root.join("etc/gresgen/config.yaml"), "version: v1\n").unwrap();
    }
    with(&["--erase", "--nodeps"], &NAMES.map(str::to_owned));
    assert_eq!(rpm(&["-qa"]), "");
    let left: Vec<PathBuf> = files(&root).difference(&before).cloned().collect();
    assert_eq!(
        left,
        [PathBuf::from("etc/gresgen/config.yaml")],
        "what the admin wrote stays, and nothing else"
    );
}

/// Files below a root, but for rpm's own.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let found = run(Command::new("find").arg(root).args(["-type", "f", "-printf", "%P\n"]));
    found.lines().filter(|path| !path.contains("/rpm/")).map(PathBuf::from).collect()
}

/// `make dist VENDOR=yes` has all that cargo looks for, on a machine that has none of it: no network, and no home of cargo's.
/// What takes minutes, compiling all of it, was done by hand.
#[test]
fn the_archive_is_built_without_a_network() {
    let work = tempfile::tempdir().unwrap();
    let archive = run(Command::new("make")
        .current_dir(checkout())
        .args(["--silent", "dist", "VENDOR=yes"])
        .arg(format!("PACKAGES_DIR={}", work.path().display())));
    run(Command::new("tar").args(["--strip-components=1", "-xf", archive.trim(), "-C"]).arg(work.path()));
    let home = work.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(arguments).args(["--offline", "--locked"]).current_dir(work.path());
        run(cargo.env("CARGO_HOME", &home).env("CARGO_TARGET_DIR", work.path().join("target")))
    };
    let all = cargo(&["metadata", "--format-version", "1"]);
    let from = all.matches(&format!("{}/vendor/", work.path().canonicalize().unwrap().display())).count();
    assert!(from > 300, "{from} paths of vendored crates");
    cargo(&["build", "--quiet", "--package", "device-map"]);
}
