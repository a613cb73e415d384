//! Domains come and go.

use xenstore_wire::{Domid, Errno, Features, Name};

use crate::acl::Caller;
use crate::connection::Transport;
use crate::domains::Domain;
use crate::engine::{EFFORT_PER_TURN, Engine};
use crate::events::DomainEvent;
use crate::ids::ConnectionId;
use crate::operation::{Effect, Reply};
use crate::outside::{Daemon, Incident, Outside};
use crate::refusal::Refusal;

impl Engine {
    /// Whether a domain's ring is connected. "Myself" always is (`xenstore.txt`).
    pub(crate) fn is_introduced(&self, domid: Domid) -> bool {
        domid == Domid::SELF || self.domains.get(domid).is_some_and(|domain| domain.introduced)
    }

    /// Connects a domain, or connects it anew: what it had open is forgotten.
    pub(crate) fn introduce(
        &mut self,
        domid: Domid,
        port: u32,
        outside: &mut Outside<'_>,
    ) -> Result<Reply, Refusal> {
        let known = self.domain_now(domid, outside).map_err(|_| Errno::Inval)?;
        let again = known.connection.is_some();
        let features = known.features.unwrap_or(Features::ALL);
        let connected = outside.hypervisor.connect(domid, port, features);
        if let Err(error) = &connected {
            outside.daemon.not_connected(error);
            if !again {
                return Err(Errno::Inval.into());
            }
        }
        let id = self.serve_ring(domid, outside.daemon);
        if connected.is_err() {
            // Nobody can say to the other that there is something to read.
            self.cut_off(id, outside.daemon);
        }
        if !again && domid != self.privileged {
            self.tell_domain(DomainEvent::Introduced, domid, outside.daemon);
        }
        Ok(Reply::Done)
    }

    /// Connects a domain that has been there since before the daemon, by the event channel
    /// that its ring names (dom0less). `false` if it cannot be connected.
    pub fn adopt(&mut self, domid: Domid, outside: &mut Outside<'_>) -> bool {
        self.now = outside.now;
        self.introduce(domid, 0, outside).is_ok()
    }

    /// Gives a domain whose ring is connected a connection, or begins the one it has anew.
    pub fn serve_ring(&mut self, domid: Domid, daemon: &mut dyn Daemon) -> ConnectionId {
        let (target, features, known) =
            self.domains.get(domid).map_or((None, None, None), |domain| {
                (domain.target, domain.features, domain.connection)
            });
        if let Some(id) = known {
            self.renew(id, daemon);
            return id;
        }
        let caller = Caller {
            domid,
            privileged: domid == self.privileged,
            target,
            features: features.unwrap_or(Features::ALL),
        };
        let id = self.connect(Transport::Ring, caller, daemon);
        if let Some(domain) = self.domains.get_mut(domid) {
            domain.introduced = true;
            domain.connection = Some(id);
        }
        id
    }

    /// Begins a connection anew, as if it had just been made: what it had open, what it sent
    /// and what waited for it is forgotten. What it owes to others for transactions of its
    /// own that they waited for is not.
    pub fn renew(&mut self, id: ConnectionId, daemon: &mut dyn Daemon) {
        self.observe(id, 0, daemon, || Incident::Disconnected);
        self.reset(id);
        if let Some(connection) = self.connection_mut(id) {
            connection.renew();
        }
        self.charge_buffers(id);
        self.observe(id, 0, daemon, || Incident::Connected);
    }

    /// Ends the service of a ring whose guest broke the rules. Its domain stays known, and
    /// nobody is told that it went, because it did not (XSA-325).
    pub fn cut_off(&mut self, id: ConnectionId, daemon: &mut dyn Daemon) {
        self.observe(id, 0, daemon, || Incident::Disconnected);
        self.reset(id);
        if let Some(connection) = self.connection_mut(id) {
            connection.renew();
            connection.broken = true;
        }
        self.charge_buffers(id);
    }

    /// Whether a ring is not served any more because of what its guest did.
    pub fn is_cut_off(&self, id: ConnectionId) -> bool {
        self.connection(id).is_some_and(|connection| connection.broken)
    }

    /// Forgets a domain although it lives: for a soft reset, or a creation that failed.
    pub(crate) fn release(
        &mut self,
        domid: Domid,
        outside: &mut Outside<'_>,
    ) -> Result<Reply, Refusal> {
        self.check_releasable(domid)?;
        self.bury(domid, outside);
        Ok(Reply::Done)
    }

    /// A domain that was shut down runs again: its next shutdown is news.
    pub(crate) fn resume(&mut self, domid: Domid) -> Result<Reply, Refusal> {
        self.check_releasable(domid)?;
        if let Some(domain) = self.domains.get_mut(domid) {
            domain.shutdown_reported = false;
        }
        Ok(Reply::Done)
    }

    /// Whether a domain may be released or resumed: it has a ring, and is not the
    /// control domain.
    fn check_releasable(&self, domid: Domid) -> Result<(), Errno> {
        if domid == self.privileged {
            return Err(Errno::Inval);
        }
        self.introduced(domid)?.connection.map(|_| ()).ok_or(Errno::Inval)
    }

