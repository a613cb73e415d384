//! Situations that are easy to get wrong, and that a host's store has to live through.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::time::Duration;

use xenstore_client::Store;
use xenstore_client::wire::permission::Permissions;
use xenstore_guests::Guest;
use xenstore_oracle::client::Client;
use xenstore_oracle::daemon::Daemon;
use xenstore_oracle::message::Message;
use xenstore_oracle::world::World;
use xenstore_wire::{MessageType as T, PAYLOAD_MAX};

const SPECIAL_NAMES: [&str; 2] = ["@introduceDomain", "@releaseDomain"];

fn world() -> World {
    World::of(Daemon::rxenstored_on_host(&[]))
}

fn permissions(entries: &str) -> Permissions {
    Permissions::parse(entries.split(' ').map(str::as_bytes)).unwrap().unwrap()
}

/// The events that a guest was told of when it has its next answer.
fn events(world: &mut World, guest: &mut Guest) -> Vec<(String, Vec<u8>)> {
    world.ask(guest, T::GetDomainPath, b"0\0").unwrap();
    std::iter::from_fn(|| guest.take_event()).map(|event| (event.path, event.token)).collect()
}

#[test]
fn permissions_for_every_domain_are_set_over_a_socket() {
    let mut world = world();
    let (mut one, mut two) = (world.guest(1), world.guest(2));
    world.toolstack.write("/for-all", "hello").unwrap();
    for path in ["/for-all", "@releaseDomain", "@introduceDomain"] {
        world.toolstack.set_permissions(path, &permissions("n0 r32757")).unwrap();
        assert_eq!(world.toolstack.permissions(path).unwrap(), permissions("n0 r32757"));
    }
    for guest in [&mut one, &mut two] {
        assert_eq!(world.ask(guest, T::Read, b"/for-all\0").unwrap(), b"hello");
        for name in SPECIAL_NAMES {
            world.ask(guest, T::Watch, format!("{name}\0t\0").as_bytes()).unwrap();
        }
        assert_eq!(events(&mut world, guest).len(), 2);
    }
    let three = world.guest(3);
    world.end(&three);
    let told = SPECIAL_NAMES.map(|name| (name.to_owned(), b"t".to_vec()));
    for guest in [&mut one, &mut two] {
        assert_eq!(events(&mut world, guest), told);
    }
    world.assert_alive();
}

/// What an earlier, longer request left in a buffer must not become part of a path.
#[test]
fn a_path_without_its_nul_is_refused_after_any_other_request() {
    let mut world = world();
    let mut guest = world.guest(1);
    world.ask(&mut guest, T::Write, b"kept\0value").unwrap();
    let mut socket = Client::of(&world.daemon);
    let earlier: &[(T, &[u8])] = &[
        (T::Read, b"/local/domain/1/kept\0"),
        (T::Write, b"/scratch\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0"),
        (T::Directory, b"/local/domain/1\0"),
        (T::TransactionStart, b"\0"),
    ];
    for (kind, payload) in earlier {
        for refused in [T::Read, T::Mkdir, T::Rm, T::Directory, T::GetPerms] {
            for path in [&b"/local/domain/1/kept"[..], b"/local/domain/1/made", b"/", b"x"] {
                socket.ask(*kind, payload);
                assert_eq!(socket.error_of(refused, path), "EINVAL", "{refused} after {kind}");
                world.ask(&mut guest, *kind, payload).unwrap_or_default();
                let found = world.ask(&mut guest, refused, path);
                assert_eq!(found, Err("EINVAL".to_owned()), "{refused} after {kind}");
            }
        }
    }
    assert_eq!(world.toolstack.directory("/local/domain/1").unwrap(), ["kept"]);
    assert_eq!(world.toolstack.read("/local/domain/1/kept").unwrap(), b"value");
    world.assert_alive();
}

#[test]
fn a_target_dies_while_its_stub_domain_lives_and_its_domid_is_used_again() {
    let mut world = world();
    let (mut stub, target) = (world.guest(1), world.guest(2));
    world.toolstack.write("/local/domain/2/secret", "old").unwrap();
    world.toolstack.set_target(stub.domid(), target.domid()).unwrap();
    let secret = b"/local/domain/2/secret\0";
    assert_eq!(world.ask(&mut stub, T::Read, secret).unwrap(), b"old");

    world.toolstack.watch("@releaseDomain", "gone").unwrap();
    world.toolstack.next_event().unwrap();
    world.end(&target);
    assert_eq!(world.toolstack.next_event().unwrap().path, "@releaseDomain");
    assert!(!world.toolstack.exists("/local/domain/2").unwrap());

    // Whoever has the number next has lent its rights to nobody.
    let mut next = world.guest(2);
    world.ask(&mut next, T::Write, b"secret\0new").unwrap();
    assert_eq!(world.ask(&mut stub, T::Read, secret), Err("EACCES".to_owned()));
    world.end(&stub);
    assert_eq!(world.ask(&mut next, T::Read, b"secret\0").unwrap(), b"new");
    world.assert_alive();
}

