//! The events one client is due, and those it gets.
//!
//! A daemon may leave out an event whose twin waits already for a client that has not
//! taken it yet. So one may be missing if an equal one arrived after the request was sent
//! that should have caused it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What an event says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Event {
    /// What changed, as the client spells it.
    pub path: String,
    /// The client's mark.
    pub token: String,
}

/// An event that came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// What it says.
    pub event: Event,
    /// When it was taken.
    pub at: Instant,
}

/// An event that is to come.
#[derive(Clone, Debug)]
struct Due {
    event: Event,
    /// When the request that caused it was sent.
    caused: Instant,
    /// When it was known to be answered.
    known: Instant,
}

/// The events of one client.
#[derive(Clone, Default, Debug)]
pub struct Feed {
    due: VecDeque<Due>,
    /// Those that came last: each may have stood for others.
    lately: VecDeque<Heard>,
}

/// So many of those that came are remembered, at least: more than a client has unread.
const REMEMBERED: usize = 512;

impl Feed {
    /// An event is to come, caused by a request that was sent and answered then.
    pub fn expect(&mut self, event: Event, caused: Instant, known: Instant) {
        self.due.push_back(Due { event, caused, known });
    }

    /// Whether an event that came was due.
    pub fn hear(&mut self, heard: &Heard) -> bool {
        while let Some(next) = self.due.front() {
            let is_it = next.event == heard.event;
            if !is_it && !self.may_be_missing(next) {
                return false;
            }
            self.due.pop_front();
            if is_it {
                self.lately.push_back(heard.clone());
                if self.lately.len() > REMEMBERED {
                    self.lately.pop_front();
                }
                return true;
            }
        }
        false
    }

    /// What is still to come.
    pub fn due(&self) -> Vec<Event> {
        self.due.iter().map(|due| due.event.clone()).collect()
    }

    fn may_be_missing(&self, due: &Due) -> bool {
        let is_twin = |heard: &Heard| heard.event == due.event && heard.at >= due.caused;
        self.lately.iter().any(is_twin)
    }

    /// Whether nothing more has to come.
    pub fn is_complete(&self) -> bool {
        self.due.iter().all(|due| self.may_be_missing(due))
    }

    /// The client could not take anything until now: nothing is late.
    pub fn excuse(&mut self, now: Instant) {
        self.due.iter_mut().for_each(|due| due.known = now);
    }

    /// An event that should have come long ago.
    pub fn overdue(&self, now: Instant, patience: Duration) -> Option<&Event> {
        let late = |due: &&Due| now.duration_since(due.known) > patience;
        self.due.iter().filter(late).find(|due| !self.may_be_missing(due)).map(|due| &due.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(path: &str) -> Event {
        Event { path: path.to_owned(), token: "t".to_owned() }
    }

    /// What comes at seconds after the start, and whether all of it was due.
    fn hears(feed: &mut Feed, start: Instant, came: &[(&str, u64)]) -> bool {
        came.iter().all(|&(path, seconds)| {
            feed.hear(&Heard { event: event(path), at: start + Duration::from_secs(seconds) })
        })
    }

    fn due(start: Instant, expected: &[(&str, u64)]) -> Feed {
        let mut feed = Feed::default();
        for &(path, seconds) in expected {
            let at = start + Duration::from_secs(seconds);
            feed.expect(event(path), at, at);
        }
        feed
    }

    #[test]
    fn events_come_in_order() {
        let start = Instant::now();
        assert!(hears(&mut due(start, &[("a", 0), ("b", 0)]), start, &[("a", 1), ("b", 1)]));
        assert!(!hears(&mut due(start, &[("a", 0), ("b", 0)]), start, &[("b", 1)]));
        assert!(!hears(&mut due(start, &[]), start, &[("a", 1)]));
    }

    #[test]
    fn a_twin_that_waited_may_stand_for_a_later_one() {
        let start = Instant::now();
        let mut feed = due(start, &[("a", 0), ("b", 1), ("a", 2), ("c", 3)]);
        assert!(hears(&mut feed, start, &[("a", 4), ("b", 4), ("c", 4)]));
        assert!(feed.is_complete());
        // It was taken before the other came to be.
        let mut feed = due(start, &[("a", 0), ("b", 1), ("a", 2), ("c", 3)]);
        assert!(!hears(&mut feed, start, &[("a", 1), ("b", 4), ("c", 4)]));
    }

    #[test]
    fn what_does_not_come_is_missed() {
        let start = Instant::now();
        let mut feed = due(start, &[("a", 0), ("a", 5)]);
        assert!(!feed.is_complete());
        let patience = Duration::from_secs(2);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(feed.overdue(at(1), patience), None);
        assert_eq!(feed.overdue(at(3), patience), Some(&event("a")));
        assert!(hears(&mut feed, start, &[("a", 3)]));
        assert_eq!(feed.overdue(at(8), patience), Some(&event("a")));
        // Who is shut down, and still due the news of it, takes nothing.
        feed.excuse(at(8));
        assert_eq!(feed.overdue(at(9), patience), None);
        assert_eq!(feed.overdue(at(11), patience), Some(&event("a")));
    }
}
