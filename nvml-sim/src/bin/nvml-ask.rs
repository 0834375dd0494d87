//! Asks an NVML the questions of [`nvml_sim::ask`], and compares two sets of answers.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use nvml_sim::ask::{MAY_DIFFER, ask, differences};
use nvml_sim::client::Client;

const USAGE: &str = "usage: nvml-ask [--lib PATH] [--gpu INDEX]     asks, and changes nothing
       nvml-ask --compare BOARD SIMULATOR     compares what two runs printed";

/// The driver's library, as the loader finds it.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// Why nothing was asked or compared.
enum Failure {
    /// The arguments make no sense.
    Usage(String),
    /// What went wrong, and what to do.
    Failed(String),
}

/// Exit status of a comparison that found differences.
const DIFFERENT: u8 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["--compare", board, simulator] => compare(Path::new(board), Path::new(simulator)),
        options => questions(options),
    };
    outcome.unwrap_or_else(|failure| match failure {
        Failure::Usage(what) => {
            eprintln!("error: {what}\n{USAGE}");
            ExitCode::from(2)
        }
        Failure::Failed(what) => {
            eprintln!("error: {what}");
            ExitCode::FAILURE
        }
    })
}

fn questions(mut options: &[&str]) -> Result<ExitCode, Failure> {
    let (mut library, mut gpu) = (LIBRARY, 0);
    while let [option, rest @ ..] = options {
        let value = rest.first().ok_or_else(|| Failure::Usage(format!("{option}: needs a value")));
        match *option {
            "--lib" => library = value?,
            "--gpu" => {
                let text = value?;
                gpu = text.parse().map_err(|_| Failure::Usage(format!("--gpu {text}: not an index")))?;
            }
            other => return Err(Failure::Usage(format!("{other}: no such option"))),
        }
        options = &rest[1..];
    }
    let client = Client::load(Path::new(library)).map_err(|what| {
        Failure::Failed(format!("{what}\nhint: install NVIDIA's driver, or name its library with --lib"))
    })?;
    let answers = ask(&client, gpu).map_err(|code| {
        let count = client.count().unwrap_or(0);
        Failure::Failed(format!("GPU {gpu}: {code}\nhint: the library has {count} GPUs, counted from 0"))
    })?;
    print!("{answers}");
    Ok(ExitCode::SUCCESS)
}

fn compare(board: &Path, simulator: &Path) -> Result<ExitCode, Failure> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
    };
    let found = differences(&read(board)?, &read(simulator)?);
    for difference in &found {
        println!("{difference}");
    }
    let free: Vec<&str> = MAY_DIFFER.iter().map(|(key, _)| *key).collect();
    println!("{} lines differ; not looked at: {}", found.len(), free.join(", "));
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}
