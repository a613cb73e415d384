//! `xenstore-soak`: options, the soak, the report.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use xenstore_soak::options::Options;
use xenstore_soak::{report, soak};

fn main() -> ExitCode {
    let options = Options::parse();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = options.seed.unwrap_or(now.as_secs());
    println!("seed {seed}");
    let outcome = match soak::run(&options, seed, |line| println!("{line}")) {
        Ok(outcome) => outcome,
        Err(failure) => {
            eprintln!("xenstore-soak: seed {seed}: {}", report::with_causes(&failure));
            return ExitCode::FAILURE;
        }
    };
    let text = report::text(&options, &outcome, now);
    let written = match &options.report {
        Some(file) => std::fs::write(file, &text),
        None => {
            print!("{text}");
            Ok(())
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xenstore-soak: the report cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}
