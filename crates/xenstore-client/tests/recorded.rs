//! The clients against a peer that speaks recorded bytes.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test by panicking")]

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use xenstore_client::wire::message::encode;
use xenstore_client::wire::{Errno, Header, MessageType};
use xenstore_client::{Call, Client, Error, ProtocolError, Retry, Store};

use MessageType as T;

/// One exchange: what the client must send, and the messages it is answered with.
struct Exchange {
    kind: MessageType,
    transaction: u32,
    payload: Vec<u8>,
    answers: Vec<(MessageType, Vec<u8>)>,
}

fn on(kind: MessageType, payload: &[u8], answer: &[u8]) -> Exchange {
    within(0, kind, payload, answer)
}

fn within(transaction: u32, kind: MessageType, payload: &[u8], answer: &[u8]) -> Exchange {
    Exchange {
        kind,
        transaction,
        payload: payload.to_vec(),
        answers: vec![(kind, answer.to_vec())],
    }
}

fn refused(mut exchange: Exchange, name: &str) -> Exchange {
    exchange.answers = vec![(MessageType::Error, format!("{name}\0").into_bytes())];
    exchange
}

fn event_first(mut exchange: Exchange, path: &str, token: &str) -> Exchange {
    let payload = format!("{path}\0{token}\0").into_bytes();
    exchange.answers.insert(0, (MessageType::WatchEvent, payload));
    exchange
}

/// A daemon that has learned its part by heart. It sends in pieces of `piece` bytes.
fn daemon(script: Vec<Exchange>, piece: usize) -> (UnixStream, JoinHandle<()>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let run = move || {
        for exchange in script {
            let mut header = [0; Header::SIZE];
            theirs.read_exact(&mut header).unwrap();
            let header = Header::decode(&header).unwrap();
            let mut payload = vec![0; header.length as usize];
            theirs.read_exact(&mut payload).unwrap();
            assert_eq!(MessageType::from_number(header.kind), Some(exchange.kind));
            assert_eq!(header.transaction_id, exchange.transaction);
            assert_eq!(
                String::from_utf8_lossy(&payload),
                String::from_utf8_lossy(&exchange.payload)
            );
            let mut out = Vec::new();
            for (kind, payload) in exchange.answers {
                let id = if kind == MessageType::WatchEvent { 0 } else { header.request_id };
                assert!(encode(&mut out, kind, id, header.transaction_id, &[&payload]));
            }
            for part in out.chunks(piece) {
                theirs.write_all(part).unwrap();
            }
        }
        // Stays until the client has read all.
        let _ = theirs.read(&mut [0]);
    };
    (ours, thread::spawn(run))
}

fn client(script: Vec<Exchange>) -> (Client, JoinHandle<()>) {
    let (socket, daemon) = daemon(script, 1);
    (Client::from_socket(socket), daemon)
}

fn done(client: Client, daemon: JoinHandle<()>) {
    drop(client);
    daemon.join().unwrap();
}

#[test]
fn values_permissions_and_children_are_read() {
    let (mut client, daemon) = client(vec![
        on(T::Read, b"/a\0", b"x\0y"),
        on(T::Read, b"/b\0", b""),
        on(T::GetPerms, b"/a\0", b"n0\0r5\0"),
        on(T::Directory, b"/\0", b"tool\0vm\0"),
        on(T::Write, b"/a\0v", b"OK\0"),
        on(T::SetPerms, b"/a\0n0\0r5\0", b"OK\0"),
        refused(on(T::Read, b"/c\0", b""), "ENOENT"),
        refused(on(T::Read, b"/d\0", b""), "EACCES"),
    ]);
    assert_eq!(client.read("/a").unwrap(), b"x\0y");
    assert_eq!(client.read("/b").unwrap(), b"");
    let permissions = client.permissions("/a").unwrap();
    assert_eq!(permissions.others[0].to_string(), "r5");
    assert_eq!(client.directory("/").unwrap(), ["tool", "vm"]);
    client.write("/a", "v").unwrap();
    client.set_permissions("/a", &permissions).unwrap();
    assert!(!client.exists("/c").unwrap());
    let error = client.exists("/d").unwrap_err();
    assert_eq!(error.to_string(), "READ of /d was refused: EACCES (permission denied)");
    done(client, daemon);
}

