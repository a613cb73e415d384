//! Clients that stop in the middle, never read, or never stop, on rxenstored's socket.
//!
//! What is bounded is counted in requests and bytes, not in time, so that a slow
//! machine finds the same as a fast one.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use xenstore_oracle::client::{Client, GOOD, header};
use xenstore_oracle::daemon::Daemon;
use xenstore_oracle::message::Message;
use xenstore_oracle::witness::Witness;
use xenstore_wire::{Header, MessageType as T};

const MEGABYTE: u64 = 1024 * 1024;

#[test]
fn half_messages_wait_without_anybody_waiting_for_them() {
    let mut daemon = Daemon::rxenstored();
    let mut witness = Witness::new(&daemon);
    let request = Message::new(T::Write.number(), 9, 0, b"/scratch\0value").encode();
    let cuts = [1, 4, 15, 16, 17, 24, 25, 26, request.len() - 1];
    let mut halves: Vec<_> = cuts
        .iter()
        .map(|&cut| {
            let mut client = Client::of(&daemon);
            client.send(&request[..cut]);
            (client, cut)
        })
        .collect();
    for _ in 0..100 {
        witness.is_served();
    }
    for (client, cut) in &mut halves {
        assert!(client.take_arrived().is_empty());
        client.send(&request[*cut..]);
        assert_eq!(client.receive().payload, b"OK\0");
    }
    assert_eq!(halves[0].0.error_of(T::Rm, b"/scratch\0"), "");
    drop(halves);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn requests_arrive_byte_by_byte() {
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    for (kind, payload) in GOOD {
        for byte in Message::new(kind.number(), 3, 0, payload).encode() {
            client.send(&[byte]);
        }
        while client.receive().is_event() {}
    }
    drop(client);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn sockets_closed_in_the_middle_leave_nothing() {
    let mut daemon = Daemon::rxenstored();
    let mut witness = Witness::new(&daemon);
    let before = daemon.resident_bytes();
    for round in 0..200 {
        // In mid-request, with a watch and a transaction open.
        let mut client = Client::of(&daemon);
        assert_eq!(client.error_of(T::Watch, b"/elsewhere\0t\0"), "");
        assert_eq!(client.receive().payload, b"/elsewhere\0t\0");
        assert_eq!(client.error_of(T::TransactionStart, b"\0"), "");
        let request = Message::new(T::Write.number(), 9, 0, b"/scratch\0value").encode();
        client.send(&request[..round % request.len()]);
        drop(client);
        // In mid-reply: more is asked for than a socket takes, and nothing read.
        let mut client = Client::of(&daemon);
        let read = Message::new(T::Directory.number(), 9, 0, b"/\0").encode();
        client.send_until_stuck(&read.repeat(2000));
        drop(client);
        // At once.
        drop(Client::of(&daemon));
        witness.is_served();
    }
    assert!(daemon.resident_bytes() < before + 8 * MEGABYTE);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn a_client_that_ends_its_sending_half_gets_its_replies() {
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    for _ in 0..50 {
        client.send_request(T::Read.number(), b"/kept\0");
    }
    client.finish_sending();
    for id in 1..=50 {
        let reply = client.receive();
        assert_eq!((reply.header.request_id, &reply.payload[..]), (id, &b"value"[..]));
    }
    assert!(client.is_closed());
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn a_thousand_connections_come_and_go() {
    let mut daemon = Daemon::rxenstored();
    let mut witness = Witness::new(&daemon);
    // One after the other, and many at once.
    for _ in 0..1000 {
        drop(Client::of(&daemon));
    }
    for _ in 0..5 {
        let mut clients: Vec<_> = (0..200).map(|_| Client::of(&daemon)).collect();
        for client in &mut clients {
            assert_eq!(client.ask(T::Read, b"/kept\0").payload, b"value");
        }
        witness.is_served();
    }
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn a_flood_that_is_not_read_stops_and_is_answered_in_order_in_the_end() {
    const REQUESTS: u32 = 100_000;
    let mut daemon = Daemon::rxenstored();
    let mut witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    let before = daemon.resident_bytes();
    // Each reply is as large as four requests.
    assert_eq!(client.error_of(T::Write, &[b"/scratch\0", &[b'v'; 100][..]].concat()), "");
    let flood: Vec<u8> = (0..REQUESTS)
        .flat_map(|id| Message::new(T::Read.number(), id, 0, b"/scratch\0").encode())
        .collect();
    let mut sent = client.send_until_stuck(&flood);
    assert!(sent < flood.len(), "the daemon took a flood nobody reads the answers of");
    for _ in 0..100 {
        witness.is_served();
        sent += client.send_until_stuck(&flood[sent..]);
    }
    let grown = daemon.resident_bytes().saturating_sub(before);
    assert!(grown < 4 * MEGABYTE, "the daemon grew by {grown} bytes");
    let mut next = 0;
    while next < REQUESTS {
        sent += client.send_until_stuck(&flood[sent..]);
        let reply = client.receive();
        assert_eq!((reply.header.request_id, reply.payload.len()), (next, 100));
        next += 1;
    }
    assert_eq!(client.error_of(T::Rm, b"/scratch\0"), "");
    drop(client);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn a_watch_that_is_not_read_fires_a_hundred_thousand_times() {
    const CHANGES: u32 = 100_000;
    const NODES: u32 = 30_000;
    let mut daemon = Daemon::rxenstored();
    let mut witness = Witness::new(&daemon);
    let mut busy = Client::of(&daemon);
    let mut change = |number: u32| {
        let write = format!("/busy/{}/a-name-of-some-length\0{number}", number % NODES);
        let id = busy.send_request(T::Write.number(), write.as_bytes());
        assert_eq!(busy.receive().header.request_id, id);
    };
    // What the store itself needs does not count.
    (0..NODES).for_each(&mut change);
    let mut deaf = Client::of(&daemon);
    assert_eq!(deaf.error_of(T::Watch, b"/busy\0token\0"), "");
    let before = daemon.resident_bytes();
    (0..CHANGES).for_each(&mut change);
    witness.is_served();
    let grown = daemon.resident_bytes().saturating_sub(before);
    assert!(grown < 2 * MEGABYTE, "the daemon grew by {grown} bytes");
    // The last change is not lost: an event for it, or one that stands for it, comes
    // before the answer to a request made now.
    assert_eq!(busy.error_of(T::Write, b"/busy/last\0now"), "");
    let id = deaf.send_request(T::Read.number(), b"/busy/last\0");
    let mut events = Vec::new();
    loop {
        let message = deaf.receive();
        if message.is_event() {
            events.push(message.payload);
        } else {
            assert_eq!((message.header.request_id, &message.payload[..]), (id, &b"now"[..]));
            break;
        }
    }
    let last = events.last().unwrap();
    assert!(last == b"/busy/last\0token\0" || last == b"/busy\0token\0", "{last:?}");
    // And from here on it hears of everything again.
    assert_eq!(busy.error_of(T::Write, b"/busy/again\0"), "");
    assert_eq!(deaf.receive().payload, b"/busy/again\0token\0");
    assert_eq!(busy.error_of(T::Rm, b"/busy\0"), "");
    drop((busy, deaf));
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn a_flood_lets_others_in_after_a_bounded_number_of_requests() {
    // The most requests of the flood that are usually answered between two of another
    // client: a turn of the flood, and what its reader counts in one go.
    const BOUND: u32 = 3000;
    const ROUNDS: usize = 500;
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut victim = Client::of(&daemon);
    assert_eq!(victim.error_of(T::Write, b"/count\0"), "");
    let mut flood = Client::of(&daemon);
    let mut sender = flood.sender();
    let answered = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(move || {
            let batch = Message::new(T::Write.number(), 1, 0, b"/count\x001").encode().repeat(5000);
            // Until the test has what it wants and closes the connection.
            while sender.write_all(&batch).is_ok() {}
        });
        let (answered, stop) = (&answered, flood.sender());
        scope.spawn(move || {
            while let Some(message) = flood.receive_if_open() {
                assert_eq!(message.payload, b"OK\0");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
        while answered.load(Ordering::Relaxed) < 10_000 {
            thread::yield_now();
        }
        let mut between: Vec<_> = (0..ROUNDS)
            .map(|_| {
                let before = answered.load(Ordering::Relaxed);
                assert_eq!(victim.ask(T::Read, b"/kept\0").payload, b"value");
                answered.load(Ordering::Relaxed) - before
            })
            .collect();
        stop.shutdown(Shutdown::Both).unwrap();
        between.sort_unstable();
        // The scheduler may leave the victim aside for a while; the daemon may not.
        let usual = between[ROUNDS / 2];
        assert!(usual < BOUND, "{usual} requests of a flood before one of another client");
    });
    assert_eq!(victim.error_of(T::Rm, b"/count\0"), "");
    drop(victim);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn a_hundred_thousand_headers_without_payloads_are_nothing() {
    let mut daemon = Daemon::rxenstored();
    let mut witness = Witness::new(&daemon);
    let before = daemon.resident_bytes();
    // Two hundred clients, each with the largest request there is but its last byte.
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let mut client = Client::of(&daemon);
            client.send(&header(T::Write, 4096));
            client.send(&[b'/'; 4095]);
            client
        })
        .collect();
    witness.is_served();
    let grown = daemon.resident_bytes().saturating_sub(before);
    assert!(grown < 200 * 64 * 1024, "the daemon grew by {grown} bytes");
    assert_eq!(Header::SIZE, 16);
    drop(clients);
    witness.finds_all_as_left(&mut daemon);
}
