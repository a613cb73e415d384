//! The connected rings of all domains.
//!
//! What a daemon does with a ring is in four steps, a round for all that fired: [`Rings::fired`]
//! says whose rings to look at; bytes are [read](Rings::read) and [written](Rings::write);
//! [`Rings::flush`] then says so to each guest whose ring moved, once, and has the event
//! channels report again. Nothing a guest does to its page can do more than have its own
//! ring given up.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::fence;

use xenstore_wire::{Domid, DomidMap, Features};

use crate::hypervisor::{ConnectError, DomainState, Hypervisor};
use crate::machine::{Machine, Port};
use crate::ring::{BadIndices, Field, LANE_SIZE, Lane, RingError, RingPage};

/// The rings of a machine.
pub struct Rings {
    machine: Box<dyn Machine>,
    connected: DomidMap<Ring>,
    /// Whose event channel a port is.
    ports: HashMap<Port, Domid>,
    /// Ports that fired and are not reported until they are unmasked.
    masked: Vec<Port>,
    /// Domains whose ring moved since they were told.
    moved: Vec<Domid>,
    /// Domains whose ring moved since it was last asked what is [settled](Rings::settle).
    unsettled: Vec<Domid>,
    /// Domains whose ring moved before that.
    settling: Vec<Domid>,
}

/// One domain's.
struct Ring {
    page: RingPage,
    /// `None` if none could be bound when it was connected anew.
    port: Option<Port>,
    /// What the guest was offered.
    features: Features,
    /// Whether it is among those that moved.
    moved: bool,
    /// Whether it is among the unsettled.
    unsettled: bool,
    /// Whether there was not room enough when it was last written to.
    full: bool,
}

impl Ring {
    /// Whether the guest has done something that the daemon did not see yet.
    fn has_gone_on(&self) -> bool {
        let requests = self.page.waiting(Lane::Requests) != Ok(0);
        requests || (self.full && self.page.waiting(Lane::Responses) != Ok(LANE_SIZE))
    }
}

impl Rings {
    /// No ring is connected yet.
    pub fn new(machine: Box<dyn Machine>) -> Self {
        Self {
            machine,
            connected: DomidMap::new(),
            ports: HashMap::new(),
            masked: Vec::new(),
            moved: Vec::new(),
            unsettled: Vec::new(),
            settling: Vec::new(),
        }
    }

