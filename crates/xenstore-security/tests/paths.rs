//! Paths: their length, depth and form.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

use xenstore_client::Store;
use xenstore_security::world::nul;
use xenstore_security::{Peer, done, refused, told, with};
use xenstore_wire::{Domid, MessageType as T};

/// A path relative to its domain's home was measured before the home was put in front of it.
/// So a guest could make nodes whose paths nobody else could spell: no toolstack could read
/// or remove them.
///
/// What counts is the path from the root. Whatever a guest can make, a toolstack can name,
/// read, list, watch and remove.
#[test]
fn xsa_323_what_a_guest_makes_a_toolstack_can_name() {
    with(Peer::ALL, |world| {
        let mut guest = world.guest(1);
        let longest = if world.peer == Peer::Ocaml { 1024 } else { 2048 };
        // Of names that each fit into the list of their parent.
        let name = "x".repeat(127);
        let path = vec![&*name; longest / 128].join("/") + "x";
        assert_eq!(path.len(), longest);
        assert_eq!(world.ask(&mut guest, T::Write, format!("{path}\0mine")), done());
        let longer = format!("{path}y");
        for (kind, payload) in [
            (T::Write, format!("{longer}\0")),
            (T::Mkdir, format!("{longer}\0")),
            (T::Mkdir, format!("{path}/y\0")),
            (T::Mkdir, format!("/local/domain/1/{longer}\0")),
            (T::Read, format!("{longer}\0")),
            (T::SetPerms, format!("{longer}\0n1\0")),
        ] {
            let answer = world.ask(&mut guest, kind, &payload);
            assert_eq!(answer, refused("EINVAL"), "{kind} of {} bytes", payload.len());
        }
        if world.is_ours() {
            let watch = world.ask(&mut guest, T::Watch, format!("{longer}\0t\0"));
            assert_eq!(watch, refused("EINVAL"));
        }
        assert_eq!(world.toolstack.directory("/local/domain/1").unwrap(), [&*name]);
        let whole = format!("/local/domain/1/{path}");
        assert_eq!(world.toolstack.read(&whole).unwrap(), b"mine");
        assert_eq!(world.permissions(&whole), "n1");
        world.toolstack_watches(&whole);
        world.toolstack.remove(&whole).unwrap();
        assert_eq!(world.toolstack_events(), [&*whole]);
        world.toolstack.remove(&format!("/local/domain/1/{name}")).unwrap();
        assert_eq!(world.toolstack.directory("/local/domain/1").unwrap(), [""; 0]);
    });
}

/// The tree was walked by functions that called themselves for each level. One deep enough
/// had the daemon run out of stack when it was removed, or only looked through.
///
/// No walk of the tree, and nothing that frees it, needs more stack for a deeper one. The
/// deepest there can be is made, changed, committed, told of, dumped, checked and removed,
/// by its owner and by its owner's death.
#[test]
fn xsa_418_the_deepest_tree_is_as_good_as_any() {
    with(Peer::ALL, |world| {
        let levels = match world.peer {
            Peer::Rxenstored => 1024,
            Peer::C => 990,
            Peer::Ocaml => 500,
        };
        let mut guest = world.guest(1);
        if world.is_ours() {
            world.limit(&guest, "nodes", 2000);
        }
        let deepest = vec!["d"; levels].join("/");
        let request = format!("{deepest}\0");
        let whole = format!("/local/domain/1/{deepest}");
        for round in 0..3 {
            assert_eq!(world.ask(&mut guest, T::Write, format!("{deepest}\0{round}")), done());
            assert_eq!(world.ask(&mut guest, T::Read, &request), told(round.to_string()));
            assert_eq!(world.toolstack.read(&whole).unwrap(), round.to_string().as_bytes());
            assert_eq!(world.ask(&mut guest, T::SetPerms, format!("{deepest}\0r1\0")), done());
            let inside = world.begin(&mut guest);
            let changed = format!("{deepest}\0changed");
            assert_eq!(world.ask_within(&mut guest, inside, T::Write, changed), done());
            if round == 1 {
                assert_eq!(world.ask_within(&mut guest, inside, T::Rm, "d\0"), done());
            }
            assert_eq!(world.commit(&mut guest, inside), done());
            if round == 1 {
                assert_eq!(world.ask(&mut guest, T::Write, &request), done());
            }
            assert_eq!(world.toolstack.control("check", &[]).unwrap(), "OK");
            if world.is_ours() {
                assert_eq!(world.account(&guest).nodes, 1 + levels as u64);
                assert!(world.dump().contains(&format!("{whole} = ")));
            }
            if round == 2 {
                break;
            }
            world.watch(&mut guest, &deepest, "deep");
            assert_eq!(world.ask(&mut guest, T::Rm, "d\0"), done());
            assert_eq!(world.events(&mut guest), [deepest.as_str()]);
            let unwatch = format!("{deepest}\0deep\0");
            assert_eq!(world.ask(&mut guest, T::Unwatch, unwatch), done());
            assert_eq!(world.ask(&mut guest, T::Directory, "d\0"), refused("ENOENT"));
        }
        world.destroy(guest.domid());
        let left = world.toolstack_asks(T::Read, "/local/domain/1/d\0");
        assert_eq!(left, refused("ENOENT"));
    });
    // What only a toolstack may make is deeper still.
    with(Peer::OURS, |world| {
        let deepest = "/d".repeat(3072 / 2);
        world.toolstack.write(&deepest, "bottom").unwrap();
        let deeper = world.toolstack_asks(T::Mkdir, format!("{deepest}/d\0"));
        assert_eq!(deeper, refused("EINVAL"));
        assert_eq!(world.toolstack.control("check", &[]).unwrap(), "OK");
        assert!(world.dump().contains(&format!("{deepest} = ")));
        // Half of it goes to a domain, and with that domain.
        let mut guest = world.guest(1);
        world.permit(&"/d".repeat(768), "n1");
        assert_eq!(world.ask(&mut guest, T::Directory, nul(&"/d".repeat(768))), told("d\0"));
        world.destroy(Domid::new(1));
        let left = world.toolstack.directory(&"/d".repeat(767)).unwrap();
        assert_eq!(left, [""; 0]);
        world.toolstack.remove("/d").unwrap();
        assert!(!world.toolstack.exists("/d").unwrap());
    });
}

