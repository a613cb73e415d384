//! The page a guest shares with the daemon, and writes as it likes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use xenstore_guests::Guest;
use xenstore_host::ring::{Field, LANE_SIZE, Lane, RingError};
use xenstore_oracle::message::Message;
use xenstore_oracle::random::Random;
use xenstore_security::{Account, Peer, World, done, told, with};
use xenstore_wire::MessageType as T;

const INDICES: [Field; 4] = [
    Field::RequestConsumer,
    Field::RequestProducer,
    Field::ResponseConsumer,
    Field::ResponseProducer,
];

/// A request that waits in the ring's lane, put there whatever the other lane holds.
fn wants_something(guest: &mut Guest) {
    let request = Message::new(T::GetDomainPath.number(), 77, 0, b"1\0").encode();
    guest.page().put(Lane::Requests, &request).unwrap();
}

/// The daemon has looked at all rings that fired by now.
fn settle(world: &mut World, good: &mut Guest) {
    for _ in 0..3 {
        assert_eq!(world.ask(good, T::GetDomainPath, "1\0"), told("/local/domain/1\0"));
    }
}

/// The daemon took the indices in a ring's page as they were: a guest that wrote others had
/// it copy from and to memory beyond the ring, or run for as long as the difference was.
///
/// Indices that cannot be are noticed when they are read, whichever of the four it is. That
/// ring is not served any more, and its guest told why; it costs nobody else anything.
#[test]
fn xsa_38_senseless_indices_end_the_service_of_their_ring() {
    with(Peer::ALL, |world| {
        let mut good = world.guest(1);
        world.toolstack_watches("@releaseDomain");
        let mut next = 10;
        for field in INDICES {
            for wrong in [1025_u32, 1_u32.wrapping_neg(), 0x8000_0000, 0x7fff_ffff, 4096] {
                let mut bad = world.guest(next);
                next += 1;
                world.watch(&mut bad, "/local/domain/1", "spy");
                world.begin(&mut bad);
                let before = bad.page().copy_of(Lane::Responses);
                let responses = [Field::ResponseConsumer, Field::ResponseProducer];
                if responses.contains(&field) {
                    wants_something(&mut bad);
                }
                // A producer ahead of its consumer, or a consumer ahead of its producer.
                let value = match field {
                    Field::RequestConsumer | Field::ResponseConsumer => wrong.wrapping_neg(),
                    _ => wrong,
                };
                bad.page().set_field(field, bad.page().field(field).wrapping_add(value));
                let left = INDICES.map(|field| bad.page().field(field));
                bad.fire().unwrap();
                settle(world, &mut good);

                let what = format!("{field:?} off by {wrong:#x}");
                if world.is_ours() {
                    let error = bad.page().field(Field::Error);
                    assert_eq!(error, RingError::Indices as u32, "{what}");
                    let Account { nodes, watches, transactions, .. } = world.account(&bad);
                    assert_eq!((nodes, watches, transactions), (1, 0, 0), "{what}");
                }
                assert_eq!(bad.page().copy_of(Lane::Responses), before, "{what}");
                let now = INDICES.map(|field| bad.page().field(field));
                assert_eq!(now[1..3], left[1..3], "the guest's indices, {what}");
                assert_eq!(now[3], left[3], "{what}");

                assert!(world.toolstack.is_introduced(bad.domid()).unwrap(), "{what}");
                if world.peer == Peer::Ocaml && responses.contains(&field) {
                    continue;
                }
                // Putting them right does not help: what the lanes held is lost.
                bad.page().restart();
                wants_something(&mut bad);
                bad.fire().unwrap();
                settle(world, &mut good);
                assert_eq!(bad.page().waiting(Lane::Responses), Ok(0), "{what}");
                if world.is_ours() {
                    // The toolstack can have it begin anew.
                    world.toolstack.introduce(bad.domid(), 1, 5).unwrap();
                    bad.forget();
                    let mut bad = world.host.guest(bad.domid()).unwrap();
                    assert_eq!(bad.page().field(Field::Error), 0);
                    assert_eq!(world.ask(&mut bad, T::Write, "data\0again"), done(), "{what}");
                }
            }
        }
        assert_eq!(world.toolstack_events(), [""; 0]);
    });
}

