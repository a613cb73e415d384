//! A daemon's host with guests on it, and a toolstack that sets them up.

use xenstore_guests::{GUEST_PORT, Guest, Host};
use xenstore_oracle::daemon::Daemon;
use xenstore_wire::{Domid, MessageType};

use crate::conversation::Conversation;
use crate::failure::Failure;

/// The host of a daemon: domains 1, 2, 3 ...
#[derive(Debug)]
pub struct World {
    /// The hypervisor's side.
    pub host: Host,
    /// What introduces guests, and may do everything.
    pub toolstack: Conversation,
    /// How many guests there are.
    guests: u16,
}

impl World {
    /// Opens the host of a daemon that was just started.
    pub fn of(daemon: &Daemon) -> Result<Self, Failure> {
        let host = Host::open(&daemon.host_directory())?;
        let toolstack = Conversation::connect(daemon.socket())?;
        Ok(Self { host, toolstack, guests: 0 })
    }

    /// Adds guests until there are so many. Each is connected and has a home of its own, with
    /// these nodes in it; their paths are relative to it.
    pub fn grow(&mut self, guests: u16, nodes: &[String]) -> Result<Vec<Guest>, Failure> {
        let domids = (self.guests + 1..=guests).map(Domid::new);
        self.guests = self.guests.max(guests);
        let created = domids.map(|domid| self.host.create(domid)).collect::<Result<Vec<_>, _>>()?;
        self.toolstack.ask_all(created.iter().map(|guest| introduction(guest.domid())))?;
        let domids = created.iter().map(Guest::domid);
        self.toolstack.ask_all(domids.flat_map(|domid| home(domid, nodes)))?;
        Ok(created)
    }
}

fn introduction(domid: Domid) -> (MessageType, Vec<u8>) {
    (MessageType::Introduce, format!("{domid}\01\0{GUEST_PORT}\0").into_bytes())
}

/// The home of a guest, which it owns, and so all that is made below it.
fn home(domid: Domid, nodes: &[String]) -> impl Iterator<Item = (MessageType, Vec<u8>)> {
    let path = format!("/local/domain/{domid}");
    let make = (MessageType::Mkdir, format!("{path}\0").into_bytes());
    let own = (MessageType::SetPerms, format!("{path}\0n{domid}\0").into_bytes());
    let write = move |node| (MessageType::Write, format!("{path}/{node}\0value").into_bytes());
    [make, own].into_iter().chain(nodes.iter().map(write))
}
