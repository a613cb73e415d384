//! A daemon, its host, its toolstack, and the guests.

use std::fs;
use std::iter::from_fn;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use xenstore_client::{Client, Error, Event, Store};
use xenstore_guests::Guest;
use xenstore_oracle::daemon::Daemon;
use xenstore_oracle::target::SocketLink;
use xenstore_wire::{Domid, MessageType as T, Permission, Permissions};

use crate::account::Account;

/// A daemon to be attacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// That of this project.
    Rxenstored,
    /// Debian's C xenstored.
    C,
    /// Debian's oxenstored.
    Ocaml,
}

impl Peer {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Rxenstored, Self::C, Self::Ocaml];
    /// This project's and the C daemon.
    pub const NOT_OCAML: &'static [Self] = &[Self::Rxenstored, Self::C];
    /// This project's and oxenstored.
    pub const NOT_C: &'static [Self] = &[Self::Rxenstored, Self::Ocaml];
    /// This project's alone.
    pub const OURS: &'static [Self] = &[Self::Rxenstored];

    fn start(self) -> Daemon {
        match self {
            Self::Rxenstored => Daemon::rxenstored_on_host(&[]),
            Self::C => Daemon::c_on_host(),
            Self::Ocaml => Daemon::ocaml_on_host(),
        }
    }
}

/// What became of a request: the payload of its reply, or the name of an error.
pub type Answer = Result<Vec<u8>, String>;

/// It was done.
pub fn done() -> Answer {
    Ok(b"OK\0".to_vec())
}

/// It was refused with the error of that name.
pub fn refused(errno: &str) -> Answer {
    Err(errno.to_owned())
}

/// It was answered with that.
pub fn told(payload: impl AsRef<[u8]>) -> Answer {
    Ok(payload.as_ref().to_vec())
}

/// Tries the same on several daemons, each new, and has every one looked at in the end.
pub fn with(peers: &[Peer], test: impl Fn(&mut World)) {
    for &peer in peers {
        println!("{peer:?}");
        let mut world = World::new(peer);
        test(&mut world);
        world.is_sound();
    }
}

/// A host with a daemon of which it is known which it is.
pub struct World {
    /// Which daemon it is.
    pub peer: Peer,
    world: xenstore_oracle::world::World,
}

impl Deref for World {
    type Target = xenstore_oracle::world::World;

    fn deref(&self) -> &Self::Target {
        &self.world
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.world
    }
}

/// A domain that no test has for its own.
const NEWCOMER: u16 = 999;

impl World {
    /// A new daemon on a host without guests.
    pub fn new(peer: Peer) -> Self {
        Self::around(peer, peer.start())
    }

    /// This project's daemon with more arguments.
    pub fn with_arguments(arguments: &[&str]) -> Self {
        Self::around(Peer::Rxenstored, Daemon::rxenstored_on_host(arguments))
    }

    fn around(peer: Peer, daemon: Daemon) -> Self {
        Self { peer, world: xenstore_oracle::world::World::of(daemon) }
    }

    /// Whether it is this project's.
    pub fn is_ours(&self) -> bool {
        self.peer == Peer::Rxenstored
    }

    /// The daemon runs, agrees with itself, and serves one who comes now.
    pub fn is_sound(&mut self) {
        self.assert_alive();
        assert_eq!(self.toolstack.control("check", &[]).unwrap(), "OK");
        let mut guest = self.guest(NEWCOMER);
        assert_eq!(self.ask(&mut guest, T::Write, "data\0new"), done());
        assert_eq!(self.ask(&mut guest, T::Read, "data\0"), told("new"));
        self.assert_alive();
    }

    /// A second client on the socket.
    pub fn client(&self) -> Client {
        Client::open_path(self.daemon.socket()).unwrap()
    }

    /// A client on the socket of which every byte is seen.
    pub fn link(&self) -> SocketLink {
        self.daemon.link()
    }

    /// Has the toolstack set permissions, spelled with blanks between.
    pub fn permit(&mut self, path: &str, entries: &str) {
        let entries: Vec<_> = entries.split(' ').collect();
        let mut entries =
            entries.into_iter().map(|entry| Permission::parse(entry.as_bytes()).unwrap());
        let permissions = Permissions { owner: entries.next().unwrap(), others: entries.collect() };
        self.toolstack.set_permissions(path, &permissions).unwrap();
    }

