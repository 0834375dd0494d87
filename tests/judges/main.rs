//! Judges that this project did not write: NVIDIA's Python bindings and Slurm's NVML plugin, as clients of
//! the simulator.
//!
//! They need root, and the network once: `nvidia-ml-py` comes by pip, the plugin by apt from Debian's component
//! contrib. Both are kept in Cargo's directory for test files. Where that is not to be had,
//! `NVML_SIM_SKIP_JUDGES=1` passes them over; nothing else does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use nvml_sim::machine::{Machine, MigDevice};
use nvml_sim::{Store, library_path};

/// Two judges that fetch at once would fetch into one directory.
static FETCHING: Mutex<()> = Mutex::new(());

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/judges").canonicalize().unwrap()
}

fn skipped() -> bool {
    let skip = std::env::var_os("NVML_SIM_SKIP_JUDGES").is_some_and(|v| v == "1");
    if skip {
        eprintln!("skipped, as NVML_SIM_SKIP_JUDGES=1 asks");
    }
    skip
}

/// A directory that holds what `fetch` puts there; fetched once.
fn kept(name: &str, fetch: impl FnOnce(&Path)) -> PathBuf {
    let _alone = FETCHING.lock().unwrap_or_else(|e| e.into_inner());
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("judges").join(name);
    if !directory.exists() {
        fs::create_dir_all(directory.parent().unwrap()).unwrap();
        fetch(&directory);
    }
    directory
}

/// The output of a command that must succeed; `need` says what to do if it does not.
fn must(command: &mut Command, need: &str) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|e| panic!("{:?}: {e}; {need}", command.get_program()));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{:?}: {status}; {need}\n{stdout}{stderr}", command.get_program());
    stdout.into_owned() + &stderr
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

fn nvidia_ml_py() -> PathBuf {
    kept("nvidia-ml-py", |directory| {
        let part = directory.with_extension("part");
        let _ = fs::remove_dir_all(&part);
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        pip.arg(&part).arg("nvidia-ml-py>=13,<14");
        must(&mut pip, "install python3-pip and allow the network, or set NVML_SIM_SKIP_JUDGES=1");
        fs::rename(&part, directory).unwrap();
    })
}

fn life_of_instances(spec: &str) {
    if skipped() {
        return;
    }
    let bench = Bench::new(spec);
    let mut python = bench.command("python3");
    python.env("PYTHONPATH", nvidia_ml_py()).env("PYTHONDONTWRITEBYTECODE", "1");
    let said = must(python.arg(scripts().join("life.py")), "run this as root");
    assert!(said.contains(" profiles, "), "{said}");
}

#[test]
fn nvidia_ml_py_drives_the_life_of_instances_on_ampere() {
    life_of_instances("a100-40gb:2");
}

#[test]
fn nvidia_ml_py_drives_the_life_of_instances_on_a_mirrored_hopper() {
    life_of_instances("h100-80gb-sxm:1:mirrored");
}

#[test]
fn nvidia_ml_py_drives_the_life_of_instances_on_small_and_on_graphics_boards() {
    life_of_instances("a30-24gb,rtx-pro-6000-blackwell-96gb:1:gaps");
}

/// Makes three layouts, one of them with a GPU instance in parts.
fn cut(bench: &Bench) -> Machine {
    let layouts: [&[(u32, &[u32])]; 3] = [
        &[(9, &[2]), (14, &[1]), (19, &[0])],
        &[(19, &[0]), (19, &[0]), (9, &[0, 1])],
        &[(15, &[7]), (5, &[3])],
    ];
    let store = Store::open(&bench.root(), Some(&bench.spec.parse().unwrap())).unwrap();
    for (gpu, layout) in (0..).zip(layouts) {
        let change =
            |f: &mut dyn FnMut(&mut Machine, &nvml_sim::clients::Clients) -> nvml_sim::code::Answer<u32>| {
                store.change(|s| f(&mut s.machine, &s.clients)).unwrap().unwrap()
            };
        change(&mut |m, clients| m.set_mode(gpu, true, clients)?.map(|()| 0));
        for &(profile, parts) in layout {
            let instance = change(&mut |m, clients| m.create_instance(gpu, profile, None, clients));
            for &part in parts {
                change(&mut |m, _| m.create_compute(gpu, instance, part, None));
            }
        }
    }
    store.read().unwrap().machine
}

