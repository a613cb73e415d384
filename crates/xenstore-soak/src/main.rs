//! `xenstore-soak`: options, the soak, the report.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use xenstore_oracle::daemon::build_rxenstored;
use xenstore_soak::options::Options;
use xenstore_soak::{report, soak};

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xenstore-soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    build_rxenstored()?;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = options.seed.unwrap_or(now().as_secs());
    println!("seed {seed}");
    let outcome = soak::run(options, seed, |line| println!("{line}"))
        .map_err(|failure| format!("seed {seed}: {}", report::with_causes(&failure)))?;
    let text = report::text(options, &outcome, now());
    let Some(file) = &options.report else {
        print!("{text}");
        return Ok(());
    };
    let written = std::fs::write(file, &text);
    written.map_err(|error| format!("{}: {error}", file.display()))
}
