//! The real binary and the domains of a simulated host.

#![allow(clippy::unwrap_used, reason = "a test stops there")]

mod support;

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use xenstore_host::ring::{Field, Lane};
use xenstore_host::sim::{Board, DomainWord, State};
use xenstore_wire::Domid;

use support::client::{Client, T};
use support::{DEADLINE, Host, eventually};

/// The hypervisor tells a number of domains at a time which changed. The daemon asked once
/// for each event, and heard of the rest when the next domain died, or never.
#[test]
fn however_many_domains_die_at_once_each_is_noticed() {
    die_at_once(true);
}

/// News may come without a name: two that came together are asked about once. Nobody is to be
/// missed who was not named for another reason.
#[test]
fn who_died_without_being_named_is_noticed() {
    die_at_once(false);
}

fn die_at_once(named: bool) {
    const DOMAINS: u16 = 100;

    let host = Host::new();
    let simulated = format!("sim:{}", host.path("xen").display());
    let board = Board::open(&host.path("xen")).unwrap();
    let guests = || (1..=DOMAINS).map(Domid::new);
    let set = |domid, word, value| board.domain(domid, word).unwrap().store(value, SeqCst);
    guests().for_each(|domid| set(domid, DomainWord::State, State::EXISTS));

    let _daemon = host.start(host.command(&["--no-fork", "--host", &simulated]));
    let mut client = Client::connect(&host);
    for domid in guests() {
        assert_eq!(client.ask(T::Introduce, &format!("{domid}\x001\x001\0")), "OK");
    }
    // Whatever was news until now is none any more.
    board.fire_news().unwrap();
    let of_domain_0 = board.domain(Domid::DOM0, DomainWord::Changed).unwrap();
    eventually("news were heard", || of_domain_0.load(SeqCst) == 0);
    for domid in guests() {
        set(domid, DomainWord::State, 0);
        set(domid, DomainWord::Changed, u32::from(named));
    }
    board.fire_news().unwrap();
    for domid in guests() {
        let introduced = format!("{domid}\0");
        eventually("death", || client.ask(T::IsDomainIntroduced, &introduced) == "F");
    }
}

/// A guest may break its ring, ask for a new one, and break that, as fast as it can. It once
/// wrote 100,000 lines a second into the daemon's log.
#[test]
fn a_guest_that_breaks_its_ring_again_and_again_does_not_fill_the_log() {
    let host = Host::new();
    let simulated = format!("sim:{}", host.path("xen").display());
    let board = Board::open(&host.path("xen")).unwrap();
    let guest = Domid::new(7);
    board.domain(guest, DomainWord::State).unwrap().store(State::EXISTS, SeqCst);
    let _daemon = host.start(host.command(&["--no-fork", "--host", &simulated]));
    assert_eq!(Client::connect(&host).ask(T::Introduce, "7\x001\x001\0"), "OK");
    let page = board.ring(guest).unwrap();
    let until = |field, value| {
        board.fire_from(guest).unwrap();
        let begun = Instant::now();
        while page.field(field) != value {
            assert!(begun.elapsed() < DEADLINE, "{field:?} is not {value}");
        }
    };
    for round in 0..200 {
        page.set_field(Field::Connection, 1);
        until(Field::Connection, 0);
        if round % 2 == 0 {
            let words = [T::Read.number(), 0, 0, 4097];
            let header: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
            page.put(Lane::Requests, &header).unwrap();
            until(Field::Error, 3);
        } else {
            page.set_field(Field::RequestProducer, 5000);
            until(Field::Error, 2);
        }
    }
    let log = host.read("log");
    assert!((1..=2).contains(&log.matches("ring given up").count()), "{log}");
}

/// A guest tells only if it finds its ring empty, as Linux does. It may have looked just before
/// the daemon took its last request out, and then waits for an answer without a word.
#[test]
fn a_guest_that_went_on_without_a_word_is_answered() {
    const ROUNDS: usize = 20;

    let host = Host::new();
    let simulated = format!("sim:{}", host.path("xen").display());
    let board = Board::open(&host.path("xen")).unwrap();
    let guest = Domid::new(7);
    board.domain(guest, DomainWord::State).unwrap().store(State::EXISTS, SeqCst);
    let _daemon = host.start(host.command(&["--no-fork", "--host", &simulated]));
    assert_eq!(Client::connect(&host).ask(T::Introduce, "7\x001\x001\0"), "OK");
    let page = board.ring(guest).unwrap();
    let mut request = Vec::new();
    assert!(xenstore_wire::message::encode(&mut request, T::GetDomainPath, 1, 0, &[b"7\0"]));
    let answer = 16 + b"/local/domain/7\0".len();
    let is_answered = |limit| {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if page.waiting(Lane::Responses) == Ok(answer) {
                return page.take(Lane::Responses, &mut [0; 64]) == Ok(answer);
            }
            thread::sleep(Duration::from_micros(20));
        }
        false
    };
    let mut answered = 0;
    for _ in 0..ROUNDS {
        page.put(Lane::Requests, &request).unwrap();
        board.fire_from(guest).unwrap();
        assert!(is_answered(DEADLINE));
        // The daemon looks once more when it has told of its answer. That is over by now.
        thread::sleep(Duration::from_micros(200));
        page.put(Lane::Requests, &request).unwrap();
        if is_answered(Duration::from_millis(100)) {
            answered += 1;
        } else {
            // This machine kept the guest from its request until the daemon had looked for the
            // last time.
            board.fire_from(guest).unwrap();
            assert!(is_answered(DEADLINE));
        }
    }
    assert!(answered > ROUNDS / 2, "{answered} of {ROUNDS} were answered");
}
