//! Transactions of twelve messages, by 1, 8 and 64 clients: the start, five reads, five writes
//! and the end. First every client has nodes of its own, then all have the same five.

use std::time::Duration;

use super::conflict::read_and_write;
use crate::crowd::{COMMITS, MEDIAN, P99, PROCESSOR, RETRIES};
use crate::failure::Failure;
use crate::figure::{Bound, Goal, Outcome, Place, Point};
use crate::workload::{Run, Workload};

const CLIENTS: [u32; 3] = [1, 8, 64];

/// Figures that are kept of each crowd, and what their names end in.
const KEPT: [(&str, &str); 5] = [
    (COMMITS, ""),
    (MEDIAN, ", median"),
    (P99, ", p99"),
    (PROCESSOR, ", daemon"),
    (RETRIES, ", retries"),
];

/// The workload.
#[derive(Debug)]
pub struct Transactions;

impl Workload for Transactions {
    fn name(&self) -> &'static str {
        "transactions"
    }

    fn about(&self) -> &'static str {
        "1 to 64 clients whose transactions are 12 messages, on own and on the same nodes"
    }

    fn goals(&self) -> &'static [Goal] {
        const CPU: Duration = Duration::from_micros(50);
        &[
            Goal { figure: "own nodes, 64 clients", bound: Bound::AtLeast(18_000.0) },
            Goal { figure: "own nodes, 64 clients, daemon", bound: Bound::Within(CPU) },
        ]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let time = Duration::from_millis(if run.quick { 200 } else { 1_000 });
        let mut outcome = Outcome::default();
        for clients in CLIENTS {
            let own = |client, node| format!("/bench/own/{client}/{node}");
            let crowd = read_and_write(run, clients, time, own)?;
            keep("own nodes", clients, crowd, &mut outcome);
        }
        for clients in CLIENTS {
            let same = |_client, node| format!("/bench/common/{node}");
            let crowd = read_and_write(run, clients, time, same)?;
            keep("same nodes", clients, crowd, &mut outcome);
        }
        Ok(outcome)
    }
}

/// Takes over what is worth it from the figures of a crowd.
fn keep(nodes: &str, clients: u32, crowd: Outcome, outcome: &mut Outcome) {
    let some = if clients == 1 { "client" } else { "clients" };
    for mut figure in crowd.figures {
        if let Some((_, end)) = KEPT.iter().find(|(name, _)| *name == figure.name) {
            figure.name = format!("{nodes}, {clients} {some}{end}");
            let place = Place::new(clients, "clients");
            figure.point = Some(Point { series: format!("{nodes}{end}"), place });
            outcome.figures.push(figure);
        }
    }
}
