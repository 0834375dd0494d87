//! The submit-time guard: alone under a Lua interpreter, and in Slurm's own plugins.
#![forbid(unsafe_code)]

mod alone;
#[allow(dead_code, reason = "the launch tests use the rest of it")]
#[path = "../launch/fixture.rs"]
mod fixture;
mod slurm;

use std::path::{Path, PathBuf};

/// The script as it is shipped.
fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/guard/mig_guard.lua")
}
