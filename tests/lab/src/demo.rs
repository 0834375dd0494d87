//! `lab demo`: simulated GPUs are cut, a real Slurm starts on the files written, and jobs show that the UUID they
//! were given is the device their cgroup opened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Lab, LabError, Probe, Release, Simulated};

/// A job of the demo: what a user types and how many tasks report.
struct Show {
    command: &'static [&'static str],
    /// Runs as a batch script rather than a step.
    batch: bool,
    tasks: usize,
}

const SHOWS: [Show; 5] = [
    Show { command: &["--gres=gpu:1g.5gb:1"], batch: true, tasks: 1 },
    Show { command: &["--gres=gpu:3g.20gb:1"], batch: true, tasks: 1 },
    Show { command: &["--gres=gpu:2g.10gb:1"], batch: false, tasks: 1 },
    Show { command: &["--ntasks=2", "--gres=gpu:1g.5gb:2", "--gpu-bind=single:1"], batch: false, tasks: 2 },
    Show { command: &["--gres=gpu:1g.5gb:1,gpu:3g.20gb:1"], batch: false, tasks: 1 },
];

/// Runs the demo with the programs beside this one.
///
/// # Errors
/// What failed, with the place of the daemons' logs.
pub fn run() -> Result<(), String> {
    let programs = std::env::current_exe().map_err(|e| e.to_string())?;
    let programs = programs.parent().unwrap_or(Path::new("."));
    let simulated = Simulated {
        gresgen: programs.join("gresgen"),
        simulator: programs.join("libnvml_sim.so"),
        plugin: programs.join("libspank_mig.so"),
        gpus: Simulated::SEVEN_GPUS.to_owned(),
        config: format!("{}{}", Simulated::SEVEN, Simulated::NODE),
    };
    println!("A private node with simulated GPUs ({}) and Debian's Slurm.\n", Simulated::SEVEN_GPUS);
    let lab = simulated.node(Release::Bookworm).map_err(|e| e.to_string())?;
    play(&lab).map_err(|error| {
        let logs = std::env::temp_dir().join(format!("gresgen-demo-{}", std::process::id()));
        match lab.save_logs(&logs) {
            Ok(()) => format!("{error}\nlogs: {}", logs.display()),
            Err(_) => error.to_string(),
        }
    })?;
    println!("demo: ok");
    Ok(())
}

fn play(lab: &Lab) -> Result<(), LabError> {
    for arguments in [&["plan"][..], &["apply"], &["status"]] {
        println!("$ gresgen {}", arguments.join(" "));
        let output = lab.gresgen(arguments)?;
        print!("{}", output.stdout);
        // 6: what is left to do is to start Slurm, which comes next.
        if ![0, 6].contains(&output.code) {
            return Err(disagree(format!("gresgen ended with {}: {}", output.code, output.stderr)));
        }
        println!();
    }
    let devices = Devices::read(lab)?;
    println!("$ slurmctld; slurmd    # on the files gresgen wrote, ConstrainDevices=yes");
    lab.start_slurm()?;
    println!("{}", lab.run(&["sinfo", "--noheader", "--format=%n %T %G"])?.stdout);
    for show in &SHOWS {
        let probes = show.run(lab)?;
        if probes.len() != show.tasks {
            return Err(disagree(format!("{} of {} tasks reported", probes.len(), show.tasks)));
        }
        for probe in &probes {
            devices.judge(probe)?;
        }
        // Tasks that are bound to one device each must not have got the same one.
        if show.tasks > 1 && probes[0].cuda == probes[1].cuda {
            return Err(disagree(format!("two tasks hold {}", probes[0].cuda.clone().unwrap_or_default())));
        }
        println!();
    }
    let second = lab.gresgen(&["apply"])?;
    println!("$ gresgen apply\n{}", second.stdout);
    match second.stdout.trim() {
        "nothing to change" => Ok(()),
        other => Err(disagree(format!("a second apply said {other:?}"))),
    }
}

impl Show {
    fn run(&self, lab: &Lab) -> Result<Vec<Probe>, LabError> {
        let arguments = self.command.join(" ");
        let text = if self.batch {
            println!("$ sbatch {arguments} job.sh");
            lab.batch(self.command, "lab-probe")?.output
        } else {
            println!("$ srun {arguments} job");
            lab.srun(&[self.command, &["lab-probe"]].concat())?.stdout
        };
        Ok(Probe::parse_all(&text))
    }
}

/// MIG devices by the node that belongs to each alone: its compute instance's capability. Read from the
/// device map as text, so that judge and judged share no code.
struct Devices(BTreeMap<PathBuf, (String, String)>);

impl Devices {
    fn read(lab: &Lab) -> Result<Self, LabError> {
        let map = lab.read_file("/run/gresgen/devices")?;
        let row = |line: &str| {
            let cells: Vec<&str> = line.split(' ').collect();
            let [_, kind, uuid, _, _, _, files] = cells[..] else { return None };
            let (path, _) = files.rsplit(',').next()?.split_once('=')?;
            Some((PathBuf::from(path), (kind.to_owned(), uuid.to_owned())))
        };
        Ok(Devices(map.lines().filter_map(row).collect()))
    }

    /// Prints what a task saw and compares the devices it could open with the UUIDs it was given.
    fn judge(&self, probe: &Probe) -> Result<(), LabError> {
        if probe.denied.is_empty() {
            return Err(disagree("the device cgroup denied nothing, so it proves nothing".to_owned()));
        }
        let opened: Vec<_> = self.0.iter().filter(|(path, _)| probe.open.contains(*path)).collect();
        for (path, (kind, uuid)) in &opened {
            println!(
                "  job {} task {}  cgroup opened {} = {kind} {uuid}",
                probe.job,
                number(&probe.task),
                path.display()
            );
        }
        println!(
            "  job {} task {}  CUDA_VISIBLE_DEVICES={}",
            probe.job,
            number(&probe.task),
            probe.cuda_list().join(",")
        );
        let mut open: Vec<&str> = opened.iter().map(|(_, (_, uuid))| uuid.as_str()).collect();
        let mut given = probe.cuda_list();
        open.sort_unstable();
        given.sort_unstable();
        if open.is_empty() || open != given {
            return Err(disagree(format!("job {}: opened {open:?}, was given {given:?}", probe.job)));
        }
        Ok(())
    }
}

fn number(task: &str) -> &str {
    if task.is_empty() { "0" } else { task }
}

fn disagree(what: String) -> LabError {
    LabError::Command { command: "demo".to_owned(), what }
}
