//! `lab demo`: simulated GPUs are cut, a real Slurm starts on the files written, and jobs try to open every slice of
//! the node: each opens the one whose UUID it was given, and is denied all others.

mod on_request;
mod slices;

use std::fmt;
use std::io::{self, Write as _};

use crate::{Lab, LabError, Probe, Release, Simulated, User};
use slices::{HEADING, Slices};

/// A job that is to run beside another one: it reports when both are there, or half a minute has passed, and stays a moment.
const BESIDE: &str = "\
: >/var/lab/out/here-$SLURM_JOB_ID
for look in $(seq 300); do
    set -- /var/lab/out/here-*
    [ $# -lt 2 ] || break
    sleep 0.1
done
lab-probe 1000";

/// A job of the demo: what a user types, and how many tasks report.
struct Show {
    command: &'static str,
    arguments: &'static [&'static str],
    tasks: usize,
}

/// Jobs that run alone.
const SHOWS: [Show; 4] = [
    Show { command: "sbatch", arguments: &["--gres=gpu:3g.20gb:1"], tasks: 1 },
    Show { command: "srun", arguments: &["--gres=gpu:2g.10gb:1"], tasks: 1 },
    Show {
        command: "srun",
        arguments: &["--ntasks=2", "--gres=gpu:1g.5gb:2", "--gpu-bind=single:1"],
        tasks: 2,
    },
    Show { command: "srun", arguments: &["--gres=gpu:1g.5gb:1,gpu:3g.20gb:1"], tasks: 1 },
];

/// What two users ask for at one time.
const BOTH: &[&str] = &["--gres=gpu:1g.5gb:1"];

/// What is about to happen, before anything does.
const HEADER: &str = "\
A private node with two simulated A100-40GB and Debian's Slurm, for about 15 s:
  1. gresgen cuts the GPUs and writes Slurm's files
  2. slurmctld and slurmd start on those files
  3. six jobs try to open every slice of the node
  4. a job asks for a slice that there is not, and a GPU is cut for it
It stops at the first thing that is not as it should be, and leaves nothing.
";

/// Why a demo ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Whoever read the output has seen enough, as in `lab demo | head`.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
    /// The lab, or something in it, failed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// What a job was given is not what it could open.
    #[error("{0}")]
    Wrong(String),
}

/// Runs the demo with the programs beside this one.
///
/// # Errors
/// What failed, with the place of the daemons' logs.
pub fn run() -> Result<(), DemoError> {
    say(format_args!("{HEADER}"))?;
    let lab = Simulated::built()?.node(Release::Bookworm)?;
    play(&lab).map_err(|error| match error {
        DemoError::Output(_) => error,
        error => DemoError::Wrong(with_logs(&lab, &error.to_string())),
    })?;
    say(format_args!("demo: ok"))
}

/// Keeps the logs of what failed, which end with the lab.
fn with_logs(lab: &Lab, error: &str) -> String {
    let logs = std::env::temp_dir().join(format!("gresgen-demo-{}", std::process::id()));
    match lab.save_logs(&logs) {
        Ok(()) => format!("{error}\nlogs: {}", logs.display()),
        Err(_) => error.to_owned(),
    }
}

fn play(lab: &Lab) -> Result<(), DemoError> {
    let root = "root# ";
    gresgen(lab, root, &["plan"], 0)?;
    // 6: what is left to do is to start Slurm, which comes next.
    gresgen(lab, root, &["--quiet", "apply"], 6)?;
    let slices = Slices::read(lab)?;
    say(format_args!("{root}slurmctld; slurmd        # on the files that gresgen wrote"))?;
    lab.start_slurm()?;
    say(format_args!("{}", lab.run(&["sinfo", "--noheader", "--format=%n %T %G"])?.stdout))?;

    say(format_args!("{HEADING}"))?;
    at_once(lab, &slices)?;
    for show in &SHOWS {
        show.play(lab, &slices)?;
    }
    say(format_args!(""))?;
    let again = gresgen(lab, root, &["apply"], 0)?;
    match again.trim() {
        "nothing to change" => {}
        other => return Err(DemoError::Wrong(format!("a second apply said {other:?}"))),
    }
    on_request::play(lab)
}

fn gresgen(lab: &Lab, prompt: &str, arguments: &[&str], code: i32) -> Result<String, DemoError> {
    say(format_args!("{prompt}gresgen {}", arguments.join(" ")))?;
    let output = lab.gresgen(arguments)?;
    if output.code != code {
        return Err(DemoError::Wrong(format!("gresgen ended with {}: {}", output.code, output.stderr)));
    }
    // What is left to do in Slurm is what the demo does next.
    let shown = output.stdout.split("left to do in Slurm:").next().unwrap_or_default();
    say(format_args!("{shown}"))?;
    Ok(output.stdout)
}

/// Two jobs of one kind beside each other, and the node as its admin sees it meanwhile.
fn at_once(lab: &Lab, slices: &Slices) -> Result<(), DemoError> {
    say(format_args!("alice$ sbatch {} job        # twice, at the same time", BOTH.join(" ")))?;
    let jobs = [(); 2].map(|()| lab.sbatch(User::Alice, BOTH, BESIDE));
    let mut probes = Vec::new();
    for job in jobs {
        probes.extend(Probe::parse_all(&lab.wait_job(job?)?.output));
    }
    slices.report(&probes, 2)?;
    let [first, second] = &probes[..] else { return Err(DemoError::Wrong("a job is missing".to_owned())) };
    let together = first.begin < second.end && second.begin < first.end;
    if !together {
        return Err(DemoError::Wrong(format!(
            "jobs {} and {} ran one after the other",
            first.job, second.job
        )));
    }
    if first.cuda == second.cuda {
        return Err(DemoError::Wrong(format!("jobs {} and {} hold the same slice", first.job, second.job)));
    }
    Ok(())
}

impl Show {
    fn play(&self, lab: &Lab, slices: &Slices) -> Result<(), DemoError> {
        say(format_args!("alice$ {} {} job", self.command, self.arguments.join(" ")))?;
        let text = if self.command == "sbatch" {
            lab.wait_job(lab.sbatch(User::Alice, self.arguments, "lab-probe")?)?.output
        } else {
            let words = [&["srun"], self.arguments, &["lab-probe"]].concat();
            lab.command(&words).user(User::Alice).output()?.stdout
        };
        let probes = Probe::parse_all(&text);
        slices.report(&probes, self.tasks)?;
        // Tasks that are bound to one device each must not have got the same one.
        match &probes[..] {
            [first, second] if first.cuda == second.cuda => {
                Err(DemoError::Wrong(format!("two tasks of job {} hold the same slice", first.job)))
            }
            _ => Ok(()),
        }
    }
}

/// A line of the demo.
fn say(line: fmt::Arguments<'_>) -> Result<(), DemoError> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}
