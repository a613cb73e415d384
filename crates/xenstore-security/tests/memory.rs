//! What guests can have the daemon keep for them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeMap;

use xenstore_client::{Call, Store};
use xenstore_guests::Guest;
use xenstore_security::{Account, Flood, Peer, World, done, refused, with};
use xenstore_wire::{Domid, MessageType as T};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The quota of memory that every domain has unless told otherwise.
const QUOTA: u64 = 2_621_440;

/// What the daemon may hold beside what it charges: room the allocator keeps, and buffers
/// that it uses for everybody.
const SLACK: u64 = 8 * MIB;

/// How much memory something takes that is done to the daemon.
struct Growth {
    before: u64,
}

impl Growth {
    fn since_now(world: &World) -> Self {
        Self { before: world.daemon.resident_bytes() }
    }

    fn is_at_most(&self, limit: u64, world: &World) {
        let grown = world.daemon.resident_bytes().saturating_sub(self.before);
        println!("{} KiB of {} KiB", grown / KIB, limit / KIB);
        assert!(grown <= limit, "the daemon grew by {grown} bytes, {limit} are allowed");
    }
}

fn guests(world: &mut World, count: u16) -> Vec<Flood> {
    (1..=count).map(|number| Flood::new(world.guest(number))).collect()
}

/// A guest asked and did not read what it was answered; the daemon kept the replies, as many
/// as there were requests.
///
/// A guest with twenty replies outstanding is not read any more, and the twenty are charged
/// to its quota of memory. When it reads, everything is answered, in order.
#[test]
fn xsa_326_replies_nobody_reads() {
    const GUESTS: u16 = 20;
    const REQUESTS: u32 = 300;
    with(Peer::NOT_OCAML, |world| {
        let mut floods = guests(world, GUESTS);
        for flood in &mut floods {
            let write = [&b"data\0"[..], &[b'v'; 1000]].concat();
            assert_eq!(world.ask(&mut flood.guest, T::Write, write), done());
        }
        let before: Vec<_> = floods.iter().map(|it| world.account(&it.guest)).collect();
        let growth = Growth::since_now(world);
        let begun: Vec<_> = floods.iter().map(Flood::consumed).collect();
        for flood in &mut floods {
            for _ in 0..REQUESTS {
                flood.queue(T::Read, 0, "data\0");
            }
        }
        world.fill(&mut floods);
        // Twenty are answered, and what lay in the ring behind them may have been read.
        let request = 16 + "data\0".len();
        let most = u32::try_from((20 + 1) * request + 1024).unwrap();
        for (flood, begun) in floods.iter().zip(begun) {
            let consumed = flood.consumed() - begun;
            assert!(consumed <= most, "{consumed} bytes of requests taken, {most} are expected");
            if world.is_ours() {
                let account = world.account(&flood.guest);
                assert_eq!(account.outstanding, 20);
                assert!((20 * 900..QUOTA).contains(&account.memory), "{account:?}");
            }
        }
        growth.is_at_most(u64::from(GUESTS) * 32 * KIB + SLACK, world);
        for (flood, before) in floods.iter_mut().zip(before) {
            world.finish(flood);
            assert_eq!(flood.refusals, [""; 0]);
            if world.is_ours() {
                assert_eq!(world.account(&flood.guest), before);
            }
        }
    });
}

