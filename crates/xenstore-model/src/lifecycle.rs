//! Domains come and go.

use xenstore_host::Hypervisor;
use xenstore_wire::{Domid, Errno, Features};

use crate::acl::Entry;
use crate::model::Model;
use crate::operation::{Answer, OK};
use crate::transaction::Change;
use crate::watch::DomainEvent;

impl Model {
    /// Connects a domain, or connects it anew.
    pub(crate) fn introduce(
        &mut self,
        domid: u16,
        port: u32,
        hypervisor: &mut dyn Hypervisor,
    ) -> Answer {
        if port == 0 {
            return Err(Errno::Inval);
        }
        self.domain_changed(domid, hypervisor);
        let known = self.domains.acquaint(domid, hypervisor).ok_or(Errno::Inval)?;
        let again = known.ring.is_some();
        let connected = hypervisor.connect(Domid::new(domid), port, Features::ALL).is_ok();
        if !connected && !again {
            return Err(Errno::Inval);
        }
        known.introduced = true;
        if let Some(ring) = known.ring {
            self.renew(ring, connected);
        } else {
            let ring = self.connect(domid, false);
            self.domains.records.entry(domid).or_default().ring = Some(ring);
        }
        if !again && domid != 0 {
            self.tell_domain(DomainEvent::Introduced, domid);
        }
        Ok(OK.to_owned())
    }

    /// Forgets a domain although it lives.
    pub(crate) fn release(&mut self, domid: u16, hypervisor: &mut dyn Hypervisor) -> Answer {
        self.check_releasable(domid)?;
        self.bury(domid, hypervisor);
        Ok(OK.to_owned())
    }

    /// A domain that was shut down runs again.
    pub(crate) fn resume(&mut self, domid: u16) -> Answer {
        self.check_releasable(domid)?;
        self.domains.records.entry(domid).or_default().shutdown_reported = false;
        Ok(OK.to_owned())
    }

    fn check_releasable(&self, domid: u16) -> Result<(), Errno> {
        if domid == 0 {
            return Err(Errno::Inval);
        }
        self.check_reachable(domid)
    }

    /// Whether a domain was introduced and has a ring.
    fn check_reachable(&self, domid: u16) -> Result<(), Errno> {
        let known = self.domains.records.get(&domid).filter(|known| known.introduced);
        known.ok_or(Errno::NoEnt)?.ring.map(|_| ()).ok_or(Errno::Inval)
    }

    /// Gives a domain the rights of another beside its own.
    pub(crate) fn set_target(
        &mut self,
        domid: u16,
        target: u16,
        hypervisor: &mut dyn Hypervisor,
    ) -> Answer {
        self.domain_changed(domid, hypervisor);
        self.domain_changed(target, hypervisor);
        self.check_reachable(domid)?;
        if target != 0 {
            self.check_reachable(target)?;
        }
        self.domains.records.entry(domid).or_default().target = Some(target);
        self.version += 1;
        Ok(OK.to_owned())
    }

    /// The hypervisor has news of a domain.
    pub fn domain_changed(&mut self, domid: u16, hypervisor: &mut dyn Hypervisor) {
        let Some(known) = self.domains.records.get_mut(&domid).filter(|_| domid != 0) else {
            return;
        };
        let state = hypervisor.domain(Domid::new(domid));
        match state.filter(|state| !state.dead && state.unique_id == known.unique_id) {
            None => self.bury(domid, hypervisor),
            Some(state) if state.shutdown && known.introduced && !known.shutdown_reported => {
                known.shutdown_reported = true;
                self.tell_domain(DomainEvent::ShutDown, domid);
            }
            Some(_) => {}
        }
    }

    /// Removes all that a domain had.
    fn bury(&mut self, domid: u16, hypervisor: &mut dyn Hypervisor) {
        if let Some(ring) = self.domains.records.get(&domid).and_then(|known| known.ring) {
            self.disconnect(ring);
        }
        self.clear(domid);
        let known = self.domains.forget(domid);
        hypervisor.disconnect(Domid::new(domid));
        self.version += 1;
        self.note_peaks();
        if known.is_some_and(|known| known.introduced) {
            self.tell_domain(DomainEvent::Released, domid);
        }
    }

    /// Removes the nodes a domain owned with all below them, and tells of it, and its entries
    /// from the permission lists of others. What cannot be removed falls to the control
    /// domain, and so does all if orphans are kept.
    fn clear(&mut self, domid: u16) {
        let is_its = |entry: &Entry| !entry.stale && entry.permission.domid == domid;
        let mut places = self.store.top_down("/");
        places.sort_unstable();
        places.extend(self.store.specials());
        for name in places {
            let Some(mut acl) = self.store.get(&name).map(|node| node.acl.clone()) else {
                continue;
            };
            let owned = acl.owner.domid == domid;
            if owned && name != "/" && !name.starts_with('@') && !self.keep_orphans {
                let before = self.store.clone();
                self.store.remove(&name);
                self.tell_changes(&before, vec![Change { name, removed: true }]);
            } else if owned || acl.others.iter().any(is_its) {
                acl.others.retain(|entry| !is_its(entry));
                if owned {
                    acl.owner.domid = 0;
                }
                self.store.set_acl(&name, acl);
            }
            self.note_peaks();
        }
    }
}