#[test]
fn a_long_list_comes_in_parts_and_from_the_start_if_the_node_changed() {
    let (mut client, daemon) = client(vec![
        refused(on(T::Directory, b"/d\0", b""), "E2BIG"),
        on(T::DirectoryPart, b"/d\x000\0", b"7\0a\0b\0"),
        on(T::DirectoryPart, b"/d\x004\0", b"8\0c\0\0"),
        on(T::DirectoryPart, b"/d\x000\0", b"8\0b\0c\0\0"),
        refused(on(T::Directory, b"/e\0", b""), "E2BIG"),
        refused(on(T::DirectoryPart, b"/e\x000\0", b""), "ENOSYS"),
    ]);
    assert_eq!(client.directory("/d").unwrap(), ["b", "c"]);
    let error = client.directory("/e").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::TooBig));
    done(client, daemon);
}

#[test]
fn a_transaction_is_tried_until_it_goes_through() {
    let attempt = |id: u32, answer: &str| {
        let start = on(T::TransactionStart, b"\0", format!("{id}\0").as_bytes());
        let write = within(id, T::Write, b"/a\x001", b"OK\0");
        let end = within(id, T::TransactionEnd, b"T\0", b"OK\0");
        let end = if answer == "OK" { end } else { refused(end, answer) };
        [start, write, end]
    };
    let script = [
        attempt(1, "EAGAIN"),
        attempt(2, "EAGAIN"),
        attempt(3, "OK"),
        attempt(4, "EAGAIN"),
        attempt(5, "EAGAIN"),
        attempt(6, "ENOSPC"),
    ];
    let (mut client, daemon) = client(script.into_iter().flatten().collect());
    let mut tries = 0;
    client
        .transaction(|tx| {
            tries += 1;
            tx.write("/a", "1")
        })
        .unwrap();
    assert_eq!(tries, 3);
    let error = client.transaction_with(Retry::Times(2), |tx| tx.write("/a", "1")).unwrap_err();
    assert!(error.is_conflict());
    let error = client.transaction(|tx| tx.write("/a", "1")).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::NoSpc));
    done(client, daemon);
}

#[test]
fn what_is_not_committed_is_aborted() {
    let start = |id: u8| on(T::TransactionStart, b"\0", &[b'0' + id, 0]);
    let (mut client, daemon) = client(vec![
        start(1),
        within(1, T::TransactionEnd, b"F\0", b"OK\0"),
        start(2),
        refused(within(2, T::Read, b"/a\0", b""), "ENOENT"),
        within(2, T::TransactionEnd, b"F\0", b"OK\0"),
        on(T::Read, b"/b\0", b"still in step"),
    ]);
    drop(client.begin().unwrap());
    let error = client.transaction(|tx| tx.read("/a")).unwrap_err();
    assert!(error.is_missing());
    assert_eq!(client.read("/b").unwrap(), b"still in step");
    done(client, daemon);
}

#[test]
fn events_wait_while_replies_are_read() {
    let (mut client, daemon) = client(vec![
        event_first(on(T::Watch, b"/a\0t\x001\0", b"OK\0"), "/a", "t"),
        event_first(on(T::Read, b"/a\0", b"v"), "/a/b", "t"),
    ]);
    client.watch_to_depth("/a", "t", 1).unwrap();
    assert_eq!(client.read("/a").unwrap(), b"v");
    let mut events = client.events();
    assert_eq!(events.next().unwrap().unwrap().path, "/a");
    assert_eq!(events.next().unwrap().unwrap().token, b"t");
    let begun = Instant::now();
    let timeout = Duration::from_millis(30);
    assert_eq!(client.next_event_within(timeout).unwrap(), None);
    assert!(begun.elapsed() >= timeout);
    assert_eq!(client.next_event_within(Duration::ZERO).unwrap(), None);
    done(client, daemon);
}

