//! Guests on their rings: the same with every daemon, which is how the simulated guests
//! themselves are tested.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::time::Duration;

use xenstore_client::Store;
use xenstore_guests::{GUEST_PORT, PATIENCE};
use xenstore_host::ring::{Field, LANE_SIZE, Lane};
use xenstore_oracle::daemon::Daemon;
use xenstore_oracle::message::Message;
use xenstore_oracle::world::World;
use xenstore_wire::MessageType as T;

fn every_daemon(test: impl Fn(&mut World)) {
    let daemons = [Daemon::c_on_host(), Daemon::ocaml_on_host(), Daemon::rxenstored_on_host(&[])];
    for daemon in daemons {
        println!("{}", daemon.name());
        let mut world = World::of(daemon);
        test(&mut world);
        world.assert_alive();
    }
}

#[test]
fn a_guest_reads_writes_and_is_refused() {
    every_daemon(|world| {
        let mut guest = world.guest(1);
        let host = &mut world.host;
        assert_eq!(host.bound_port(guest.domid()).unwrap(), Some(GUEST_PORT));
        assert_eq!(host.ask(&mut guest, T::Write, 0, b"name\0one").unwrap(), b"OK\0");
        assert_eq!(host.ask(&mut guest, T::Read, 0, b"name\0").unwrap(), b"one");
        assert_eq!(world.toolstack.read("/local/domain/1/name").unwrap(), b"one");
        let refused = host.ask(&mut guest, T::Write, 0, b"/tool/mine\0yes").unwrap_err();
        assert_eq!(refused.refusal(), Some("EACCES"), "{refused}");
    });
}

#[test]
fn a_guest_is_told_of_what_it_watches() {
    every_daemon(|world| {
        let mut guest = world.guest(1);
        let host = &mut world.host;
        host.ask(&mut guest, T::Watch, 0, b"data\0token\0").unwrap();
        assert_eq!(host.next_event(&mut guest).unwrap().path, "data");
        world.toolstack.write("/local/domain/1/data/x", "1").unwrap();
        let event = host.next_event(&mut guest).unwrap();
        assert_eq!((&*event.path, &*event.token), ("data/x", &b"token"[..]));
        assert_eq!(guest.take_event(), None);
    });
}

#[test]
fn a_toolstack_is_told_of_a_death() {
    every_daemon(|world| {
        let guest = world.guest(1);
        world.toolstack.watch("@releaseDomain", "gone").unwrap();
        world.toolstack.next_event().unwrap();
        world.host.remove(guest.domid()).unwrap();
        let told = world.toolstack.next_event_within(Duration::ZERO).unwrap();
        assert_eq!(told, None, "the daemon is not told by itself");
        world.host.raise().unwrap();
        assert_eq!(world.toolstack.next_event().unwrap().path, "@releaseDomain");
        assert!(!world.toolstack.is_introduced(guest.domid()).unwrap());
        assert_eq!(world.host.bound_port(guest.domid()).unwrap(), None);
    });
}

#[test]
fn a_domid_is_used_again() {
    every_daemon(|world| {
        let mut first = world.guest(1);
        world.host.ask(&mut first, T::Write, 0, b"name\0first").unwrap();
        world.end(&first);
        let mut second = world.guest(1);
        let missing = world.host.ask(&mut second, T::Read, 0, b"name\0").unwrap_err();
        assert_eq!(missing.refusal(), Some("ENOENT"));
    });
}

/// Requests longer than a lane go piece by piece, and so do their replies.
#[test]
fn long_messages_pass_through_the_lanes() {
    every_daemon(|world| {
        let mut guest = world.guest(1);
        let value = [b'v'; 2000];
        let request = [&b"data\0"[..], &value].concat();
        world.host.ask(&mut guest, T::Write, 0, &request).unwrap();
        assert_eq!(world.host.ask(&mut guest, T::Read, 0, b"data\0").unwrap(), value);
        assert!(guest.page().field(Field::ResponseProducer) as usize > LANE_SIZE);
    });
}

#[test]
fn half_a_message_is_waited_for() {
    every_daemon(|world| {
        let mut guest = world.guest(1);
        let request = Message::new(T::GetDomainPath.number(), 7, 0, b"1\0").encode();
        for cut in 1..request.len() {
            let (half, rest) = request.split_at(cut);
            guest.queue(half);
            assert_eq!(guest.push().unwrap(), half.len());
            while guest.page().waiting(Lane::Requests).unwrap() > 0 {
                world.host.wait(Some(PATIENCE)).unwrap();
            }
            assert_eq!(guest.pull().unwrap(), 0);
            guest.queue(rest);
            let (header, reply) = world.host.next_message(&mut guest).unwrap();
            assert_eq!((header.request_id, &*reply), (7, &b"/local/domain/1\0"[..]));
        }
    });
}

/// A hundred guests from one thread: each is looked at only when its event channel fired.
#[test]
fn one_thread_plays_many_guests() {
    const GUESTS: u16 = 100;
    const ROUNDS: u32 = 20;
    every_daemon(|world| {
        let mut guests: Vec<_> = (1..=GUESTS).map(|number| world.guest(number)).collect();
        let mut answered = vec![0; guests.len()];
        for guest in &mut guests {
            assert!(guest.queue_request(T::GetDomainPath, 0, 0, &[b"1\0"]));
            guest.push().unwrap();
        }
        let mut told = Vec::new();
        while answered.iter().any(|&rounds| rounds < ROUNDS) {
            told.clear();
            told.extend_from_slice(world.host.wait(Some(PATIENCE)).unwrap());
            assert!(!told.is_empty(), "{answered:?}");
            for domid in &told {
                // Domain 0 has an event channel too.
                let Some(place) = usize::from(domid.get()).checked_sub(1) else { continue };
                let guest = &mut guests[place];
                guest.pull().unwrap();
                while let Some(reply) = guest.next_message().unwrap() {
                    assert_eq!(reply.payload, b"/local/domain/1\0");
                    answered[place] += 1;
                    if answered[place] < ROUNDS {
                        assert!(guest.queue_request(T::GetDomainPath, 0, 0, &[b"1\0"]));
                    }
                }
                guest.push().unwrap();
            }
        }
    });
}
