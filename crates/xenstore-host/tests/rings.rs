//! Rings of a simulated host, seen from the guests' side.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops there")]

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use xenstore_host::ring::{Field, Lane, RingError};
use xenstore_host::sim::{Board, DomainWord, Simulated, State};
use xenstore_host::{ConnectError, Hypervisor, Rings};
use xenstore_wire::{Domid, Features};

const GUEST: Domid = Domid::new(7);

/// A host with one guest that says nothing.
fn host() -> (tempfile::TempDir, Board, Rings) {
    let directory = tempfile::tempdir().unwrap();
    let board = Board::open(directory.path()).unwrap();
    board.domain(GUEST, DomainWord::State).unwrap().store(State::EXISTS, SeqCst);
    let rings = Rings::new(Box::new(Simulated::open(directory.path()).unwrap()));
    (directory, board, rings)
}

/// The domains that were told to look at their rings.
fn told(board: &Board) -> Vec<u32> {
    let mut domids = Vec::new();
    board.take_notified(&mut domids).unwrap();
    for &domid in &domids {
        let domid = Domid::new(u16::try_from(domid).unwrap());
        board.domain(domid, DomainWord::EventOut).unwrap().store(0, SeqCst);
    }
    domids
}

/// Linux in domain 0 does not look at its ring before a first event comes, and reads and
/// writes nothing in the store until then. It was told nothing, because its ring said that it
/// was connected from the start; so the drivers of its guests' devices never began.
#[test]
fn whoever_is_connected_is_told() {
    let (_directory, board, mut rings) = host();
    rings.connect_own(Domid::DOM0, Features::ALL).unwrap();
    rings.flush(&mut Vec::new()).unwrap();
    assert_eq!(told(&board), [0]);
    for _ in 0..2 {
        rings.connect(GUEST, 1, Features::ALL).unwrap();
        rings.flush(&mut Vec::new()).unwrap();
        assert_eq!(told(&board), [7]);
    }
}

/// A ring that is connected anew while the event channel cannot be: whoever looks at it finds
/// why nobody answers.
#[test]
fn whoever_cannot_be_told_finds_out_why() {
    let (_directory, board, mut rings) = host();
    rings.connect(GUEST, 1, Features::ALL).unwrap();
    board.domain(GUEST, DomainWord::State).unwrap().store(0, SeqCst);
    let refused = rings.connect(GUEST, 2, Features::ALL).unwrap_err();
    assert!(matches!(refused, ConnectError::EventChannel { domid: GUEST, port: 2, .. }));
    let page = board.ring(GUEST).unwrap();
    assert_eq!(page.field(Field::Error), RingError::Communication as u32);
    board.domain(GUEST, DomainWord::State).unwrap().store(State::EXISTS, SeqCst);
    rings.connect(GUEST, 2, Features::ALL).unwrap();
    assert_eq!(page.field(Field::Error), 0);
}

/// Whose ring moved just before it was asked who went on was counted as settled at once, when
/// what its guest had done could still be on its way: nobody looked again.
#[test]
fn nothing_is_settled_that_moved_just_now() {
    let (_directory, board, mut rings) = host();
    rings.connect(GUEST, 1, Features::ALL).unwrap();
    rings.flush(&mut Vec::new()).unwrap();
    assert!(rings.settle().is_empty() && rings.is_unsettled());
    rings.write(GUEST, b"an event").unwrap();
    rings.flush(&mut Vec::new()).unwrap();
    assert!(rings.settle().is_empty(), "connected a while ago, and nothing came");
    // That of a guest which found something in the lane, and so does not fire.
    let page = board.ring(GUEST).unwrap();
    page.put(Lane::Requests, b"a request").unwrap();
    assert_eq!(rings.settle(), [GUEST]);
    assert!(!rings.is_unsettled());
}

