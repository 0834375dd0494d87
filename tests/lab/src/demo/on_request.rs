//! The last act: GPUs are cut for a job that waits for a slice of which there is none, beside a job that runs on.

use super::slices::Slices;
use super::{DemoError, gresgen, say};
use crate::{JobId, Lab, LabError, Probe, Simulated, User};

/// What the admin says beside the hardware. The node is slurmctld's host as well, so that an order needs no ssh.
const CONFIG: &str = "  on-request: [{profiles: [1g.5gb, 3g.20gb], orders: true}]
  catalog: cut-on-request
  arbiter: {reach: [sh, -c, exec gresgen order, '{node}']}
";

/// What idle GPUs are cut into.
const LAYOUT: &str = "\
version: v1
layout: small
mig-configs:
  small:
    - {devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}
";

/// Where the arbiter's lines go.
const LOG: &str = "/var/lab/arbiter.log";

/// A job that reports, stays until it is told to go, and reports again.
const STAYS: &str = "lab-probe\nuntil [ -e /var/lab/out/go ]; do sleep 0.1; done\nlab-probe";

/// What the user waits for.
const WANTED: &str = "--gres=gpu:3g.20gb:1";

pub(super) fn play(lab: &Lab) -> Result<(), DemoError> {
    let root = "root# ";
    say(format_args!(
        "{root}cat >> /etc/gresgen/config.yaml       # GPUs on request, all cut small\n{CONFIG}"
    ))?;
    lab.write_file("/etc/gresgen/config.yaml", format!("{LAYOUT}{}{CONFIG}", Simulated::NODE))?;
    lab.stop_slurm()?;
    gresgen(lab, root, &["--quiet", "--layout", "small", "apply", "--offline"], 0)?;
    lab.start_slurm()?;
    say(format_args!("{root}gresgen arbiter &"))?;
    let arbiter = format!("setsid gresgen arbiter </dev/null >{LOG} 2>&1 & echo $!");
    let arbiter = lab.run(&["sh", "-c", &arbiter])?.stdout;

    say(format_args!("alice$ sbatch --gres=gpu:1g.5gb:1 job      # stays"))?;
    let beside = lab.sbatch(User::Alice, &["--gres=gpu:1g.5gb:1"], STAYS)?;
    lab.wait("the job that stays to begin", || Ok(first_report(lab, beside)?.then_some(())))?;
    say(format_args!("alice$ sbatch {WANTED} job     # no GPU is cut so"))?;
    let wanted = lab.sbatch(User::Alice, &[WANTED], "lab-probe")?;
    let wanted = lab.wait_job(wanted)?.output;
    let log = lab.read_file(LOG)?;
    lab.run(&["kill", arbiter.trim()])?;
    if !log.contains("-> 3g.20gb") {
        return Err(DemoError::Wrong(format!("nothing was cut: {log}")));
    }
    let mut told = log.lines().filter(|line| line.starts_with("n1: job "));
    told.try_for_each(|line| say(format_args!("    {line}")))?;
    let slices = Slices::read(lab)?;
    slices.report(&Probe::parse_all(&wanted), 1)?;

    lab.write_file("/var/lab/out/go", "")?;
    let reports = Probe::parse_all(&lab.wait_job(beside)?.output);
    let [before, after] = &reports[..] else {
        return Err(DemoError::Wrong(format!("job {beside}: {} of 2 reports are there", reports.len())));
    };
    // Of what was made meanwhile it is denied everything.
    slices.report(std::slice::from_ref(after), 1)?;
    match (&before.cuda, &before.open) == (&after.cuda, &after.open) {
        true => Ok(()),
        false => Err(DemoError::Wrong(format!("job {beside} was touched by the cut: {reports:?}"))),
    }
}

fn first_report(lab: &Lab, job: JobId) -> Result<bool, LabError> {
    let path = format!("/var/lab/out/{job}");
    Ok(lab.command(&["cat", &path]).output()?.stdout.contains(" end="))
}
