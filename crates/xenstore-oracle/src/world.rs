//! A daemon with guests: the host it runs on, and a toolstack.

use xenstore_client::{Client, Store};
use xenstore_guests::{Guest, Host};
use xenstore_wire::permission::{Access, Permission, Permissions};
use xenstore_wire::{Domid, MessageType};

use crate::daemon::Daemon;

/// All there is.
#[derive(Debug)]
pub struct World {
    /// The daemon.
    pub daemon: Daemon,
    /// The hypervisor above it.
    pub host: Host,
    /// Who makes guests.
    pub toolstack: Client,
}

impl World {
    /// That of a daemon that was started on a host.
    pub fn of(daemon: Daemon) -> Self {
        let host = Host::open(&daemon.host_directory()).expect("the host of a daemon");
        let toolstack = Client::open_path(daemon.socket()).expect("a daemon takes connections");
        Self { daemon, host, toolstack }
    }

    /// A guest with a home of its own.
    pub fn guest(&mut self, number: u16) -> Guest {
        let domid = Domid::new(number);
        let guest = self.host.boot(domid, &mut self.toolstack).expect("a guest is introduced");
        let home = format!("/local/domain/{number}");
        self.toolstack.mkdir(&home).expect("a home is made");
        self.give(&home, number);
        guest
    }

    /// Gives a node or special name to a domain, closed to others.
    pub fn give(&mut self, path: &str, number: u16) {
        let owner = Permission::new(Access::None, Domid::new(number));
        let its = Permissions { owner, others: Vec::new() };
        self.toolstack.set_permissions(path, &its).expect("dom0 may give what it has");
    }

    /// What a guest's request is answered with, or the name of the error.
    pub fn ask(
        &mut self,
        guest: &mut Guest,
        kind: MessageType,
        payload: impl AsRef<[u8]>,
    ) -> Result<Vec<u8>, String> {
        self.ask_within(guest, 0, kind, payload)
    }

    /// The same within a transaction.
    pub fn ask_within(
        &mut self,
        guest: &mut Guest,
        transaction: u32,
        kind: MessageType,
        payload: impl AsRef<[u8]>,
    ) -> Result<Vec<u8>, String> {
        let answer = self.host.ask(guest, kind, transaction, payload.as_ref());
        answer.map_err(|error| match error.refusal() {
            Some(name) => name.to_owned(),
            None => panic!("domain {}: {error}: {}", guest.domid(), self.daemon.messages()),
        })
    }

    /// A domain is gone, and the daemon told.
    pub fn end(&mut self, guest: &Guest) {
        self.destroy(guest.domid());
    }

    /// The same for the domain of a number.
    pub fn destroy(&mut self, domid: Domid) {
        self.host.remove(domid).expect("a domain ends");
        self.host.raise().expect("the daemon is told");
        while self.toolstack.is_introduced(domid).expect("the daemon answers") {}
    }

    /// Fails if the daemon has died.
    pub fn assert_alive(&mut self) {
        assert!(self.daemon.is_running(), "{}", self.daemon.messages());
    }
}
