//! The guests on their rings: their bytes in and out.
//!
//! A ring is read at its connection's turn, and only while the engine wants its bytes; so
//! the daemon holds at most one ring's worth of a guest's requests. Guests that break the
//! rules of the ring are cut off: their domain stays known (XSA-325).

use std::fmt;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use xenstore_engine::{ConnectionId, Engine, Outside, Standing, Turn};
use xenstore_host::ring::{LANE_SIZE, RingError};
use xenstore_host::{Hypervisor, NoHypervisor, Rings};
use xenstore_wire::{Domid, Features};

use crate::services::Services;

/// The guests of a host.
pub struct Guests {
    host: Host,
    scratch: [u8; LANE_SIZE],
}

enum Host {
    Nowhere(NoHypervisor),
    Rings(Rings),
}

impl Guests {
    /// The guests on these rings; without, there are none.
    pub fn new(rings: Option<Rings>) -> Self {
        let host = rings.map_or(Host::Nowhere(NoHypervisor), Host::Rings);
        Self { host, scratch: [0; LANE_SIZE] }
    }

    /// A file descriptor that is readable when a guest did something.
    pub fn events(&self) -> Option<BorrowedFd<'_>> {
        match &self.host {
            Host::Nowhere(_) => None,
            Host::Rings(rings) => Some(rings.events()),
        }
    }

    /// The hypervisor as the engine needs it.
    pub fn hypervisor(&mut self) -> &mut dyn Hypervisor {
        match &mut self.host {
            Host::Nowhere(nowhere) => nowhere,
            Host::Rings(rings) => rings,
        }
    }

    fn rings(&mut self) -> Option<&mut Rings> {
        match &mut self.host {
            Host::Nowhere(_) => None,
            Host::Rings(rings) => Some(rings),
        }
    }

    /// Connects the ring of the domain the daemon runs in. `false` if there are no rings.
    ///
    /// # Errors
    ///
    /// The ring is not there or cannot be connected.
    pub fn connect_own(&mut self, domid: Domid) -> Result<bool, xenstore_host::ConnectError> {
        match self.rings() {
            Some(rings) => rings.connect_own(domid, Features::ALL).map(|()| true),
            None => Ok(false),
        }
    }

    /// The domains that were there before the daemon and say by which event channel they
    /// want to be connected.
    pub fn waiting_domains(&mut self) -> Vec<Domid> {
        let Some(rings) = self.rings() else {
            return Vec::new();
        };
        let mut domains = rings.domains();
        domains.retain(|&domid| rings.says_its_port(domid));
        domains
    }

    /// Appends to `look_at` the guests that fired. Whether there are news of domains.
    pub fn fired(&mut self, look_at: &mut Vec<Domid>, services: &mut Services) -> bool {
        let fired = self.rings().map_or(Ok(false), |rings| rings.fired(look_at));
        fired.unwrap_or_else(|error| {
            services.event_channels_refuse("cannot be asked", &error);
            false
        })
    }

    /// The domains that changed their state; `None` if any may have.
    pub fn changed(&mut self) -> Option<Vec<Domid>> {
        self.rings().map_or(Some(Vec::new()), Rings::changed)
    }

    /// Whether there is something to be [flushed](Self::flush).
    pub fn are_to_be_told(&self) -> bool {
        matches!(&self.host, Host::Rings(rings) if rings.is_to_be_flushed())
    }

    /// Tells the guests whose rings moved. Appends to `look_at` whose rings are to be looked at
    /// once more.
    pub fn flush(&mut self, look_at: &mut Vec<Domid>, services: &mut Services) {
        if let Some(rings) = self.rings()
            && let Err(error) = rings.flush(look_at)
        {
            services.event_channels_refuse("cannot be used", &error);
        }
    }

    /// Does what a guest asked for by its ring's connection word.
    pub fn reset_if_asked(
        &mut self,
        engine: &mut Engine,
        id: ConnectionId,
        domid: Domid,
        services: &mut Services,
    ) {
        if let Some(rings) = self.rings()
            && rings.asks_for_reset(domid)
        {
            rings.reset(domid);
            engine.renew(id, services);
        }
    }

    /// Whether it is not sure yet that nobody went on without a word.
    pub fn is_unsettled(&self) -> bool {
        matches!(&self.host, Host::Rings(rings) if rings.is_unsettled())
    }

    /// The guests that went on without a word; to be asked a while after their rings moved.
    pub fn settle(&mut self) -> Vec<Domid> {
        self.rings().map_or(Vec::new(), Rings::settle)
    }

    /// Whether a guest has sent bytes that were not read.
    pub fn has_requests(&self, domid: Domid) -> bool {
        matches!(&self.host, Host::Rings(rings) if rings.has_requests(domid))
    }

    /// A guest's turn: reads what it sent, if the engine wants it, and has requests answered. One
    /// that breaks the rules is cut off (XSA-325).
    pub fn turn(
        &mut self,
        engine: &mut Engine,
        id: ConnectionId,
        domid: Domid,
        standing: Standing,
        services: &mut Services,
        now: Duration,
    ) {
        let Host::Rings(rings) = &mut self.host else {
            return;
        };
        let read = if standing.wants_input { rings.read(domid, &mut self.scratch) } else { Ok(0) };
        let error = match read {
            Ok(count) => {
                let bytes = self.scratch.get(..count).unwrap_or_default();
                let mut outside = Outside { hypervisor: rings, daemon: services, now };
                if engine.turn(id, bytes, &mut outside) != Turn::Broken {
                    return;
                }
                services.ring_given_up(domid, &"it broke the protocol");
                // What was answered before still goes out, if it finds room.
                self.write(engine, id, domid, services);
                RingError::Protocol
            }
            Err(bad) => {
                services.ring_given_up(domid, &bad);
                RingError::Indices
            }
        };
        self.cut_off(engine, id, domid, error, services);
    }

    /// Writes what waits for a guest, as much as its ring takes.
    pub fn write(
        &mut self,
        engine: &mut Engine,
        id: ConnectionId,
        domid: Domid,
        services: &mut Services,
    ) {
        let Some(rings) = self.rings() else {
            return;
        };
        let mut more = engine.standing(id).has_output;
        while more {
            match rings.write(domid, engine.output(id)) {
                Ok(0) => return,
                Ok(count) => more = engine.sent(id, count),
                Err(bad) => {
                    services.ring_given_up(domid, &bad);
                    return self.cut_off(engine, id, domid, RingError::Indices, services);
                }
            }
        }
    }

    /// Ends the service of a guest that broke the rules, and tells it why.
    pub fn cut_off(
        &mut self,
        engine: &mut Engine,
        id: ConnectionId,
        domid: Domid,
        error: RingError,
        services: &mut Services,
    ) {
        engine.cut_off(id, services);
        if let Some(rings) = self.rings() {
            rings.give_up(domid, error);
        }
    }
}

impl fmt::Debug for Guests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Nowhere(nowhere) => nowhere.fmt(f),
            Host::Rings(rings) => rings.fmt(f),
        }
    }
}
