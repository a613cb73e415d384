//! Clients that all want the same five nodes: each transaction reads and writes every one of
//! them, so of those open at a time only one can go through. What a daemon does about the
//! others decides how much gets done.

use std::time::Duration;

use crate::conversation::Conversation;
use crate::crowd::{self, COMMITS, RETRIES};
use crate::failure::Failure;
use crate::figure::{Bound, Goal, Outcome};
use crate::script::Script;
use crate::transactor::Transactor;
use crate::workload::{Run, Workload};

/// How many clients there are.
pub const CLIENTS: u32 = 64;

/// How many nodes a transaction reads and writes.
pub const NODES: u32 = 5;

/// The workload.
#[derive(Debug)]
pub struct Conflict;

impl Workload for Conflict {
    fn name(&self) -> &'static str {
        "conflict"
    }

    fn about(&self) -> &'static str {
        "64 clients whose transactions read and write the same 5 nodes"
    }

    fn goals(&self) -> &'static [Goal] {
        &[
            Goal { figure: COMMITS, bound: Bound::TimesBest(5.0) },
            Goal { figure: RETRIES, bound: Bound::AtMost(2.0) },
        ]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        read_and_write(run, CLIENTS, time(run), |_client, node| format!("/bench/common/{node}"))
    }
}

/// Lets all clients read and write five nodes each, over and over, for a fixed time.
pub fn read_and_write(
    run: &Run<'_>,
    clients: u32,
    time: Duration,
    path: impl Fn(u32, u32) -> String,
) -> Result<Outcome, Failure> {
    let paths = |client| (0..NODES).map(|node| path(client, node)).collect::<Vec<_>>();
    let mut setup = Conversation::connect(run.daemon.socket())?;
    setup.fill((0..clients).flat_map(paths), b"first")?;
    let client = |number| {
        let paths = paths(number);
        let script = paths.iter().fold(Script::new().start(), |script, path| script.read(path));
        let script = paths.iter().fold(script, |script, path| script.write_new(path));
        Transactor::new(number, script.commit(), None)
    };
    Ok(crowd::run(run.daemon, (0..clients).map(client).collect(), time)?.outcome)
}

/// How long clients do it.
pub fn time(run: &Run<'_>) -> Duration {
    Duration::from_secs(if run.quick { 1 } else { 5 })
}
