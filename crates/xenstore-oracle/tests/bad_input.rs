//! Malformed requests, one by one, on rxenstored's socket.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use xenstore_oracle::client::{Client, GOOD, header};
use xenstore_oracle::daemon::Daemon;
use xenstore_oracle::message::Message;
use xenstore_oracle::witness::Witness;
use xenstore_wire::{Errno, Header, MessageType as T, PAYLOAD_MAX};

fn error(reply: &Message) -> Option<Errno> {
    let name = reply.is_error().then(|| reply.payload.strip_suffix(b"\0").unwrap())?;
    Some(Errno::from_name(name).unwrap_or_else(|| panic!("{reply:?} is not on the list")))
}

#[test]
fn every_number_of_a_type_is_answered_without_payload() {
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    for kind in (0..=30).chain([65535, 0x8000_0000, u32::MAX]) {
        let reply = client.ask_raw(kind, b"");
        match T::from_number(kind).filter(|kind| kind.is_request()) {
            None => assert_eq!(error(&reply), Some(Errno::NoSys), "type {kind}"),
            Some(T::TransactionStart | T::ResetWatches | T::GetFeature | T::GetQuota) => {
                assert_eq!(error(&reply), None, "type {kind}");
            }
            Some(_) => assert_eq!(error(&reply), Some(Errno::Inval), "type {kind}"),
        }
    }
    drop(client);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn payloads_of_every_length_are_answered() {
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    for length in 0..=PAYLOAD_MAX {
        // A path of that length, one with its NUL, and a value of the rest.
        let path = vec![b'/'; length];
        assert!(error(&client.ask(T::Read, &path)).is_some(), "{length}");
        if let Some(rest) = length.checked_sub(9) {
            let write = [b"/scratch\0", &vec![b'v'; rest][..]].concat();
            assert_eq!(error(&client.ask(T::Write, &write)), None, "{length}");
            assert_eq!(client.ask(T::Read, b"/scratch\0").payload.len(), rest);
        }
    }
    assert_eq!(error(&client.ask(T::Rm, b"/scratch\0")), None);
    drop(client);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn a_length_no_message_has_ends_the_connection_and_nothing_else() {
    let mut daemon = Daemon::rxenstored();
    let mut witness = Witness::new(&daemon);
    for length in [4097, 4098, 65535, 65536, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, u32::MAX] {
        for kind in [T::Read, T::Write, T::Error] {
            let mut client = Client::of(&daemon);
            assert_eq!(client.ask(T::Read, b"/kept\0").payload, b"value");
            client.send(&header(kind, length));
            assert!(client.is_closed(), "{length:#x}");
            witness.is_served();
        }
    }
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn what_was_asked_before_a_broken_message_is_answered() {
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    let read = Message::new(T::Read.number(), 7, 0, b"/kept\0").encode();
    client.send(&[&read[..], &read, &header(T::Write, 5000), &read].concat());
    for _ in 0..2 {
        assert_eq!(client.receive().payload, b"value");
    }
    assert!(client.is_closed());
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn good_requests_cut_at_every_byte_are_answered() {
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    for (kind, payload) in GOOD {
        for end in 0..=payload.len() {
            let reply = client.ask(*kind, &payload[..end]);
            let right_kind = error(&reply).is_some() || reply.header.kind == kind.number();
            assert!(right_kind, "{kind} {end}: {reply:?}");
        }
    }
    for garbage in [&b"7\0"[..], b"8\0", b"9\0"] {
        let _ = client.ask(T::Release, garbage);
    }
    let _ = client.ask(T::Rm, b"/scratch\0");
    drop(client);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn good_requests_with_any_byte_changed_are_answered() {
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    for (kind, payload) in GOOD {
        for at in 0..payload.len() {
            for byte in [0, b'/', b'@', b'0', b'x', b' ', 0x7f, 0x80, 0xff] {
                let mut changed = payload.to_vec();
                changed[at] = byte;
                // The witness's own node is not ours to remove or to take.
                if !changed.starts_with(b"/\0") && !changed.starts_with(b"/kept") {
                    let _ = client.ask(*kind, &changed);
                }
            }
        }
    }
    drop(client);
    let mut client = Client::of(&daemon);
    assert_eq!(client.ask(T::Control, b"check\0").payload, b"OK\0");
    drop(client);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn paths_of_all_wrong_kinds_are_refused() {
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    let long = |length: usize| [&b"/"[..], &vec![b'p'; length - 1]].concat();
    let mut wrong: Vec<Vec<u8>> = (1..=u8::MAX)
        .filter(|byte| !(byte.is_ascii_alphanumeric() || b"-/_@".contains(byte)))
        .map(|byte| vec![b'/', byte])
        .collect();
    let texts: &[&[u8]] =
        &[b"", b"//", b"///", b"/a/", b"a/", b"/a//b", b"/local/domain/", b"@/", b"@a//b", b"@a/"];
    wrong.extend(texts.iter().map(|text| text.to_vec()));
    wrong.extend([long(3073), long(4000), vec![b'r'; 2049]]);
    for path in wrong {
        let with = |more: &[u8]| [&path[..], b"\0", more].concat();
        for kind in [T::Read, T::Directory, T::Mkdir, T::Rm, T::GetPerms] {
            assert_eq!(client.error_of(kind, &with(b"")), "EINVAL", "{kind} {path:?}");
        }
        assert_eq!(client.error_of(T::Write, &with(b"v")), "EINVAL", "{path:?}");
        assert_eq!(client.error_of(T::SetPerms, &with(b"n0\0")), "EINVAL", "{path:?}");
        assert_eq!(client.error_of(T::DirectoryPart, &with(b"0\0")), "EINVAL", "{path:?}");
        assert_eq!(client.error_of(T::Watch, &with(b"t\0")), "EINVAL", "{path:?}");
        assert_eq!(client.error_of(T::Unwatch, &with(b"t\0")), "EINVAL", "{path:?}");
    }
    drop(client);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn the_deepest_and_the_longest_paths_work() {
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    let deep = [&"/d".repeat(1536).into_bytes()[..], b"\0"].concat();
    let long = [b"/", &vec![b'l'; 3071][..], b"\0"].concat();
    let relative = [&vec![b'r'; 2048][..], b"\0"].concat();
    for path in [&deep, &long, &relative] {
        assert_eq!(client.error_of(T::Watch, &[&path[..], b"t\0"].concat()), "");
        assert_eq!(client.error_of(T::Write, &[&path[..], b"v"].concat()), "");
        assert_eq!(client.ask(T::Read, path).payload, b"v");
        assert_eq!(client.error_of(T::Unwatch, &[&path[..], b"t\0"].concat()), "");
    }
    for root in [&b"/d\0"[..], &long, &relative] {
        assert_eq!(client.error_of(T::Rm, root), "");
    }
    drop(client);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn permissions_of_all_wrong_kinds_are_refused_and_change_nothing() {
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    let wrong: &[&[u8]] = &[
        b"",
        b"\0",
        b"n\0",
        b"0\0",
        b"x0\0",
        b"N0\0",
        b"n-1\0",
        b"n+1\0",
        b"n 1\0",
        b"n1 \0",
        b"n65536\0",
        b"n99999999999999999999\0",
        b"n0x10\0",
        b"n0",
        b"n0\0r",
        b"n0\0r1",
        b"n0\0\0",
        b"n0\0rr1\0",
        b"\xff0\0",
        b"n\xff\0",
        b"n0\0x1\0r2\0",
    ];
    for list in wrong {
        assert_eq!(
            client.error_of(T::SetPerms, &[b"/kept\0", *list].concat()),
            "EINVAL",
            "{list:?}"
        );
    }
    // Owners that no domain can be.
    for owner in ["n32752", "n32756", "n65535"] {
        let list = format!("/kept\0{owner}\0");
        assert_eq!(client.error_of(T::SetPerms, list.as_bytes()), "ENOENT", "{owner}");
    }
    drop(client);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn the_most_permissions_a_message_holds_are_kept() {
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    let entries = "n0\0".repeat((PAYLOAD_MAX - 9) / 3);
    assert_eq!(client.error_of(T::Write, b"/scratch\0"), "");
    assert_eq!(client.error_of(T::SetPerms, format!("/scratch\0{entries}").as_bytes()), "");
    assert_eq!(client.ask(T::GetPerms, b"/scratch\0").payload, entries.as_bytes());
    // Inherited, and gone with the node.
    assert_eq!(client.error_of(T::Write, b"/scratch/child\0"), "");
    assert_eq!(client.ask(T::GetPerms, b"/scratch/child\0").payload, entries.as_bytes());
    assert_eq!(client.error_of(T::Rm, b"/scratch\0"), "");
    drop(client);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn replies_too_long_for_a_message_are_errors() {
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    for number in 0..400 {
        let path = format!("/scratch/child-number-{number}\0");
        assert_eq!(client.error_of(T::Write, path.as_bytes()), "");
    }
    assert_eq!(client.error_of(T::Directory, b"/scratch\0"), "E2BIG");
    let reply = client.ask(T::DirectoryPart, b"/scratch\x000\0");
    assert!(reply.payload.len() <= PAYLOAD_MAX && !reply.is_error());
    for offset in ["4294967296", "18446744073709551615", "99999999"] {
        let reply = client.ask(T::DirectoryPart, format!("/scratch\0{offset}\0").as_bytes());
        assert!(reply.payload.ends_with(b"\0\0"), "{offset}: {reply:?}");
    }
    assert_eq!(client.error_of(T::Rm, b"/scratch\0"), "");
    drop(client);
    witness.finds_all_as_left(&mut daemon);
}

#[test]
fn transactions_that_are_none_are_refused() {
    let mut daemon = Daemon::rxenstored();
    let witness = Witness::new(&daemon);
    let mut client = Client::of(&daemon);
    for (kind, payload) in GOOD {
        for transaction in [1, 99, 0x8000_0000, u32::MAX] {
            client.send(&Message::new(kind.number(), 5, transaction, payload).encode());
            let mut reply = client.receive();
            while reply.is_event() {
                reply = client.receive();
            }
            let Header { request_id, transaction_id, .. } = reply.header;
            assert_eq!((request_id, transaction_id), (5, transaction), "{kind}");
            let ignores = matches!(kind, T::Watch | T::Unwatch);
            assert!(ignores || error(&reply) == Some(Errno::NoEnt), "{kind}: {reply:?}");
        }
    }
    drop(client);
    witness.finds_all_as_left(&mut daemon);
}