/// Something in domain 0 asks the store before the daemon runs, and sleeps until there is a reply.
/// Its request was thrown away when the ring was connected, and it slept for ever.
#[test]
fn what_domain_0_asked_before_is_read() {
    let (_directory, board, mut rings) = host();
    let page = board.ring(Domid::DOM0).unwrap();
    page.put(Lane::Requests, b"a request").unwrap();
    rings.connect_own(Domid::DOM0, Features::ALL).unwrap();
    let mut again = Vec::new();
    rings.flush(&mut again).unwrap();
    assert_eq!(again, [Domid::DOM0]);
    let mut buffer = [0; 20];
    assert_eq!(rings.read(Domid::DOM0, &mut buffer), Ok(9));
}

#[test]
fn a_ring_of_domain_0_without_sense_is_emptied() {
    let (_directory, board, mut rings) = host();
    let page = board.ring(Domid::DOM0).unwrap();
    page.set_field(Field::ResponseProducer, 5000);
    rings.connect_own(Domid::DOM0, Features::ALL).unwrap();
    assert_eq!(page.waiting(Lane::Responses), Ok(0));
}

/// Bytes that go to the guest.
const STREAM: usize = 10_000_000;

/// How long one side may be silent; on the busiest machine it is milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Linux fires its event channel only if it found the ring full, and has no full barrier
/// before it looks. If it looks just before the daemon has filled it up, the daemon sees no
/// room and waits for an event, and none comes. So the guest waited for the rest of a long
/// reply, seldom, and for ever.
#[test]
fn who_fires_only_if_it_must_is_not_left_waiting() {
    let (_directory, board, mut rings) = host();
    rings.connect(GUEST, 1, Features::ALL).unwrap();
    rings.flush(&mut Vec::new()).unwrap();
    told(&board);
    let received = thread::scope(|scope| {
        let guest = scope.spawn(|| linux_reads(&board));
        daemon_writes(&mut rings);
        guest.join().unwrap()
    });
    assert_eq!(received, STREAM);
}

/// Writes as the event loop does: until there is no room, then waits to be told of some.
fn daemon_writes(rings: &mut Rings) {
    let message = vec![7; 3050];
    let (mut sent, mut again) = (0, Vec::new());
    while sent < STREAM {
        let mut rest = &message[..message.len().min(STREAM - sent)];
        let mut waits = Instant::now();
        loop {
            while !rest.is_empty() {
                let count = rings.write(GUEST, rest).unwrap();
                if count == 0 {
                    break;
                }
                (rest, sent) = (&rest[count..], sent + count);
                waits = Instant::now();
            }
            again.clear();
            rings.flush(&mut again).unwrap();
            if rest.is_empty() {
                break;
            }
            let told = Instant::now();
            while again.is_empty() {
                rings.fired(&mut again).unwrap();
                if told.elapsed() > Duration::from_millis(1) {
                    again.extend(rings.settle());
                }
                assert!(waits.elapsed() < PATIENCE, "no room any more after {sent} bytes");
                thread::yield_now();
            }
        }
    }
}

/// Reads a little at a time, and waits to be told when there is nothing.
fn linux_reads(board: &Board) -> usize {
    let page = board.ring(GUEST).unwrap();
    let (mut received, mut length, mut buffer) = (0, 1, [0; 300]);
    let mut waits = Instant::now();
    while received < STREAM {
        let consumer = page.field(Field::ResponseConsumer);
        if consumer == page.field(Field::ResponseProducer) {
            while told(board).is_empty() {
                if waits.elapsed() > PATIENCE {
                    return received;
                }
                thread::yield_now();
            }
            waits = Instant::now();
            continue;
        }
        length = (length * 7 + 13) % 300 + 1;
        received += page.take(Lane::Responses, &mut buffer[..length]).unwrap();
        if page.field(Field::ResponseProducer).wrapping_sub(consumer) >= 1024 {
            board.fire_from(GUEST).unwrap();
        }
    }
    received
}