    /// A file descriptor that is readable when there is something to do.
    pub fn events(&self) -> BorrowedFd<'_> {
        self.machine.events()
    }

    /// Appends to `look_at` the domains that fired, a bounded share of them: their rings are to
    /// be looked at. `true` if there are news: some domain changed its state, and
    /// [`changed`](Self::changed) may say which.
    ///
    /// # Errors
    ///
    /// The event channels cannot be asked any more.
    pub fn fired(&mut self, look_at: &mut Vec<Domid>) -> io::Result<bool> {
        let begun = self.masked.len();
        self.machine.fired(&mut self.masked)?;
        let ports = self.masked.get(begun..).unwrap_or_default();
        look_at.extend(ports.iter().filter_map(|port| self.ports.get(port).copied()));
        Ok(ports.contains(&self.machine.news()))
    }

    /// Whether there is anything for [`flush`](Self::flush) to do.
    pub fn is_to_be_flushed(&self) -> bool {
        !self.moved.is_empty() || !self.masked.is_empty()
    }

    /// Tells each guest whose ring moved, and has event channels report again.
    ///
    /// Appends to `look_at` whose rings are to be looked at once more: their guests have gone on
    /// meanwhile. More may turn out to have when it is all [settled](Self::settle).
    ///
    /// # Errors
    ///
    /// The event channels refuse. All has been tried all the same, and what was to be reported
    /// again will be tried again.
    pub fn flush(&mut self, look_at: &mut Vec<Domid>) -> io::Result<()> {
        let mut outcome = Ok(());
        let mut moved = mem::take(&mut self.moved);
        for &domid in &moved {
            if let Some(ring) = self.connected.get_mut(domid)
                && mem::take(&mut ring.moved)
                && let Some(port) = ring.port
            {
                outcome = outcome.and(self.machine.notify(port));
            }
        }
        if !self.masked.is_empty() {
            let unmasked = self.machine.unmask(&self.masked);
            // What cannot be unmasked now is tried again the next time.
            if unmasked.is_ok() {
                self.masked.clear();
            }
            outcome = outcome.and(unmasked);
        }
        for &domid in &moved {
            if let Some(ring) = self.connected.get_mut(domid)
                && !mem::replace(&mut ring.unsettled, true)
            {
                self.unsettled.push(domid);
            }
        }
        fence(SeqCst);
        let gone_on = |domid: &Domid| self.connected.get(*domid).is_some_and(Ring::has_gone_on);
        look_at.extend(moved.iter().copied().filter(gone_on));
        // Its memory is for those that move next.
        moved.clear();
        self.moved = moved;
        outcome
    }

    /// Whether rings moved that have not been [settled](Self::settle).
    pub fn is_unsettled(&self) -> bool {
        !self.unsettled.is_empty() || !self.settling.is_empty()
    }

    /// The guests that went on and did not say so, among those whose rings had moved when this
    /// was last asked. To be asked at intervals of a millisecond at least: of those whose rings
    /// moved since, nothing is certain before the next time.
    ///
    /// A guest may tell us only if it found its ring full or empty (as Linux does), and it may
    /// have looked just before ours was moved, while what it had moved itself was still on
    /// the way to us: then neither tells the other, and both would wait for ever. A millisecond
    /// is a thousand times longer than any processor keeps a write to itself.
    pub fn settle(&mut self) -> Vec<Domid> {
        let mut settled = mem::replace(&mut self.settling, mem::take(&mut self.unsettled));
        for &domid in &self.settling {
            if let Some(ring) = self.connected.get_mut(domid) {
                ring.unsettled = false;
            }
        }
        settled.retain(|&domid| self.connected.get(domid).is_some_and(Ring::has_gone_on));
        settled
    }

    /// The domains that changed since this was last asked; `None` if any may have.
    pub fn changed(&mut self) -> Option<Vec<Domid>> {
        self.machine.changed()
    }

    /// The domains that exist.
    pub fn domains(&mut self) -> Vec<Domid> {
        self.machine.domains()
    }

    /// Whether a guest asks for its ring to be reset, and may.
    pub fn asks_for_reset(&self, domid: Domid) -> bool {
        self.connected.get(domid).is_some_and(|ring| {
            ring.features.contains(Features::RECONNECTION)
                && ring.page.field(Field::Connection) != 0
        })
    }

    /// Resets a ring as its guest asked for: it is empty, and the guest is told.
    pub fn reset(&mut self, domid: Domid) {
        if let Some(ring) = self.connected.get(domid) {
            ring.page.wipe();
            ring.page.set_field(Field::Error, 0);
            ring.page.set_field(Field::Connection, 0);
        }
        self.moves(domid);
    }

    /// Takes bytes a guest sent; how many there were and fitted.
    ///
    /// # Errors
    ///
    /// The guest's indices make no sense.
    pub fn read(&mut self, domid: Domid, buffer: &mut [u8]) -> Result<usize, BadIndices> {
        let Some(ring) = self.connected.get(domid) else {
            return Ok(0);
        };
        let count = ring.page.take(Lane::Requests, buffer)?;
        if count > 0 {
            self.moves(domid);
        }
        Ok(count)
    }

    /// Puts bytes for a guest; how many found room.
    ///
    /// # Errors
    ///
    /// The guest's indices make no sense.
    pub fn write(&mut self, domid: Domid, bytes: &[u8]) -> Result<usize, BadIndices> {
        let Some(ring) = self.connected.get_mut(domid) else {
            return Ok(0);
        };
        let count = ring.page.put(Lane::Responses, bytes)?;
        ring.full = count < bytes.len();
        if count > 0 {
            self.moves(domid);
        }
        Ok(count)
    }

    /// Whether a guest has sent bytes that were not read. One with senseless indices has:
    /// reading finds out.
    pub fn has_requests(&self, domid: Domid) -> bool {
        self.connected.get(domid).is_some_and(|ring| ring.page.waiting(Lane::Requests) != Ok(0))
    }

    /// Says in a guest's ring why it is not served any more, if that was offered.
    pub fn give_up(&mut self, domid: Domid, error: RingError) {
        if let Some(ring) = self.connected.get(domid)
            && ring.features.contains(Features::ERROR_FIELD)
        {
            ring.page.set_field(Field::Error, error as u32);
            self.moves(domid);
        }
    }

    /// Connects this domain's own kernel. What it put into its ring before the daemon was
    /// there waits to be answered, and is; the ring is emptied only if it makes no sense.
    ///
    /// # Errors
    ///
    /// It has no ring, or its event channel cannot be bound.
    pub fn connect_own(&mut self, domid: Domid, features: Features) -> Result<(), ConnectError> {
        let mapped = self.machine.own_ring();
        let (page, port) = mapped.map_err(|source| ConnectError::Ring { domid, source })?;
        let lanes = [Lane::Requests, Lane::Responses];
        if lanes.iter().any(|&lane| page.waiting(lane).is_err()) {
            page.restart();
        }
        self.install(domid, page, port, features)?;
        self.begin(domid);
        Ok(())
    }

    /// Whether a domain's ring says by which event channel to connect it: that of one that
    /// runs since before the daemon (dom0less).
    pub fn says_its_port(&mut self, domid: Domid) -> bool {
        let mapped = self.machine.map(domid);
        mapped.is_ok_and(|page| page.field(Field::EventChannel) != 0)
    }

    /// Puts a page to use.
    fn install(
        &mut self,
        domid: Domid,
        page: RingPage,
        port: u32,
        features: Features,
    ) -> Result<(), ConnectError> {
        let port = match page.field(Field::EventChannel) {
            0 => port,
            named => named,
        };
        let bound = self.machine.bind(domid, port);
        let bound = bound.map_err(|source| ConnectError::EventChannel { domid, port, source })?;
        self.ports.insert(bound, domid);
        page.set_field(Field::Features, features.bits());
        let ring =
            Ring { page, port: Some(bound), features, moved: false, unsettled: false, full: false };
        self.connected.insert(domid, ring);
        Ok(())
    }

    /// Empties a guest's ring and tells it that it is connected.
    fn begin_anew(&mut self, domid: Domid) {
        if let Some(ring) = self.connected.get(domid) {
            ring.page.restart();
        }
        self.begin(domid);
    }

    /// Tells a guest that it is connected. Domain 0's kernel waits for that before it looks for
    /// replies at all.
    fn begin(&mut self, domid: Domid) {
        if let Some(ring) = self.connected.get(domid) {
            ring.page.set_field(Field::Error, 0);
            ring.page.set_field(Field::Connection, 0);
        }
        self.moves(domid);
    }

    /// Takes note that a guest is to be told that its ring moved.
    fn moves(&mut self, domid: Domid) {
        if let Some(ring) = self.connected.get_mut(domid)
            && !mem::replace(&mut ring.moved, true)
        {
            self.moved.push(domid);
        }
    }
}

