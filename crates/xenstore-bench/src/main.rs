//! `xenstore-bench`: options, rounds, report.

#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use xenstore_bench::campaign::Campaign;
use xenstore_bench::options::{Command, Options};
use xenstore_bench::report::Report;
use xenstore_bench::target::Target;
use xenstore_bench::{echo, measure};
use xenstore_oracle::daemon::build_rxenstored;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xenstore-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    if let Some(socket) = &options.serve_echo {
        let Err(error) = echo::serve(socket);
        return Err(format!("the echo server: {error}").into());
    }
    if cfg!(debug_assertions) {
        eprintln!("WARNING: not a release build; the figures mean nothing");
    }
    if let Err(error) = measure::raise_open_files() {
        eprintln!("WARNING: the limit of open files stays: {error}");
    }
    if let Some(Command::Counts(gate)) = &options.command {
        build_rxenstored()?;
        return Ok(gate.pass()?);
    }
    let (targets, missing) = present(options);
    if targets.contains(&Target::Rxenstored) {
        build_rxenstored()?;
    }
    let begun = Instant::now();
    let campaign = Campaign {
        workloads: options.workloads(),
        targets: &targets,
        rounds: options.rounds(),
        quick: options.quick,
    };
    let sections = campaign.run()?;
    let (length, took) = (options.length(), begun.elapsed());
    let report = Report::of(&sections, &missing, &targets, &length, took);
    print!("{}", report.text());
    if let Some(directory) = &options.write {
        report.write(directory)?;
    }
    let columns = sections.iter().flat_map(|section| &section.columns);
    let mut own = columns.filter(|column| column.target == Target::Rxenstored);
    // What others cannot do is a figure's gap; what rxenstored cannot do is a defect.
    own.find_map(|column| column.failures.first())
        .map_or(Ok(()), |failure| Err(format!("rxenstored: {failure}").into()))
}

/// The daemons that are wanted and here, and what is to be said of the others.
fn present(options: &Options) -> (Vec<Target>, Vec<String>) {
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
    (targets, missing)
}
