//! Memory is given back to the system after clients or domains left.
//!
//! That takes time that grows with the memory there was, so it waits until the daemon has
//! nothing to do, and until a hundred times as long has passed since the last time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use xenstore_host::memory;

use crate::timer::Timer;

/// The least time between two times.
const PAUSE: Duration = Duration::from_secs(1);

/// How many times as long it rests as it took.
const REST: u32 = 100;

/// When memory is to be given back; readable when it is time.
///
/// A timer says when, and not the clock, which would have to be asked in every round: that took
/// 100 instructions of a READ's 2340, on a host where clients come and go.
#[derive(Debug)]
pub struct Thrift {
    timer: Timer,
    state: State,
    /// Not before.
    next: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// There is nothing to give back.
    Nothing,
    /// There may be something, but it is not time.
    Waiting,
    /// It is time, as soon as there is nothing else to do.
    Due,
}

impl Thrift {
    /// Nothing to give back yet.
    ///
    /// # Errors
    ///
    /// The system has no more file descriptors.
    pub fn new() -> io::Result<Self> {
        let next = Instant::now() + PAUSE;
        Ok(Self { timer: Timer::new()?, state: State::Nothing, next })
    }

    /// Much may have been freed: somebody left, or what was removed is swept away.
    pub fn much_was_freed(&mut self) {
        if self.state != State::Nothing {
            return;
        }
        let left = self.next.saturating_duration_since(Instant::now());
        // Without a timer it is given back sooner.
        let waits = !left.is_zero() && self.timer.set(left).is_ok();
        self.state = if waits { State::Waiting } else { State::Due };
    }

    /// To be called when it is readable: it is time.
    pub fn ring(&mut self) {
        self.timer.hush();
        if self.state == State::Waiting {
            self.state = State::Due;
        }
    }

    /// Whether there is something to give back as soon as there is nothing else to do.
    pub fn is_due(&self) -> bool {
        self.state == State::Due
    }

    /// To be called when there is nothing else to do: gives memory back, if it is time.
    pub fn idle(&mut self) {
        if !self.is_due() {
            return;
        }
        let begun = Instant::now();
        memory::give_back();
        let now = Instant::now();
        self.state = State::Nothing;
        self.next = now + PAUSE.max((now - begun) * REST);
    }
}

impl AsFd for Thrift {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    #[test]
    fn it_is_done_once_and_not_too_often() {
        let mut thrift = Thrift::new().unwrap();
        assert!(!thrift.is_due());
        thrift.next = Instant::now() + 60 * PAUSE;
        thrift.much_was_freed();
        thrift.idle();
        assert_eq!(thrift.state, State::Waiting, "it is not time yet");
        thrift.state = State::Nothing;
        thrift.next = Instant::now();
        thrift.much_was_freed();
        assert!(thrift.is_due());
        thrift.idle();
        assert_eq!(thrift.state, State::Nothing);
        assert!(thrift.next > Instant::now());
        thrift.ring();
        assert!(!thrift.is_due(), "nothing was freed");
    }

    /// A client asked once in a while. Only what was left of the time when it was looked at last
    /// was known, and it was looked at seldom: memory went back after a minute instead of a second.
    #[test]
    fn it_is_time_whatever_others_do_meanwhile() {
        let mut thrift = Thrift::new().unwrap();
        thrift.next = Instant::now() + Duration::from_millis(20);
        for _ in 0..3 {
            thrift.much_was_freed();
        }
        assert_eq!(poll(&mut [PollFd::new(&thrift, PollFlags::IN)], None), Ok(1));
        thrift.ring();
        assert!(thrift.is_due());
    }
}
