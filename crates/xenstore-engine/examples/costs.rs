//! What requests cost as the store and the number of watches grow, and what a node
//! weighs: `cargo run --release -p xenstore-engine --example costs`.
//!
//! Figures to be compared within one run; machines differ.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program for developers")]

use std::time::{Duration, Instant};

use xenstore_engine::{ConnectionId, Engine, Outside, Settings, Silent};
use xenstore_host::NoHypervisor;
use xenstore_wire::{MessageType, message};

struct Client {
    engine: Engine,
    id: ConnectionId,
    bytes: Vec<u8>,
    last_transaction: u32,
}

impl Client {
    fn new() -> Self {
        let mut engine = Engine::new(&Settings::default());
        let id = engine.connect_socket(&mut Silent);
        Self { engine, id, bytes: Vec::new(), last_transaction: 0 }
    }

    fn ask(&mut self, kind: MessageType, payload: &[u8]) {
        self.ask_in(0, kind, payload);
    }

    fn ask_in(&mut self, transaction: u32, kind: MessageType, payload: &[u8]) {
        self.bytes.clear();
        assert!(message::encode(&mut self.bytes, kind, 0, transaction, &[payload]));
        let mut outside =
            Outside { hypervisor: &mut NoHypervisor, daemon: &mut Silent, now: Duration::ZERO };
        self.engine.turn(self.id, &self.bytes, &mut outside);
        while let Some(id) = self.engine.next_outgoing() {
            while !self.engine.output(id).is_empty() {
                let length = self.engine.output(id).len();
                self.engine.sent(id, length);
            }
        }
    }

    fn nanoseconds(&mut self, rounds: u32, kind: MessageType, payload: &[u8]) -> u128 {
        // The best of several rounds: what the machine does besides only ever adds.
        let timed = |client: &mut Self| {
            let start = Instant::now();
            (0..rounds).for_each(|_| client.ask(kind, payload));
            start.elapsed().as_nanos() / u128::from(rounds)
        };
        (0..5).map(|_| timed(self)).min().expect("five rounds")
    }
}

/// How long the end of a transaction takes that makes a domain of 60 nodes, after it asked
/// for `first`, while others did `meanwhile`; the best of many.
fn commit(
    client: &mut Client,
    first: Option<(MessageType, &[u8])>,
    meanwhile: &[(MessageType, &[u8])],
) -> u128 {
    let mut best = u128::MAX;
    for _ in 0..500 {
        client.ask(MessageType::TransactionStart, b"\0");
        client.last_transaction += 1;
        let transaction = client.last_transaction;
        if let Some((kind, payload)) = first {
            client.ask_in(transaction, kind, payload);
        }
        for number in 0..60 {
            let path = format!("/local/domain/7/device/vif/0/name-{number:02}\0value");
            client.ask_in(transaction, MessageType::Write, path.as_bytes());
        }
        for &(kind, payload) in meanwhile {
            client.ask(kind, payload);
        }
        let start = Instant::now();
        client.ask_in(transaction, MessageType::TransactionEnd, b"T\0");
        best = best.min(start.elapsed().as_nanos());
        client.ask(MessageType::Rm, b"/local/domain/7\0");
    }
    best
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm.split(' ').nth(1).expect("a field").parse().expect("a number");
    pages * 4096
}

fn main() {
    println!("nodes in the store    resident bytes/node   READ ns   WRITE ns");
    for nodes in [100, 10_000, 100_000, 1_000_000] {
        let before = resident_bytes();
        let mut client = Client::new();
        for number in 0..nodes {
            let path =
                format!("/directory-{:04}/name-{number:011}\0value of 16 byte", number / 100);
            client.ask(MessageType::Write, path.as_bytes());
        }
        let weight = resident_bytes().saturating_sub(before) / nodes;
        let read =
            client.nanoseconds(20_000, MessageType::Read, b"/directory-0000/name-00000000050\0");
        let write = client.nanoseconds(
            20_000,
            MessageType::Write,
            b"/directory-0000/name-00000000050\0another 16 bytes",
        );
        println!("{nodes:>18}    {weight:>19}   {read:>7}   {write:>8}");
    }

    println!(
        "\nnodes in the store    commit of 60 writes: installed ns   grafted ns   replayed ns"
    );
    for nodes in [100, 10_000, 100_000, 1_000_000] {
        let mut client = Client::new();
        client.ask(MessageType::Mkdir, b"/local/domain\0");
        for number in 0..nodes {
            let path = format!("/directory-{:04}/name-{number:011}\0value", number / 100);
            client.ask(MessageType::Write, path.as_bytes());
        }
        let sibling: (_, &[u8]) = (MessageType::Write, b"/local/domain/8/name\0other");
        // Whose directory's value changed, its list could have changed too.
        let list: (_, &[u8]) = (MessageType::Directory, b"/local/domain\0");
        let value: (_, &[u8]) = (MessageType::Write, b"/local/domain\0value");
        let installed = commit(&mut client, None, &[]);
        let grafted = commit(&mut client, None, &[sibling]);
        let replayed = commit(&mut client, Some(list), &[value]);
        println!("{nodes:>18}    {installed:>33}   {grafted:>10}   {replayed:>11}");
    }

    println!("\nwatches elsewhere     WRITE unwatched ns   MKDIR+RM of a subtree ns");
    for watches in [0, 1_000, 100_000] {
        let mut client = Client::new();
        client.ask(MessageType::Write, b"/here/it/is\0value");
        for number in 0..watches {
            let watch = format!("/elsewhere/{}/node-{number}\0token-{number}\0", number / 100);
            client.ask(MessageType::Watch, watch.as_bytes());
        }
        let write = client.nanoseconds(20_000, MessageType::Write, b"/here/it/is\0value");
        let mkdir = client.nanoseconds(20_000, MessageType::Mkdir, b"/here/a/b/c\0");
        let remove = client.nanoseconds(20_000, MessageType::Rm, b"/here/a\0");
        println!("{watches:>17}    {write:>19}   {:>24}", mkdir + remove);
    }

    println!("\nlists naming a domain    its RELEASE us: side by side   below each other");
    for lists in [10, 100, 1_000] {
        let wide = |number| format!("/top/{number}");
        let deep = |number| format!("/top{}", "/n".repeat(number));
        println!("{lists:>21}    {:>27}   {:>16}", release(lists, wide), release(lists, deep));
    }
}

/// How long it takes to forget a domain that so many nodes name in their permission lists.
fn release(lists: usize, path: impl Fn(usize) -> String) -> u128 {
    let mut best = u128::MAX;
    for _ in 0..20 {
        let mut client = Client::new();
        client.ask(MessageType::Introduce, b"5\x001\x001\0");
        client.ask(MessageType::Mkdir, b"/top\0");
        client.ask(MessageType::SetPerms, b"/top\0n0\0r5\0");
        for number in 0..lists {
            client.ask(MessageType::Mkdir, format!("{}\0", path(number)).as_bytes());
        }
        let start = Instant::now();
        client.ask(MessageType::Release, b"5\0");
        best = best.min(start.elapsed().as_micros());
    }
    best
}
