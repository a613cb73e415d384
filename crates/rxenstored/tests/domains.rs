//! The real binary and the domains of a simulated host.

mod support;

use std::sync::atomic::Ordering::SeqCst;

use xenstore_host::sim::{Board, DomainWord, State};
use xenstore_wire::Domid;

use support::client::{Client, T};
use support::{Host, eventually};

/// The hypervisor tells a number of domains at a time which changed. The daemon asked once
/// for each event, and heard of the rest when the next domain died, or never.
#[test]
fn however_many_domains_die_at_once_each_is_noticed() {
    const DOMAINS: u16 = 100;

    let host = Host::new();
    let simulated = format!("sim:{}", host.path("xen").display());
    let board = Board::open(&host.path("xen")).unwrap();
    let guests = || (1..=DOMAINS).map(Domid::new);
    let set = |domid, word, value| board.domain(domid, word).unwrap().store(value, SeqCst);
    guests().for_each(|domid| set(domid, DomainWord::State, State::EXISTS));

    let _daemon = host.start(host.command(&["--no-fork", "--host", &simulated]));
    let mut client = Client::connect(&host);
    for domid in guests() {
        assert_eq!(client.ask(T::Introduce, &format!("{domid}\x001\x001\0")), "OK");
    }
    for domid in guests() {
        set(domid, DomainWord::State, 0);
        set(domid, DomainWord::Changed, 1);
    }
    board.fire_news().unwrap();
    for domid in guests() {
        let introduced = format!("{domid}\0");
        eventually("death", || client.ask(T::IsDomainIntroduced, &introduced) == "F");
    }
}
