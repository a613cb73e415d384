//! What a guest can make the daemon hold, beside what it is charged for: resident bytes for
//! guests that fill their quotas in different ways.
//!
//!     cargo run --release -p xenstore-engine --example footprint
//!
//! docs/limits.md has the bound that follows from it.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program for developers")]

use std::fmt::Write as _;
use std::time::Duration;

use xenstore_engine::{ConnectionId, Engine, Outside, Settings, Silent};
use xenstore_host::NoHypervisor;
use xenstore_wire::{Domid, MessageType as T, message};

const GUESTS: u16 = 100;

/// A store with guests, each with a home.
struct Host {
    engine: Engine,
    tool: ConnectionId,
    guests: Vec<ConnectionId>,
}

impl Host {
    fn new() -> Self {
        let mut engine = Engine::new(&Settings::default());
        let tool = engine.connect_socket(&mut Silent);
        let mut host = Self { engine, tool, guests: Vec::new() };
        for domid in 1..=GUESTS {
            host.ask(tool, 0, T::Introduce, format!("{domid}\01\01\0"));
            host.ask(tool, 0, T::Write, format!("/local/domain/{domid}\0"));
            host.ask(tool, 0, T::SetPerms, format!("/local/domain/{domid}\0n{domid}\0"));
            host.guests.push(host.engine.ring(Domid::new(domid)).expect("it was introduced"));
        }
        host
    }

    fn turn(&mut self, id: ConnectionId) {
        let mut outside =
            Outside { hypervisor: &mut NoHypervisor, daemon: &mut Silent, now: Duration::ZERO };
        self.engine.turn(id, &[], &mut outside);
        while self.engine.next_outgoing().is_some() {}
    }

    fn send(&mut self, id: ConnectionId, transaction: u32, kind: T, payload: impl AsRef<[u8]>) {
        let mut bytes = Vec::new();
        assert!(message::encode(&mut bytes, kind, 0, transaction, &[payload.as_ref()]));
        self.engine.receive(id, &bytes);
        self.turn(id);
    }

    /// Asks and takes what comes; the last reply's payload.
    fn ask(
        &mut self,
        id: ConnectionId,
        transaction: u32,
        kind: T,
        payload: impl AsRef<[u8]>,
    ) -> Vec<u8> {
        self.send(id, transaction, kind, payload);
        let mut decoder = xenstore_wire::Decoder::new();
        while !self.engine.output(id).is_empty() {
            let output = self.engine.output(id);
            let length = output.len();
            decoder.push(output);
            self.engine.sent(id, length);
        }
        let mut last = Vec::new();
        while let Ok(Some(message)) = decoder.next_message() {
            last = message.payload.to_vec();
        }
        last
    }

    fn granted(&mut self, id: ConnectionId, transaction: u32, kind: T, payload: String) -> bool {
        self.ask(id, transaction, kind, payload) == b"OK\0"
    }

    /// Bytes that the average guest is charged.
    fn charged(&mut self) -> u64 {
        let charged = |account: Vec<u8>| {
            let text = String::from_utf8_lossy(&account).into_owned();
            let line = text.lines().find_map(|line| line.strip_prefix("memory"));
            let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
            number.expect("an account of memory")
        };
        let tool = self.tool;
        let sum: u64 = (1..=GUESTS)
            .map(|domid| charged(self.ask(tool, 0, T::Control, format!("quota\0{domid}\0"))))
            .sum();
        sum / u64::from(GUESTS)
    }
}

/// Something that a guest does until it may not any more: one step, and whether it could.
type Step = fn(&mut Host, ConnectionId, u16, usize) -> bool;