#[test]
fn several_requests_may_be_under_way() {
    let (mut client, daemon) = client(vec![
        on(T::Read, b"/a\0", b"1"),
        refused(on(T::Read, b"/b\0", b""), "EQUOTA"),
        on(T::Control, b"help\0", b"no NUL"),
    ]);
    let first = client.send(Call::read("/a").unwrap()).unwrap();
    let second = client.send(Call::read("/b").unwrap()).unwrap();
    let third = client.send(Call::control("help", &[]).unwrap()).unwrap();
    assert_eq!(client.receive(third).unwrap(), "no NUL");
    assert_eq!(client.receive(first).unwrap(), b"1");
    let error = client.receive(second).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::Inval));
    assert!(error.to_string().contains("EQUOTA"), "{error}");
    done(client, daemon);
}

#[test]
fn a_daemon_that_goes_away_or_lies_is_an_error() {
    let (mut gone, daemon) = client(vec![]);
    end_connection(&gone);
    assert!(matches!(gone.read("/a"), Err(Error::Io(_))));
    drop(gone);
    daemon.join().unwrap();

    let mut lie = on(T::Read, b"/a\0", b"");
    lie.answers = vec![(T::Rm, b"OK\0".to_vec())];
    let (mut client, daemon) = client(vec![lie]);
    let error = client.read("/a").unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::WrongType { .. })), "{error}");
    done(client, daemon);
}

/// Ends the connection under a client's feet.
fn end_connection(client: &Client) {
    let copy = UnixStream::from(client.as_fd().try_clone_to_owned().unwrap());
    copy.shutdown(std::net::Shutdown::Both).unwrap();
}

#[test]
fn no_daemon_is_said_with_all_places_looked_at() {
    let error = Client::open_path("/nonexistent/socket").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no xenstore daemon found; tried /nonexistent/socket (No such file or directory (os error 2))"
    );
}

#[cfg(feature = "tokio")]
mod asynchronous {
    use std::future::poll_fn;
    use std::pin::Pin;

    use futures_core::Stream;
    use xenstore_client::asynchronous::{Client, Store};

    use super::*;

    #[tokio::test]
    async fn the_async_client_speaks_the_same_bytes() {
        for piece in [1, 7, 4096] {
            let (socket, daemon) = daemon(
                vec![
                    on(T::TransactionStart, b"\0", b"1\0"),
                    within(1, T::Read, b"/a\0", b"v"),
                    refused(within(1, T::TransactionEnd, b"T\0", b""), "EAGAIN"),
                    on(T::TransactionStart, b"\0", b"2\0"),
                    within(2, T::Read, b"/a\0", b"w"),
                    within(2, T::TransactionEnd, b"T\0", b"OK\0"),
                    event_first(on(T::Watch, b"/a\0t\0", b"OK\0"), "/a", "t"),
                    on(T::TransactionStart, b"\0", b"3\0"),
                    within(3, T::TransactionEnd, b"F\0", b"OK\0"),
                    on(T::Read, b"/b\0", b"still in step"),
                ],
                piece,
            );
            let mut client = Client::from_socket(socket).unwrap();
            let value = client.transaction(async |tx| tx.read("/a").await).await;
            assert_eq!(value.unwrap(), b"w");
            client.watch("/a", "t").await.unwrap();
            let mut events = client.events();
            let event = poll_fn(|context| Pin::new(&mut events).poll_next(context)).await;
            assert_eq!(event.unwrap().unwrap().path, "/a");
            drop(client.begin().await.unwrap());
            assert_eq!(client.read("/b").await.unwrap(), b"still in step");
            drop(client);
            daemon.join().unwrap();
        }
    }

    #[tokio::test]
    async fn a_dropped_future_leaves_the_connection_in_step() {
        let (socket, daemon) =
            daemon(vec![on(T::Read, b"/slow\0", b"late"), on(T::Read, b"/a\0", b"right")], 1);
        let mut client = Client::from_socket(socket).unwrap();
        let never = tokio::time::timeout(Duration::ZERO, client.read("/slow")).await;
        drop(never);
        assert_eq!(client.read("/a").await.unwrap(), b"right");
        drop(client);
        daemon.join().unwrap();
    }
}
