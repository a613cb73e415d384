//! Time as the engine is told it.
//!
//! The engine bounds how long clients may hold others back. That a client was silent is
//! only known while the daemon listened: what it needed for somebody's large request is not
//! that client's time. So a round counts for a millisecond at most; waiting counts in full.

use std::time::{Duration, Instant};

/// The most that a round of the daemon counts for. Hundreds of requests take less.
const LONGEST_ROUND: Duration = Duration::from_millis(1);

/// A clock that stands still while the daemon is busy for long, and while nothing ends by time: to
/// ask the system in every round took 100 instructions of a READ's 2310.
#[derive(Debug, Default)]
pub struct EngineTime {
    now: Duration,
    /// When that was in the world outside; `None` while it stands still.
    since: Option<Instant>,
}

impl EngineTime {
    /// The time of this round.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Whether it does not stand still.
    pub fn passes(&self) -> bool {
        self.since.is_some()
    }

    /// A round is over: the daemon is about to wait. If it stood still, it goes on from here.
    pub fn served(&mut self, at: Instant) {
        self.pass(at, LONGEST_ROUND);
    }

    /// The daemon has waited: a round begins.
    pub fn waited(&mut self, at: Instant) {
        self.pass(at, Duration::MAX);
    }

    /// Nothing ends by time.
    pub fn stand_still(&mut self) {
        self.since = None;
    }

    fn pass(&mut self, at: Instant, most: Duration) {
        if let Some(since) = self.since.replace(at) {
            self.now += at.saturating_duration_since(since).min(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_round_is_not_the_clients_time() {
        let start = Instant::now();
        let milliseconds = Duration::from_millis;
        let mut time = EngineTime::default();
        time.served(start);
        time.waited(start + milliseconds(300));
        assert_eq!(time.now(), milliseconds(300));
        time.served(start + milliseconds(900));
        assert_eq!(time.now(), milliseconds(301));
        time.waited(start + milliseconds(1000));
        time.served(start + milliseconds(1000));
        assert_eq!(time.now(), milliseconds(401));
    }

    #[test]
    fn it_stands_still_while_nobody_needs_it() {
        let start = Instant::now();
        let milliseconds = Duration::from_millis;
        let mut time = EngineTime::default();
        time.served(start);
        time.waited(start + milliseconds(5));
        time.stand_still();
        time.served(start + milliseconds(1_000_000));
        assert_eq!(time.now(), milliseconds(5));
        time.waited(start + milliseconds(1_000_007));
        assert_eq!(time.now(), milliseconds(12));
    }
}
