//! What is counted against a guest, and what is left when it may not have more.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

use std::collections::BTreeMap;

use xenstore_client::Store;
use xenstore_guests::Guest;
use xenstore_security::{Account, Peer, World, done, refused, told, with};
use xenstore_wire::MessageType as T;

const HOME: &str = "/local/domain/1";

/// Paths and values of all nodes below a path, itself included.
fn nodes_below(world: &mut World, path: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(value) = world.toolstack.read(&path) else { continue };
        for name in world.toolstack.directory(&path).unwrap() {
            left.push(format!("{path}/{name}"));
        }
        found.insert(path, value);
    }
    found
}

/// The daemon agrees with itself, and with a count of what is there.
fn accounts_are_right(world: &mut World, guest: &Guest) {
    assert_eq!(world.toolstack.control("check", &[]).unwrap(), "OK");
    let there = nodes_below(world, HOME).len() as u64;
    assert_eq!(world.account(guest).nodes, there);
}

/// The quota of nodes was looked up when a node was made, and what came of it was not used:
/// a guest could make as many as it liked.
///
/// A guest has exactly its quota, in whatever way it makes nodes, and room again for each
/// that it removes.
#[test]
fn xsa_272_a_guest_makes_as_many_nodes_as_it_may() {
    const LIMIT: u32 = 30;
    with(Peer::ALL, |world| {
        let mut guest = world.guest(1);
        let limit = match world.peer {
            Peer::Ocaml => 1000,
            Peer::C => {
                world.toolstack.control("quota", &["set", "nodes", &LIMIT.to_string()]).unwrap();
                LIMIT
            }
            Peer::Rxenstored => {
                world.limit(&guest, "nodes", LIMIT.into());
                LIMIT
            }
        };
        for kind in [T::Write, T::Mkdir] {
            // Its home is one of them.
            for number in 1..limit {
                let answer = world.ask(&mut guest, kind, format!("n{number}\0"));
                assert_eq!(answer, done(), "node {number} by {kind}");
            }
            assert_eq!(world.ask(&mut guest, kind, "more\0"), world.too_much());
            assert_eq!(world.ask(&mut guest, kind, "n1/more\0"), world.too_much());
            assert_eq!(world.ask(&mut guest, T::Write, "n1\0changed"), done());
            assert_eq!(world.ask(&mut guest, T::Rm, "n1\0"), done());
            assert_eq!(world.ask(&mut guest, kind, "n2/again\0"), done());
            assert_eq!(world.ask(&mut guest, kind, "more\0"), world.too_much());
            for number in 1..limit {
                assert_eq!(world.ask(&mut guest, T::Rm, format!("n{number}\0")), done());
            }
        }
        if world.peer != Peer::Ocaml {
            accounts_are_right(world, &guest);
        }
    });
    with(Peer::OURS, |world| {
        let mut guest = world.guest(1);
        world.limit(&guest, "nodes", 10);
        // Those made on the way to another count as much.
        let nine = "a/b/c/d/e/f/g/h/i\0";
        assert_eq!(world.ask(&mut guest, T::Mkdir, "a/b/c/d/e/f/g/h/i/j\0"), refused("ENOSPC"));
        assert_eq!(world.ask(&mut guest, T::Directory, [0]), refused("EINVAL"));
        assert_eq!(nodes_below(world, HOME).len(), 1);
        assert_eq!(world.ask(&mut guest, T::Mkdir, nine), done());
        assert_eq!(world.ask(&mut guest, T::Mkdir, "b\0"), refused("ENOSPC"));
        accounts_are_right(world, &guest);
        // In a transaction what it has made and removed itself counts.
        let inside = world.begin(&mut guest);
        assert_eq!(world.ask_within(&mut guest, inside, T::Mkdir, "b\0"), refused("ENOSPC"));
        assert_eq!(world.ask_within(&mut guest, inside, T::Rm, "a/b/c\0"), done());
        for number in 0..7 {
            let node = format!("b/{number}\0");
            // "b" is one more.
            let expected = if number < 6 { done() } else { refused("ENOSPC") };
            assert_eq!(world.ask_within(&mut guest, inside, T::Write, node), expected);
        }
        assert_eq!(world.commit(&mut guest, inside), done());
        assert_eq!(world.account(&guest).nodes, 10);
        accounts_are_right(world, &guest);
    });
}

