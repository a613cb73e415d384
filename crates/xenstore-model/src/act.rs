//! What happens in a world: the only thing that a history consists of.

use std::collections::BTreeMap;
use std::time::Duration;

use xenstore_host::{ConnectError, DomainState, Hypervisor};
use xenstore_wire::{Domid, Features};

use crate::request::Request;

/// Something that happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// A client connects to the socket.
    Connect,
    /// A client of the socket goes.
    Disconnect(usize),
    /// A client asks for something, in a transaction or (0) outside.
    Ask(usize, u32, Request),
    /// It sends a request and does not wait: it will have its turn.
    Send(usize, u32, Request),
    /// Whoever is first in line has a turn.
    Turn,
    /// It has one when so many bytes at most of what it sent have arrived.
    TurnWith(usize),
    /// So much time passes, or less if something is to happen before.
    Pass(Duration),
    /// The hypervisor makes a domain, or another one with a number that is in use.
    Create(u16),
    /// A domain stops running.
    ShutDown(u16),
    /// A domain is dead, though something of it is still there.
    Die(u16),
    /// Nothing of a domain is left.
    Vanish(u16),
    /// The store is told that a domain changed.
    News(u16),
}

/// The port that cannot be bound, so that connecting a domain can fail.
pub const BAD_PORT: u32 = 13;

/// A hypervisor whose domains are made and killed by acts.
#[derive(Clone, Debug)]
pub struct Machine {
    domains: BTreeMap<u16, DomainState>,
    last_unique_id: u64,
}

impl Machine {
    /// One with the control domain.
    pub fn new() -> Self {
        let domains = BTreeMap::from([(0, DomainState::RUNNING)]);
        Self { domains, last_unique_id: 0 }
    }

    /// Whether there is anything of a domain.
    pub fn has(&self, domid: u16) -> bool {
        self.domains.contains_key(&domid)
    }

    /// Lets an act happen, as far as the hypervisor is concerned.
    pub fn apply(&mut self, act: &Act) {
        match *act {
            Act::Create(domid) => {
                self.last_unique_id += 1;
                let unique_id = self.last_unique_id;
                self.domains.insert(domid, DomainState { unique_id, ..DomainState::RUNNING });
            }
            Act::ShutDown(domid) => self.change(domid, |state| state.shutdown = true),
            Act::Die(domid) => self.change(domid, |state| state.dead = true),
            Act::Vanish(domid) => {
                self.domains.remove(&domid);
            }
            // Whom a toolstack resumes runs again.
            Act::Ask(_, _, Request::Resume(domid)) | Act::Send(_, _, Request::Resume(domid)) => {
                self.change(domid, |state| state.shutdown = false);
            }
            _ => {}
        }
    }

    fn change(&mut self, domid: u16, change: impl FnOnce(&mut DomainState)) {
        if let Some(state) = self.domains.get_mut(&domid) {
            change(state);
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Hypervisor for Machine {
    fn domain(&mut self, domid: Domid) -> Option<DomainState> {
        self.domains.get(&domid.get()).copied()
    }

    fn connect(&mut self, domid: Domid, port: u32, _: Features) -> Result<(), ConnectError> {
        if port == BAD_PORT {
            return Err(ConnectError::NoSuchDomain(domid));
        }
        self.domain(domid).map(|_| ()).ok_or(ConnectError::NoSuchDomain(domid))
    }

    fn disconnect(&mut self, _domid: Domid) {}
}
