//! Signs of life on standard error, for what takes long.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Nobody wonders before that much time has passed.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two signs.
const INTERVAL: Duration = Duration::from_millis(200);

/// Counts nodes, and says how many there are now and then.
#[derive(Debug)]
pub(crate) struct Progress {
    enabled: bool,
    count: u64,
    next: Instant,
    shown: bool,
}

impl Progress {
    /// To be shown if somebody is there to see it, or if `always`.
    pub(crate) fn new(always: bool) -> Self {
        Self {
            enabled: always || std::io::stderr().is_terminal(),
            count: 0,
            next: Instant::now() + PATIENCE,
            shown: false,
        }
    }

    /// Counts from 0 again.
    pub(crate) fn restart(&mut self) {
        self.count = 0;
    }

    /// Counts one node.
    pub(crate) fn step(&mut self) {
        self.count += 1;
        // The clock is not asked for every node.
        if !self.enabled || !self.count.is_multiple_of(16) {
            return;
        }
        let now = Instant::now();
        if now >= self.next {
            self.next = now + INTERVAL;
            self.shown = true;
            let _ = write!(std::io::stderr(), "\r{} nodes", self.count);
        }
    }
}

impl Drop for Progress {
    /// Leaves a clean line behind.
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