    /// The permissions of a node, with blanks between.
    pub fn permissions(&mut self, path: &str) -> String {
        let payload = self.toolstack.raw(T::GetPerms, None, &nul(path)).unwrap();
        let text = String::from_utf8(payload).unwrap();
        text.trim_end_matches('\0').replace('\0', " ")
    }

    /// The toolstack asks anything.
    pub fn toolstack_asks(&mut self, kind: T, payload: impl AsRef<[u8]>) -> Answer {
        match self.toolstack.raw(kind, None, payload.as_ref()) {
            Ok(reply) => Ok(reply),
            Err(Error::Refused { unlisted: Some(name), .. }) => Err(name),
            Err(Error::Refused { errno, .. }) => Err(errno.name().to_owned()),
            Err(error) => panic!("the toolstack: {error}: {}", self.daemon.messages()),
        }
    }

    /// A guest begins a transaction.
    pub fn begin(&mut self, guest: &mut Guest) -> u32 {
        let id = self.ask(guest, T::TransactionStart, [0]).unwrap();
        String::from_utf8(id).unwrap().trim_end_matches('\0').parse().unwrap()
    }

    /// A guest has its transaction take effect.
    pub fn commit(&mut self, guest: &mut Guest, transaction: u32) -> Answer {
        self.ask_within(guest, transaction, T::TransactionEnd, "T\0")
    }

    /// A guest sets a watch and takes the event that says so.
    pub fn watch(&mut self, guest: &mut Guest, path: &str, token: &str) {
        let request = format!("{path}\0{token}\0");
        assert_eq!(self.ask(guest, T::Watch, request), done());
        let event = self.host.next_event(guest).unwrap();
        assert_eq!((&*event.path, &*event.token), (path, token.as_bytes()));
    }

    /// The paths of all events a guest was sent so far.
    pub fn events(&mut self, guest: &mut Guest) -> Vec<String> {
        // What was sent before the answer to this is there with it.
        assert_eq!(self.ask(guest, T::GetDomainPath, "1\0"), told("/local/domain/1\0"));
        from_fn(|| guest.take_event()).map(|event| event.path).collect()
    }

    /// The same of the toolstack.
    pub fn toolstack_events(&mut self) -> Vec<String> {
        self.toolstack.domain_path(Domid::DOM0).unwrap();
        let client = &mut self.toolstack;
        let next = || client.next_event_within(Duration::ZERO).unwrap();
        from_fn(next).map(|Event { path, .. }| path).collect()
    }

    /// The toolstack watches, and has taken the event that says so.
    pub fn toolstack_watches(&mut self, path: &str) {
        self.toolstack.watch(path, "toolstack").unwrap();
        assert_eq!(self.toolstack.next_event().unwrap().path, path);
    }

    /// The whole store as this project's daemon dumps it when told to (SIGUSR1).
    pub fn dump(&mut self) -> String {
        let file = self.daemon.directory().join("db.debug");
        let _ = fs::remove_file(&file);
        let pid = i32::try_from(self.daemon.pid()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::USR1).unwrap();
        while !file.exists() {
            self.toolstack.domain_path(Domid::DOM0).unwrap();
        }
        // Nobody is answered while it is being written.
        self.toolstack.domain_path(Domid::DOM0).unwrap();
        fs::read_to_string(file).unwrap()
    }

    /// What a domain is charged for.
    pub fn account(&mut self, guest: &Guest) -> Account {
        Account::of(guest.domid(), &mut self.toolstack)
    }

    /// Sets a guest's quota.
    pub fn limit(&mut self, guest: &Guest, quota: &str, value: u64) {
        let value = u32::try_from(value).unwrap();
        self.toolstack.set_quota(Some(guest.domid()), quota, value).unwrap();
    }

    /// The name of the error for what is more than a guest may have.
    pub fn too_much(&self) -> Answer {
        refused(if self.peer == Peer::Ocaml { "EQUOTA" } else { "ENOSPC" })
    }
}

/// A string as requests have it.
pub fn nul(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}
