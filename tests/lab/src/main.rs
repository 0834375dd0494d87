//! `lab`: root filesystems for the labs, and a shell in one.
#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::process::ExitCode;

use lab::demo::DemoError;
use lab::{FakeGpus, Lab, LabError, Node, Options, Release, User, rootfs};

const USAGE: &str = "\
usage: lab demo              jobs of a real Slurm on simulated GPUs, each alone on its slice
       lab playground        a shell on such a node: first a user's, then its admin's
       lab bench [ROUNDS]    what the plugin adds to a task launch (300 rounds, some minutes)
       lab crowd [JOBS [SUITE]]
                             what the arbiter costs the slurmctld of 1,000 nodes (10000 jobs wait, bookworm; minutes)
       lab rootfs SUITE...   make and cache the root filesystems of Debian suites (bookworm, trixie, sid)
       lab shell SUITE       a shell beside a running Slurm with two fake MIG devices of type 1g.5gb";

/// What a shell says of a program that SIGPIPE ended, which Rust programs ignore.
const CLOSED: u8 = 141;

/// Rounds of the launch benchmark.
const ROUNDS: usize = 300;

/// Jobs that wait for the nodes of a large cluster.
const JOBS: usize = 10_000;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["demo"] => return demo(),
        ["playground"] => lab::playground::run().map_err(Into::into),
        ["bench"] => lab::bench::run(ROUNDS).map_err(Into::into),
        ["bench", rounds] => bench(rounds),
        ["crowd"] => lab::crowd::run(Release::Bookworm, JOBS).map_err(Into::into),
        ["crowd", jobs] => crowd(jobs, "bookworm"),
        ["crowd", jobs, suite] => crowd(jobs, suite),
        ["rootfs", ref suites @ ..] if !suites.is_empty() => each(suites, make_rootfs),
        ["shell", suite] => each(&[suite], shell),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The demo, whose reader may leave early (`| head`).
fn demo() -> ExitCode {
    match lab::demo::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(DemoError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::from(CLOSED),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(rounds: &str) -> Result<(), Box<dyn std::error::Error>> {
    let rounds = rounds.parse().map_err(|_| format!("{rounds}: not a number of rounds"))?;
    Ok(lab::bench::run(rounds)?)
}

fn crowd(jobs: &str, suite: &str) -> Result<(), Box<dyn std::error::Error>> {
    let jobs = jobs.parse().map_err(|_| format!("{jobs}: not a number of jobs"))?;
    Ok(lab::crowd::run(suite.parse()?, jobs)?)
}

fn each(suites: &[&str], run: fn(Release) -> Result<(), LabError>) -> Result<(), Box<dyn std::error::Error>> {
    for suite in suites {
        run(suite.parse()?)?;
    }
    Ok(())
}

fn make_rootfs(release: Release) -> Result<(), LabError> {
    println!("{}", rootfs::ensure(release)?.display());
    Ok(())
}

fn shell(release: Release) -> Result<(), LabError> {
    let gpus = FakeGpus::new(&[(0, 7, 0), (0, 8, 0)]);
    let gres_conf = gpus.gres_conf("n1", &["1g.5gb", "1g.5gb"]);
    let node = Node::new("n1").gres("gpu:1g.5gb:2").gres_conf(&gres_conf);
    let lab = Lab::start(release, Options::new(node).gpus(&gpus))?;
    eprintln!("lab: node n1 has gpu:1g.5gb:2; try: srun --gres=gpu:1g.5gb:1 lab-probe");
    lab.interactive(User::Root, &["bash"]).map(drop)
}
