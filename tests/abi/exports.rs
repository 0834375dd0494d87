//! The shared object itself.

use std::collections::BTreeSet;
use std::process::Command;

use crate::host::{Node, plugin};

/// What Slurm looks for, and the hooks that do work.
const EXPORTED: [&str; 8] = [
    "plugin_name",
    "plugin_type",
    "plugin_version",
    "slurm_spank_exit",
    "slurm_spank_init",
    "slurm_spank_init_failure_mode",
    "slurm_spank_task_init",
    "slurm_spank_task_post_fork",
];

/// What is taken from Slurm. All of it is in the `libslurmfull.so` of 22.05.8, 24.11.5 and 26.05.5; one name that
/// a release lacks would keep the plugin from loading there.
const FROM_SLURM: [&str; 12] = [
    "slurm_api_version",
    "slurm_debug",
    "slurm_error",
    "slurm_info",
    "slurm_spank_log",
    "spank_context",
    "spank_get_item",
    "spank_getenv",
    "spank_option_register",
    "spank_setenv",
    "spank_strerror",
    "spank_unsetenv",
];

const NEEDED: [&str; 3] = ["ld-linux-x86-64.so.2", "libc.so.6", "libgcc_s.so.1"];

fn lines(tool: &str, arguments: &[&str]) -> Vec<String> {
    let output = Command::new(tool).args(arguments).arg(plugin()).output().unwrap();
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn last_words(lines: &[String]) -> BTreeSet<&str> {
    lines.iter().filter_map(|line| line.split_whitespace().last()).collect()
}

#[test]
fn only_what_slurm_looks_for_is_exported() {
    let defined = lines("nm", &["-D", "--defined-only"]);
    assert_eq!(last_words(&defined), BTreeSet::from(EXPORTED));
}

#[test]
fn nothing_is_taken_from_slurm_that_a_release_lacks() {
    let undefined = lines("nm", &["-D", "--undefined-only"]);
    let ours: BTreeSet<&str> = last_words(&undefined)
        .into_iter()
        .filter(|s| s.starts_with("slurm") || s.starts_with("spank"))
        .collect();
    assert_eq!(ours, BTreeSet::from(FROM_SLURM));
}

#[test]
#[cfg(target_arch = "x86_64")]
fn only_the_c_library_is_needed() {
    let dynamic = lines("readelf", &["-dW"]);
    let needed: Vec<String> = dynamic.into_iter().filter(|line| line.contains("(NEEDED)")).collect();
    let needed: BTreeSet<&str> =
        last_words(&needed).into_iter().map(|n| n.trim_matches(['[', ']'])).collect();
    assert!(needed.is_subset(&BTreeSet::from(NEEDED)), "{needed:?}");
}

/// Every process of Slurm maps it. Only the release build says something about its size.
#[test]
#[cfg(not(debug_assertions))]
fn it_is_small() {
    let stripped = tempfile::NamedTempFile::new().unwrap();
    let done = Command::new("strip").arg("-o").arg(stripped.path()).arg(plugin()).status().unwrap();
    assert!(done.success());
    let bytes = stripped.path().metadata().unwrap().len();
    assert!(bytes < 600_000, "{bytes} bytes");
}

#[test]
fn it_claims_the_release_that_loads_it() {
    let Some(node) = Node::new() else { return };
    let claimed = |api: &str| node.run(&[("FAKE_API", api)], &[]).out[0].clone();
    assert_eq!(claimed("38"), "plugin spank_mig spank 0x160500");
    assert_eq!(claimed("39"), "plugin spank_mig spank 0x170200");
    assert_eq!(claimed("42"), "plugin spank_mig spank 0x180b00");
    assert_eq!(claimed("45"), "plugin spank_mig spank 0x1a0500");
    // Releases that are not served get the number of the build, which they refuse.
    assert_eq!(claimed("46"), claimed("37"));
    assert!(!claimed("46").ends_with("0x1a0b00"));
}
