//! The line of connections that wait for a turn.
//!
//! Everybody is in it at most once, and who wants another turn goes to its end: so nobody
//! has two turns while somebody else waits for one.

use std::collections::VecDeque;

use xenstore_engine::ConnectionId;

/// The line.
#[derive(Debug, Default)]
pub struct Line {
    waiting: VecDeque<ConnectionId>,
    /// Who of each slot is in line.
    places: Vec<Option<ConnectionId>>,
}

impl Line {
    /// Puts a connection at the end, unless it is in line already.
    #[inline]
    pub fn join(&mut self, id: ConnectionId) {
        if self.places.len() <= id.slot() {
            self.places.resize(id.slot() + 1, None);
        }
        if let Some(place) = self.places.get_mut(id.slot())
            && place.replace(id) != Some(id)
        {
            self.waiting.push_back(id);
        }
    }

    /// Takes the first out.
    pub fn take_first(&mut self) -> Option<ConnectionId> {
        let id = self.waiting.pop_front()?;
        if let Some(place) = self.places.get_mut(id.slot()) {
            // Somebody else may have the slot by now, and be in line too.
            *place = place.filter(|&other| other != id);
        }
        Some(id)
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
        let mut engine = Engine::new(&Settings::default());
        let [a, b] = [(); 2].map(|()| engine.connect_socket(&mut Silent));
        let mut line = Line::default();
        for id in [a, b, a, b] {
            line.join(id);
        }
        assert_eq!((line.take_first(), line.len()), (Some(a), 1));
        line.join(a);
        assert_eq!(
            [line.take_first(), line.take_first(), line.take_first()],
            [Some(b), Some(a), None]
        );
    }

    /// A connection goes, and the next takes its slot, while it is still in line.
    #[test]
    fn a_slot_may_change_hands() {
        let mut engine = Engine::new(&Settings::default());
        let old = engine.connect_socket(&mut Silent);
        let mut line = Line::default();
        line.join(old);
        engine.disconnect(old, &mut Silent);
        let new = engine.connect_socket(&mut Silent);
        assert_eq!(old.slot(), new.slot());
        line.join(new);
        assert_eq!(line.take_first(), Some(old));
        line.join(new);
        assert_eq!([line.take_first(), line.take_first()], [Some(new), None]);
    }
}
