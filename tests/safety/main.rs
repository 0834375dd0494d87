//! What the plugin must never do to the daemons: slurmd grows with no step, and a slurmstepd that is killed in the
//! middle of a hook, or a hook that panics, leaves the node in service and nothing behind.
#![forbid(unsafe_code)]

#[allow(dead_code, reason = "the launch tests use the rest of it")]
#[path = "../launch/fixture.rs"]
mod fixture;
mod growth;
mod panics;
mod signals;
