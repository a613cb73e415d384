//! Guests for whom there was much to do rest, so that others find the daemon free.
//!
//! One request can be as much work as thousands of others: the end of a large transaction, a
//! request in one that has to be done again because of others. In turns alone a guest with
//! such requests would have each neighbour wait for one of them, again and again. So after
//! more work than a turn of ordinary requests it has no turn until several times as long has
//! passed: whoever asks meanwhile finds the daemon free more often than not, and its median
//! latency is what it was. With nobody else to serve, the daemon sleeps meanwhile.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use xenstore_engine::ConnectionId;

/// Work that needs no rest: that of a turn.
const ORDINARY: usize = 256;

/// What a unit of work takes, roughly.
const UNIT: Duration = Duration::from_nanos(50);

/// How many times as long as the work the rest is.
const TIMES: u32 = 3;

/// The longest rest. Who is protected and silent for longer is protected no more.
const LONGEST: Duration = Duration::from_millis(100);

/// Who rests.
#[derive(Debug, Default)]
pub struct Rests {
    until: HashMap<ConnectionId, Duration>,
    /// Those of them who want a turn when their rest is over.
    wanting: BTreeSet<(Duration, ConnectionId)>,
}

impl Rests {
    /// Takes note of the work of a guest's turn, which began at this time.
    pub fn after(&mut self, effort: usize, id: ConnectionId, now: Duration) {
        if effort > ORDINARY {
            self.until.retain(|_, until| *until > now);
            let work = UNIT * u32::try_from(effort).unwrap_or(u32::MAX);
            self.until.insert(id, now + (work * (1 + TIMES)).min(LONGEST));
        }
    }

    /// Whether a guest that wants a turn has none yet. It is among those who are
    /// [over](Self::over) it then.
    pub fn has_rest(&mut self, id: ConnectionId, now: Duration) -> bool {
        let until = self.until.get(&id).copied().filter(|&until| until > now);
        self.wanting.extend(until.map(|until| (until, id)));
        until.is_some()
    }

    /// Those whose rest is over and who wanted a turn before.
    pub fn over(&mut self, now: Duration) -> Vec<ConnectionId> {
        let mut over = Vec::new();
        while let Some(&(until, id)) = self.wanting.first()
            && until <= now
        {
            self.wanting.pop_first();
            over.push(id);
        }
        over
    }

    /// When that is so of the next.
    pub fn next(&self) -> Option<Duration> {
        self.wanting.first().map(|&(until, _)| until)
    }
}

#[cfg(test)]
mod tests {
    use xenstore_engine::{Engine, Settings, Silent};

    use super::*;

    #[test]
    fn much_work_is_followed_by_a_longer_rest() {
        let mut engine = Engine::new(&Settings::default());
        let [busy, other] = [(); 2].map(|()| engine.connect_socket(&mut Silent));
        let mut rests = Rests::default();
        let start = Duration::from_secs(1);
        rests.after(ORDINARY, other, start);
        rests.after(20_000, busy, start);
        assert!(!rests.has_rest(other, start));
        assert_eq!(rests.next(), None, "nobody wanted a turn");
        let work = 20_000 * UNIT;
        let (late, later) = (start + work * TIMES, start + work * (TIMES + 1));
        assert!(rests.has_rest(busy, start) && rests.has_rest(busy, late));
        assert_eq!((rests.next(), rests.over(late)), (Some(later), vec![]));
        assert_eq!((rests.over(later), rests.next()), (vec![busy], None));
        assert!(!rests.has_rest(busy, later));
        rests.after(20_000, other, later);
        assert_eq!(rests.until.len(), 1, "who rested long ago is forgotten");
        rests.after(usize::MAX, busy, later);
        assert!(!rests.has_rest(busy, later + LONGEST));
    }
}