/// A guest watched what others change and did not read its events; the daemon kept them all.
///
/// What waits for a guest is charged to it. Beyond its quota each watch has one event more,
/// which stands for all further ones: when the guest reads, it learns of each watch that
/// something changed, and from then on everything again.
#[test]
fn xsa_326_events_nobody_reads() {
    const GUESTS: u16 = 10;
    const WATCHES: usize = 128;
    const CHANGES: u32 = 300;
    with(Peer::OURS, |world| {
        world.toolstack.mkdir("/shared").unwrap();
        world.permit("/shared", "r0");
        let mut floods = guests(world, GUESTS);
        let fresh: Vec<_> = floods.iter().map(|it| world.account(&it.guest)).collect();
        for flood in &mut floods {
            for number in 0..WATCHES {
                let token = format!("{number}-{}", "t".repeat(1000));
                flood.queue(T::Watch, 0, format!("/shared\0{token}\0"));
            }
            world.finish(flood);
            assert_eq!(flood.refusals, [""; 0]);
        }
        world.fill(&mut floods);
        for flood in &mut floods {
            while flood.take() > 0 {}
        }
        let watching: Vec<_> = floods.iter().map(|it| world.account(&it.guest)).collect();
        let growth = Growth::since_now(world);
        for number in 0..CHANGES {
            world.toolstack.write(&format!("/shared/{number}"), "changed").unwrap();
        }
        let mut charged = 0;
        for (flood, watching) in floods.iter().zip(&watching) {
            let Account { memory, .. } = world.account(&flood.guest);
            let waits = watching.memory + 256 * KIB..=QUOTA;
            assert!(waits.contains(&memory), "{memory} bytes charged");
            charged += memory - watching.memory;
        }
        growth.is_at_most(charged + SLACK, world);

        let last = format!("/shared/{}", CHANGES - 1);
        for (flood, watching) in floods.iter_mut().zip(watching) {
            flood.events.clear();
            flood.queue(T::GetDomainPath, 0, "1\0");
            world.finish(flood);
            let mut heard = BTreeMap::new();
            for (path, token) in flood.events.drain(..) {
                heard.insert(token, path);
            }
            assert_eq!(heard.len(), WATCHES);
            let learnt = |path: &String| *path == last || path == "/shared";
            assert!(heard.values().all(learnt), "{heard:?}");
            assert_eq!(world.account(&flood.guest), watching);
        }
        world.toolstack.write("/shared/last", "").unwrap();
        for (flood, fresh) in floods.iter_mut().zip(fresh) {
            flood.queue(T::GetDomainPath, 0, "1\0");
            world.finish(flood);
            assert_eq!(flood.events.len(), WATCHES);
            assert!(flood.events.iter().all(|(path, _)| path == "/shared/last"));
            flood.queue(T::ResetWatches, 0, "");
            world.finish(flood);
            assert_eq!(world.account(&flood.guest), fresh);
        }
    });
}

/// A guest filled each of its transactions with all the nodes it might have, each as large
/// as it might be: ten times what it was allowed.
///
/// What a transaction makes is charged while it is open. All of a guest's transactions
/// together keep within its quota, and give everything back, however they end.
#[test]
fn xsa_326_transactions_full_of_nodes() {
    const GUESTS: u16 = 8;
    with(Peer::OURS, |world| {
        let mut fillers: Vec<_> = (1..=GUESTS).map(|number| world.guest(number)).collect();
        let growth = Growth::since_now(world);
        let mut charged = 0;
        let mut open = Vec::new();
        for guest in &mut fillers {
            let before = world.account(guest);
            let transactions: Vec<_> = (0..10).map(|_| world.begin(guest)).collect();
            let mut made = 0;
            for transaction in &transactions {
                for number in 0..999 {
                    // Few names in each list, so that not its length is the limit.
                    let (high, low) = (number / 30, number % 30);
                    let node = format!("{high}/{low}/{number:0>500}\0{}", "v".repeat(1900));
                    let answer = world.ask_within(guest, *transaction, T::Write, node);
                    if answer != done() {
                        assert_eq!(answer, refused("ENOSPC"));
                        break;
                    }
                    made += 1;
                }
            }
            let Account { memory, .. } = world.account(guest);
            assert!(memory <= QUOTA, "{memory} bytes charged");
            assert!((100..QUOTA / 1900).contains(&made), "{made} nodes");
            charged += memory - before.memory;
            open.push((before, transactions));
        }
        growth.is_at_most(charged + SLACK, world);
        for (number, (guest, (before, transactions))) in fillers.iter_mut().zip(open).enumerate() {
            if number % 2 == 0 {
                assert_eq!(world.ask(guest, T::ResetWatches, [0]), done());
            } else {
                for transaction in transactions {
                    let end = world.ask_within(guest, transaction, T::TransactionEnd, "F\0");
                    assert_eq!(end, done());
                }
            }
            assert_eq!(world.account(guest), before);
        }
    });
}

