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

/// When memory is to be given back.
#[derive(Debug)]
pub struct Thrift {
    /// Whether there may be something to give back.
    due: bool,
    next: Instant,
}

impl Thrift {
    /// Nothing to give back yet.
    pub fn new(now: Instant) -> Self {
        Self { due: false, next: now + PAUSE }
    }

    /// Somebody left: what was held for it is free.
    pub fn somebody_left(&mut self) {
        self.due = true;
    }

    /// To be called when there is nothing else to do: gives memory back if it is time, and
    /// says how long it is until then if it is not.
    pub fn idle(&mut self) -> Option<Duration> {
        if !self.due {
            return None;
        }
        let begun = Instant::now();
        if begun < self.next {
            return Some(self.next - begun);
        }
        memory::give_back();
        let now = Instant::now();
        self.due = false;
        self.next = now + PAUSE.max((now - begun) * REST);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_done_once_and_not_too_often() {
        let start = Instant::now();
        let mut thrift = Thrift::new(start);
        assert_eq!(thrift.idle(), None);
        thrift.somebody_left();
        assert!(thrift.idle().is_some_and(|left| left <= PAUSE));
        thrift.next = start;
        assert_eq!(thrift.idle(), None);
        assert!(!thrift.due && thrift.next > start);
    }
}
