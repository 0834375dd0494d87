//! `gresgen`: parse, run, report.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use gresgen::cli::progress::report;
use gresgen::cli::{self, Cli, complete, tried};

fn main() -> ExitCode {
    complete::answer();
    cli::use_colours(std::env::args_os());
    let outcome = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli::run(cli),
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