/// A guest looked at so many things in one transaction that what was noted of each filled
/// the memory.
///
/// Each request of a transaction is charged, and its answer as soon as it is known; beyond
/// the quota there is no room for another.
#[test]
fn xsa_326_transactions_that_look_at_everything() {
    const GUESTS: u16 = 8;
    with(Peer::OURS, |world| {
        world.toolstack.write("/large", "v".repeat(4000)).unwrap();
        world.permit("/large", "r0");
        for number in 0..200 {
            world.toolstack.mkdir(&format!("/wide/child-{number}-of-many")).unwrap();
        }
        world.permit("/wide", "r0");
        let growth = Growth::since_now(world);
        let looks: [(T, &dyn Fn(u32) -> String); 6] = [
            (T::Read, &|_| "/large\0".into()),
            (T::Directory, &|_| "/wide\0".into()),
            (T::DirectoryPart, &|at| format!("/wide\0{}\0", at % 3000)),
            (T::GetPerms, &|_| "/large\0".into()),
            (T::Read, &|at| format!("{at:0>2000}\0")),
            (T::Rm, &|at| format!("{at}\0")),
        ];
        let mut charged = 0;
        let mut open = Vec::new();
        for number in 1..=GUESTS {
            let mut guest = world.guest(number);
            let before = world.account(&guest);
            let (kind, payload) = looks[usize::from(number) % looks.len()];
            let transaction = world.begin(&mut guest);
            let mut asked = 0;
            loop {
                let answer = world.ask_within(&mut guest, transaction, kind, payload(asked));
                if answer == refused("ENOSPC") {
                    break;
                }
                assert!(answer.is_ok() || answer == refused("ENOENT"), "{kind}: {answer:?}");
                asked += 1;
            }
            // Of requests there may be that many in a transaction.
            assert!((500..=4096).contains(&asked), "{asked} times {kind}");
            let Account { memory, .. } = world.account(&guest);
            // The last answer may be one too much.
            assert!(memory <= QUOTA + 4 * KIB, "{memory} bytes charged for {kind}");
            charged += memory - before.memory;
            open.push((guest, transaction, before));
        }
        growth.is_at_most(charged + SLACK, world);
        for (mut guest, transaction, before) in open {
            // It can be ended, and another begun.
            assert_eq!(world.commit(&mut guest, transaction), done());
            assert_eq!(world.account(&guest), before);
            let transaction = world.begin(&mut guest);
            let read = world.ask_within(&mut guest, transaction, T::Read, "/large\0");
            assert_eq!(read.map(|value| value.len()), Ok(4000));
        }
    });
}

/// A transaction sees the store as it was when it began. Ten for each of many guests, each
/// begun a little later than the last, kept all the versions there had been in between.
///
/// What old versions take is bounded for all guests together: who keeps most of them lets go
/// of its oldest. The newest of each guest is kept.
#[test]
fn xsa_326_transactions_that_keep_old_versions() {
    const GUESTS: u16 = 6;
    const NODES: u32 = 700;
    /// What may be kept of them, for all guests, with what is found late, and what the
    /// allocator keeps of those that were let go.
    const KEPT: u64 = 120 * MIB;
    fn rewrite(world: &mut World, value: char) {
        let value = value.to_string().repeat(4000);
        for first in (0..NODES).step_by(100) {
            let sent: Vec<_> = (first..first + 100)
                .map(|number| Call::write(&format!("/store/{number}"), value.as_bytes()).unwrap())
                .map(|call| world.toolstack.send(call).unwrap())
                .collect();
            for pending in sent {
                world.toolstack.receive(pending).unwrap();
            }
        }
    }
    with(Peer::OURS, |world| {
        world.toolstack.mkdir("/store").unwrap();
        world.permit("/store", "r0");
        rewrite(world, '-');
        let growth = Growth::since_now(world);
        let mut keepers = guests(world, GUESTS);
        let mut open = Vec::new();
        for value in "abcdefghij".chars() {
            for keeper in &mut keepers {
                let transaction = world.begin(&mut keeper.guest);
                let read = first_byte(world, &mut keeper.guest, transaction);
                rewrite(world, value);
                open.push((transaction, read));
            }
        }
        growth.is_at_most(KEPT + SLACK, world);
        let last = first_byte(world, &mut keepers[0].guest, 0);
        let mut kept = 0;
        let transactions = open.len();
        for (at, (transaction, read)) in open.into_iter().enumerate() {
            let guest = &mut keepers[at % usize::from(GUESTS)].guest;
            let again = first_byte(world, guest, transaction);
            let end = world.commit(guest, transaction);
            if again == read {
                kept += 1;
                assert_eq!(end, done(), "transaction {at}");
            } else {
                // It let go of its version, and so cannot commit.
                assert_eq!((again, end), (last, refused("EAGAIN")), "transaction {at}");
                let newest = at + usize::from(GUESTS) >= transactions;
                assert!(!newest, "transaction {at}, the newest of its guest, let go");
            }
        }
        assert!(kept < 25, "{kept} of {transactions} versions are more than there is room for");
    });
}

/// What a guest reads of a value of which all bytes are the same.
fn first_byte(world: &mut World, guest: &mut Guest, transaction: u32) -> u8 {
    let value = world.ask_within(guest, transaction, T::Read, "/store/1\0").unwrap();
    assert_eq!(value.len(), 4000);
    value[0]
}

