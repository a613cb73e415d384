//! Guests that get in the way of others.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use xenstore_client::{Call, Store};
use xenstore_guests::Guest;
use xenstore_security::{Account, Answer, Flood, World, done, refused, told};
use xenstore_wire::{Domid, Errno, MessageType as T};

/// A transaction failed when anybody had changed what it had looked at. A guest that kept
/// changing one node had everybody who looked at it fail again and again, for ever: no guest
/// could be started any more.
///
/// Who lost a transaction is protected in the next one: what would disturb it waits for its
/// end. So each goes through within three tries, and the writes that waited are all done.
#[test]
fn xsa_206_a_transaction_gets_through_whatever_guests_do() {
    const TRANSACTIONS: u32 = 50;
    const TRIES: u32 = 3;
    for victim_is_guest in [false, true] {
        // A protection ends after some time, so that who sleeps does not stop others. On a
        // machine that is busy with other things the victim may sleep for longer than that.
        let mut world = World::with_arguments(&["--longest-protection", "20000"]);
        let world = &mut world;
        world.toolstack.mkdir("/shared").unwrap();
        world.permit("/shared", "b0");
        let mut victim = Flood::new(world.guest(1));
        let mut attackers: Vec<_> = (2..5).map(|number| Flood::new(world.guest(number))).collect();
        let (mut tries, mut most) = (0, 0);
        for number in 0..TRANSACTIONS {
            for attempt in 1.. {
                let outcome =
                    attempt_of(world, &mut victim, victim_is_guest, number, &mut attackers);
                tries += 1;
                most = most.max(attempt);
                if outcome == done() {
                    break;
                }
                assert_eq!(outcome, refused("EAGAIN"));
                assert!(attempt < TRIES, "transaction {number} fails {attempt} times");
            }
        }
        println!("guest: {victim_is_guest}, {tries} tries, at most {most} for one");
        assert!(tries > TRANSACTIONS, "nobody was in the way");
        for attacker in &mut attackers {
            world.finish(attacker);
            assert_eq!(attacker.refusals, [""; 0]);
            assert!(attacker.replies > 100, "{} writes", attacker.replies);
        }
        let counted = world.toolstack.read("/local/domain/1/count").unwrap();
        assert_eq!(counted, (TRANSACTIONS - 1).to_string().as_bytes());
        world.is_sound();
    }
}

/// Looks at the node that the attackers change, lets them change it, and writes what it saw.
fn attempt_of(
    world: &mut World,
    victim: &mut Flood,
    victim_is_guest: bool,
    number: u32,
    attackers: &mut [Flood],
) -> Answer {
    let id = if victim_is_guest {
        world.begin(&mut victim.guest)
    } else {
        let id = world.toolstack.call(Call::transaction_start().unwrap()).unwrap();
        return toolstack_attempt(world, id, number, attackers);
    };
    world.ask_within(&mut victim.guest, id, T::Directory, "/shared\0").unwrap();
    attack(world, attackers);
    let _ = world.ask_within(&mut victim.guest, id, T::Read, "/shared/busy\0");
    attack(world, attackers);
    let write = format!("count\0{number}");
    assert_eq!(world.ask_within(&mut victim.guest, id, T::Write, write), done());
    attack(world, attackers);
    world.commit(&mut victim.guest, id)
}

/// The same by the toolstack.
fn toolstack_attempt(
    world: &mut World,
    id: xenstore_client::TransactionId,
    number: u32,
    attackers: &mut [Flood],
) -> Answer {
    world.toolstack.call(Call::directory("/shared").unwrap().within(id)).unwrap();
    attack(world, attackers);
    let _ = world.toolstack.call(Call::read("/shared/busy").unwrap().within(id));
    attack(world, attackers);
    let count = number.to_string();
    let write = Call::write("/local/domain/1/count", count.as_bytes()).unwrap();
    world.toolstack.call(write.within(id)).unwrap();
    attack(world, attackers);
    match world.toolstack.call(Call::transaction_end(id, true).unwrap()) {
        Ok(()) => done(),
        Err(error) => {
            assert_eq!(error.errno(), Some(Errno::Again), "{error}");
            refused("EAGAIN")
        }
    }
}

