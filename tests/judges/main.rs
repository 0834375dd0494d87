//! Judges that this project did not write: NVIDIA's Python bindings, Slurm's NVML plugin, and programs that people
//! watch GPUs with, as clients of the simulator; and the answers that real boards gave.
//!
//! They need root, and the network once: Python packages come by pip, programs by apt from Debian, its components contrib
//! and non-free among it. All are kept in Cargo's directory for test files. Where that is not to be had,
//! `NVML_SIM_SKIP_JUDGES=1` passes them over; nothing else does.

mod clients;
mod faults;
#[path = "../shared/fetched.rs"]
mod fetched;
mod hammer;
mod hardware;
mod life;
mod slurm;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use fetched::{must, pip, skipped};
use nvml_sim::library_path;

/// The scripts and recorded answers beside this file.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/judges").canonicalize().unwrap()
}

/// A simulated machine, and the directory from which the loader takes the simulator for NVML.
struct Bench {
    directory: tempfile::TempDir,
    spec: String,
}

impl Bench {
    fn new(spec: &str) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let lib = directory.path().join("lib");
        fs::create_dir(&lib).unwrap();
        symlink(library_path().unwrap(), lib.join("libnvidia-ml.so.1")).unwrap();
        // slurmd looks for NVML by its development name before it loads the plugin.
        symlink("libnvidia-ml.so.1", lib.join("libnvidia-ml.so")).unwrap();
        Bench { directory, spec: spec.to_owned() }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("LD_LIBRARY_PATH", self.directory.path().join("lib"))
            .env("NVML_SIM_ROOT", self.root())
            .env("NVML_SIM_GPUS", &self.spec);
        command
    }
}

/// NVIDIA's bindings of R580, the driver that is simulated.
const BINDINGS: &str = "nvidia-ml-py>=13.580,<13.581";

impl Bench {
    /// A script of this directory, with nvidia-ml-py at hand.
    fn python(&self, script: &str) -> Command {
        let mut python = self.command("python3");
        python.env("PYTHONPATH", pip(BINDINGS)).env("PYTHONDONTWRITEBYTECODE", "1");
        python.arg(scripts().join(script));
        python
    }
}
