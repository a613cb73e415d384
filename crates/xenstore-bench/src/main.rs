//! `xenstore-bench`: options, rounds, table.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use xenstore_bench::campaign::Campaign;
use xenstore_bench::options::Options;
use xenstore_bench::report::Report;
use xenstore_bench::target::Target;
use xenstore_bench::{echo, measure};
use xenstore_oracle::daemon::build_rxenstored;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(socket) = &options.serve_echo {
        let Err(error) = echo::serve(socket);
        eprintln!("xenstore-bench: the echo server: {error}");
        return ExitCode::FAILURE;
    }
    if cfg!(debug_assertions) {
        eprintln!("WARNING: not a release build; the figures mean nothing");
    }
    if let Err(error) = measure::raise_open_files() {
        eprintln!("WARNING: the limit of open files stays: {error}");
    }
    let (mut targets, mut missing) = (options.targets(), Vec::new());
    targets.retain(|target| match target.missing() {
        None => true,
        Some(reason) => {
            missing.push(format!("{} IS MISSING and not compared: {reason}", target.name()));
            false
        }
    });
    for line in &missing {
        eprintln!("WARNING: {line}");
    }
    if targets.contains(&Target::Rxenstored)
        && let Err(error) = build_rxenstored()
    {
        eprintln!("xenstore-bench: {error}");
        return ExitCode::FAILURE;
    }
    let begun = Instant::now();
    let campaign = Campaign {
        workloads: options.workloads(),
        targets: &targets,
        rounds: options.rounds(),
        quick: options.quick,
    };
    let done = campaign.run().and_then(|sections| {
        let (length, took) = (options.length(), begun.elapsed());
        let report = Report::of(&sections, &missing, &targets, &length, took);
        print!("{}", report.text());
        options.write.as_deref().map_or(Ok(()), |directory| report.write(directory))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xenstore-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
