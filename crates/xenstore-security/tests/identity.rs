//! A domid is used again and again; the domains are others each time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

use xenstore_client::Store;
use xenstore_security::account::Account;
use xenstore_security::world::nul;
use xenstore_security::{Peer, World, done, refused, told, with};
use xenstore_wire::{Domid, MessageType as T};

/// What a toolstack does that has a domain end.
type End = fn(&mut World, Domid);

const ENDS: [(&str, End); 2] = [
    ("death", |world, domid| world.destroy(domid)),
    ("release", |world, domid| world.toolstack.release(domid).unwrap()),
];

/// Permissions named a domain by its number, and outlived it: the next domain with that
/// number could read and write what had been shared with the one before.
///
/// With a domain go all entries that name it, those of special names too, and its nodes.
#[test]
fn xsa_322_a_new_domain_inherits_nothing() {
    with(Peer::ALL, |world| {
        let mut giver = world.guest(1);
        for (how, end) in ENDS {
            let mut friend = world.guest(2);
            assert_eq!(world.ask(&mut giver, T::Write, "shared/deep\0secret"), done());
            for path in ["shared", "shared/deep"] {
                let request = format!("{path}\0n1\0b2\0");
                assert_eq!(world.ask(&mut giver, T::SetPerms, request), done());
            }
            world.permit("@introduceDomain", "n0 r2");
            let shared = nul("/local/domain/1/shared/deep");
            assert_eq!(world.ask(&mut friend, T::Read, &shared), told("secret"));
            if world.peer != Peer::Ocaml {
                let own = "/local/domain/1/shared/own\0";
                assert_eq!(world.ask(&mut friend, T::Mkdir, own), done());
            }
            end(world, friend.domid());

            let mut stranger = world.guest(2);
            world.watch(&mut stranger, "@introduceDomain", "spy");
            world.watch(&mut stranger, "/local/domain/1/shared", "spy");
            for (kind, payload) in [
                (T::Read, shared.clone()),
                (T::Directory, nul("/local/domain/1/shared")),
                (T::GetPerms, shared.clone()),
                (T::Write, nul("/local/domain/1/shared/deep")),
                (T::Mkdir, nul("/local/domain/1/shared/new")),
                (T::Rm, shared.clone()),
            ] {
                let answer = world.ask(&mut stranger, kind, payload);
                assert_eq!(answer, refused("EACCES"), "{kind} after {how}");
            }
            world.toolstack.write("/local/domain/1/shared/deep", "changed").unwrap();
            world.guest(3);
            assert_eq!(world.events(&mut stranger), [""; 0], "after {how}");
            if world.is_ours() {
                assert_eq!(world.permissions("/local/domain/1/shared/deep"), "n1", "after {how}");
                assert_eq!(world.permissions("@introduceDomain"), "n0", "after {how}");
                let left = world.toolstack.directory("/local/domain/1/shared").unwrap();
                assert_eq!(left, ["deep"], "what the dead one owned, after {how}");
            }
            world.destroy(Domid::new(3));
            world.destroy(Domid::new(2));
        }
    });
}

/// A guest granted rights to a number that no domain had. Later a domain got it, and with
/// it the rights, though whoever granted them could not have meant it.
///
/// An entry for a domain that is not there is shown and grants nothing, ever; not even if
/// it was in a transaction that commits when the domain is there.
#[test]
fn xsa_417_a_grant_to_nobody_stays_one() {
    with(Peer::NOT_OCAML, |world| {
        let mut granter = world.guest(1);
        for path in ["early", "inside", "late"] {
            assert_eq!(world.ask(&mut granter, T::Write, format!("{path}\0secret")), done());
        }
        assert_eq!(world.ask(&mut granter, T::SetPerms, "early\0n1\0b7\0"), done());
        let inside = world.begin(&mut granter);
        let request = "inside\0n1\0b7\0";
        assert_eq!(world.ask_within(&mut granter, inside, T::SetPerms, request), done());
        let mut seventh = world.guest(7);
        // Something else committed meanwhile, so that it is not just taken as it is.
        assert_eq!(world.ask(&mut granter, T::Write, "other\0"), done());
        if world.is_ours() {
            assert_eq!(world.commit(&mut granter, inside), done());
        } else {
            let _ = world.commit(&mut granter, inside);
        }
        for path in ["early", "inside"] {
            let path = format!("/local/domain/1/{path}");
            assert_eq!(world.ask(&mut seventh, T::Read, nul(&path)), refused("EACCES"), "{path}");
            assert_eq!(world.ask(&mut seventh, T::Write, nul(&path)), refused("EACCES"));
        }
        assert_eq!(world.permissions("/local/domain/1/early"), "n1 b7");
        // Said now, it is meant.
        assert_eq!(world.ask(&mut granter, T::SetPerms, "late\0n1\0r7\0"), done());
        let late = nul("/local/domain/1/late");
        assert_eq!(world.ask(&mut seventh, T::Read, late), told("secret"));
        // An owner that is not there is refused.
        let request = "/local/domain/1/late\0n8\0";
        assert_eq!(world.toolstack_asks(T::SetPerms, request), refused("ENOENT"));
    });
}

