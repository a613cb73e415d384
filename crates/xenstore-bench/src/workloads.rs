//! All workloads: one module each.

use std::fmt::Write as _;

use crate::workload::Workload;

pub mod commit_cost;
pub mod conflict;
pub mod disjoint;
pub mod paper;
pub mod vm_starts;

/// Every workload, in the order in which they are run.
pub fn all() -> [&'static dyn Workload; 5] {
    [
        &paper::Paper,
        &vm_starts::VmStarts,
        &conflict::Conflict,
        &disjoint::Disjoint,
        &commit_cost::CommitCost,
    ]
}

/// A line for each, for the help.
pub fn listing() -> String {
    let mut text = "Workloads:\n".to_owned();
    for workload in all() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<12} {}", workload.name(), workload.about());
    }
    text
}
