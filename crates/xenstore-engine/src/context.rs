//! What an operation needs beside the store it acts on.

use crate::acl::Caller;
use crate::domains::Domains;
use crate::listing::Listing;
use crate::quota::Ledger;

/// What an operation needs to know beside the store.
pub struct Context<'a> {
    pub caller: Caller,
    /// Not the same after something that changes the caller's answers without touching a
    /// node.
    pub epoch: u64,
    pub domains: &'a Domains,
    /// Charges not yet booked: this request's, or its transaction's so far.
    pub ledger: &'a mut Ledger,
    pub clock: &'a mut Clock,
    pub listing: &'a mut Listing,
}

/// Hands out generations: numbers that are never used twice.
#[derive(Debug, Default)]
pub struct Clock(u64);

impl Clock {
    pub fn tick(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}
