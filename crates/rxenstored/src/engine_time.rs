//! Time as the engine is told it.
//!
//! The engine bounds how long clients may hold others back. That a client was silent is
//! only known while the daemon listened: what it needed for somebody's large request is not
//! that client's time. So a round counts for a millisecond at most; waiting counts in full.

use std::time::{Duration, Instant};

/// The most that a round of the daemon counts for. Hundreds of requests take less.
const LONGEST_ROUND: Duration = Duration::from_millis(1);

/// A clock that stands still while the daemon is busy for long.
#[derive(Debug)]
pub struct EngineTime {
    now: Duration,
    since: Instant,
}

impl EngineTime {
    /// Begins at zero.
    pub fn new(at: Instant) -> Self {
        Self { now: Duration::ZERO, since: at }
    }

    /// The time of this round.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// When that was in the world outside.
    pub fn at(&self) -> Instant {
        self.since
    }

    /// A round is over: the daemon is about to wait.
    pub fn served(&mut self, at: Instant) {
        self.pass(at, LONGEST_ROUND);
    }

    /// The daemon has waited: a round begins.
    pub fn waited(&mut self, at: Instant) {
        self.pass(at, Duration::MAX);
    }

    fn pass(&mut self, at: Instant, most: Duration) {
        self.now += at.saturating_duration_since(self.since).min(most);
        self.since = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_round_is_not_the_clients_time() {
        let start = Instant::now();
        let milliseconds = Duration::from_millis;
        let mut time = EngineTime::new(start);
        time.waited(start + milliseconds(300));
        assert_eq!(time.now(), milliseconds(300));
        time.served(start + milliseconds(900));
        assert_eq!(time.now(), milliseconds(301));
        time.waited(start + milliseconds(1000));
        time.served(start + milliseconds(1000));
        assert_eq!(time.now(), milliseconds(401));
    }
}