/// A guest tries to make something of several nodes when it may have less and less more of
/// one quota, down to nothing.
///
/// Each time all of it is there or none of it, and with none the account is as before.
fn all_or_nothing(world: &mut World, quota: &str, rooms: impl Iterator<Item = u64>) {
    let mut guest = world.guest(1);
    assert_eq!(world.ask(&mut guest, T::Write, "kept\0value"), done());
    world.watch(&mut guest, "made", "token");
    let account = world.account(&guest);
    let store = nodes_below(world, HOME);
    let used = match quota {
        "nodes" => account.nodes,
        "memory" => account.memory,
        // A limit of each single node.
        _ => 0,
    };
    let (mut refusals, mut grants) = (0, 0);
    for room in rooms {
        world.limit(&guest, quota, used + room);
        let answer = world.ask(&mut guest, T::Write, "made/b/c/d/e\0value");
        world.limit(&guest, quota, 0);
        let what = format!("{quota} {used} + {room}");
        if answer == done() {
            grants += 1;
            assert_eq!(world.events(&mut guest), ["made/b/c/d/e"], "{what}");
            let names: Vec<_> = nodes_below(world, HOME).into_keys().collect();
            assert_eq!(names.len(), store.len() + 5, "{what}");
            assert_eq!(world.ask(&mut guest, T::Read, "made/b/c/d/e\0"), told("value"));
            assert_eq!(world.ask(&mut guest, T::Rm, "made\0"), done());
            assert_eq!(world.events(&mut guest).last().unwrap(), "made", "{what}");
        } else {
            refusals += 1;
            assert_eq!(answer, refused("ENOSPC"), "{what}");
            assert_eq!(world.ask(&mut guest, T::Read, "made\0"), refused("ENOENT"), "{what}");
            assert_eq!(world.events(&mut guest), [""; 0], "{what}");
            assert_eq!(grants, 0, "{what}: what fits fits with more room too");
        }
        assert_eq!(world.account(&guest), account, "{what}");
        assert_eq!(nodes_below(world, HOME), store, "{what}");
    }
    assert!(refusals > 0 && grants > 0, "{quota}: {refusals} refusals, {grants} grants");
    assert_eq!(world.toolstack.control("check", &[]).unwrap(), "OK");
    world.end(&guest);
    assert_eq!(Account::of(guest.domid(), &mut world.toolstack), Account::default());
}

/// When a node could not be made, what had been made on the way to it was undone wrongly:
/// the daemon used memory that was not its any more, and crashed.
///
/// Whether all of it may be is decided before anything is made; wherever it fails, nothing
/// was done.
#[test]
fn xsa_414_what_cannot_be_made_whole_is_not_begun() {
    with(Peer::OURS, |world| all_or_nothing(world, "nodes", 0..8));
    with(Peer::OURS, |world| all_or_nothing(world, "memory", (1..3000).step_by(13)));
    with(Peer::OURS, |world| all_or_nothing(world, "node-size", 1..100));
    // The last of several nodes is too large.
    with(Peer::NOT_OCAML, |world| {
        let mut guest = world.guest(1);
        let large = format!("made/b/c/d/e\0{}", "v".repeat(3000));
        for _ in 0..10 {
            assert_eq!(world.ask(&mut guest, T::Write, &large), refused("ENOSPC"));
            assert_eq!(nodes_below(world, HOME).len(), 1);
        }
        assert_eq!(world.ask(&mut guest, T::Write, "made/b/c/d/e\0v"), done());
        assert_eq!(nodes_below(world, HOME).len(), 6);
    });
}

