//! The transactions of [`conflict`](super::conflict), but every client has nodes of its own.
//! What is left is the cost of a transaction, and of merging it with what others committed
//! meanwhile.

use super::conflict::{CLIENTS, read_and_write, time};
use crate::crowd::COMMITS;
use crate::failure::Failure;
use crate::figure::{Bound, Goal, Outcome};
use crate::workload::{Run, Workload};

/// The workload.
#[derive(Debug)]
pub struct Disjoint;

impl Workload for Disjoint {
    fn name(&self) -> &'static str {
        "disjoint"
    }

    fn about(&self) -> &'static str {
        "64 clients whose transactions read and write 5 nodes of their own"
    }

    fn goals(&self) -> &'static [Goal] {
        &[Goal { figure: COMMITS, bound: Bound::TimesBest(2.0) }]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        read_and_write(run, CLIENTS, time(run), |client, node| {
            format!("/bench/own/{client}/{node}")
        })
    }
}