/// An entry for a dead domain was inert, and still shown. A guest that read the list, put
/// one domain more into it and wrote it back brought it to life for whoever had the number
/// by then.
///
/// The entry is gone with the domain, so a list that is written back as it was read grants
/// nothing to anybody who did not have it.
#[test]
fn unnumbered_2026_04_a_list_written_back_revives_nothing() {
    with(Peer::OURS, |world| {
        let mut granter = world.guest(1);
        let second = world.guest(2);
        assert_eq!(world.ask(&mut granter, T::Write, "shared\0secret"), done());
        assert_eq!(world.ask(&mut granter, T::SetPerms, "shared\0n1\0b2\0"), done());
        world.watch(&mut granter, "@releaseDomain", "who is gone");
        world.destroy(second.domid());
        // The granter may know that the domain is gone.
        assert_eq!(world.events(&mut granter), ["@releaseDomain"]);
        let mut stranger = world.guest(2);
        let mut third = world.guest(3);
        let list = world.ask(&mut granter, T::GetPerms, "shared\0").unwrap();
        assert_eq!(list, b"n1\0");
        let longer = [&b"shared\0"[..], &list, b"r3\0"].concat();
        assert_eq!(world.ask(&mut granter, T::SetPerms, longer), done());
        let shared = nul("/local/domain/1/shared");
        assert_eq!(world.ask(&mut third, T::Read, &shared), told("secret"));
        assert_eq!(world.ask(&mut stranger, T::Read, &shared), refused("EACCES"));
        // Nor is anything passed on to what is made below.
        assert_eq!(world.ask(&mut granter, T::Mkdir, "shared/below\0"), done());
        assert_eq!(world.permissions("/local/domain/1/shared/below"), "n1 r3");
    });
}

/// When a domain died, what it had made outside of its home fell to the control domain,
/// which has no quota. A guest that rebooted again and again filled the store.
///
/// A domain's nodes go with it, wherever they are, and nothing is left of its account.
#[test]
fn xsa_419_the_dead_leave_no_nodes() {
    const REBOOTS: u32 = 100;
    with(Peer::ALL, |world| {
        world.toolstack.mkdir("/shared").unwrap();
        for round in 0..REBOOTS {
            let mut guest = world.guest(1);
            // A place where many may write, as those of backends are.
            world.permit("/shared", "n0 b1");
            for number in 0..5 {
                let path = format!("/shared/{round}-{number}/below\0left behind");
                assert_eq!(world.ask(&mut guest, T::Write, path), done());
            }
            if world.peer != Peer::Ocaml {
                assert_eq!(world.account(&guest).nodes, 11);
            }
            let own = "/shared/mine\0n1\0";
            assert_eq!(world.ask(&mut guest, T::Write, "/shared/mine\0"), done());
            if world.peer == Peer::Ocaml {
                // What a guest makes there belongs to the owner of the place.
                world.permit("/shared/mine", "n1");
            } else {
                assert_eq!(world.ask(&mut guest, T::SetPerms, own), done());
            }
            world.destroy(guest.domid());
            let left = world.toolstack.directory("/shared").unwrap();
            assert!(!left.contains(&"mine".to_owned()), "{left:?}");
            if world.peer != Peer::Ocaml {
                assert_eq!(left, [""; 0], "after {round}");
                assert_eq!(Account::of(guest.domid(), &mut world.toolstack), Account::default());
            }
        }
    });
}

/// What a domain had used of its quotas was kept under its number, and so was counted
/// against the next domain with it, and the one after that, which in the end could make
/// nothing at all.
///
/// An account belongs to a domain and ends with it; so do limits of its own.
#[test]
fn xsa_483_an_account_ends_with_its_domain() {
    const NODES: u64 = 40;
    with(Peer::OURS, |world| {
        world.toolstack.set_quota(None, "nodes", u32::try_from(NODES).unwrap()).unwrap();
        world.toolstack.set_quota(None, "watches", 10).unwrap();
        world.toolstack.set_quota(None, "transactions", 3).unwrap();
        for round in 0..5 {
            for (how, end) in ENDS {
                let mut guest = world.guest(1);
                let account = world.account(&guest);
                let begun = Account { nodes: 1, memory: account.memory, ..Account::default() };
                assert_eq!(account, begun, "round {round}, before {how}");
                for number in 1..NODES {
                    assert_eq!(world.ask(&mut guest, T::Mkdir, format!("n{number}\0")), done());
                }
                assert_eq!(world.ask(&mut guest, T::Mkdir, "more\0"), refused("ENOSPC"));
                for number in 0..10 {
                    assert_eq!(world.ask(&mut guest, T::Watch, format!("w{number}\0t\0")), done());
                }
                assert_eq!(world.ask(&mut guest, T::Watch, "more\0t\0"), refused("ENOSPC"));
                for _ in 0..3 {
                    world.begin(&mut guest);
                }
                let start = world.ask(&mut guest, T::TransactionStart, [0]);
                assert_eq!(start, refused("ENOSPC"));
                // A limit of its own is not the next one's.
                world.limit(&guest, "nodes", 2);
                end(world, guest.domid());
                world.toolstack.remove("/local/domain/1").unwrap();
            }
        }
    });
}
