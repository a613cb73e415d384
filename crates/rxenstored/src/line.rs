//! The line of connections that wait for a turn.
//!
//! Everybody is in it at most once, and who wants another turn goes to its end: so nobody
//! has two turns while somebody else waits for one.

use std::collections::VecDeque;
use std::mem;

/// The line. Connections stand in it by their slots: who has the slot of one that left while it
/// stood there has its turn.
#[derive(Debug, Default)]
pub struct Line {
    waiting: VecDeque<usize>,
    /// Who of all slots is in line.
    places: Vec<bool>,
}

impl Line {
    /// Puts a connection at the end, unless it is in line already.
    #[inline]
    pub fn join(&mut self, slot: usize) {
        if self.places.len() <= slot {
            self.places.resize(slot + 1, false);
        }
        if self.places.get_mut(slot).is_some_and(|place| !mem::replace(place, true)) {
            self.waiting.push_back(slot);
        }
    }

    /// Takes the first out.
    pub fn take_first(&mut self) -> Option<usize> {
        let slot = self.waiting.pop_front()?;
        if let Some(place) = self.places.get_mut(slot) {
            *place = false;
        }
        Some(slot)
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use xenstore_engine::{Engine, Settings, Silent};

    use super::*;

    #[test]
    fn everybody_is_in_line_once() {
        let mut line = Line::default();
        for slot in [3, 0, 3, 0] {
            line.join(slot);
        }
        assert_eq!((line.take_first(), line.len()), (Some(3), 1));
        line.join(3);
        assert_eq!(
            [line.take_first(), line.take_first(), line.take_first()],
            [Some(0), Some(3), None]
        );
    }

    /// A connection goes, and the next takes its slot, while it is still in line: the place is
    /// the other's, who has one turn for it.
    #[test]
    fn a_slot_may_change_hands() {
        let mut engine = Engine::new(&Settings::default());
        let old = engine.connect_socket(&mut Silent);
        let mut line = Line::default();
        line.join(old.slot());
        engine.disconnect(old, &mut Silent);
        assert_eq!(engine.in_slot(old.slot()), None);
        let new = engine.connect_socket(&mut Silent);
        assert_eq!(old.slot(), new.slot());
        line.join(new.slot());
        let first = line.take_first().and_then(|slot| engine.in_slot(slot));
        assert_eq!(first.map(|(id, _)| id), Some(new));
        line.join(new.slot());
        assert_eq!([line.take_first(), line.take_first()], [Some(new.slot()), None]);
    }
}
