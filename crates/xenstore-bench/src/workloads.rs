//! All workloads: one module each.

use std::fmt::Write as _;

use crate::workload::Workload;

pub mod ask;
pub mod calls;
pub mod commit_cost;
pub mod conflict;
pub mod disjoint;
pub mod guests_ask;
pub mod guests_asleep;
pub mod guests_crowd;
pub mod guests_death;
pub mod guests_flood;
pub mod guests_idle;
pub mod guests_large;
pub mod hostile;
pub mod idle;
pub mod instructions;
pub mod paper;
pub mod paper_guests;
pub mod sizes;
pub mod transactions;
pub mod vm_starts;
pub mod watches;
pub mod wide;

/// Every workload, in the order in which they are run.
pub fn all() -> [&'static dyn Workload; 29] {
    [
        &calls::Calls,
        &instructions::Instructions,
        &ask::READ,
        &ask::WRITE,
        &ask::DIRECTORY,
        &ask::MKDIR_AND_RM,
        &ask::READ_IN_TURNS,
        &sizes::Sizes,
        &wide::Wide,
        &transactions::Transactions,
        &watches::Watches,
        &idle::Idle,
        &hostile::Hostile,
        &paper::Paper,
        &paper_guests::PaperGuests,
        &vm_starts::VmStarts,
        &conflict::Conflict,
        &disjoint::Disjoint,
        &commit_cost::CommitCost,
        &guests_ask::READ,
        &guests_ask::WRITE,
        &guests_ask::READ_MANY,
        &guests_ask::WRITE_MANY,
        &guests_crowd::GuestsCrowd,
        &guests_idle::GuestsIdle,
        &guests_large::GuestsLarge,
        &guests_death::GuestsDeath,
        &guests_asleep::GuestsAsleep,
        &guests_flood::GuestsFlood,
    ]
}

/// A line for each, for the help.
pub fn listing() -> String {
    let mut text = "Workloads:\n".to_owned();
    for workload in all() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<14} {}", workload.name(), workload.about());
    }
    text
}
