//! Removals: what went, and in what order watches on it are told.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::nodes::absolute;
use crate::access_log::{Event, Who};
use crate::host_replay::Batch;

/// What an RM removed.
#[derive(Debug)]
pub struct Removal {
    /// Its path.
    pub path: String,
    /// When each of the removed nodes was made.
    pub(super) births: BTreeMap<String, usize>,
}

impl Removal {
    /// Whether a node was there and is gone.
    pub fn took(&self, path: &str) -> bool {
        self.births.contains_key(path)
    }

    /// Whether there was nothing at a path below what went.
    pub fn found_nothing_at(&self, path: &str) -> bool {
        self.took(&self.path) && is_below(path, &self.path) && !self.took(path)
    }

    /// What rxenstored promises of the events of a removal and did not keep.
    pub fn broken_promise(&self, who: Who, events: &[Event]) -> Option<&'static str> {
        let paths: Vec<_> = events.iter().map(|event| absolute(who, &event.path)).collect();
        if !paths.iter().all(|path| self.took(path)) {
            return Some("of what was not there");
        }
        let sorted = paths.is_sorted_by(|one, other| self.order(one, other) != Ordering::Greater);
        (!sorted).then_some("in an order other than from the bottom up")
    }

    /// How many recorded events are those of a batch, each once and in whatever order, and
    /// between them of what was not there; none if one of the batch is missing.
    pub fn reordered(&self, who: Who, recorded: &[(usize, Event)], batch: &Batch) -> Option<usize> {
        let mut missing: Vec<_> = batch.events.iter().collect();
        for (index, (line, event)) in recorded.iter().enumerate() {
            if missing.is_empty() {
                return Some(index);
            }
            if *line < batch.line {
                return None;
            }
            if let Some(at) = missing.iter().position(|other| *other == event) {
                missing.swap_remove(at);
            } else if !self.found_nothing_at(&absolute(who, &event.path)) {
                return None;
            }
        }
        missing.is_empty().then_some(recorded.len())
    }

    /// In what order two nodes that went are told of: each after all below it, siblings in
    /// the order they were made.
    fn order(&self, one: &str, other: &str) -> Ordering {
        if is_below(one, other) {
            return Ordering::Less;
        }
        if is_below(other, one) {
            return Ordering::Greater;
        }
        let born = |path: &str, apart: usize| {
            let end = path.get(apart..).and_then(|rest| rest.find('/'));
            self.births.get(path.get(..end.map_or(path.len(), |end| apart + end))?)
        };
        let apart = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
        let start = one.get(..apart).and_then(|same| same.rfind('/')).map_or(0, |at| at + 1);
        born(one, start).cmp(&born(other, start))
    }
}

/// Whether a path is below another.
pub fn is_below(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
}
