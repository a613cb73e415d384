//! Why a request is refused.

use xenstore_wire::{Domid, Errno};

use crate::quota::Quota;

/// A domain asked for more than it may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overrun {
    pub domid: Domid,
    /// The name of the quota or other limit.
    pub what: &'static str,
    /// What it would have had.
    pub wanted: u64,
    pub limit: u32,
}

/// Why an operation was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// For this reason.
    Errno(Errno),
    /// Because of a limit.
    Limit(Overrun),
}

impl Refusal {
    /// What the client is told.
    pub fn errno(self) -> Errno {
        match self {
            Self::Errno(errno) => errno,
            // A path too long is a matter of form.
            Self::Limit(Overrun { what, .. }) if what == Quota::PathMax.name() => Errno::Inval,
            Self::Limit(_) => Errno::NoSpc,
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}
