//! What a commit costs, by the size of the store. It should not depend on it.
//!
//! One client does a transaction. Before it commits, another writes somewhere else, so that
//! the store has changed meanwhile and the commit is a real merge. Nobody else is there: what
//! is measured is one request after the other.

use std::time::{Duration, Instant};

use xenstore_wire::MessageType;

use crate::conversation::Conversation;
use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Name, Outcome, Place, Unit};
use crate::measure::{Latencies, Process};
use crate::target::Target;
use crate::workload::{Run, Workload};

const SIZES: [u32; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
const QUICK_SIZES: [u32; 2] = [100, 100_000];

const TRANSACTIONS: u32 = 4_000;
const QUICK_TRANSACTIONS: u32 = 1_000;

/// Nodes that a transaction reads and writes.
const NODES: u32 = 5;

/// Nodes of a guest, whatever the size of the store: it grows as a host's does, by guests.
pub(super) const NODES_OF_GUEST: u32 = 10;

/// Guests of a directory.
const FAN_OUT: u32 = 100;

/// How far apart guests are that are used one after the other. It has no factor in common
/// with any number of guests, so they come from all over the store.
const STRIDE: u64 = 7_919;

const COMMIT_GROWTH: &str = "commit request, longest / shortest";
const PROCESSOR_GROWTH: &str = "daemon per transaction, most / least";

/// The workload.
#[derive(Debug)]
pub struct CommitCost;

impl Workload for CommitCost {
    fn name(&self) -> &'static str {
        "commit-cost"
    }

    fn about(&self) -> &'static str {
        "a merged transaction of 5 reads and 5 writes for a guest, by the size of the store"
    }

    fn takes_turns(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        &[Goal { figure: COMMIT_GROWTH, bound: Bound::AtMost(1.3) }]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let sizes: &[u32] = if run.quick { &QUICK_SIZES } else { &SIZES };
        let transactions = if run.quick { QUICK_TRANSACTIONS } else { TRANSACTIONS };
        let mut outcome = Outcome::default();
        let mut costs = Vec::new();
        let mut filled = 0;
        for &size in sizes {
            if size > largest(run.target) {
                outcome.notes.push(format!("no more than {filled} nodes: filling takes minutes"));
                break;
            }
            let nodes =
                (filled..size).map(|node| path(node / NODES_OF_GUEST, node % NODES_OF_GUEST));
            Conversation::connect(run.daemon.socket())?.fill(nodes, b"first")?;
            filled = size;
            let cost = measure(run, size, transactions)?;
            let place = Place::new(size, "nodes");
            outcome.add_time(Name::at("commit request, median", place), cost.commit);
            outcome.add_time(Name::at("daemon per transaction", place), cost.processor);
            costs.push(cost);
        }
        for (name, of) in [
            (COMMIT_GROWTH, (|cost| cost.commit) as fn(&Cost) -> Duration),
            (PROCESSOR_GROWTH, |cost| cost.processor),
        ] {
            let all = costs.iter().map(|cost| of(cost).as_secs_f64());
            let (least, most) = all.fold((f64::MAX, 0.0_f64), |(least, most), seconds| {
                (least.min(seconds), most.max(seconds))
            });
            if costs.len() > 1 {
                // No comparison: not every daemon has all sizes.
                outcome.add(name, Unit::Times, Better::Neither, most / least);
            }
        }
        Ok(outcome)
    }
}

/// The largest store that a daemon is filled with in seconds, rather than minutes.
pub(super) fn largest(target: Target) -> u32 {
    match target {
        Target::C => 100_000,
        Target::Rxenstored | Target::Oxenstored | Target::Echo => 1_000_000,
    }
}

/// What a transaction costs.
#[derive(Debug)]
struct Cost {
    /// How long the median commit request takes.
    commit: Duration,
    /// The daemon's processor time for a whole transaction and the write beside it.
    processor: Duration,
}

/// Does transactions all over a store of this many nodes.
fn measure(run: &Run<'_>, size: u32, transactions: u32) -> Result<Cost, Failure> {
    let process = Process::new(run.daemon.pid());
    let mut client = Conversation::connect(run.daemon.socket())?;
    let mut other = Conversation::connect(run.daemon.socket())?;
    let mut latencies = Latencies::default();
    let before = process.processor_time()?;
    for round in 0..transactions {
        let node = |index| path(guest(2 * round, size), index);
        let value = round.to_string();
        let id = client.start()?;
        for index in 0..NODES {
            client.read(id, &node(index))?;
        }
        for index in 0..NODES {
            client.write(id, &node(index), value.as_bytes())?;
        }
        other.write(0, &path(guest(2 * round + 1, size), 0), value.as_bytes())?;
        let asked = Instant::now();
        client.ask(MessageType::TransactionEnd, id, &[b"T\0"])?;
        latencies.note(asked.elapsed());
    }
    let processor = process.processor_time()?.since(before).total() / transactions;
    let commit = latencies.spread().map_or(Duration::ZERO, |spread| spread.median);
    Ok(Cost { commit, processor })
}

/// A guest of a store of this size; another one each time, from all over the store.
pub(super) fn guest(index: u32, size: u32) -> u32 {
    let number = u64::from(index) * STRIDE % u64::from(size / NODES_OF_GUEST);
    u32::try_from(number).unwrap_or(0)
}

/// The path of a node: as long in every store.
pub(super) fn path(guest: u32, node: u32) -> String {
    format!("/bench/{:03}/{:02}/{node}", guest / FAN_OUT, guest % FAN_OUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_clients_have_different_guests_that_are_there() {
        for size in SIZES {
            for round in 0..1000 {
                let (one, other) = (guest(2 * round, size), guest(2 * round + 1, size));
                assert_ne!(one, other);
                assert!(one.max(other) < size / NODES_OF_GUEST);
            }
        }
    }
}
