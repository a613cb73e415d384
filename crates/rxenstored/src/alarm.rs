//! An alarm clock that wakes the event loop only if nothing else does.
//!
//! A wait can be given a time, but then the kernel sets a timer for each wait and takes it back.
//! With a millisecond, sooner than anything else it waits for, that is a word with the hardware
//! each time: half of all processor time of a lone guest's request. So the timer is set once,
//! and for twice the time: rounds that go on anyway find out by themselves when the time has
//! come, and set it anew before it rings.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::timer::Timer;

/// The alarm clock; readable while it rings.
#[derive(Debug)]
pub struct Alarm {
    timer: Timer,
    due: Option<Instant>,
}

impl Alarm {
    /// One that is not set.
    ///
    /// # Errors
    ///
    /// The system has no more file descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self { timer: Timer::new()?, due: None })
    }

    /// Has it be [due](Self::is_due) some milliseconds after the round began, unless it is set
    /// already. It rings after twice that time from now: who hears it finds it due, however long
    /// the system kept the daemon from setting it. If it rang before, it would ring no more, and
    /// nobody would ask.
    ///
    /// # Errors
    ///
    /// The system cannot set a timer.
    pub fn set(&mut self, round: Instant, after: Duration) -> io::Result<()> {
        if self.due.is_none() {
            self.timer.set(2 * after)?;
            self.due = Some(round + after);
        }
        Ok(())
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.due.is_some()
    }

    /// Whether the time has come for which it was set. That is said once.
    pub fn is_due(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| now >= *due).is_some()
    }

    /// Stops its ringing.
    pub fn hush(&self) {
        self.timer.hush();
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::time::Timespec;

    use super::*;

    fn rings(alarm: &Alarm, timeout: Option<&Timespec>) -> bool {
        poll(&mut [PollFd::new(alarm, PollFlags::IN)], timeout).unwrap() == 1
    }

    const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

    #[test]
    fn it_is_due_once_and_rings_if_nobody_asks() {
        let mut alarm = Alarm::new().unwrap();
        assert!(!alarm.is_due(Instant::now()));
        for _ in 0..2 {
            let round = Instant::now();
            thread::sleep(Duration::from_millis(3));
            alarm.set(round, Duration::from_millis(1)).unwrap();
            // Already set: this does not put it off.
            alarm.set(Instant::now(), Duration::from_hours(1)).unwrap();
            assert!(rings(&alarm, None));
            alarm.hush();
            assert!(!rings(&alarm, Some(&AT_ONCE)));
            assert!(alarm.is_due(Instant::now()));
            assert!(!alarm.is_due(Instant::now()));
        }
    }

    #[test]
    fn who_sets_it_again_in_time_does_not_hear_it() {
        let mut alarm = Alarm::new().unwrap();
        let round = Instant::now();
        alarm.set(round, Duration::from_millis(1)).unwrap();
        assert!(!alarm.is_due(round));
        assert!(alarm.is_due(round + Duration::from_millis(1)));
        alarm.set(Instant::now(), Duration::from_hours(1)).unwrap();
        let while_ago = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        assert!(!rings(&alarm, Some(&while_ago)));
    }
}