/// `/local/domain/`, with a slash and nothing after it, was taken for the beginning of a
/// domain's home and not for a path of wrong form: an assertion failed, or a loop did not
/// end.
///
/// A path is split into its names before anything is asked of it, and what does not split is
/// refused, whichever request names it.
#[test]
fn xsa_481_a_path_of_wrong_form_is_refused() {
    const WRONG: [&str; 16] = [
        "/local/domain/",
        "/local/domain//",
        "/local/domain//name",
        "/local//domain/1",
        "//local/domain/1",
        "/local/domain/1/",
        "/local/domain/1//",
        "//",
        "",
        "data/",
        "data//name",
        "/local/domain/1/data.name",
        "/local/domain/1 ",
        "/local/domain/+1/\u{7f}",
        "@releaseDomain/",
        "@/",
    ];
    // Well-formed, whatever is taken for a number in them.
    const STRANGE: [&str; 6] = [
        "/local/domain/99999999999999999999/name",
        "/local/domain/-1/name",
        "/local/domain/0x1/name",
        "/local/domain/01/name",
        "/local/domain/4294967297/name",
        "/local/domain/1a/name",
    ];
    with(Peer::OURS, |world| {
        let mut guest = world.guest(1);
        for path in WRONG {
            for (kind, rest) in [
                (T::Read, ""),
                (T::Directory, ""),
                (T::GetPerms, ""),
                (T::Mkdir, ""),
                (T::Rm, ""),
                (T::Write, "value"),
                (T::SetPerms, "n1\0"),
                (T::Watch, "token\0"),
                (T::Unwatch, "token\0"),
                (T::DirectoryPart, "0\0"),
            ] {
                let request = format!("{path}\0{rest}");
                let answer = world.ask(&mut guest, kind, &request);
                assert_eq!(answer, refused("EINVAL"), "{kind} {path:?} by a guest");
                let answer = world.toolstack_asks(kind, &request);
                assert_eq!(answer, refused("EINVAL"), "{kind} {path:?} by a toolstack");
            }
        }
        for path in STRANGE {
            for kind in [T::Read, T::Mkdir, T::Rm] {
                let answer = world.ask(&mut guest, kind, nul(path));
                assert_eq!(answer, refused("EACCES"), "{kind} {path:?}");
            }
            world.toolstack.write(path, "anybody's").unwrap();
            assert_eq!(world.toolstack.read(path).unwrap(), b"anybody's");
            world.watch(&mut guest, path, "token");
        }
        assert_eq!(world.ask(&mut guest, T::Directory, nul("/local/domain/1")), told(""));
    });
}
