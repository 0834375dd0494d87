//! `gresgen`: parse, run, report.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use gresgen::cli::progress::message;
use gresgen::cli::{self, Cli, Color};

fn main() -> ExitCode {
    Color::of_arguments(std::env::args_os()).set();
    match cli::run(&Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            message(&failure);
            failure.exit.into()
        }
    }
}
