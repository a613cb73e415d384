//! The event loop's part for guests: their rings, and what becomes of domains.

use std::collections::BTreeSet;
use std::mem;
use std::ops::Bound;
use std::time::{Duration, Instant};

use xenstore_engine::{ConnectionId, Standing};
use xenstore_wire::Domid;

use super::{EventLoop, EventLoopError};
use crate::clients::Offer;

/// How long a round may spend on what became of domains. An ordinary death takes a hundredth
/// of it; guests that prepared for theirs, and die all at once, do not stop the others.
const LONGEST_NEWS: Duration = Duration::from_millis(10);

/// The domains to be looked at, each once. They are taken in a circle, so that news that
/// never end keep nobody from being looked at.
#[derive(Debug, Default)]
pub(super) struct Changed {
    domids: BTreeSet<Domid>,
    last: Option<Domid>,
}

impl Changed {
    pub(super) fn is_empty(&self) -> bool {
        self.domids.is_empty()
    }

    fn take(&mut self) -> Option<Domid> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.domids.range((after, Bound::Unbounded)).next();
        let next = next.or_else(|| self.domids.first()).copied()?;
        self.domids.remove(&next);
        self.last = Some(next);
        Some(next)
    }
}

impl EventLoop {
    /// Connects the domains that are there already: the daemon's own, and those that have
    /// waited for it.
    pub(super) fn connect_domains(&mut self, own: Domid) -> Result<(), EventLoopError> {
        if !self.guests.connect_own(own)? {
            return Ok(());
        }
        self.engine.serve_ring(own, &mut self.services);
        for domid in self.guests.waiting_domains() {
            if domid != own {
                let adopted = self.with_outside(|engine, outside| engine.adopt(domid, outside));
                tracing::info!(domid = domid.get(), adopted, "domain was there before the daemon");
            }
        }
        self.write_output();
        self.tell_guests();
        Ok(())
    }

    pub(super) fn guests_ready(&mut self) {
        if self.guests.fired(&mut self.look_at, &mut self.services) {
            self.hear_news();
        }
    }

    /// Looks at the rings of guests that fired, or may have gone on without saying so.
    pub(super) fn look_at_rings(&mut self) {
        if self.alarm.is_set() || !self.look_at.is_empty() {
            let began = *self.began.get_or_insert_with(Instant::now);
            if self.alarm.is_due(began) {
                self.look_at.extend(self.guests.settle());
            }
        }
        if self.look_at.is_empty() {
            return;
        }
        let mut guests = mem::take(&mut self.look_at);
        for domid in guests.drain(..) {
            if let Some(id) = self.engine.ring(domid) {
                self.guests.reset_if_asked(&mut self.engine, id, domid, &mut self.services);
                self.write(id, Offer::Anyway);
            }
        }
        // To look adds none. Its memory is for those that fire next.
        self.look_at = guests;
    }

    /// Learns of which domains something became.
    fn hear_news(&mut self) {
        self.thrift.much_was_freed();
        let mut told = false;
        while let Some(changed) = self.guests.changed() {
            if changed.is_empty() {
                if told {
                    return;
                }
                break;
            }
            told = true;
            self.changed.domids.extend(changed);
        }
        // It is not said which. Or nobody is named: what two news were about may have been told
        // at the first of them, but who was forgotten is not to be served on for ever. A question
        // to Xen for each domain, half a millisecond for 500.
        self.changed.domids.extend(self.engine.known_domains());
    }

    /// Looks what became of domains, of some of them: what the dead had is removed, and others
    /// are to be served in between.
    pub(super) fn look_at_changed(&mut self) {
        // Mostly there is nothing, and no need to know the time.
        if self.changed.is_empty() {
            return;
        }
        let begun = Instant::now();
        while let Some(domid) = self.changed.take() {
            self.with_outside(|engine, outside| engine.domain_changed(domid, outside));
            if begun.elapsed() > LONGEST_NEWS {
                break;
            }
        }
    }

    pub(super) fn guest_turn(&mut self, id: ConnectionId, domid: Domid, standing: Standing) {
        let now = self.time.now();
        self.guests.turn(&mut self.engine, id, domid, standing, &mut self.services, now);
        self.wants_turn(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_changes_again_waits_for_the_others() {
        let [one, two, three] = [1, 2, 3].map(Domid::new);
        let mut changed = Changed::default();
        changed.domids.extend([three, one, two, one]);
        assert_eq!(changed.take(), Some(one));
        changed.domids.extend([one, two]);
        assert_eq!([changed.take(), changed.take()], [Some(two), Some(three)]);
        assert_eq!([changed.take(), changed.take()], [Some(one), None]);
        assert!(changed.is_empty());
    }
}
