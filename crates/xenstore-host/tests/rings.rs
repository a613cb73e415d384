//! Rings of a simulated host, seen from the guests' side.

#![allow(clippy::unwrap_used, reason = "a test stops there")]

use std::sync::atomic::Ordering::SeqCst;

use xenstore_host::sim::{Board, DomainWord, Simulated, State};
use xenstore_host::{Hypervisor, Rings};
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
    rings.flush().unwrap();
    assert_eq!(told(&board), [0]);
    for _ in 0..2 {
        rings.connect(GUEST, 1, Features::ALL).unwrap();
        rings.flush().unwrap();
        assert_eq!(told(&board), [7]);
    }
}
