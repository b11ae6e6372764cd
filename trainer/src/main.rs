//! The trainer's command line.

use std::process::ExitCode;

use clap::Parser;
use trainer::cli::{Cli, terminal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::print_error(&error);
            ExitCode::FAILURE
        }
    }
}