const WAYS: &[(&str, Step)] = &[
    ("nodes without value, side by side", |host, id, _, n| {
        host.granted(id, 0, T::Write, format!("{}/n{n}\0", n / 100))
    }),
    ("nodes with 1,900 bytes", |host, id, _, n| {
        host.granted(id, 0, T::Write, format!("{}/n{n}\0{}", n / 100, "x".repeat(1900)))
    }),
    ("one node below the other", |host, id, _, n| {
        n < 900 && host.granted(id, 0, T::Write, format!("{}d\0", "d/".repeat(n)))
    }),
    ("nodes with lists of their own", |host, id, domid, n| {
        let (a, b) = (domid % GUESTS + 1, (domid + 1) % GUESTS + 1);
        let path = format!("{}/n{n}", n / 100);
        let list = format!("{path}\0n{domid}\0r{a}\0b{b}\0r0\0");
        host.granted(id, 0, T::Write, format!("{path}\0")) && host.granted(id, 0, T::SetPerms, list)
    }),
    ("lists made entry by entry on long paths", |host, id, domid, n| {
        let path = format!("{}/{}/n{n}", "x".repeat(1900), n / 100);
        if !host.granted(id, 0, T::Write, format!("{path}\0")) {
            return false;
        }
        let mut list = format!("{path}\0n{domid}\0");
        (1..5).all(|next| {
            let _ = write!(list, "r{}\0", (domid + next) % GUESTS + 1);
            host.granted(id, 0, T::SetPerms, list.clone())
        })
    }),
    ("what is left of directories that were full", |host, id, _, n| {
        // A directory of 400, of which every 16th stays.
        let (directory, place) = (n / 400, n % 400);
        if directory >= 30 {
            return false;
        }
        let made = host.granted(id, 0, T::Write, format!("{directory}/{place}\0"));
        if place == 399 {
            for other in (0..400).filter(|other| other % 16 != 0) {
                host.granted(id, 0, T::Rm, format!("{directory}/{other}\0"));
            }
        }
        made
    }),
    ("nodes with lists of their own, nobody in them", |host, id, domid, n| {
        let path = format!("{}/n{n}", n / 100);
        let list = format!("{path}\0n{domid}\0");
        host.granted(id, 0, T::Write, format!("{path}\0")) && host.granted(id, 0, T::SetPerms, list)
    }),
    ("nodes with names of 24 bytes", |host, id, _, n| {
        host.granted(id, 0, T::Write, format!("{}/n{n:0>23}\0", n / 50))
    }),
    ("directories of one", |host, id, _, n| {
        host.granted(id, 0, T::Write, format!("{}/{}/{}\0", n / 100, n % 100 / 10, n))
    }),
    ("watches on short paths", |host, id, _, n| host.granted_watch(id, format!("w{n}\0t\0"))),
    ("two watches with two tokens at one place", |host, id, domid, n| {
        host.granted_watch(id, format!("/a{domid}-{}\0{}\0", n / 2, n % 2 + 1))
    }),
    ("watches with many tokens at one place", |host, id, _, n| {
        host.granted_watch(id, format!("/\0{n}\0"))
    }),
    ("watches on deep paths", |host, id, _, n| {
        host.granted_watch(id, format!("{n}/{}w\0t\0", "w/".repeat(1000)))
    }),
    ("watches with long tokens", |host, id, _, n| {
        host.granted_watch(id, format!("w{n}\0{}\0", "t".repeat(3000)))
    }),
    ("a transaction that writes the same", |host, id, _, n| {
        n < 4000 && host.granted_inside(id, 1, T::Write, format!("n\0{n}"))
    }),
    ("a transaction that writes 1,900 bytes each", |host, id, _, n| {
        let payload = format!("{}/n{n}\0{}", n / 100, "x".repeat(1900));
        n < 4000 && host.granted_inside(id, 1, T::Write, payload)
    }),
    ("a transaction in many directories", |host, id, _, n| {
        n < 4000 && host.granted_inside(id, 1, T::Write, format!("{}/{n}/a/b/c/d/e\0", n / 100))
    }),
    ("a transaction with deep paths", |host, id, _, n| {
        n < 4000 && host.granted_inside(id, 1, T::Write, format!("{}d\0{n}", "d/".repeat(900)))
    }),
    ("ten transactions that change what is there", |host, id, _, n| {
        let path = format!("{}/{}/a/b/c/d/e", n % 130 / 10, n % 130);
        if n < 130 {
            return host.granted(id, 0, T::Write, format!("{path}\0"));
        }
        let transaction = u32::try_from(n / 130).unwrap_or(u32::MAX);
        transaction <= 10 && host.granted_inside(id, transaction, T::Write, format!("{path}\0v"))
    }),
    ("ten transactions that create", |host, id, _, n| {
        let transaction = u32::try_from(n / 100 + 1).unwrap_or(u32::MAX);
        let payload = format!("{}/n\0{}", n % 100, "x".repeat(1900));
        transaction <= 10 && host.granted_inside(id, transaction, T::Write, payload)
    }),
    ("replies not read", |host, id, _, n| {
        if n == 0 {
            host.granted(id, 0, T::Write, format!("v\0{}", "x".repeat(1900)));
        }
        host.send(id, 0, T::Read, "v\0");
        n < 100
    }),
    ("events not read", |host, id, domid, n| {
        if n < 128 {
            host.granted_watch(id, format!("w{n}\0{}\0", "t".repeat(500)));
        }
        let tool = host.tool;
        host.ask(tool, 0, T::Write, format!("/local/domain/{domid}/w{}/{n}\0", n % 128));
        n < 3000
    }),
];

impl Host {
    /// Registers a watch and takes its first event.
    fn granted_watch(&mut self, id: ConnectionId, payload: String) -> bool {
        let last = self.ask(id, 0, T::Watch, payload);
        last != b"ENOSPC\0"
    }

    /// Asks in one of the guest's transactions, begun if it is not open.
    fn granted_inside(&mut self, id: ConnectionId, number: u32, kind: T, payload: String) -> bool {
        if self.ask(id, number, T::Read, "/\0") == b"ENOENT\0" {
            self.ask(id, 0, T::TransactionStart, "\0");
        }
        self.granted(id, number, kind, payload)
    }
}

fn main() {
    println!("bytes per guest, {GUESTS} guests");
    println!("{:<45} {:>10} {:>10} {:>6}", "", "charged", "resident", "ratio");
    for (way, step) in WAYS {
        let mut host = Host::new();
        let (before, had) = (resident_bytes(), host.charged());
        for (domid, id) in (1..).zip(host.guests.clone()) {
            let mut steps = 0;
            while step(&mut host, id, domid, steps) {
                steps += 1;
            }
        }
        let resident = (resident_bytes() - before) / u64::from(GUESTS);
        let charged = host.charged() - had;
        let percent = resident * 100 / charged.max(1);
        println!(
            "{way:<45} {charged:>10} {resident:>10} {:>3}.{:02}",
            percent / 100,
            percent % 100
        );
        // Nothing is freed, so that the next is not built in memory that was there already.
        std::mem::forget(host);
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.expect("a VmRSS line") * 1024
}