#[test]
fn the_owner_of_a_special_name_dies() {
    for name in SPECIAL_NAMES {
        let mut world = world();
        let owner = world.guest(1);
        world.give(name, 1);
        world.toolstack.watch(name, "still").unwrap();
        world.toolstack.next_event().unwrap();
        world.end(&owner);
        assert_eq!(world.toolstack.permissions(name).unwrap(), permissions("n0"));
        // It goes on telling.
        while world.toolstack.next_event_within(Duration::ZERO).unwrap().is_some() {}
        let another = world.guest(2);
        world.end(&another);
        assert_eq!(world.toolstack.next_event().unwrap().path, name);
        // Whoever has the number next does not own it.
        let mut next = world.guest(1);
        let payload = format!("{name}\0b1\0");
        let found = world.ask(&mut next, T::SetPerms, payload.as_bytes());
        assert_eq!(found, Err("EACCES".to_owned()));
        world.assert_alive();
    }
}

#[test]
fn the_owner_of_the_root_dies() {
    let mut world = world();
    let (owner, mut other) = (world.guest(1), world.guest(2));
    world.ask(&mut other, T::Write, b"name\0two").unwrap();
    world.toolstack.write("/its", "1").unwrap();
    world.give("/its", 1);
    world.give("/", 1);
    world.end(&owner);
    assert_eq!(world.toolstack.permissions("/").unwrap(), permissions("n0"));
    assert!(!world.toolstack.exists("/its").unwrap());
    assert!(!world.toolstack.exists("/local/domain/1").unwrap());
    assert_eq!(world.ask(&mut other, T::Read, b"name\0").unwrap(), b"two");
    assert_eq!(world.toolstack.control("check", &[]).unwrap(), "OK");
    world.assert_alive();
}

/// On sockets: `bad_input.rs`.
#[test]
fn requests_of_every_type_without_payload_are_answered_on_a_ring() {
    let mut world = world();
    let mut guest = world.guest(1);
    for kind in (0..=30).chain([65535, 0x8000_0000, u32::MAX]) {
        guest.queue(&Message::new(kind, kind, 0, b"").encode());
        let (header, reply) = world.host.next_message(&mut guest).unwrap();
        assert_eq!(header.request_id, kind);
        let known = T::from_number(kind).filter(|kind| kind.is_request());
        let refusal: &[u8] = match known {
            None => b"ENOSYS\0",
            Some(T::TransactionStart | T::ResetWatches | T::GetFeature) => {
                assert_eq!(header.kind, kind);
                continue;
            }
            Some(kind) if kind.is_privileged() => b"EACCES\0",
            Some(_) => b"EINVAL\0",
        };
        assert_eq!(reply, refusal, "type {kind}");
    }
    world.assert_alive();
}

#[test]
fn what_does_not_fit_into_a_message_is_not_sent_as_one() {
    let mut world = world();
    let mut guest = world.guest(1);
    let name = |number: usize| format!("{number:0100}");
    for number in 0..=PAYLOAD_MAX / 100 {
        world.toolstack.write(&format!("/local/domain/1/list/{}", name(number)), "").unwrap();
    }
    let mut socket = Client::of(&world.daemon);
    assert_eq!(socket.error_of(T::Directory, b"/local/domain/1/list\0"), "E2BIG");
    world.give("/local/domain/1/list", 1);
    assert_eq!(world.ask(&mut guest, T::Directory, b"list\0"), Err("E2BIG".to_owned()));

    // The watch's own path fits beside its token, a longer one below it does not.
    let token = "t".repeat(3500);
    let watch = format!("list\0{token}\0");
    world.ask(&mut guest, T::Watch, watch.as_bytes()).unwrap();
    socket.ask(T::Watch, format!("/local/domain/1/list\0{token}\0").as_bytes());
    assert_eq!(socket.receive().payload.len(), "/local/domain/1/list".len() + token.len() + 2);
    assert_eq!(events(&mut world, &mut guest).len(), 1);
    let long = format!("/local/domain/1/list/{}", "n".repeat(700));
    world.toolstack.write(&long, "").unwrap();
    let told = events(&mut world, &mut guest);
    assert_eq!(told, [("list".to_owned(), token.clone().into_bytes())]);
    let event = socket.receive();
    assert!(event.is_event());
    assert_eq!(event.payload, format!("/local/domain/1/list\0{token}\0").as_bytes());
    world.assert_alive();
}
