//! Transactions get through on the real daemon, whatever other clients do.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at what it does not expect")]

mod support;

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use support::client::{Client, T, request};
use support::process::Process;
use support::{Host, eventually};

/// Time enough for a test on a machine that does other things.
const PATIENT: &[&str] = &["--longest-protection", "600000"];

/// Counts up what is at `/count` in a transaction; how often it had to try.
fn count_up(client: &mut Client) -> u64 {
    for tries in 1.. {
        let transaction = client.begin();
        let value: u64 = client.ask_in(transaction, T::Read, "/count\0").parse().expect("a number");
        let next = format!("/count\0{}", value + 1);
        assert_eq!(client.ask_in(transaction, T::Write, &next), "OK");
        match client.ask_in(transaction, T::TransactionEnd, "T\0").as_str() {
            "OK" => return tries,
            "EAGAIN" => {}
            other => panic!("{other}"),
        }
    }
    unreachable!()
}

/// Every transaction reads what every other one writes, and writers that do not even use
/// transactions never stop.
#[test]
fn nobody_tries_more_than_three_times() {
    let host = Host::new();
    let _daemon = host.foreground(PATIENT);
    assert_eq!(Client::connect(&host).ask(T::Write, "/count\x000"), "OK");
    let (over, written, most) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(&host);
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(client.ask(T::Write, "/count\x001000"), "OK");
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let counters: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(&host);
                    for _ in 0..100 {
                        most.fetch_max(count_up(&mut client), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for counter in counters {
            counter.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
    let most = most.into_inner();
    assert!((2..=3).contains(&most), "{most} tries");
    assert!(written.into_inner() > 100, "the writers did not get through");
}

/// Makes a client lose a transaction on `/x`, so that its next one is protected, and
/// begins that.
fn protected(victim: &mut Client, rival: &mut Client) -> u32 {
    let lost = victim.begin();
    victim.ask_in(lost, T::Read, "/x\0");
    victim.ask_in(lost, T::Write, "/y\0");
    assert_eq!(rival.ask(T::Write, "/x\0lost"), "OK");
    assert_eq!(victim.ask_in(lost, T::TransactionEnd, "T\0"), "EAGAIN");
    let transaction = victim.begin();
    assert_eq!(victim.ask_in(transaction, T::Read, "/x\0"), "lost");
    transaction
}

#[test]
fn who_is_held_back_for_a_silent_client_goes_on_when_its_time_is_up() {
    let host = Host::new();
    let _daemon = host.foreground(&["--longest-protection", "300"]);
    let (mut victim, mut rival) = (Client::connect(&host), Client::connect(&host));
    let transaction = protected(&mut victim, &mut rival);
    assert_eq!(rival.ask(T::Write, "/x\0news"), "OK");
    assert_eq!(victim.ask_in(transaction, T::Write, "/y\0"), "OK");
    assert_eq!(victim.ask_in(transaction, T::TransactionEnd, "T\0"), "EAGAIN");
    eventually("a note in the log", || host.read("log").contains("took too long"));
}

/// What a client asked for before it went is still done, all of it, even if it had to wait.
#[test]
fn who_goes_while_held_back_is_still_served() {
    let host = Host::new();
    let _daemon = host.foreground(PATIENT);
    let (mut victim, mut rival) = (Client::connect(&host), Client::connect(&host));
    let transaction = protected(&mut victim, &mut rival);
    rival.stream.write_all(&request(T::Write, 1, 0, b"/x\0last words")).unwrap();
    let mut third = Client::connect(&host);
    // A round trip: that request is read, and waits; the next stays in the socket.
    assert_eq!(third.ask(T::Read, "/z\0"), "ENOENT");
    rival.stream.write_all(&request(T::Write, 2, 0, b"/z\0behind them")).unwrap();
    drop(rival);
    assert_eq!(third.ask(T::Read, "/z\0"), "ENOENT");
    assert_eq!(victim.ask_in(transaction, T::Write, "/y\0"), "OK");
    assert_eq!(victim.ask_in(transaction, T::TransactionEnd, "T\0"), "OK");
    eventually("the last words", || third.ask(T::Read, "/x\0") == "last words");
    eventually("what came behind them", || third.ask(T::Read, "/z\0") == "behind them");
}

/// A client that waits and sends on does not keep the daemon busy meanwhile.
#[test]
fn waiting_costs_nothing() {
    let host = Host::new();
    let daemon = host.foreground(PATIENT);
    let (mut victim, mut rival) = (Client::connect(&host), Client::connect(&host));
    let mut gone = Client::connect(&host);
    let transaction = protected(&mut victim, &mut rival);
    for client in [&mut rival, &mut gone] {
        let mut requests = request(T::Write, 7, 0, b"/x\0mine");
        // More than is read at a time, so that bytes stay in the socket.
        for _ in 0..50 {
            requests.extend(request(T::Write, 8, 0, &[b"/x\0".as_slice(), &[b'v'; 1000]].concat()));
        }
        client.stream.write_all(&requests).unwrap();
    }
    drop(gone);
    // A round trip, after which both are known to wait.
    assert_eq!(victim.ask_in(transaction, T::Read, "/x\0"), "lost");
    Process::of(&daemon).assert_asleep(0);
    assert_eq!(victim.ask_in(transaction, T::TransactionEnd, "T\0"), "OK");
    for _ in 0..51 {
        assert_eq!(rival.reply().text, "OK ");
    }
}
