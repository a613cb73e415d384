//! `xenstore-demo`: plays a host with three guests.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use xenstore_demo::transcript::Transcript;
use xenstore_demo::{Failure, Programs, story};

/// Starts the daemon on a simulated host, boots three guests on it, and shows what is said.
#[derive(Debug, Parser)]
struct Options {
    /// Show every request; what is long and not new is counted otherwise.
    #[arg(long)]
    all: bool,
    /// Leave host, daemon and the first guest running, until interrupted.
    #[arg(long)]
    stay: bool,
}

fn main() -> ExitCode {
    match show(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("xenstore-demo: {failure}");
            let mut cause = failure.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

fn show(options: &Options) -> Result<(), Failure> {
    let out = io::stdout();
    let transcript = Transcript::new(Box::new(out.lock()), options.all, out.is_terminal());
    let mut stage = story::tell(&Programs::find()?, transcript)?;
    if options.stay { story::stay(&mut stage) } else { Ok(()) }
}