/// A creation that failed half-way within a transaction left children that no parent knew
/// of, and the commit made them everybody's: nodes that nobody could list or remove, and
/// that came to light when somebody made their parent.
///
/// A tree cannot have such nodes. What a refused request of a transaction would have made
/// is not there after the commit; the rest is.
#[test]
fn xsa_415_a_transaction_leaves_no_orphans() {
    with(Peer::OURS, |world| {
        let nodes = (0..8).map(|room| ("nodes", room));
        let memory = (0..90).map(|step| ("memory", 40 * step));
        let mut outcomes = BTreeMap::new();
        for (quota, room) in nodes.chain(memory) {
            let mut guest = world.guest(1);
            let inside = world.begin(&mut guest);
            assert_eq!(world.ask_within(&mut guest, inside, T::Mkdir, "first\0"), done());
            let account = world.account(&guest);
            let used = if quota == "nodes" { account.nodes } else { account.memory };
            world.limit(&guest, quota, used + room);
            let made = world.ask_within(&mut guest, inside, T::Write, "a/b/c/d/e\0v");
            assert!(made == done() || made == refused("ENOSPC"), "{made:?}");
            world.limit(&guest, quota, 0);
            let end = world.commit(&mut guest, inside);
            // With the limit gone a refusal may not hold any more: then it is to be tried
            // again.
            assert!(end == done() || made.is_err() && end == refused("EAGAIN"), "{end:?}");
            let there = nodes_below(world, HOME).len();
            let expected = if end.is_err() { 1 } else { 2 + if made.is_ok() { 5 } else { 0 } };
            assert_eq!(there, expected, "{quota} {room}: {made:?} {end:?}");
            for name in ["a", "a/b", "a/b/c"] {
                let request = format!("{name}\0");
                assert_eq!(world.ask(&mut guest, T::Rm, "a\0"), done());
                assert_eq!(world.ask(&mut guest, T::Mkdir, &request), done());
                assert_eq!(world.ask(&mut guest, T::Directory, &request), told(""));
            }
            accounts_are_right(world, &guest);
            world.end(&guest);
            world.toolstack.remove(HOME).unwrap();
            *outcomes.entry((quota, made)).or_insert(0) += 1;
        }
        assert_eq!(outcomes.len(), 4, "{outcomes:?}");
    });
    with(Peer::NOT_OCAML, |world| {
        let mut guest = world.guest(1);
        let inside = world.begin(&mut guest);
        let large = format!("a/b/c\0{}", "v".repeat(3000));
        assert_eq!(world.ask_within(&mut guest, inside, T::Write, large), refused("ENOSPC"));
        let _ = world.commit(&mut guest, inside);
        assert_eq!(world.ask(&mut guest, T::Mkdir, "a\0"), done());
        assert_eq!(world.ask(&mut guest, T::Directory, "a\0"), told(""));
        accounts_are_right(world, &guest);
    });
}

/// What was made and removed within one transaction was not counted, so there could be any
/// amount of it; and a commit that failed half-way left the half it had done.
///
/// A transaction's own count is exact at each of its requests, what it keeps is bounded,
/// and a commit is decided before anything of it is done.
#[test]
fn xsa_421_a_commit_is_whole_and_counted() {
    with(Peer::OURS, |world| {
        let mut guest = world.guest(1);
        world.limit(&guest, "nodes", 10);
        let before = world.account(&guest);
        let inside = world.begin(&mut guest);
        let mut rounds = 0;
        let end = loop {
            let path = format!("a/b/c{}\0", rounds % 100);
            let made = world.ask_within(&mut guest, inside, T::Mkdir, path);
            let gone = world.ask_within(&mut guest, inside, T::Rm, "a\0");
            match made.and(gone) {
                Ok(_) => rounds += 1,
                Err(errno) => break errno,
            }
            let memory = world.account(&guest).memory;
            assert!(memory <= 2_621_440, "{memory} bytes after {rounds} rounds");
        };
        // Not its nodes, of which there were never more than four.
        assert_eq!(end, "ENOSPC");
        assert!(rounds > 1000, "{rounds} rounds");
        let outcome = world.commit(&mut guest, inside);
        assert!(outcome == done() || outcome == refused("ENOSPC"), "{outcome:?}");
        world.ask(&mut guest, T::Rm, "a\0").unwrap();
        assert_eq!(world.account(&guest), before);
        accounts_are_right(world, &guest);
    });
    // A limit that changes between what a transaction was told and its end.
    with(Peer::OURS, |world| {
        let mut guest = world.guest(1);
        for path in ["old/1", "old/2", "kept"] {
            assert_eq!(world.ask(&mut guest, T::Write, format!("{path}\0before")), done());
        }
        let start = world.account(&guest);
        let before = nodes_below(world, HOME);
        let mut outcomes = [0, 0];
        let nodes = (0..14).map(|limit| ("nodes", limit));
        let memory = (0..60).map(|step| ("memory", 200 + 50 * step));
        let sizes = (10..60).map(|limit| ("node-size", limit));
        for (quota, limit) in nodes.chain(memory).chain(sizes) {
            let inside = world.begin(&mut guest);
            for (kind, payload) in [
                (T::Rm, "old/1\0"),
                (T::Write, "new/a/b/c\0after"),
                (T::Write, "kept\0after"),
                (T::Mkdir, "old/3/4\0"),
                (T::Rm, "old/2\0"),
                (T::SetPerms, "kept\0n1\0r0\0"),
            ] {
                let answer = world.ask_within(&mut guest, inside, kind, payload);
                assert_eq!(answer, done(), "{kind} {payload:?}");
            }
            // So that the commit has to look at each request again.
            world.toolstack.write(&format!("{HOME}/old"), limit.to_string()).unwrap();
            world.toolstack.write(&format!("{HOME}/old"), "").unwrap();
            world.limit(&guest, quota, limit.max(1));
            let outcome = world.commit(&mut guest, inside);
            world.limit(&guest, quota, 0);
            let what = format!("{quota} {limit}: {outcome:?}");
            let now = nodes_below(world, HOME);
            if outcome == done() {
                outcomes[0] += 1;
                assert_eq!(now[&format!("{HOME}/new/a/b/c")], b"after", "{what}");
                assert_eq!(now[&format!("{HOME}/kept")], b"after", "{what}");
                assert_eq!(now.len(), before.len() - 2 + 4 + 2, "{what}");
                // Back to how it was.
                for (kind, payload) in [
                    (T::Rm, "new\0"),
                    (T::Rm, "old/3\0"),
                    (T::Write, "old/1\0before"),
                    (T::Write, "old/2\0before"),
                    (T::Write, "kept\0before"),
                    (T::SetPerms, "kept\0n1\0"),
                ] {
                    assert_eq!(world.ask(&mut guest, kind, payload), done());
                }
            } else {
                outcomes[1] += 1;
                assert!(["EAGAIN", "ENOSPC"].map(refused).contains(&outcome), "{what}");
                assert_eq!(world.permissions(&format!("{HOME}/kept")), "n1", "{what}");
            }
            assert_eq!(nodes_below(world, HOME), before, "{what}");
            let Account { nodes, transactions, .. } = world.account(&guest);
            assert_eq!((nodes, transactions), (start.nodes, 0), "{what}");
            assert_eq!(world.toolstack.control("check", &[]).unwrap(), "OK", "{what}");
        }
        assert!(outcomes.iter().all(|&count| count > 10), "{outcomes:?}");
    });
}

