//! What a guest can make the daemon hold, against the bound of docs/limits.md: the real
//! binary, and guests on their rings that take all they can get in every way there is.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops there")]

mod support;

use xenstore_client::{Call, Client, Store};
use xenstore_guests::{Guest, Host};
use xenstore_wire::{Domid, MessageType as T};

use support::process::Process;
use support::{Host as Place, eventually};

const GUESTS: u16 = 100;

/// The quota `memory` here: less than by default, so that what may be taken beyond it counts.
const MEMORY: u64 = 1 << 20;

/// What a guest can make the daemon hold beyond its quota (docs/limits.md).
const BEYOND: u64 = 576 << 10;

/// Watches of each guest.
const WATCHES: usize = 64;

/// A simulated host on which guests do their worst.
struct World {
    host: Host,
    tool: Client,
}

impl World {
    fn new(place: &Place) -> Self {
        let host = Host::open(&place.path("xen")).unwrap();
        let mut tool = Client::open_path(place.path("deep/run/socket")).unwrap();
        tool.write("/big", "b".repeat(4000)).unwrap();
        tool.raw(T::SetPerms, None, b"/big\0r0\0").unwrap();
        Self { host, tool }
    }

    /// A guest with a home of its own.
    fn boot(&mut self, domid: Domid) -> Guest {
        let guest = self.host.boot(domid, &mut self.tool).unwrap();
        for node in ["", "/theirs"] {
            let path = format!("/local/domain/{domid}{node}");
            self.tool.write(&path, "").unwrap();
            let list = format!("{path}\0n{domid}\0");
            self.tool.raw(T::SetPerms, None, list.as_bytes()).unwrap();
        }
        guest
    }

    /// What was granted, or the name of the error.
    fn ask(
        &mut self,
        guest: &mut Guest,
        kind: T,
        transaction: u32,
        payload: &str,
    ) -> Result<Vec<u8>, String> {
        let answer = self.host.ask(guest, kind, transaction, payload.as_bytes());
        while guest.take_event().is_some() {}
        answer.map_err(|error| error.refusal().unwrap_or_else(|| panic!("{error}")).to_owned())
    }

    fn begin(&mut self, guest: &mut Guest) -> u32 {
        let reply = self.ask(guest, T::TransactionStart, 0, "\0").unwrap();
        String::from_utf8(reply).unwrap().trim_end_matches('\0').parse().unwrap()
    }

    /// A transaction that stays open, with some changes.
    fn leave_open(&mut self, guest: &mut Guest) {
        let number = self.begin(guest);
        for n in 0..20 {
            let payload = format!("t/{n}\0{}", "v".repeat(1900));
            self.ask(guest, T::Write, number, &payload).unwrap();
        }
    }

    /// Loses a transaction that was in so many places that no more are remembered.
    fn lose(&mut self, guest: &mut Guest) {
        let number = self.begin(guest);
        self.ask(guest, T::Write, number, "mine\0").unwrap();
        self.ask(guest, T::Read, number, "theirs\0").unwrap();
        for n in 0..140 {
            let deep = format!("{n}{}\0", "/x".repeat(60));
            assert_eq!(self.ask(guest, T::Read, number, &deep).unwrap_err(), "ENOENT");
        }
        let theirs = format!("/local/domain/{}/theirs", guest.domid());
        self.tool.write(&theirs, "changed").unwrap();
        assert_eq!(self.ask(guest, T::TransactionEnd, number, "T\0").unwrap_err(), "EAGAIN");
    }

    fn watch(&mut self, guest: &mut Guest) {
        for n in 0..WATCHES {
            let payload = format!("w/{n}\0{}\0", "t".repeat(500));
            self.ask(guest, T::Watch, 0, &payload).unwrap();
        }
    }

    /// Takes what is left of its memory for nodes, at last by less and less.
    fn fill(&mut self, guest: &mut Guest) {
        for size in [1900, 10] {
            let value = "v".repeat(size);
            let payload = |n: usize| format!("n/{size}/{}/{n}\0{value}", n / 100);
            let mut payloads = (0..1000).map(payload);
            let refused = payloads.find_map(|it| self.ask(guest, T::Write, 0, &it).err());
            assert_eq!(refused.unwrap(), "ENOSPC");
        }
    }

    /// Something comes and goes below each watch of a guest.
    fn change(&mut self, domid: Domid, round: usize) {
        for call in [|path: &str| Call::write(path, b""), Call::remove] {
            let path = |n| format!("/local/domain/{domid}/w/{n}/{round}");
            let calls = (0..WATCHES).map(|n| call(&path(n)).unwrap());
            let sent: Vec<_> = calls.map(|call| self.tool.send(call).unwrap()).collect();
            for pending in sent {
                self.tool.receive(pending).unwrap();
            }
        }
    }

    /// How many replies a domain left unread, and its memory.
    fn account(&mut self, domid: Domid) -> (u64, u64) {
        let text = self.tool.control("quota", &[&domid.to_string()]).unwrap();
        let number = |label: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(label)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (number("outstanding"), number("memory"))
    }
}

#[test]
fn no_guest_holds_more_than_the_bound() {
    let place = Place::new();
    let simulated = format!("sim:{}", place.path("xen").display());
    let memory = format!("memory={MEMORY}");
    let options = ["--no-fork", "--no-access-log", "--host", &simulated, "-Q", &memory];
    let daemon = place.start(place.command(&options));
    let process = Process::of(&daemon);
    let mut world = World::new(&place);
    let before = process.resident_kib();

    let domids = || (1..=GUESTS).map(Domid::new);
    let mut guests: Vec<_> = domids().map(|domid| world.boot(domid)).collect();
    for guest in &mut guests {
        world.leave_open(guest);
        // The last that it begins: the next would be protected, and had to wait for that.
        world.lose(guest);
        world.watch(guest);
        world.fill(guest);
        // From now on it reads nothing.
        for number in 0..400 {
            assert!(guest.queue_request(T::Read, number, 0, &[b"/big\0"]));
        }
    }
    eventually("that nobody is read any more", || {
        // Far apart: what the daemon takes in it takes meanwhile.
        let moved: usize = guests.iter_mut().map(|guest| guest.push().unwrap()).sum();
        std::thread::sleep(std::time::Duration::from_millis(20));
        moved == 0
    });
    for round in 0..12 {
        domids().for_each(|domid| world.change(domid, round));
    }

    for domid in domids() {
        let (outstanding, memory) = world.account(domid);
        assert!((16..=20).contains(&outstanding), "domain {domid}: {outstanding} unread");
        assert!(memory >= MEMORY, "domain {domid} has {memory} bytes only");
    }
    let grown = (process.resident_kib() - before) * 1024 / u64::from(GUESTS);
    assert!(grown <= MEMORY + BEYOND, "{grown} bytes a guest");
    assert!(grown >= MEMORY * 3 / 4, "{grown} bytes a guest: they did not do their worst");
}