fn nvml_plugin() -> PathBuf {
    kept("slurm-nvml-plugin", |directory| {
        let mut fetch = Command::new("sh");
        fetch.arg(scripts().join("fetch-plugin.sh")).arg(directory);
        must(&mut fetch, "allow the network, or set NVML_SIM_SKIP_JUDGES=1");
    })
}

/// Where the distribution's own Slurm plugins are, and below `tree` the fetched one.
fn plugin_directories(tree: &Path) -> String {
    let multiarch = ["/usr/lib/x86_64-linux-gnu/slurm-wlm", "/usr/lib/aarch64-linux-gnu/slurm-wlm"];
    let own = multiarch.into_iter().find(|d| Path::new(d).is_dir());
    let own = own.expect("Slurm's plugins are not installed: install slurmd");
    format!("{own}:{}", tree.join("tree").join(own.trim_start_matches('/')).display())
}

/// The type that Slurm makes of a MIG device's profile, as the end of its name.
fn gres_type(device: &MigDevice<'_>) -> String {
    format!("_{}", device.profile_name().rsplit_once("c.").map_or(device.profile_name().as_str(), |p| p.1))
}

/// Device files of a MIG device, by the driver's published formula for capability minors.
fn files(device: &MigDevice<'_>) -> String {
    let (gpu, gi, ci) = (device.gpu.minor, device.instance.id, device.compute.id);
    let access = 3 + gpu * 135 + gi * 9;
    let caps = "/dev/nvidia-caps/nvidia-cap";
    format!("/dev/nvidia{gpu},{caps}{access},{caps}{}", access + 1 + ci)
}

#[test]
fn slurms_own_nvml_plugin_lists_the_mig_devices() {
    if skipped() {
        return;
    }
    assert!(rustix::process::geteuid().is_root(), "run this as root: it needs a mount namespace");
    let bench = Bench::new("a100-40gb:2:shuffled,h100-80gb-sxm:1:mirrored");
    let machine = cut(&bench);
    let devices: Vec<MigDevice<'_>> = machine.gpus.iter().flat_map(|g| g.mig_devices()).collect();

    let conf = bench.directory.path().join("slurm");
    fs::create_dir(&conf).unwrap();
    let gres: Vec<String> = devices.iter().map(|d| format!("gpu:{}:1", gres_type(d))).collect();
    let lines = [
        "ClusterName=judge".to_owned(),
        "SlurmctldHost=localhost".to_owned(),
        "AuthType=auth/none".to_owned(),
        "CredType=cred/none".to_owned(),
        "ProctrackType=proctrack/linuxproc".to_owned(),
        "GresTypes=gpu".to_owned(),
        format!("PluginDir={}", plugin_directories(&nvml_plugin())),
        format!("NodeName=judge CPUs=1 Gres={}", gres.join(",")),
        "PartitionName=judge Nodes=ALL".to_owned(),
    ];
    fs::write(conf.join("slurm.conf"), lines.join("\n") + "\n").unwrap();
    fs::write(conf.join("gres.conf"), "AutoDetect=nvml\n").unwrap();

    let mut slurmd = bench.command("unshare");
    slurmd.args(["--mount", "sh"]).arg(scripts().join("slurmd.sh")).arg(&conf);
    let said = must(&mut slurmd, "install slurmd and util-linux, and run this as root");
    let listed: Vec<&str> = said.lines().filter(|l| l.contains("Gres Name=gpu")).collect();
    assert_eq!(listed.len(), devices.len(), "{said}");
    for device in &devices {
        let of_device =
            |l: &&&str| l.split_whitespace().any(|field| field == format!("File={}", files(device)));
        let line =
            listed.iter().find(of_device).unwrap_or_else(|| panic!("{}: not in\n{said}", files(device)));
        let wanted = format!("Type={} ", gres_type(device));
        assert!(line.contains(&wanted), "{wanted} not in {line}");
    }
}
