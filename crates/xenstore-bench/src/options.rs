//! The command line of `xenstore-bench`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};

use crate::gate::Gate;
use crate::target::Target;
use crate::workload::Workload;
use crate::workloads;

/// What makes this program the echo server.
pub const ECHO: &str = "serve-echo";

/// Puts the same load on rxenstored, Debian's C xenstored and Debian's oxenstored.
#[derive(Parser, Debug)]
#[command(
    name = "xenstore-bench",
    version,
    after_help = workloads::listing(),
    args_conflicts_with_subcommands = true
)]
pub struct Options {
    /// What to do instead of measuring.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// One round of less work: to see that it runs, not to compare
    #[arg(long)]
    pub quick: bool,

    /// Only these workloads
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(workloads::all().map(|workload| workload.name()))
    )]
    pub only: Vec<String>,

    /// Only these daemons; echo is no daemon, but what sockets alone cost
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub daemon: Vec<Target>,

    /// So many rounds instead of 3, or of 1 with --quick
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,

    /// Write a report into this directory as well: README.md and index.html
    #[arg(long, value_name = "DIRECTORY")]
    pub write: Option<PathBuf>,
    /// Measures nothing, but is the echo server on this socket: the program starts itself so
    #[arg(long = ECHO, value_name = "SOCKET", hide = true)]
    pub serve_echo: Option<PathBuf>,
}

/// What else the program does.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Count what a request costs, and fail if that has grown by a tenth
    Counts(Gate),
}

impl Options {
    /// How many rounds there are.
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }

    /// How much was done, as a report says it.
    pub fn length(&self) -> String {
        let work = if self.quick { "less work than it takes to compare (--quick)" } else { "full" };
        let some = if self.rounds() == 1 { "round" } else { "rounds" };
        format!("{work}, {} {some}", self.rounds())
    }

    /// The workloads wanted.
    pub fn workloads(&self) -> Vec<&'static dyn Workload> {
        let wanted = |workload: &&'static dyn Workload| {
            self.only.is_empty() || self.only.iter().any(|name| name == workload.name())
        };
        workloads::all().into_iter().filter(wanted).collect()
    }

    /// The daemons wanted, and whether the echo server is.
    pub fn targets(&self) -> Vec<Target> {
        let wanted = |target: &Target| self.daemon.is_empty() || self.daemon.contains(target);
        Target::ALL.into_iter().filter(wanted).collect()
    }
}