impl Hypervisor for Rings {
    fn domain(&mut self, domid: Domid) -> Option<DomainState> {
        self.machine.domain(domid)
    }

    fn connect(&mut self, domid: Domid, port: u32, features: Features) -> Result<(), ConnectError> {
        let Some(ring) = self.connected.get_mut(domid) else {
            if self.machine.domain(domid).is_none() {
                return Err(ConnectError::NoSuchDomain(domid));
            }
            let mapped = self.machine.map(domid);
            let page = mapped.map_err(|source| ConnectError::Ring { domid, source })?;
            self.install(domid, page, port, features)?;
            self.begin_anew(domid);
            return Ok(());
        };
        if let Some(old) = ring.port.take() {
            self.ports.remove(&old);
            self.masked.retain(|&port| port != old);
            self.machine.unbind(old);
        }
        let bound = self.machine.bind(domid, port);
        if let Ok(bound) = bound {
            ring.port = Some(bound);
            self.ports.insert(bound, domid);
        }
        self.begin_anew(domid);
        if bound.is_err() {
            self.give_up(domid, RingError::Communication);
        }
        bound.map(|_| ()).map_err(|source| ConnectError::EventChannel { domid, port, source })
    }

    fn disconnect(&mut self, domid: Domid) {
        if let Some(ring) = self.connected.remove(domid)
            && let Some(port) = ring.port
        {
            self.ports.remove(&port);
            self.masked.retain(|&masked| masked != port);
            self.machine.unbind(port);
        }
    }
}

impl std::fmt::Debug for Rings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let domains: Vec<_> = self.connected.iter().map(|(domid, _)| domid).collect();
        f.debug_struct("Rings").field("domains", &domains).finish_non_exhaustive()
    }
}
