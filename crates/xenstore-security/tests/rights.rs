//! Who may see and do what.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

use xenstore_client::Store;
use xenstore_guests::Guest;
use xenstore_security::world::nul;
use xenstore_security::{Peer, World, done, refused, told, with};
use xenstore_wire::MessageType as T;

/// A guest watched everything, `/` itself, and was told the names of all nodes that others
/// changed or removed, whether it could read them or not; it could ask which domains there
/// are and hear of new ones. So it saw what its neighbours and the toolstack did.
///
/// It has to be told of exactly those changes whose node or parent it can read, before or
/// after, and of domains only what the special names' permissions say.
#[test]
fn xsa_115_who_may_not_read_is_not_told() {
    with(Peer::ALL, |world| {
        world.guest(1);
        let mut spy = world.guest(2);
        let secret = "/local/domain/1/secret";
        for path in ["/", "/local/domain/1", secret, "/local/domain/1/secret/deep"] {
            world.watch(&mut spy, path, "spy");
        }
        world.watch(&mut spy, "@introduceDomain", "spy");
        world.toolstack.write(secret, "1").unwrap();
        world.toolstack.write("/local/domain/1/secret/deep", "2").unwrap();
        world.permit(secret, "n1 r3");
        world.toolstack.remove(secret).unwrap();
        let committed = world.toolstack.transaction(|tx| tx.write(secret, "3"));
        committed.unwrap_or_else(|error: xenstore_client::Error| panic!("{error}"));
        assert_eq!(world.events(&mut spy), [""; 0]);

        // It may read from here on, and is told so; then no more, and that is the last.
        let heard = |world: &mut World, spy: &mut Guest| {
            let mut heard = world.events(spy);
            heard.dedup();
            heard
        };
        world.permit(secret, "n1 r2");
        assert_eq!(heard(world, &mut spy), [secret]);
        world.toolstack.write(secret, "4").unwrap();
        assert_eq!(heard(world, &mut spy), [secret]);
        world.permit(secret, "n1");
        assert_eq!(heard(world, &mut spy), [secret]);
        world.toolstack.write(secret, "5").unwrap();
        world.toolstack.remove(secret).unwrap();
        assert_eq!(world.events(&mut spy), [""; 0]);

        assert_eq!(world.ask(&mut spy, T::IsDomainIntroduced, "1\0"), refused("EACCES"));
        for (kind, payload) in [
            (T::Introduce, "3\x001\x005\0"),
            (T::Release, "1\0"),
            (T::Resume, "1\0"),
            (T::SetTarget, "2\x001\0"),
        ] {
            assert_eq!(world.ask(&mut spy, kind, payload), refused("EACCES"), "{kind}");
        }
        if world.is_ours() {
            for (kind, payload) in [
                (T::Control, "check\0"),
                (T::GetFeature, "1\0"),
                (T::SetFeature, "3\x000\0"),
                (T::GetQuota, "1\0nodes\0"),
                (T::SetQuota, "2\0nodes\x000\0"),
            ] {
                assert_eq!(world.ask(&mut spy, kind, payload), refused("EACCES"), "{kind}");
            }
        }
    });
}

/// A guest made its nodes another's, who was then charged for them: it could have as many
/// as it liked.
///
/// Only the control domain may change an owner, and then both accounts follow.
#[test]
fn xsa_352_a_guest_cannot_give_its_nodes_away() {
    with(Peer::ALL, |world| {
        let mut giver = world.guest(1);
        let taker = world.guest(2);
        assert_eq!(world.ask(&mut giver, T::Write, "gift\0"), done());
        let its = "/local/domain/1/gift";
        assert_eq!(world.permissions(its), "n1");
        let no = refused(if world.peer == Peer::Ocaml { "EACCES" } else { "EPERM" });
        for list in ["n2\0", "b2\0b1\0", "r0\0"] {
            let request = format!("gift\0{list}");
            assert_eq!(world.ask(&mut giver, T::SetPerms, &request), no, "{list}");
            let inside = world.begin(&mut giver);
            assert_eq!(world.ask_within(&mut giver, inside, T::SetPerms, &request), no);
            // A transaction with a refused request may still end either way.
            let _ = world.commit(&mut giver, inside);
        }
        assert_eq!(world.permissions(its), "n1");
        if world.peer != Peer::Ocaml {
            let nodes = |world: &mut World| [&giver, &taker].map(|it| world.account(it).nodes);
            assert_eq!(nodes(world), [2, 1]);
            world.permit(its, "n2 b1");
            assert_eq!(nodes(world), [1, 2]);
        }
    });
}

/// The root was excepted from the check of permissions: any guest could write it, change
/// its permissions, and so become owner of everything made below it.
///
/// The root is a node as any other.
#[test]
fn xsa_353_the_root_is_guarded_as_any_node() {
    with(Peer::ALL, |world| {
        let mut guest = world.guest(1);
        let before = world.permissions("/");
        let list = world.toolstack.directory("/").unwrap();
        for (kind, payload) in [
            (T::Write, "/\0mine"),
            (T::SetPerms, "/\0b1\0"),
            (T::SetPerms, "/\0b0\0b1\0"),
            (T::Rm, "/\0"),
            (T::Write, "/mine\0"),
            (T::Mkdir, "/mine\0"),
            (T::Mkdir, "/mine/and/more\0"),
            (T::Rm, "/local\0"),
            (T::Rm, "/tool\0"),
            (T::SetPerms, "/tool\0b1\0"),
        ] {
            let answer = world.ask(&mut guest, kind, payload);
            assert_eq!(answer, refused("EACCES"), "{kind} {payload:?}");
        }
        if world.is_ours() {
            assert_eq!(world.ask(&mut guest, T::Mkdir, "/\0"), refused("EACCES"));
        }
        assert_eq!(world.permissions("/"), before);
        assert_eq!(world.toolstack.directory("/").unwrap(), list);
        assert_eq!(world.toolstack.read("/").unwrap(), b"");

        // Whether it may be read, its permissions say.
        for (list, answer) in [("n0", refused("EACCES")), ("n0 r1", told("")), ("r0", told(""))] {
            world.permit("/", list);
            assert_eq!(world.ask(&mut guest, T::Read, nul("/")), answer, "{list}");
            assert_eq!(world.ask(&mut guest, T::Directory, nul("/")).is_ok(), answer.is_ok());
            assert_eq!(world.ask(&mut guest, T::GetPerms, nul("/")).is_ok(), answer.is_ok());
        }
    });
}
