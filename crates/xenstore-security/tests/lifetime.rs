//! What is tied to a domain, connection or transaction that ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

use xenstore_client::Store;
use xenstore_guests::Guest;
use xenstore_oracle::client::GOOD;
use xenstore_security::world::nul;
use xenstore_security::{Peer, World, done, refused, told, with};
use xenstore_wire::{Domid, MessageType as T};

/// A stub domain and the domain it serves were tied by pointers, each to the other's
/// record. When one went the wrong way, its record was freed twice.
///
/// The tie is a number, dropped when either end goes, whichever goes first and however: the
/// stub domain keeps its own rights, and gets none over whoever has the number next.
#[test]
fn xsa_233_a_stub_domain_and_its_target_end_in_any_order() {
    #[derive(Clone, Copy, Debug)]
    enum Act {
        TargetDies,
        TargetIsReset,
        StubDies,
        StubIsReset,
        Again,
    }
    use Act::{Again, StubDies, StubIsReset, TargetDies, TargetIsReset};
    const ORDERS: [&[Act]; 8] = [
        &[TargetDies, StubDies],
        &[StubDies, TargetDies],
        &[TargetIsReset, StubDies],
        &[TargetIsReset, TargetDies, StubDies],
        &[StubIsReset, TargetDies, StubDies],
        &[StubIsReset, TargetIsReset, StubDies],
        &[Again, Again, TargetDies, StubDies],
        &[TargetDies, Again, TargetDies, Again, StubDies],
    ];
    let (target, stub) = (Domid::new(1), Domid::new(2));
    with(Peer::NOT_C, |world| {
        world.toolstack_watches("@releaseDomain");
        for order in ORDERS {
            world.guest(1);
            let mut helper = world.guest(2);
            world.permit("/local/domain/1", "n1");
            world.toolstack.write("/local/domain/1/data", "its").unwrap();
            let tie = |world: &mut World| world.toolstack.set_target(stub, target).unwrap();
            tie(world);
            let data = "/local/domain/1/data\0";
            assert_eq!(world.ask(&mut helper, T::Read, data), told("its"));
            assert_eq!(world.toolstack_events(), [""; 0]);
            for act in order {
                let what = format!("{act:?} of {order:?}");
                let mut released = 1;
                match act {
                    TargetDies => world.host.remove(target).unwrap(),
                    StubDies => world.host.remove(stub).unwrap(),
                    TargetIsReset | StubIsReset => {
                        let domid = if matches!(act, TargetIsReset) { target } else { stub };
                        world.toolstack.release(domid).unwrap();
                        world.toolstack.introduce(domid, 1, 5).unwrap();
                    }
                    Again => {
                        if world.host.state(target).unwrap() == 0 {
                            world.guest(1);
                        }
                        tie(world);
                        released = 0;
                    }
                }
                let alive = |domid| world.host.state(domid).unwrap() != 0;
                let (target_lives, stub_lives) = (alive(target), alive(stub));
                world.host.raise().unwrap();
                while world.toolstack.is_introduced(target).unwrap() != target_lives {}
                while world.toolstack.is_introduced(stub).unwrap() != stub_lives {}
                let told_of = vec!["@releaseDomain"; released];
                assert_eq!(world.toolstack_events(), told_of, "{what}");

                if stub_lives && !matches!(act, Again) {
                    helper = world.host.guest(stub).unwrap();
                    let own = world.ask(&mut helper, T::GetDomainPath, "2\0");
                    assert_eq!(own, told("/local/domain/2\0"), "{what}");
                    // Somebody else's by now, or its own target's no more.
                    world.toolstack.write("/local/domain/1/data", "another's").unwrap();
                    let spied = world.ask(&mut helper, T::Read, data);
                    assert_eq!(spied, refused("EACCES"), "{what}");
                }
            }
            for domid in [stub, target] {
                if world.host.state(domid).unwrap() != 0 {
                    world.destroy(domid);
                }
            }
            world.toolstack.remove("/local/domain/1").unwrap();
            world.toolstack_events();
        }
    });
    // Ties that toolstacks have no use for.
    with(Peer::OURS, |world| {
        world.guest(1);
        world.guest(2);
        for (of, to) in [(1, 1), (1, 2), (2, 1), (2, 2), (1, 2)] {
            world.toolstack.set_target(Domid::new(of), Domid::new(to)).unwrap();
        }
        world.destroy(target);
        world.destroy(stub);
        let no = world.toolstack_asks(T::SetTarget, "2\x001\0");
        assert_eq!(no, refused("ENOENT"));
    });
}

