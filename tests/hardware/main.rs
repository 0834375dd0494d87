//! The kit for machines with a GPU, on a simulated one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A simulated machine with the kit.
struct Machine {
    directory: TempDir,
}

/// What a run of the kit left.
struct Report {
    code: Option<i32>,
    /// Lines that begin with a verdict.
    verdicts: Vec<String>,
    text: String,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine { directory: TempDir::new().unwrap() };
        for directory in ["host", "lib", "kit"] {
            fs::create_dir(machine.path(directory)).unwrap();
        }
        let programs = Path::new(env!("CARGO_BIN_EXE_gresgen")).parent().unwrap();
        let built = machine.path("built");
        fs::create_dir(&built).unwrap();
        for (name, file) in [
            ("gresgen", programs.join("gresgen")),
            ("nvml-ask", programs.join("nvml-ask")),
            ("libnvml_sim.so", nvml_sim::library_path().unwrap()),
            ("libspank_mig.so", programs.join("deps/libspank_mig.so")),
        ] {
            assert!(file.exists(), "{}: not built; run cargo build first", file.display());
            std::os::unix::fs::symlink(file, built.join(name)).unwrap();
        }
        let build = Command::new(source("build")).args([&built, &machine.path("kit")]).output().unwrap();
        assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
        std::os::unix::fs::symlink(machine.path("kit/libnvml_sim.so"), machine.path("lib/libnvidia-ml.so.1"))
            .unwrap();
        let cuda = Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .args([machine.path("lib/libcuda.so.1"), source("fake_cuda.c")])
            .status()
            .unwrap();
        assert!(cuda.success());
        // The simulator makes its device nodes when it is first asked.
        machine.answers();
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("NVML_SIM_ROOT", self.path("host"))
            .env("NVML_SIM_GPUS", "h100-80gb-sxm:2")
            .env("HARDWARE_HOST", self.path("host"))
            .env("LD_LIBRARY_PATH", self.path("lib"))
            .env("REPORT", self.path("report"))
            .env_remove("HARDWARE")
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    /// What the driver answers.
    fn answers(&self) -> String {
        let output = self.command(&self.path("kit/nvml-ask")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the kit in a process namespace of its own, in which no other test's slurmd runs.
    fn run(&self, variables: &[(&str, &str)]) -> Report {
        let mut command = self.command(Path::new("unshare"));
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(self.path("kit/run"));
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let text = fs::read_to_string(self.path("report")).unwrap_or_else(|error| {
            panic!("no report: {error}\n{}", String::from_utf8_lossy(&output.stderr))
        });
        let verdict =
            |line: &&str| ["PASS: ", "FAIL: ", "SKIP: "].iter().any(|verdict| line.starts_with(verdict));
        Report {
            code: output.status.code(),
            verdicts: text.lines().filter(verdict).map(str::to_owned).collect(),
            text,
        }
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/hardware").join(name)
}

impl Report {
    fn all_is_well(&self) {
        let bad: Vec<_> = self
            .verdicts
            .iter()
            .filter(|line| !line.starts_with("PASS"))
            // Where this machine has no nvidia-smi, or no address that Slurm would take.
            .filter(|line| !line.contains("nvidia-smi") && !line.contains("SKIP: Slurm: no address"))
            .collect();
        assert!(bad.is_empty() && self.code == Some(0), "{bad:#?}\n{}", self.text);
    }

    fn says(&self, verdict: &str) {
        assert!(self.verdicts.iter().any(|line| line.contains(verdict)), "{verdict}: {:#?}", self.verdicts);
    }
}

#[test]
fn looking_changes_nothing_and_finds_the_board() {
    let machine = Machine::new();
    let before = machine.answers();
    let report = machine.run(&[]);
    report.all_is_well();
    report.says("PASS: the simulator answers as the board");
    report.says("PASS: apply fails with the refused call by name");
    report.says("PASS: apply refuses and names the process");
    assert!(report.text.contains("calls refused: nvmlDeviceSetMigMode"), "{}", report.text);
    assert_eq!(machine.answers(), before);
    let mut status = machine.command(&machine.path("kit/gresgen"));
    status.arg("--root").arg(machine.path("host")).args(["--nvml-lib", "libnvidia-ml.so.1", "status", "-v"]);
    let status = String::from_utf8(status.output().unwrap().stdout).unwrap();
    let uuids: Vec<&str> = status.split_whitespace().filter(|word| word.starts_with("GPU-")).collect();
    assert_eq!(uuids.len(), 2);
    assert!(uuids.iter().all(|uuid| !report.text.contains(uuid)), "the report is for everybody");
}

#[test]
fn the_whole_life_ends_as_it_began() {
    let machine = Machine::new();
    let before = machine.answers();
    let report = machine.run(&[("HARDWARE", "change"), ("HARDWARE_GPU", "0")]);
    report.all_is_well();
    report.says("PASS: 7 x 1g.10gb are made");
    report.says("PASS: in each of 7 jobs CUDA reports the UUID that the job was given");
    report.says("PASS: MIG is off again");
    let cuda = report.verdicts.iter().filter(|line| line.contains("CUDA under gresgen run reports"));
    assert_eq!(cuda.count(), 7);
    assert_eq!(machine.answers(), before);
}

/// A board that answers otherwise than its simulator is found out, line by line.
#[test]
fn a_difference_fails_and_is_shown() {
    let machine = Machine::new();
    let report = machine.run(&[("NVML_SIM_FAULTS", "nvmlDeviceGetMultiGpuBoard@*=NOT_SUPPORTED")]);
    assert_eq!(report.code, Some(1));
    assert!(report.text.contains("MultiGpuBoard"), "{}", report.text);
}