/// A node was removed outside while a transaction had removed it too. At the commit the
/// count of its owner's nodes fell below zero, and an assertion that it could not ended the
/// daemon.
///
/// The commit is done on the store as it is by then. Whatever happened to the same nodes
/// inside and outside, the count is that of the nodes there are.
#[test]
fn xsa_440_a_count_is_right_whatever_met_at_the_commit() {
    const INSIDE: [&[(T, &str)]; 7] = [
        &[(T::Rm, "a\0")],
        &[(T::Rm, "a/b\0")],
        &[(T::Write, "a/b\0inside")],
        &[(T::Mkdir, "a/b/c/d\0")],
        &[(T::Rm, "a/b\0"), (T::Mkdir, "a/b/again\0")],
        &[(T::Mkdir, "a/x\0"), (T::Rm, "a/x\0"), (T::Rm, "a/b\0")],
        &[(T::SetPerms, "a/b\0n1\0r2\0"), (T::Rm, "a/b/c\0")],
    ];
    const OUTSIDE: [&[(T, &str)]; 6] = [
        &[(T::Rm, "/local/domain/1/a\0")],
        &[(T::Rm, "/local/domain/1/a/b\0")],
        &[(T::Rm, "/local/domain/1/a/b/c\0")],
        &[(T::SetPerms, "/local/domain/1/a/b\0n2\0")],
        &[(T::Rm, "/local/domain/1/a\0"), (T::Mkdir, "/local/domain/1/a/b\0")],
        &[(T::SetPerms, "/local/domain/1/a\0n2\0"), (T::Rm, "/local/domain/1/a/b\0")],
    ];
    with(Peer::NOT_OCAML, |world| {
        let mut guest = world.guest(1);
        let second = world.guest(2);
        for inside in INSIDE {
            for outside in OUTSIDE {
                assert_eq!(world.ask(&mut guest, T::Mkdir, "a/b/c\0"), done());
                let transaction = world.begin(&mut guest);
                for (kind, payload) in inside {
                    let answer = world.ask_within(&mut guest, transaction, *kind, payload);
                    assert_eq!(answer, done(), "{inside:?}");
                }
                for (kind, payload) in outside {
                    assert_eq!(world.toolstack_asks(*kind, payload), done());
                }
                let end = world.commit(&mut guest, transaction);
                let what = format!("{inside:?}, {outside:?}: {end:?}");
                assert!(end == done() || end == refused("EAGAIN"), "{what}");
                assert_eq!(world.toolstack.control("check", &[]).unwrap(), "OK", "{what}");
                let mut counts = [0; 2];
                for path in nodes_below(world, HOME).into_keys() {
                    let owner = world.permissions(&path).split(' ').next().unwrap().to_owned();
                    counts[0] += u64::from(owner == "n1");
                    counts[1] += u64::from(owner == "n2");
                }
                // The other's home is elsewhere.
                counts[1] += 1;
                assert_eq!([&guest, &second].map(|it| world.account(it).nodes), counts, "{what}");
                world.toolstack.remove(&format!("{HOME}/a")).unwrap();
            }
        }
        let nodes = [&guest, &second].map(|it| world.account(it).nodes);
        assert_eq!(nodes, [1, 1]);
    });
}
