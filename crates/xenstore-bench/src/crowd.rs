//! A crowd of clients that do transactions at the same time, and the figures they give.

use std::time::Duration;

use xenstore_oracle::daemon::Daemon;

use crate::failure::Failure;
use crate::figure::{Better, Outcome, Unit};
use crate::load::Load;
use crate::measure::{Process, Spread};
use crate::transactor::{Tally, Transactor};

/// Commits a second.
pub const COMMITS: &str = "commits";
/// Tries that failed.
pub const ABORTS: &str = "aborts";
/// Failed tries for each commit.
pub const RETRIES: &str = "retries per commit";
/// How long a transaction takes, with all its tries.
pub const MEDIAN: &str = "transaction, median";
/// The same of the slowest in a hundred.
pub const P99: &str = "transaction, p99";
/// What the daemon takes of a processor for each commit.
pub const PROCESSOR: &str = "daemon's processor time per commit";
/// How far the worst request to commit is from the median.
pub const COMMIT_SPREAD: &str = "commit request, worst / median";

/// What a crowd has done.
#[derive(Debug)]
pub struct Crowd {
    /// The figures, more of which may be added.
    pub outcome: Outcome,
    /// How many transactions went through.
    pub committed: usize,
    /// How long each client took for its script, if it came to its end.
    pub scripts: Option<Spread>,
    /// How many came to the end.
    pub scripts_done: usize,
    /// How long it all took.
    pub elapsed: Duration,
    /// Whether time was up before everybody was done.
    pub cut_short: bool,
}

/// Lets clients do their transactions until they are done or time is up.
pub fn run(daemon: &Daemon, clients: Vec<Transactor>, bound: Duration) -> Result<Crowd, Failure> {
    let (process, own) = (Process::new(daemon.pid()), Process::own());
    let mut load = Load::connect(daemon.socket(), clients)?;
    let before = (process.processor_time()?, own.processor_time()?);
    let finished = load.run(bound)?;
    let daemon_time = process.processor_time()?.since(before.0);
    let own_time = own.processor_time()?.since(before.1);
    let memory = process.resident_bytes()?;

    let (elapsed, end) = (finished.elapsed, finished.end);
    let tally = Tally::of(load.into_clients().map(|client| client.into_tally(end)));
    let committed = tally.transactions.count();
    let mut outcome = Outcome::default();
    let seconds = elapsed.as_secs_f64();
    let requests = to_f64(tally.requests);
    let commits = to_f64(committed as u64);
    outcome.add(COMMITS, Unit::PerSecond, Better::High, commits / seconds);
    outcome.add("requests", Unit::PerSecond, Better::Neither, requests / seconds);
    outcome.add_highest(ABORTS, Unit::Number, to_f64(tally.aborts));
    if committed > 0 {
        let retries = to_f64(tally.aborts) / commits;
        outcome.add(RETRIES, Unit::Number, Better::Low, retries);
    }
    outcome.add_highest("most tries of one transaction", Unit::Number, to_f64(tally.most_tries));
    outcome.add_highest("clients without a commit", Unit::Number, to_f64(tally.starved));
    if let Some(spread) = tally.transactions.spread() {
        outcome.add_time(MEDIAN, spread.median);
        outcome.add_time(P99, spread.p99);
        outcome.add_time("transaction, worst", spread.worst);
    }
    if let Some(spread) = tally.commits.spread() {
        outcome.add_time("commit request, median", spread.median);
        outcome.add_time("commit request, p99", spread.p99);
        outcome.add_time("commit request, worst", spread.worst);
        let factor = spread.worst.as_secs_f64() / spread.median.as_secs_f64();
        outcome.add(COMMIT_SPREAD, Unit::Times, Better::Low, factor);
    }
    if committed > 0 {
        let time = daemon_time.total().div_f64(commits);
        outcome.add_time(PROCESSOR, time);
        let time = daemon_time.user.div_f64(commits);
        outcome.add_time("the same, outside the kernel", time);
    }
    let share = |time: Duration| 100.0 * time.as_secs_f64() / seconds;
    outcome.add(
        "daemon's share of a processor",
        Unit::Percent,
        Better::Neither,
        share(daemon_time.total()),
    );
    outcome.add(
        "load's share of a processor",
        Unit::Percent,
        Better::Neither,
        share(own_time.total()),
    );
    outcome.add("daemon's memory after", Unit::Bytes, Better::Low, to_f64(memory));
    Ok(Crowd {
        outcome,
        committed,
        scripts_done: tally.scripts.count(),
        scripts: tally.scripts.spread(),
        elapsed,
        cut_short: finished.cut_short,
    })
}

/// Counts are far below what an `f64` holds exactly.
#[expect(clippy::cast_precision_loss, reason = "counts and bytes stay below 2^53")]
pub fn to_f64(count: u64) -> f64 {
    count as f64
}
