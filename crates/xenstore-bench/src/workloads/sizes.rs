//! What reading and writing cost by the size of the store, and what a node of it takes of
//! memory. One client asks, for nodes from all over the store.

use std::time::Duration;

use super::commit_cost::{NODES_OF_GUEST, guest, largest, path};
use crate::asker::{Asked, Askers};
use crate::conversation::Conversation;
use crate::crowd::to_f64;
use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Name, Outcome, Place, Unit};
use crate::measure::Process;
use crate::script::{FRESH_DIGITS, Script};
use crate::workload::{Run, Workload};

const SIZES: [u32; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
const QUICK_SIZES: [u32; 2] = [100, 100_000];

/// The size by which the memory of a node is found.
const MEMORY_SIZE: u32 = 100_000;

/// Nodes that are asked for, if there are as many.
const PROBES: u32 = 10_000;

const VALUE: [u8; FRESH_DIGITS] = *b"sixteen letters.";

const MEMORY: &str = "memory per node, 100000 nodes";

/// The workload.
#[derive(Debug)]
pub struct Sizes;

impl Workload for Sizes {
    fn name(&self) -> &'static str {
        "sizes"
    }

    fn about(&self) -> &'static str {
        "one client reads, then writes, all over stores of 100 to 1,000,000 nodes"
    }

    fn takes_turns(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        &[Goal { figure: MEMORY, bound: Bound::AtMost(120.0) }]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let sizes: &[u32] = if run.quick { &QUICK_SIZES } else { &SIZES };
        let time = Duration::from_millis(if run.quick { 30 } else { 300 });
        let process = Process::new(run.daemon.pid());
        let empty = process.resident_bytes()?;
        let mut outcome = Outcome::default();
        let mut filled = 0;
        for &size in sizes {
            if size > largest(run.target) {
                outcome.notes.push(format!("no more than {filled} nodes: filling takes minutes"));
                break;
            }
            let nodes =
                (filled..size).map(|node| path(node / NODES_OF_GUEST, node % NODES_OF_GUEST));
            Conversation::connect(run.daemon.socket())?.fill(nodes, &VALUE)?;
            filled = size;
            if size == MEMORY_SIZE {
                // The guests' own nodes are nodes too.
                let nodes = to_f64(u64::from(size + size / NODES_OF_GUEST));
                let bytes = to_f64(process.resident_bytes()?.saturating_sub(empty));
                outcome.add(MEMORY, Unit::Bytes, Better::Low, bytes / nodes);
            }
            let reads = probes(size).fold(Script::new(), |script, node| {
                script.read(&node).replied(u32::try_from(VALUE.len()).unwrap_or_default())
            });
            let writes =
                probes(size).fold(Script::new(), |script, node| script.write_new(&node).replied(3));
            for (name, script) in [("read", reads), ("write", writes)] {
                let asked: Asked = Askers::connect(run.daemon, [script], 1)?.ask(time)?;
                let name = Name::at(name, Place::new(size, "nodes"));
                outcome.add_time(name.and("median"), asked.spread.median);
                asked.tell_processor(&name, &mut outcome);
            }
        }
        Ok(outcome)
    }
}

/// Nodes from all over a store of this size.
fn probes(size: u32) -> impl Iterator<Item = String> {
    let probes = PROBES.min(size / NODES_OF_GUEST);
    (0..probes).map(move |probe| path(guest(probe, size), probe % NODES_OF_GUEST))
}