/// Every attacker has writes in its ring, and has had turns.
fn attack(world: &mut World, attackers: &mut [Flood]) {
    let mut other = world.client();
    for round in 0..3 {
        for attacker in &mut *attackers {
            if attacker.guest.unsent() == 0 {
                let number = attacker.requests;
                attacker.queue(T::Write, 0, format!("/shared/busy\0{number}"));
                attacker.queue(T::Mkdir, 0, format!("/shared/new-{}\0", number % 50));
                attacker.queue(T::Rm, 0, format!("/shared/new-{}\0", number % 50));
            }
            attacker.step();
        }
        assert_eq!(other.domain_path(Domid::new(round)).unwrap(), format!("/local/domain/{round}"));
    }
}

/// What guests do that want to stop the others: a hundred and twenty-eight watches, ten
/// transactions open, and then all kinds of requests as fast as the ring takes them. Of three
/// one watches everything and is told of everything; one watches everything and takes nothing
/// of what it is told; one watches what never changes and waits for nobody's transactions,
/// and so has time to ask for more.
fn floods(world: &mut World, first: u16, count: u16) -> Vec<Flood> {
    world.toolstack.mkdir("/shared").unwrap();
    world.permit("/shared", "b0");
    let mut floods: Vec<_> =
        (first..first + count).map(|number| Flood::new(world.guest(number))).collect();
    for flood in &mut floods {
        let watched = if kind_of(flood) == Kind::Fast { "never" } else { "/" };
        for number in 0..128 {
            flood.queue(T::Watch, 0, format!("{watched}\0{number}\0"));
        }
        for _ in 0..10 {
            flood.queue(T::TransactionStart, 0, [0]);
        }
        world.finish(flood);
        assert_eq!(flood.refusals, [""; 0]);
    }
    floods
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Hears,
    Deaf,
    Fast,
}

fn kind_of(flood: &Flood) -> Kind {
    [Kind::Hears, Kind::Deaf, Kind::Fast][usize::from(flood.guest.domid().get() % 3)]
}

/// One more of all kinds of requests.
fn queue_anything(flood: &mut Flood) {
    let number = flood.requests;
    let transacts = kind_of(flood) != Kind::Fast;
    let transaction = if transacts && number.is_multiple_of(3) { 1 + number % 10 } else { 0 };
    let domid = flood.guest.domid();
    let shared = format!("/shared/{domid}-{}\0", number % 20);
    match number % 16 {
        0..4 => flood.queue(T::Write, transaction, format!("{shared}{number}")),
        4 => flood.queue(T::Write, transaction, format!("a/{number}/c/d\0{number}")),
        5 => flood.queue(T::Rm, transaction, "a\0"),
        6 => flood.queue(T::Read, transaction, shared),
        7 => flood.queue(T::Directory, transaction, "/shared\0"),
        8 => flood.queue(T::SetPerms, transaction, format!("{shared}b{domid}\0r1\0")),
        9 => flood.queue(T::GetPerms, transaction, "/\0"),
        10 => flood.queue(T::Rm, 0, shared),
        11 => flood.queue(T::TransactionEnd, transaction, "T\0"),
        12 if transacts => flood.queue(T::TransactionStart, 0, [0]),
        13 => flood.queue(T::Watch, 0, format!("/\0{number}\0")),
        14 => flood.queue(T::Introduce, 0, "1\x001\x001\0"),
        _ => flood.queue(T::Write, transaction, vec![0xff; 4000]),
    }
}