/// A guest that broke the rules of its ring was taken for dead: toolstacks were told of a
/// release that was none, and the domain stayed as a zombie that no real death was
/// reported of.
///
/// Its ring is given up and its domain stays. When it dies that is told, once.
#[test]
fn xsa_325_a_broken_ring_is_no_death() {
    with(Peer::ALL, |world| {
        world.guest(1);
        world.toolstack_watches("@releaseDomain");
        let mut good = world.guest(2);
        for (number, breaks) in [(3, true), (4, false)] {
            let mut bad = world.guest(number);
            assert_eq!(world.ask(&mut bad, T::Write, "data\0its"), done());
            if breaks || world.peer == Peer::Ocaml {
                let producer = bad.page().field(Field::RequestProducer);
                bad.page().set_field(Field::RequestProducer, producer.wrapping_add(2000));
            } else {
                // No message is that long.
                let header = xenstore_oracle::client::header(T::Write, 4097);
                bad.page().put(Lane::Requests, &header).unwrap();
            }
            bad.fire().unwrap();
            settle(world, &mut good);
            if world.is_ours() {
                let error = if breaks { RingError::Indices } else { RingError::Protocol };
                assert_eq!(bad.page().field(Field::Error), error as u32);
            }
            let its = format!("/local/domain/{number}/data");
            let kept = world.toolstack_asks(T::Read, format!("{its}\0"));
            assert_eq!(kept, told("its"));
            assert!(world.toolstack.is_introduced(bad.domid()).unwrap());
            assert_eq!(world.toolstack_events(), [""; 0], "it lives");
            world.host.raise().unwrap();
            settle(world, &mut good);
            assert_eq!(world.toolstack_events(), [""; 0], "it still lives");

            world.destroy(bad.domid());
            assert_eq!(world.toolstack_events(), ["@releaseDomain"]);
            world.host.raise().unwrap();
            settle(world, &mut good);
            assert_eq!(world.toolstack_events(), [""; 0], "it died once");
        }
    });
}

/// What was read of a shared page was checked and then read again, and by then it could be
/// something else: a check of nothing.
///
/// A guest here keeps changing every word and byte of its page while the daemon works with
/// it. Whatever the daemon makes of that, it is one ring's trouble: others get every answer,
/// and the ring can be begun anew as often as it is given up.
#[test]
fn xsa_155_a_page_may_change_while_it_is_read() {
    const ROUNDS: u32 = 4000;
    const SEED: u64 = 155;
    with(Peer::OURS, |world| {
        let mut good = world.guest(1);
        let changing = world.guest(2);
        let domid = changing.domid();
        let stop = AtomicBool::new(false);
        let mut given_up = 0;
        println!("seed {SEED}");
        thread::scope(|scope| {
            let stopper = Stopper(&stop);
            scope.spawn(|| scribble(&changing, &mut Random::new(SEED), &stop));
            let page = world.host.guest(domid).unwrap();
            for round in 0..ROUNDS {
                let value = format!("data\0{round}");
                assert_eq!(world.ask(&mut good, T::Write, value), done());
                let read = world.ask(&mut good, T::Read, "data\0");
                assert_eq!(read, told(round.to_string()));
                // The guest writes this field too: it may be begun anew more often.
                if round % 50 == 0 || page.page().field(Field::Error) != 0 {
                    given_up += u32::from(page.page().field(Field::Error) != 0);
                    world.toolstack.introduce(domid, 1, 5).unwrap();
                }
            }
            drop(stopper);
        });
        assert!(given_up > 0, "the changes were never noticed");
        assert!(world.toolstack.is_introduced(domid).unwrap());
        world.toolstack.introduce(domid, 1, 5).unwrap();
        let mut changing = world.host.guest(domid).unwrap();
        changing.page().clear();
        assert_eq!(world.ask(&mut changing, T::Write, "data\0calm"), done());
    });
}

/// Ends the other thread whatever becomes of this one.
struct Stopper<'a>(&'a AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn byte(random: &mut Random) -> u8 {
    random.bits().to_ne_bytes()[0]
}

/// Writes anything into a ring's page, much of it almost right.
fn scribble(guest: &Guest, random: &mut Random, stop: &AtomicBool) {
    let page = guest.page();
    let good = Message::new(T::Write.number(), 1, 0, b"data\0value").encode();
    let long = xenstore_oracle::client::header(T::Write, 5000);
    let mut noise = [0; LANE_SIZE];
    while !stop.load(Ordering::SeqCst) {
        match random.below(10) {
            0 => page.fill(Lane::Requests, byte(random)),
            1 => {
                let field = INDICES[random.below(4)];
                page.set_field(field, page.field(field).wrapping_add(random.between(0, 2047)));
            }
            2 => page.set_field(INDICES[random.below(4)], random.between(0, u32::MAX - 1)),
            3 => page.set_field(Field::Connection, random.between(0, 1)),
            4 => page.restart(),
            5 => {
                noise.fill_with(|| byte(random));
                let _ = page.put(Lane::Requests, &noise);
            }
            6 => {
                let _ = page.put(Lane::Requests, &long);
            }
            7 => {
                // The same place says one thing and then another.
                let at = page.field(Field::RequestProducer);
                let _ = page.put(Lane::Requests, &good);
                page.set_field(Field::RequestProducer, at);
                let _ = page.put(Lane::Requests, &long);
            }
            8 => {
                let _ = page.take(Lane::Responses, &mut noise);
            }
            _ => {
                let _ = page.put(Lane::Requests, &good);
            }
        }
        let _ = guest.fire();
    }
}
