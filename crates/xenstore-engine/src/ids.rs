//! Names for what comes and goes. None is used twice.

use std::num::NonZeroU64;

/// Names a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId {
    pub(crate) slot: usize,
    pub(crate) serial: NonZeroU64,
}

impl ConnectionId {
    /// A small number, unique among the connections open at the same time: an index
    /// for tables.
    pub fn slot(self) -> usize {
        self.slot
    }
}

/// Names a watch. Later watches have greater ids: ids sort by registration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WatchId {
    pub(crate) serial: u64,
    pub(crate) slot: usize,
}

impl WatchId {
    pub(crate) const FIRST: Self = Self { serial: 0, slot: 0 };
    pub(crate) const LAST: Self = Self { serial: u64::MAX, slot: usize::MAX };
}
