//! `gresgen`: parse, run, report.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use gresgen::cli::progress::report;
use gresgen::cli::{self, Cli, Color, tried};

fn main() -> ExitCode {
    Color::of_arguments(std::env::args_os()).set();
    let outcome = match Cli::try_parse() {
        Ok(cli) => cli::run(&cli),
        Err(error) => Err(tried::answer(&error).unwrap_or_else(|| error.exit())),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            report(&failure);
            failure.exit.into()
        }
    }
}
