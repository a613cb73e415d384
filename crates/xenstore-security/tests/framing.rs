//! Where a message begins and ends, and how long it may be.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use xenstore_client::Store;
use xenstore_guests::Guest;
use xenstore_host::ring::{Field, Lane, RingError};
use xenstore_oracle::client::{GOOD, header};
use xenstore_oracle::message::Message;
use xenstore_oracle::target::Link;
use xenstore_security::world::nul;
use xenstore_security::{Peer, World, done, refused, told, with};
use xenstore_wire::{Header, MessageType as T, PAYLOAD_MAX};

/// A reply was as long as what it told of, longer than any message may be: who read it
/// crashed, or waited for ever for what a ring could not hold.
///
/// No reply exceeds the limit. `E2BIG` stands for one that would, to guests and toolstacks
/// alike, and what is too long for one reply can be had in parts.
#[test]
fn xsa_72_no_reply_is_longer_than_a_message() {
    with(Peer::ALL, |world| {
        let mut guest = world.guest(1);
        let names: Vec<_> = (0..250).map(|n| format!("child-{n:03}-of-twenty-b")).collect();
        world.toolstack.mkdir("/long").unwrap();
        world.permit("/long", "r0");
        for name in &names {
            world.toolstack.mkdir(&format!("/long/{name}")).unwrap();
        }
        assert_eq!(world.ask(&mut guest, T::Directory, "/long\0"), refused("E2BIG"));
        assert_eq!(world.ask(&mut guest, T::Write, "data\0still here"), done());
        if world.peer == Peer::Ocaml {
            return;
        }
        assert_eq!(world.toolstack_asks(T::Directory, "/long\0"), refused("E2BIG"));
        let inside = world.begin(&mut guest);
        let list = world.ask_within(&mut guest, inside, T::Directory, "/long\0");
        assert_eq!(list, refused("E2BIG"));
        let mut seen = Vec::new();
        loop {
            let request = format!("/long\0{}\0", seen.len());
            let part = world.ask_within(&mut guest, inside, T::DirectoryPart, request).unwrap();
            assert!(part.len() <= PAYLOAD_MAX);
            let end = part.iter().position(|&byte| byte == 0).unwrap();
            seen.extend_from_slice(&part[end + 1..]);
            if part.ends_with(b"\0\0") {
                break;
            }
        }
        let all: Vec<u8> = names.iter().flat_map(|name| nul(name)).chain([0]).collect();
        assert_eq!(seen, all);
        assert_eq!(world.toolstack.directory("/long").unwrap(), names);
    });
}

/// An event names what changed and repeats the watch's token. Together they could be longer
/// than a message: the daemon crashed on the error that it had not thought of.
///
/// Such an event names the watched path instead, which fits because the watch did. So the
/// guest still learns that something changed.
#[test]
fn xsa_324_an_event_that_does_not_fit_names_the_watched_path() {
    with(Peer::NOT_OCAML, |world| {
        let mut guest = world.guest(1);
        let token = "t".repeat(PAYLOAD_MAX - "data\0\0".len());
        world.watch(&mut guest, "data", &token);
        let long = format!("/local/domain/1/data/{}", "x".repeat(1500));
        world.toolstack.write(&long, "1").unwrap();
        world.toolstack.remove(&long).unwrap();
        let committed = world.toolstack.transaction(|tx| tx.write(&long, "2"));
        committed.unwrap_or_else(|error: xenstore_client::Error| panic!("{error}"));
        // Also where a removal is told with the watch's own path.
        world.toolstack.remove("/local/domain/1/data").unwrap();
        let heard = world.events(&mut guest);
        assert!(heard.iter().all(|path| path == "data"), "{heard:?}");
        if world.is_ours() {
            assert!(!heard.is_empty());
        }
        // A watch whose own event would not fit cannot be asked for.
        let request = [&b"data\0"[..], &vec![b't'; PAYLOAD_MAX - 5]].concat();
        assert_eq!(world.ask(&mut guest, T::Watch, request), refused("EINVAL"));
    });
}

