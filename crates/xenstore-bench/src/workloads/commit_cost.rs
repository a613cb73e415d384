//! What a commit costs, by the size of the store. It should not depend on it.
//!
//! One client does a transaction. Before it commits, another writes somewhere else, so that
//! the store has changed meanwhile and the commit is a real merge. Nobody else is there: what
//! is measured is one request after the other.

use std::time::{Duration, Instant};

use xenstore_wire::MessageType;

use crate::conversation::Conversation;
use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Outcome, Unit};
use crate::measure::{Latencies, Process};
use crate::target::Target;
use crate::workload::{Run, Workload};

const SIZES: [u32; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
const QUICK_SIZES: [u32; 2] = [100, 100_000];

/// The largest store for the other daemons: larger ones take them long to fill.
const OTHERS_LARGEST: u32 = 10_000;

const TRANSACTIONS: u32 = 4_000;
const QUICK_TRANSACTIONS: u32 = 1_000;

/// Nodes that a transaction reads and writes.
const NODES: u32 = 5;

/// Entries of a directory.
const FAN_OUT: u32 = 100;

/// How far apart the nodes in use are. It has no factor in common with any size, so they
/// are all over the store, and those used together are different ones.
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
        "a transaction of 5 reads and 5 writes, merged, by the size of the store"
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
            if run.target != Target::Rxenstored && size > OTHERS_LARGEST {
                outcome.notes.push(format!("not asked with more than {OTHERS_LARGEST} nodes"));
                break;
            }
            Conversation::connect(run.daemon.socket())?.fill((filled..size).map(path), b"first")?;
            filled = size;
            let cost = measure(run, size, transactions)?;
            outcome.add_time(format!("commit request, median, {size} nodes"), cost.commit);
            outcome.add_time(format!("daemon per transaction, {size} nodes"), cost.processor);
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
                outcome.add(name, Unit::Times, Better::Low, most / least);
            }
        }
        Ok(outcome)
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
        let node = |index| scattered(round * (NODES + 1) + index, size);
        let value = round.to_string();
        let id = client.start()?;
        for index in 0..NODES {
            client.read(id, &node(index))?;
        }
        for index in 0..NODES {
            client.write(id, &node(index), value.as_bytes())?;
        }
        other.write(0, &node(NODES), value.as_bytes())?;
        let asked = Instant::now();
        client.ask(MessageType::TransactionEnd, id, &[b"T\0"])?;
        latencies.note(asked.elapsed());
    }
    let processor = process.processor_time()?.since(before).total() / transactions;
    let commit = latencies.spread().map_or(Duration::ZERO, |spread| spread.median);
    Ok(Cost { commit, processor })
}

/// Some node of a store of this size.
fn scattered(index: u32, size: u32) -> String {
    let number = u64::from(index) * STRIDE % u64::from(size);
    path(u32::try_from(number).unwrap_or(0))
}

/// The path of a node: as long in every store.
fn path(number: u32) -> String {
    let (low, middle, high) =
        (number % FAN_OUT, number / FAN_OUT % FAN_OUT, number / FAN_OUT / FAN_OUT);
    format!("/bench/{high:02}/{middle:02}/{low:02}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nodes_used_together_are_different_and_in_the_store() {
        let all: BTreeSet<_> = (0..100).map(path).collect();
        assert_eq!(all.len(), 100);
        for round in 0..1000 {
            let nodes: BTreeSet<_> =
                (0..=NODES).map(|index| scattered(round * (NODES + 1) + index, 100)).collect();
            assert_eq!(nodes.len(), 6);
            assert!(nodes.is_subset(&all));
        }
    }
}