/// Watches that were all removed at once left their places in the index of watched paths:
/// memory that nobody had any more.
///
/// A watch is in one place that owns it, and all that was made for it goes with it.
#[test]
fn xsa_330_watches_that_are_reset_leave_nothing() {
    const ROUNDS: u32 = 600;
    with(Peer::ALL, |world| {
        let mut flood = Flood::new(world.guest(1));
        let empty = world.peer != Peer::Ocaml;
        let before = empty.then(|| world.account(&flood.guest));
        let mut growth = None;
        for round in 0..ROUNDS {
            for number in 0..90 {
                let path = format!("{round}/some-name/{number}");
                flood.queue(T::Watch, 0, format!("{path}\0token\0"));
            }
            flood.queue(T::ResetWatches, 0, [0]);
            world.finish(&mut flood);
            flood.events.clear();
            if round == ROUNDS / 10 {
                growth = Some(Growth::since_now(world));
            }
        }
        assert_eq!(flood.refusals, [""; 0]);
        growth.unwrap().is_at_most(3 * MIB, world);
        if before.is_some() {
            assert_eq!(Some(world.account(&flood.guest)), before);
        }
    });
}

/// What a request needed while it was done was kept until its reply had been read, which the
/// guest could put off for ever.
///
/// All that is kept of a request that was answered is the reply.
#[test]
fn xsa_416_a_request_is_gone_when_it_is_answered() {
    const GUESTS: u16 = 200;
    const REQUESTS: u32 = 15;
    with(Peer::NOT_OCAML, |world| {
        let mut floods = guests(world, GUESTS);
        for flood in &mut floods {
            let write = [&b"data\0"[..], &[b'v'; 1900]].concat();
            assert_eq!(world.ask(&mut flood.guest, T::Write, write), done());
        }
        let growth = Growth::since_now(world);
        for flood in &mut floods {
            for _ in 0..REQUESTS {
                // Refused, and as large as can be.
                let write = [&b"data\0"[..], &[b'v'; 4091]].concat();
                flood.queue(T::Write, 0, write);
            }
        }
        world.fill(&mut floods);
        for flood in &floods {
            assert_eq!(flood.guest.unsent(), 0, "all that was asked was taken");
        }
        // The requests are 12 MiB, and the replies 75 KiB.
        growth.is_at_most(u64::from(GUESTS) * 8 * KIB + MIB, world);
        for flood in &mut floods {
            world.finish(flood);
            assert_eq!(flood.refusals, vec!["ENOSPC\0"; REQUESTS as usize]);
        }
    });
}

/// A guest changed its nodes as fast as it could. The kernel of the control domain, whose
/// drivers watch them, was sent an event for each, and kept them all until it had no memory.
///
/// An event that waits to be read is not sent again. Who lags gets each change once, and
/// the last is never lost.
#[test]
fn xsa_349_a_change_that_is_not_read_yet_is_told_once() {
    const CHANGES: u32 = 5000;
    const NODES: u32 = 10;
    with(Peer::NOT_OCAML, |world| {
        let mut kernel = Flood::new(world.host.guest(Domid::DOM0).unwrap());
        let mut guest = Flood::new(world.guest(1));
        kernel.queue(T::Watch, 0, "/local/domain/1\0backend\0");
        world.finish(&mut kernel);
        while kernel.events.is_empty() {
            kernel.take();
        }
        kernel.events.clear();
        for number in 0..CHANGES {
            guest.queue(T::Write, 0, format!("{}\0{number}", number % NODES));
        }
        world.finish(&mut guest);
        assert_eq!(guest.refusals, [""; 0]);

        let read =
            |number: u32| (format!("/local/domain/1/{}", number % NODES), b"backend".to_vec());
        kernel.queue(T::GetDomainPath, 0, "0\0");
        world.finish(&mut kernel);
        // What fits into the ring, what is done in a turn before it is seen that the ring is
        // full, and each node once more.
        let most = 1024 / (16 + "/local/domain/1/0\0backend\0".len()) + 32 + NODES as usize;
        assert!(kernel.events.len() <= most, "{} events, {most} expected", kernel.events.len());
        for number in 0..NODES {
            assert!(kernel.events.contains(&read(number)), "node {number}");
        }
        // It has heard of the last change of each, since all were made before the answer.
        kernel.events.clear();
        assert_eq!(world.ask(&mut guest.guest, T::Write, "3\0again"), done());
        kernel.queue(T::GetDomainPath, 0, "0\0");
        world.finish(&mut kernel);
        assert_eq!(kernel.events, [read(3)]);
    });
}