/// The daemon has one thread, and whoever kept it busy kept it from all others.
///
/// Turns go round and are bounded, so a good neighbour of guests that do their worst gets
/// every answer and every event, after a bounded number of requests of theirs. When they are
/// gone nothing is left of what they did.
#[test]
fn neighbours_who_flood_stop_nobody() {
    const FLOODS: u16 = 6;
    const ROUNDS: usize = 1000;
    /// Answers the floods take at least meanwhile.
    const FLOODED: u64 = 3000;
    /// Answers the floods usually take while a good guest waits for one: what each may be
    /// answered in a turn, for the rounds that a request and its reply take, and what they
    /// had lying in their rings.
    const USUAL: u64 = 1000;
    let mut world = World::with_arguments(&[]);
    let world = &mut world;
    let mut good = world.guest(1);
    assert_eq!(world.ask(&mut good, T::Write, "kept\0value"), done());
    world.watch(&mut good, "seen", "token");
    let account = world.account(&good);
    let files = world.daemon.open_files();
    let mut floods = floods(world, 10, FLOODS);
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut between = Vec::new();
    thread::scope(|scope| {
        let stopper = Stopper(&stop);
        let flooding = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                for flood in &mut floods {
                    while flood.guest.unsent() < 1024 {
                        queue_anything(flood);
                    }
                    flood.guest.push().unwrap();
                    if kind_of(flood) != Kind::Deaf {
                        flood.take();
                        flood.events.clear();
                        flood.refusals.clear();
                    }
                }
                let all = floods.iter().map(|flood| flood.replies).sum();
                answered.store(all, Ordering::SeqCst);
            }
        });
        let begun = answered.load(Ordering::SeqCst);
        // As long as it takes to be a flood: the system may give its thread little time.
        while between.len() < ROUNDS || answered.load(Ordering::SeqCst) < begun + FLOODED {
            assert!(!flooding.is_finished(), "the floods have stopped");
            let before = answered.load(Ordering::SeqCst);
            good_round(world, &mut good, between.len());
            between.push((answered.load(Ordering::SeqCst) - before) / REQUESTS);
        }
        drop(stopper);
    });
    between.sort_unstable();
    // The system may leave the good guest aside for a while; the daemon may not.
    let usual = between.get(between.len() / 2).unwrap();
    assert!(*usual <= USUAL, "{usual} answers to others for each of a good guest");

    for flood in &floods {
        world.end(&flood.guest);
        let gone = Account::of(flood.guest.domid(), &mut world.toolstack);
        assert_eq!(gone, Account::default());
    }
    assert_eq!(world.account(&good), account);
    assert_eq!(world.daemon.open_files(), files);
    assert_eq!(world.toolstack.directory("/shared").unwrap(), [""; 0]);
    assert_eq!(world.toolstack.directory("/").unwrap(), ["tool", "local", "shared"]);
    assert_eq!(world.toolstack.directory("/local/domain/1").unwrap(), ["kept"]);
    world.is_sound();
}

/// Requests in a good guest's round.
const REQUESTS: u64 = 9;

/// What a good guest does, each time with the right answer.
fn good_round(world: &mut World, good: &mut Guest, round: usize) {
    assert_eq!(world.ask(good, T::Read, "kept\0"), told("value"));
    assert_eq!(world.ask(good, T::Write, format!("seen\0{round}")), done());
    assert_eq!(world.ask(good, T::Read, "seen\0"), told(round.to_string()));
    let inside = world.begin(good);
    assert_eq!(world.ask_within(good, inside, T::Write, "seen/deep\0new"), done());
    assert_eq!(world.ask_within(good, inside, T::Directory, "seen\0"), told("deep\0"));
    assert_eq!(world.commit(good, inside), done());
    assert_eq!(world.ask(good, T::Rm, "seen\0"), done());
    assert_eq!(world.events(good), ["seen", "seen/deep", "seen"]);
}

/// Ends the other thread whatever becomes of this one.
struct Stopper<'a>(&'a AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
