//! Memory is given back to the system after clients or domains left.
//!
//! That takes time that grows with the memory there was, so it waits until the daemon has
//! nothing to do, and until a hundred times as long has passed since the last time.

use std::time::{Duration, Instant};

use xenstore_host::memory;

/// The least time between two times.
const PAUSE: Duration = Duration::from_secs(1);

/// How many times as long it rests as it took.
const REST: u32 = 100;

/// The clock is asked once in so many rounds, and when there was nothing to do. In every round
/// it took 100 instructions of a READ's 2340, on a host where clients come and go.
const ROUNDS: u32 = 64;

/// When memory is to be given back.
#[derive(Debug)]
pub struct Thrift {
    /// Whether there may be something to give back.
    due: bool,
    next: Instant,
    /// How long it was until then when the clock was asked last, and how many rounds ago.
    left: Duration,
    rounds: u32,
}

impl Thrift {
    /// Nothing to give back yet.
    pub fn new(now: Instant) -> Self {
        Self { due: false, next: now + PAUSE, left: PAUSE, rounds: 0 }
    }

    /// Somebody left: what was held for it is free.
    pub fn somebody_left(&mut self) {
        self.due = true;
    }

    /// How long it is, at most, until there is something to give back; `None` if there is nothing.
    /// To be asked once a round.
    pub fn pause(&mut self) -> Option<Duration> {
        if !self.due {
            return None;
        }
        if self.rounds == 0 {
            self.left = self.next.saturating_duration_since(Instant::now());
        }
        self.rounds = (self.rounds + 1) % ROUNDS;
        Some(self.left)
    }

    /// To be called when it was looked and there is nothing else to do: gives memory back, if
    /// it is time.
    pub fn idle(&mut self) {
        let begun = Instant::now();
        self.rounds = 0;
        if !self.due || begun < self.next {
            return;
        }
        memory::give_back();
        let now = Instant::now();
        self.due = false;
        self.next = now + PAUSE.max((now - begun) * REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_done_once_and_not_too_often() {
        let start = Instant::now();
        let mut thrift = Thrift::new(start + 60 * PAUSE);
        assert_eq!(thrift.pause(), None);
        thrift.somebody_left();
        assert!(thrift.pause().is_some_and(|left| left <= 61 * PAUSE));
        thrift.idle();
        assert!(thrift.due, "it is not time yet");
        assert!(thrift.pause().is_some_and(|left| !left.is_zero()));
        thrift.next = start;
        let rounds = (0..ROUNDS).find(|_| thrift.pause() == Some(Duration::ZERO));
        assert!(rounds.is_some(), "the clock is never asked");
        thrift.idle();
        assert!(!thrift.due && thrift.next > start);
        assert_eq!(thrift.pause(), None);
    }
}
