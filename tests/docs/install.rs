//! `make install`, below a directory of the test.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use gresgen::config::Config;

use crate::{checkout, node::build};

pub(crate) const PLUGIN_DIR: &str = "/usr/lib/slurm";

/// What admins, systemd, man and shells look for.
const FILES: [(&str, u32); 16] = [
    ("/usr/bin/gresgen", 0o755),
    ("/usr/lib/gresgen/libnvml_sim.so", 0o644),
    ("/usr/lib/slurm/spank_mig.so", 0o644),
    ("/usr/lib/systemd/system/gresgen-arbiter.service", 0o644),
    ("/usr/lib/systemd/system/gresgen-boot.service", 0o644),
    ("/usr/lib/systemd/system/gresgen-metrics.service", 0o644),
    ("/usr/lib/systemd/system/gresgen-metrics.timer", 0o644),
    ("/usr/libexec/gresgen/gresgen-health.sh", 0o755),
    ("/usr/share/gresgen/mig_guard.lua", 0o644),
    ("/usr/share/doc/gresgen/LICENSE", 0o644),
    ("/usr/share/doc/gresgen/THIRD-PARTY", 0o644),
    ("/usr/share/man/man1/gresgen.1", 0o644),
    ("/usr/share/bash-completion/completions/gresgen", 0o644),
    ("/usr/share/doc/gresgen/examples/config.yaml", 0o644),
    ("/usr/share/doc/gresgen/templates/gres.conf.j2", 0o644),
    ("/usr/share/doc/gresgen/docs/install.md", 0o644),
];

pub(crate) fn make(target: &str, build: &Path, to: &Path) {
    let output = Command::new("make")
        .current_dir(checkout())
        .args(["--silent", target, &format!("PLUGIN_DIR={PLUGIN_DIR}")])
        .arg(format!("BUILD={}", build.display()))
        .arg(format!("DESTDIR={}", to.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Files below a directory, with their inodes.
pub(crate) fn files(below: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(entry.path(), entry.metadata().unwrap().ino());
            }
        }
    }
    found
}

#[test]
fn it_installs_replaces_by_rename_and_uninstalls() {
    let (build, to) = (build(), tempfile::tempdir().unwrap());
    make("install", build.path(), to.path());
    for (path, mode) in FILES {
        let file = to.path().join(&path[1..]);
        let metadata = std::fs::metadata(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path}");
        assert!(metadata.len() > 0, "{path}");
    }
    let first = files(to.path());
    assert!(first.keys().all(|path| path.extension().is_none_or(|e| e != "new")), "{first:?}");

    // Whoever has the plugin mapped keeps what it has: the file is another one, not the old one written over.
    let plugin = to.path().join("usr/lib/slurm/spank_mig.so");
    let held = std::fs::File::open(&plugin).unwrap();
    make("install", build.path(), to.path());
    let second = files(to.path());
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    assert_ne!(held.metadata().unwrap().ino(), second[&plugin]);
    assert!(held.metadata().unwrap().len() > 0);

    let of_the_admin = to.path().join("etc/gresgen/config.yaml");
    std::fs::write(&of_the_admin, "version: v1\n").unwrap();
    make("uninstall", build.path(), to.path());
    assert_eq!(files(to.path()).keys().collect::<Vec<_>>(), [&of_the_admin]);
}

#[test]
fn what_is_not_built_is_said() {
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new("make")
        .current_dir(checkout())
        .args(["--silent", "install", "DESTDIR=/nonexistent"])
        .arg(format!("BUILD={}", empty.path().display()))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("gresgen: not built; run make release first"), "{said}");
}

#[test]
fn units_start_what_is_installed() {
    for (name, start) in [("boot", "/usr/bin/gresgen apply --boot"), ("arbiter", "/usr/bin/gresgen arbiter")]
    {
        let unit = checkout().join(format!("packaging/systemd/gresgen-{name}.service"));
        let unit = std::fs::read_to_string(unit).unwrap();
        let starts: Vec<_> = unit.lines().filter_map(|line| line.strip_prefix("ExecStart=")).collect();
        assert_eq!(starts, [start]);
        assert!(FILES.iter().any(|(path, _)| start.starts_with(path)));
    }
}

#[test]
fn the_example_is_a_configuration() {
    let text = std::fs::read_to_string(checkout().join("examples/config.yaml")).unwrap();
    let config = Config::parse("examples/config.yaml", &text).unwrap();
    assert!(config.choose(None).is_ok());
    for layout in ["whole", "mixed", "small", "node-wide"] {
        assert!(config.choose(Some(layout)).is_ok(), "{layout}");
    }
    // What is commented out is right, too.
    let whole: String = text
        .lines()
        .map(|line| match line.strip_prefix("  # ") {
            Some(setting) if is_setting(setting) => format!("  {setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(whole.matches('\n').count() > 0 && whole.contains("\n  release:"), "{whole}");
    Config::parse("examples/config.yaml, all of it", &whole).unwrap();
}

/// Whether a commented line is a key of `slurm:` rather than prose.
fn is_setting(line: &str) -> bool {
    let key = line.trim_start().split(':').next().unwrap_or_default();
    line.contains(':') && key.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}