    fn introduced(&self, domid: Domid) -> Result<&Domain, Errno> {
        self.domains.get(domid).filter(|domain| domain.introduced).ok_or(Errno::NoEnt)
    }

    /// Gives a domain the rights of another beside its own. The link is a number, and
    /// dropped when either end goes (XSA-233).
    pub(crate) fn set_target(
        &mut self,
        domid: Domid,
        target: Domid,
        outside: &mut Outside<'_>,
    ) -> Result<Reply, Refusal> {
        // One whose death is still to be noticed would take the link with it.
        self.domain_changed(domid, outside);
        self.domain_changed(target, outside);
        let id = self.introduced(domid)?.connection.ok_or(Errno::Inval)?;
        // The control domain's ring may not be connected where there is no hypervisor.
        if target != self.privileged {
            self.introduced(target)?.connection.ok_or(Errno::Inval)?;
        }
        self.domains.set_target(domid, target);
        if let Some(connection) = self.connection_mut(id) {
            connection.caller.target = Some(target);
        }
        self.rights_epoch += 1;
        Ok(Reply::Done)
    }

    /// The hypervisor says that something changed about a domain: it shut down, died,
    /// or its number belongs to another now.
    pub fn domain_changed(&mut self, domid: Domid, outside: &mut Outside<'_>) {
        self.now = outside.now;
        let Some(known) = self.domains.get(domid) else {
            return;
        };
        if domid == self.privileged {
            return;
        }
        let (unique_id, reported, introduced) =
            (known.unique_id, known.shutdown_reported, known.introduced);
        match outside.hypervisor.domain(domid) {
            Some(state) if !state.dead && state.unique_id == unique_id => {
                if state.shutdown && !reported && introduced {
                    if let Some(domain) = self.domains.get_mut(domid) {
                        domain.shutdown_reported = true;
                    }
                    self.tell_domain(DomainEvent::ShutDown, domid, outside.daemon);
                }
            }
            _ => self.bury(domid, outside),
        }
    }

    /// The domains the store knows: those a change of which it wants to hear.
    pub fn known_domains(&self) -> Vec<Domid> {
        self.domains.iter().map(|(domid, _)| domid).collect()
    }

    /// Removes all that a domain had: its connection, its nodes, its permissions on
    /// other nodes, its record. There is one way to do this, whatever the reason
    /// (XSA-425), and it leaves nothing for the next holder of the number (XSA-322,
    /// XSA-419, XSA-483).
    fn bury(&mut self, domid: Domid, outside: &mut Outside<'_>) {
        let Some(record) = self.domains.get(domid) else {
            return;
        };
        let introduced = record.introduced;
        self.effort += EFFORT_PER_TURN + 1;
        if let Some(connection) = record.connection {
            self.disconnect(connection, outside.daemon);
        }
        self.clear(domid, outside.daemon);
        if let Some(record) = self.domains.forget(domid) {
            self.domains.keep_peak(&record.usage);
            for helper in record.helpers {
                self.drop_target(helper);
            }
        }
        outside.hypervisor.disconnect(domid);
        self.rights_epoch += 1;
        if introduced {
            self.tell_domain(DomainEvent::Released, domid, outside.daemon);
        }
    }

    /// Takes a dead target's rights from who had them.
    fn drop_target(&mut self, helper: Domid) {
        let id = self.domains.get(helper).and_then(|record| record.connection);
        if let Some(connection) = id.and_then(|id| self.connection_mut(id)) {
            connection.caller.target = None;
        }
    }

    /// Removes the nodes a domain owned, each topmost one with all below it, tells of it,
    /// and removes the domain's entries from the permission lists of others. A root or
    /// special name cannot be removed: it falls to the control domain, and so does
    /// everything if orphans are to be kept.
    ///
    /// Each step leaves less that concerns the domain, and shows where the rest of it begins
    /// below that.
    fn clear(&mut self, domid: Domid, daemon: &mut dyn Daemon) {
        let (heir, keep) = (self.privileged, self.keep_orphans);
        while let Some(path) = self.domains.estates.first(domid).cloned() {
            let name = Name::Node(path.borrowed());
            let owned = self.store.get(&name).is_some_and(|node| node.value().acl.owner() == domid);
            if owned && !path.is_root() && !keep {
                let removed = self.store.remove(&path, &mut self.ledger, &mut self.clock);
                self.book();
                if let Some(subtree) = removed {
                    self.tell_change(&name, &Effect::Removed(subtree.clone()), daemon);
                    self.discard_removed(subtree);
                    self.sweep();
                }
                continue;
            }
            let Self { store, ledger, clock, .. } = self;
            let left = store.disinherit(&path, domid, heir, keep, ledger, clock);
            self.domains.estates.move_down(domid, &path, &left);
            self.book();
        }
        for name in self.special_names() {
            let left = self.store.get(&name).and_then(|it| it.value().acl.after_death(domid, heir));
            if let Some(left) = left {
                self.store.set_acl(&name, left, &mut self.ledger, &mut self.clock);
                self.book();
            }
        }
    }

    fn special_names(&self) -> Vec<Name<'static>> {
        let names = self.store.specials().map(|(name, _)| name);
        names.filter_map(|name| Name::parse(name, Domid::DOM0).ok().map(Name::into_owned)).collect()
    }
}
