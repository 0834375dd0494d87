//! The archive that packages are built of elsewhere.

use std::process::Command;

use crate::checkout;

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{error}");
    said
}

/// `make dist VENDOR=yes` has all that cargo looks for, on a machine that has none of it: no network, and no home of cargo's.
/// Compiling all of it, which takes minutes, is not tried.
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
