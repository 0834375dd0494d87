//! A private Slurm cluster, up in about a second, for tests, the demo, the soak and the benchmarks.
//!
//! A lab is a set of namespaces (network, mount, PID, host name) over an overlay of a root filesystem: the
//! host's own for Slurm 22.05 on Debian 12, a cached debootstrap for newer releases. Inside it Slurm has its
//! default ports, its own `/etc/slurm`, `/dev`, `/run` and `/tmp`, and fake GPU device nodes, so labs run side by
//! side. Everything a lab holds lives in its namespaces: when the test dies, pid 1 of the lab reads the end
//! of its standard input, and the kernel takes the rest.
//!
//! ```no_run
//! use lab::{FakeGpus, Lab, Node, Options, Release};
//!
//! let gpus = FakeGpus::new(&[(0, 7, 0), (0, 8, 0)]);
//! let node = Node::new("n1").gres("gpu:1g.5gb:2").gres_conf(&gpus.gres_conf("n1", &["1g.5gb", "1g.5gb"]));
//! let lab = Lab::start(Release::Bookworm, Options::new(node).gpus(&gpus))?;
//! let seen = lab.srun(&["--gres=gpu:1g.5gb:1", "lab-probe"])?.probes();
//! assert_eq!(seen[0].open, gpus.files(0));
//! # Ok::<(), lab::LabError>(())
//! ```
//!
//! The judge of a job is `lab-probe`, which runs as the task and opens every GPU device node: it shares no
//! code with what it judges.
#![forbid(unsafe_code)]

mod accounting;
pub mod bench;
mod build;
mod cluster;
mod config;
pub mod crowd;
pub mod demo;
mod error;
mod fleet;
mod gpus;
mod invocation;
mod job;
mod namespace;
mod options;
mod output;
pub mod playground;
mod release;
pub mod rootfs;
mod simulated;

pub use build::compile;
pub use cluster::Lab;
pub use error::LabError;
pub use fleet::{Fleet, FleetOptions};
pub use gpus::{FakeGpu, FakeGpus};
pub use invocation::{Invocation, User};
pub use job::{Job, JobId};
pub use options::{Cgroup, Node, Options};
pub use output::{Output, Probe};
pub use release::Release;
pub use simulated::Simulated;

/// The lab, or `None` where no judge can work and the caller asked, with `LAB_SKIP=1`, to skip such tests.
///
/// # Panics
/// When the lab does not start, unless it is unavailable here and `LAB_SKIP=1` is set.
pub fn require<T>(lab: Result<T, LabError>) -> Option<T> {
    match lab {
        Ok(lab) => Some(lab),
        Err(error @ LabError::Unavailable(_)) if std::env::var("LAB_SKIP").as_deref() == Ok("1") => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => {
            panic!("{error}\nhint: LAB_SKIP=1 skips the tests that need a Slurm lab where none can run")
        }
    }
}