/// Lengths and indices were kept in signed or narrow integers: large ones became negative or
/// small, and the daemon span or misread.
///
/// A length beyond 4096 ends the ring's service, however large; indices are used modulo 2³²
/// right up to where they wrap; other numbers are taken whole or refused.
#[test]
fn xsa_420_large_numbers_stay_large() {
    with(Peer::NOT_OCAML, |world| {
        let mut good = world.guest(1);
        let lengths = [4097, 8192, 65536, 0x7fff_ffff, 0x8000_0000, 0xffff_ff00, u32::MAX];
        for (number, length) in (10..).zip(lengths) {
            let mut bad = world.guest(number);
            let before = Message::new(T::Write.number(), 1, 0, b"data\0before").encode();
            let after = Message::new(T::Write.number(), 2, 0, b"data\0after").encode();
            bad.queue(&[&before[..], &header(T::Write, length), &after].concat());
            bad.push().unwrap();
            let (reply, payload) = world.host.next_message(&mut bad).unwrap();
            assert_eq!((reply.request_id, &payload[..]), (1, &b"OK\0"[..]), "{length:#x}");
            for _ in 0..4 {
                assert_eq!(world.ask(&mut good, T::Write, "data\0good"), done());
            }
            if world.is_ours() {
                let error = bad.page().field(Field::Error);
                assert_eq!(error, RingError::Protocol as u32, "{length:#x}");
            }
            bad.pull().unwrap();
            assert!(bad.next_message().unwrap().is_none(), "{length:#x}");
            let path = format!("/local/domain/{number}/data");
            assert_eq!(world.toolstack.read(&path).unwrap(), b"before", "{length:#x}");
        }
    });
    with(Peer::ALL, |world| {
        for (number, start) in [(1, 0xffff_fff0), (2, u32::MAX), (3, 0x7fff_fff0), (4, 1000)] {
            let mut guest = world.guest(number);
            for field in [
                Field::RequestConsumer,
                Field::RequestProducer,
                Field::ResponseConsumer,
                Field::ResponseProducer,
            ] {
                guest.page().set_field(field, start);
            }
            for round in 0..5 {
                let value = vec![b'0' + round; 1500];
                let write = [b"data\0", &value[..]].concat();
                assert_eq!(world.ask(&mut guest, T::Write, write), done(), "{start:#x}");
                assert_eq!(world.ask(&mut guest, T::Read, "data\0"), told(value), "{start:#x}");
            }
            assert!(guest.page().field(Field::RequestProducer).wrapping_sub(start) > 7000);
        }
    });
    with(Peer::OURS, |world| {
        let mut guest = world.guest(1);
        assert_eq!(world.ask(&mut guest, T::Mkdir, "a-child\0"), done());
        for id in [0x7fff_ffff, 0x8000_0000, u32::MAX] {
            let read = world.ask_within(&mut guest, id, T::Read, "\0");
            assert_eq!(read, refused("ENOENT"), "transaction {id:#x}");
        }
        for number in ["65536", "4294967297", "18446744073709551617", "-1", "0x1", "1 ", ""] {
            let path = world.ask(&mut guest, T::GetDomainPath, nul(number));
            assert_eq!(path, refused("EINVAL"), "domain {number:?}");
            // As an offset, and as a watch's depth, some are numbers like others.
            let request = format!("/local/domain/1\0{number}\0");
            let end = ["65536", "4294967297"].contains(&number).then_some(&b"\0\0"[..]);
            let part = world.ask(&mut guest, T::DirectoryPart, request);
            let rest = part.as_ref().map_or(None, |part| part.get(part.len() - 2..));
            assert_eq!(rest, end, "offset {number:?}: {part:?}");
            let depth = world.ask(&mut guest, T::Watch, format!("data\0t\0{number}\0"));
            let expected = if number == "65536" { done() } else { refused("EINVAL") };
            assert_eq!(depth, expected, "depth {number:?}");
        }
    });
}

/// Whether a request of this type means something without a payload.
fn is_granted_empty(kind: T) -> bool {
    matches!(kind, T::TransactionStart | T::ResetWatches | T::GetFeature | T::GetQuota)
}

/// A request without payload was parked until more bytes came, which never did: `xl` hung,
/// since 2010 and unnoticed until clients sent such requests in 2026.
///
/// A message is complete with its last byte, wherever the stream was cut: every type is
/// answered without payload, and any division of a stream gives the same replies.
#[test]
fn unnumbered_2026_07_a_message_is_complete_with_its_last_byte() {
    with(Peer::OURS, |world| {
        let mut guest = world.guest(1);
        let mut link = world.link();
        for kind in (0..=30).chain([65535, u32::MAX]) {
            let request = Message::new(kind, 7, 0, b"").encode();
            link.send(&request);
            let answer = link.receive().unwrap();
            assert_eq!(answer.header.request_id, 7);
            let known = T::from_number(kind).filter(|kind| kind.is_request());
            let granted = known.is_some_and(is_granted_empty);
            assert_eq!(!answer.is_error(), granted, "type {kind} on a socket");

            guest.queue(&request);
            let (header, payload) = world.host.next_message(&mut guest).unwrap();
            assert_eq!(header.request_id, 7);
            let expected = match known {
                None => Some(&b"ENOSYS\0"[..]),
                Some(kind) if kind.is_privileged() => Some(&b"EACCES\0"[..]),
                Some(kind) if is_granted_empty(kind) => None,
                Some(_) => Some(&b"EINVAL\0"[..]),
            };
            let refusal = (header.kind == T::Error.number()).then_some(&payload[..]);
            assert_eq!(refusal, expected, "type {kind} on a ring");
        }
    });
    with(Peer::OURS, |world| {
        let stream: Vec<u8> = GOOD
            .iter()
            .enumerate()
            .flat_map(|(id, (kind, payload))| {
                Message::new(kind.number(), u32::try_from(id).unwrap(), 0, payload).encode()
            })
            .collect();
        let mut whole = None;
        for size in (1..=40).chain([100, 1000, stream.len()]) {
            let mut guest = world.guest(2);
            let replies = replies_to(world, &mut guest, stream.chunks(size));
            assert_eq!(whole.get_or_insert_with(|| replies.clone()), &replies, "pieces of {size}");
            world.destroy(guest.domid());
        }
    });
}

/// What comes back for a stream sent piece by piece, each seen by the daemon before the
/// next is sent; up to the last reply.
fn replies_to<'p>(
    world: &mut World,
    guest: &mut Guest,
    pieces: impl Iterator<Item = &'p [u8]>,
) -> Vec<(Header, Vec<u8>)> {
    let mut replies = Vec::new();
    for piece in pieces {
        guest.queue(piece);
        while guest.unsent() > 0 || guest.page().waiting(Lane::Requests).unwrap() > 0 {
            guest.push().unwrap();
            guest.pull().unwrap();
        }
    }
    while replies.iter().filter(|(header, _): &&(Header, _)| header.kind != 15).count() < GOOD.len()
    {
        replies.push(world.host.next_message(guest).unwrap());
    }
    replies
}