/// A release freed what the death of the same domain freed again.
///
/// There is one way for a domain to end, and it ends once, with one event, whoever says so
/// first and however often.
#[test]
fn xsa_425_a_domain_ends_once() {
    with(Peer::NOT_OCAML, |world| {
        world.toolstack_watches("@releaseDomain");
        let first = Domid::new(1);
        // A reset, and again when there is nothing to reset any more.
        let mut guest = busy_guest(world);
        world.toolstack.release(first).unwrap();
        assert_eq!(world.toolstack_asks(T::Release, "1\0"), refused("ENOENT"));
        assert_eq!(world.toolstack_events(), ["@releaseDomain"]);
        assert!(!world.toolstack.exists("/local/domain/1/data").unwrap());

        // The domain lives and is introduced again; what it had sent before is forgotten.
        guest.forget();
        world.toolstack.introduce(first, 1, 5).unwrap();
        let mut guest = world.host.guest(first).unwrap();
        world.toolstack.mkdir("/local/domain/1").unwrap();
        world.permit("/local/domain/1", "n1");
        assert_eq!(world.ask(&mut guest, T::Write, "data\0again"), done());
        world.destroy(first);
        assert_eq!(world.toolstack_asks(T::Release, "1\0"), refused("ENOENT"));
        assert_eq!(world.toolstack_events(), ["@releaseDomain"]);

        // Dead, and released before the daemon is told of it; or told at the same time.
        for told_first in [false, true] {
            busy_guest(world);
            world.host.remove(first).unwrap();
            if told_first {
                world.host.raise().unwrap();
            }
            let answer = world.toolstack_asks(T::Release, "1\0");
            assert!(answer == done() || told_first && answer == refused("ENOENT"), "{answer:?}");
            world.host.raise().unwrap();
            world.host.raise().unwrap();
            for _ in 0..3 {
                assert!(!world.toolstack.is_introduced(first).unwrap());
            }
            assert_eq!(world.toolstack_events(), ["@releaseDomain"], "told first: {told_first}");
            if world.is_ours() {
                assert_eq!(world.host.maps(first).unwrap(), 0);
            }
            assert_eq!(world.host.bound_port(first).unwrap(), None);
        }
        assert_eq!(world.toolstack_asks(T::Release, "0\0"), refused("EINVAL"));
    });
}

/// Guest 1, in the midst of things.
fn busy_guest(world: &mut World) -> Guest {
    let mut guest = world.guest(1);
    assert_eq!(world.ask(&mut guest, T::Write, "data\0its"), done());
    world.watch(&mut guest, "data", "token");
    let inside = world.begin(&mut guest);
    assert_eq!(world.ask_within(&mut guest, inside, T::Write, "data\0inside"), done());
    guest.queue(&xenstore_oracle::client::header(T::Write, 100));
    guest.push().unwrap();
    guest
}

/// `RESET_WATCHES` within a transaction ended that transaction, and then the daemon looked
/// into it once more to answer: an assertion failed.
///
/// An answer needs nothing but the request's header. Every type is answered whatever
/// transaction it names, and repeats the number it came with.
#[test]
fn xsa_484_an_answer_outlives_the_transaction_it_names() {
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Names {
        Open,
        Ended,
        Another,
        None,
    }
    with(Peer::OURS, |world| {
        let mut other = world.guest(2);
        // Numbers that only the other has.
        let foreign: Vec<_> = (0..10).map(|_| world.begin(&mut other)).collect();
        for (kind, payload) in GOOD {
            for names in [Names::Open, Names::Ended, Names::Another, Names::None] {
                let mut guest = world.guest(1);
                world.watch(&mut guest, "data", "token");
                let open = world.begin(&mut guest);
                let ended = world.begin(&mut guest);
                assert_eq!(world.commit(&mut guest, ended), done());
                let number = match names {
                    Names::Open => open,
                    Names::Ended => ended,
                    Names::Another => foreign[9],
                    Names::None => 0x8000_0000,
                };
                assert!(guest.queue_request(*kind, 7, number, &[payload]));
                let what = format!("{kind} naming {names:?}");
                let watching = matches!(kind, T::Watch | T::Unwatch);
                let (header, reply) = world.host.next_message(&mut guest).unwrap();
                assert_eq!((header.request_id, header.transaction_id), (7, number), "{what}");
                let error = (header.kind == T::Error.number()).then_some(&*reply);
                if kind.is_privileged() {
                    assert_eq!(error, Some(&b"EACCES\0"[..]), "{what}");
                } else if names != Names::Open && !watching {
                    assert_eq!(error, Some(&b"ENOENT\0"[..]), "{what}");
                } else if *kind == T::TransactionStart {
                    assert_eq!(error, Some(&b"EBUSY\0"[..]), "{what}");
                } else if *kind == T::ResetWatches {
                    assert_eq!(&reply, b"OK\0", "{what}");
                    let gone = world.ask_within(&mut guest, open, T::TransactionEnd, "F\0");
                    assert_eq!(gone, refused("ENOENT"), "{what}");
                    let account = world.account(&guest);
                    assert_eq!((account.watches, account.transactions), (0, 0));
                }
                // And it goes on.
                assert_eq!(world.ask(&mut guest, T::Read, nul("/local/domain/1")), told(""));
                world.destroy(guest.domid());
            }
        }
        assert_eq!(world.commit(&mut other, foreign[0]), done());
    });
}
