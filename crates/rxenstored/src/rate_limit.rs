//! Says of each message whether it may be logged now: the first of its kind at
//! once, then one per period with the number of those left out.
//!
//! What a guest does can be logged without the guest filling a disk. The number of
//! kinds remembered is bounded too, since kinds often contain a domid or a path.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// A limit for messages told apart by `K`.
#[derive(Debug)]
pub struct RateLimit<K> {
    period: Duration,
    capacity: usize,
    entries: HashMap<K, Entry>,
    /// All kinds for which there was no room, taken together.
    overflow: Option<Entry>,
    swept: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    passed: Instant,
    suppressed: u64,
}

impl Entry {
    fn check(&mut self, now: Instant, period: Duration) -> Option<u64> {
        if now.saturating_duration_since(self.passed) < period {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.passed = now;
        Some(std::mem::take(&mut self.suppressed))
    }
}

impl<K: Hash + Eq> Default for RateLimit<K> {
    /// One message per kind in ten seconds, 256 kinds.
    fn default() -> Self {
        Self::new(Duration::from_secs(10), 256)
    }
}

impl<K: Hash + Eq> RateLimit<K> {
    /// One message per kind in `period`, for up to `capacity` kinds; further kinds
    /// share one allowance.
    pub fn new(period: Duration, capacity: usize) -> Self {
        Self { period, capacity, entries: HashMap::new(), overflow: None, swept: None }
    }

    /// `Some(n)`: log it, and that `n` like it were left out since the last one.
    /// `None`: leave it out.
    pub fn check(&mut self, key: K, now: Instant) -> Option<u64> {
        if let Some(entry) = self.entries.get_mut(&key) {
            return entry.check(now, self.period);
        }
        if self.entries.len() >= self.capacity {
            self.sweep(now);
        }
        let first = Entry { passed: now, suppressed: 0 };
        if self.entries.len() < self.capacity {
            self.entries.insert(key, first);
            return Some(0);
        }
        if let Some(entry) = &mut self.overflow {
            return entry.check(now, self.period);
        }
        self.overflow = Some(first);
        Some(0)
    }

    /// Forgets kinds that may pass again anyway. At most once a period, so that its
    /// cost is not paid per message.
    fn sweep(&mut self, now: Instant) {
        let period = self.period;
        let is_old = |since: Instant| now.saturating_duration_since(since) >= period;
        if self.swept.is_some_and(|swept| !is_old(swept)) {
            return;
        }
        self.swept = Some(now);
        self.entries.retain(|_, entry| !is_old(entry.passed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_passes_then_one_per_period_with_a_count() {
        let (mut limit, start) = (RateLimit::default(), Instant::now());
        assert_eq!(limit.check("a", start), Some(0));
        for n in 1..10 {
            assert_eq!(limit.check("a", start + n * SECOND), None);
        }
        assert_eq!(limit.check("b", start + SECOND), Some(0));
        assert_eq!(limit.check("a", start + 10 * SECOND), Some(9));
        assert_eq!(limit.check("a", start + 11 * SECOND), None);
        assert_eq!(limit.check("a", start + 20 * SECOND), Some(1));
    }

    #[test]
    fn the_number_of_kinds_is_bounded() {
        let (mut limit, start) = (RateLimit::new(10 * SECOND, 4), Instant::now());
        let passed = (0..1000).filter(|key| limit.check(*key, start).is_some());
        assert_eq!(passed.count(), 5);
        assert_eq!(limit.entries.len(), 4);
        assert_eq!(limit.check(2000, start + 10 * SECOND), Some(0));
        assert_eq!(limit.entries.len(), 1);
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm() {
        let (mut limit, start) = (RateLimit::default(), Instant::now() + 10 * SECOND);
        assert_eq!(limit.check("a", start), Some(0));
        assert_eq!(limit.check("a", start.checked_sub(5 * SECOND).unwrap()), None);
    }
}
