//! Asks an NVML the questions of [`nvml_sim::ask`], and compares two sets of answers.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use nvml_sim::ask::{MAY_DIFFER, ask, differences};
use nvml_sim::client::Client;

const USAGE: &str = "usage: nvml-ask [--lib PATH] [--gpu INDEX]     asks, and changes nothing
       nvml-ask --compare BOARD SIMULATOR     compares what two runs printed";

const LIBRARY: &str = "libnvidia-ml.so.1";

/// Exit status of a comparison that found differences.
const DIFFERENT: u8 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["--compare", board, simulator] => compare(Path::new(board), Path::new(simulator)),
        _ => questions(&arguments),
    };
    outcome.unwrap_or_else(|message| {
        eprintln!("{message}");
        ExitCode::FAILURE
    })
}

fn questions(mut arguments: &[&str]) -> Result<ExitCode, String> {
    let (mut library, mut gpu) = (LIBRARY, 0);
    while let [option, value, rest @ ..] = arguments {
        match *option {
            "--lib" => library = value,
            "--gpu" => gpu = value.parse().map_err(|_| format!("--gpu {value}: not an index"))?,
            _ => return Err(USAGE.to_owned()),
        }
        arguments = rest;
    }
    if !arguments.is_empty() {
        return Err(USAGE.to_owned());
    }
    let client = Client::load(Path::new(library)).map_err(|e| format!("error: {e}"))?;
    let answers = ask(&client, gpu).map_err(|code| format!("error: GPU {gpu}: {code}"))?;
    print!("{answers}");
    Ok(ExitCode::SUCCESS)
}

fn compare(board: &Path, simulator: &Path) -> Result<ExitCode, String> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|e: io::Error| format!("error: {}: {e}", path.display()))
    };
    let found = differences(&read(board)?, &read(simulator)?);
    for difference in &found {
        println!("{difference}");
    }
    let free: Vec<&str> = MAY_DIFFER.iter().map(|(key, _)| *key).collect();
    println!("{} lines differ; not looked at: {}", found.len(), free.join(", "));
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}
