//! What hostile clients try with the protection of transactions, and what it costs them.

mod support;

use std::collections::VecDeque;
use std::time::Duration;

use support::{Host, T};
use xenstore_engine::{ConnectionId, Turn};

const MILLISECOND: Duration = Duration::from_millis(1);

/// The daemon's rounds, as its event loop makes them: everybody in line has one turn, then
/// those who were woken are put in line behind those who have more.
struct Rounds {
    line: VecDeque<ConnectionId>,
}

impl Rounds {
    fn line_up(&mut self, host: &Host, id: ConnectionId) {
        if host.engine.standing(id).is_ready && !self.line.contains(&id) {
            self.line.push_back(id);
        }
    }

    fn round(&mut self, host: &mut Host) {
        if host.engine.deadline().is_some_and(|deadline| deadline <= host.now) {
            host.engine.pass_time(host.now, &mut host.log);
        }
        self.woken(host);
        for _ in 0..self.line.len() {
            let id = self.line.pop_front().unwrap_or_else(|| unreachable!());
            if host.turn(id) == Turn::More {
                self.line_up(host, id);
            }
        }
        self.woken(host);
    }

    fn woken(&mut self, host: &mut Host) {
        while let Some(id) = host.engine.next_ready() {
            self.line_up(host, id);
        }
    }
}

/// Two clients on the socket that lose to themselves on purpose and pass the protection
/// to each other within a round: who was woken never finds the place free.
#[test]
fn a_held_writer_is_not_starved_by_two_who_take_turns() {
    let mut host = Host::new();
    let (one, two, writer) = (host.socket(), host.socket(), host.socket());
    host.write(writer, "/x", "0");
    let mut t = [0; 2];
    for (id, t) in [one, two].into_iter().zip(&mut t) {
        host.lose(id, writer, "/x");
        *t = 2;
    }
    let mut rounds = Rounds { line: VecDeque::new() };
    // `one` is protected first.
    host.send(one, T::TransactionStart, 0, b"\0");
    host.send(one, T::Write, 2, b"/y\0v");
    host.send(one, T::Read, 2, b"/x\0");
    rounds.line_up(&host, one);
    rounds.round(&mut host);
    host.send(writer, T::Write, 0, b"/x\0news");
    rounds.line_up(&host, writer);
    let mut held = 0;
    for round in 0..200 {
        host.now += MILLISECOND;
        let (last, next) = if round % 2 == 0 { (0, 1) } else { (1, 0) };
        let ids = [one, two];
        // The one makes its own transaction fail and so has a claim again.
        host.send(ids[last], T::Write, 0, format!("/x\0{round}").as_bytes());
        host.send(ids[last], T::TransactionEnd, t[last], b"T\0");
        rounds.line_up(&host, ids[last]);
        // The other begins.
        t[next] += u32::from(round > 0);
        host.send(ids[next], T::TransactionStart, 0, b"\0");
        host.send(ids[next], T::Write, t[next], b"/y\0v");
        host.send(ids[next], T::Read, t[next], b"/x\0");
        rounds.line_up(&host, ids[next]);
        rounds.round(&mut host);
        host.collect(one);
        host.collect(two);
        held += usize::from(host.engine.output(writer).is_empty());
    }
    assert!(held <= 2, "the writer was kept waiting in {held} of 200 rounds");
}

/// The same with guests, who pay for it: each holds for 1 ms and rests for 9, all rest for
/// as long as the last held. Who has more requests lying there is in line before those
/// who were woken.
#[test]
fn a_held_guest_is_not_starved_by_guests_who_take_turns() {
    const HOSTILE: usize = 12;
    let mut host = Host::new();
    let (tool, writer) = (host.socket(), host.guest(5));
    host.write(tool, "/x", "0");
    host.chmod(tool, "/x", "b0");
    let hostile: Vec<_> = (10..).take(HOSTILE).map(|domid| host.guest(domid)).collect();
    let mut t = [1; HOSTILE];
    for &id in &hostile {
        host.lose(id, id, "/x");
    }
    let mut rounds = Rounds { line: VecDeque::new() };
    // What keeps a guest in line: more than it may have answered in a turn.
    let busy = |host: &mut Host, id| (0..32).for_each(|_| host.send(id, T::Read, 0, b"/x\0"));
    let begin = |host: &mut Host, id, t: u32| {
        host.send(id, T::TransactionStart, 0, b"\0");
        host.send(id, T::Read, t, b"/x\0");
        host.send(id, T::Write, t, b"/x\0mine");
    };
    let mut held = 0;
    for round in 0..200 {
        host.now += MILLISECOND;
        let (number, tenure) = (round / 2 % HOSTILE, round % 2 == 1);
        let (id, next) = (hostile[number], hostile[(number + 1) % HOSTILE]);
        if tenure {
            // It fails on purpose, and the next one prepares.
            host.send(id, T::Write, 0, format!("/x\0{round}").as_bytes());
            host.send(id, T::TransactionEnd, t[number], b"T\0");
            let number = (number + 1) % HOSTILE;
            t[number] += 1;
            busy(&mut host, next);
            begin(&mut host, next, t[number]);
            rounds.line_up(&host, next);
        } else if round == 0 {
            t[number] += 1;
            begin(&mut host, id, t[number]);
        }
        rounds.line_up(&host, id);
        if round == 1 {
            host.send(writer, T::Write, 0, b"/x\0news");
            rounds.line.push_front(writer);
        }
        rounds.round(&mut host);
        for &id in &hostile {
            host.collect(id);
        }
        held += usize::from(round > 0 && host.engine.output(writer).is_empty());
    }
    assert!(held <= 4, "the writer was kept waiting in {held} of 200 rounds");
}

/// The start of one gives the other rank its tenure too, but does not wake it.
#[test]
fn whose_turn_it_is_is_woken_whoever_finds_out() {
    let mut host = Host::new();
    let (tool, rival, guest) = (host.socket(), host.socket(), host.guest(5));
    host.write(tool, "/x", "0");
    host.chmod(tool, "/x", "b0");
    host.lose(guest, rival, "/x");
    let t = host.begin(guest);
    host.sleep(10 * MILLISECOND);
    assert_eq!(host.commit(guest, t), "OK");
    host.lose(guest, rival, "/x");
    host.lose(tool, rival, "/x");
    host.ask_in_vain(guest, 0, T::TransactionStart, "\0");
    // The guest has rested, and a moment before the daemon looks at its clock for the sake
    // of that, a tool begins.
    host.now += 90 * MILLISECOND;
    let theirs = host.begin(tool);
    assert!(host.reply(guest).is_some(), "it has a tenure and sleeps");
    host.commit(tool, theirs);
}

/// A guest that may not know what is in a place does not keep others from changing it.
#[test]
fn who_may_not_list_holds_back_nobody() {
    let mut host = Host::new();
    let (tool, nosy, owner) = (host.socket(), host.guest(6), host.guest(5));
    host.write(tool, "/x", "0");
    host.chmod(tool, "/x", "b0");
    host.write(tool, "/local/domain/5", "");
    host.chmod(tool, "/local/domain/5", "n5");
    // It loses to itself: nobody else is needed.
    host.lose(nosy, nosy, "/x");
    let t = host.begin(nosy);
    assert_eq!(host.ask_in(nosy, t, T::Directory, "/local/domain/5\0"), "EACCES");
    host.send(owner, T::Write, 0, b"data/private\0v");
    host.turn(owner);
    assert!(!host.engine.standing(owner).is_held, "a stranger holds back what is private");
}

/// What is protected for a guest is bounded, for each of several lost transactions: what
/// is beyond is not protected.
#[test]
fn the_second_protected_transaction_is_bounded_too() {
    let mut host = Host::new();
    let (tool, guest, rival) = (host.socket(), host.guest(5), host.guest(6));
    for path in ["/x", "/y"] {
        host.write(tool, path, "0");
        host.chmod(tool, path, "b0");
    }
    // Two lost at a time.
    let two = [host.begin(guest), host.begin(guest)];
    for t in two {
        host.ask_in(guest, t, T::Read, "/x\0");
        host.ask_in(guest, t, T::Write, "/x\0mine");
    }
    host.write(rival, "/x", "1");
    for t in two {
        assert_eq!(host.commit(guest, t), "EAGAIN");
    }
    // The first tenure takes the footprint.
    let t = host.begin(guest);
    assert_eq!(host.commit(guest, t), "OK");
    // The second begins without.
    let t = host.begin(guest);
    // 9 deep 1000 times: more than 8192 places.
    for number in 0..1000 {
        let path = format!("/{number}/2/3/4/5/6/7/8/9/10");
        host.ask_in(guest, t, T::Read, format!("{path}\0"));
    }
    host.ask_in(guest, t, T::Read, "/y\0");
    host.send(rival, T::Write, 0, b"/y\0other");
    host.turn(rival);
    assert!(!host.engine.standing(rival).is_held, "more than 8192 places are kept for a guest");
}

/// The time of who comes next counts from when it is its turn, not from when the daemon had
/// last something to do.
#[test]
fn who_comes_next_has_all_of_its_time() {
    let mut host = Host::new();
    let (victim, rival, hostile) = (host.socket(), host.socket(), host.socket());
    host.write(rival, "/x", "0");
    host.lose(hostile, rival, "/x");
    host.lose(victim, rival, "/x");
    host.begin(hostile);
    host.ask_in_vain(victim, 0, T::TransactionStart, "\0");
    // The hostile one is silent for almost as long as can be, and goes.
    host.sleep(124 * MILLISECOND);
    // The daemon tells the time whenever it wakes up.
    host.engine.pass_time(host.now, &mut host.log);
    host.engine.disconnect(hostile, &mut host.log);
    let t = host.reply(victim).expect("its turn").parse().unwrap();
    host.ask_in(victim, t, T::Read, "/x\0");
    host.sleep(2 * MILLISECOND);
    host.send(rival, T::Write, 0, b"/x\0other");
    host.turn(rival);
    assert!(host.engine.standing(rival).is_held, "protected for 2 ms only");
    host.ask_in(victim, t, T::Write, "/x\0mine");
    assert_eq!(host.commit(victim, t), "OK");
}

/// Any number of tries: hostile clients on the socket make each tenure one without time.
#[test]
fn three_tries_are_enough_whoever_goes() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    host.write(rival, "/x", "0");
    let mut tries = 1;
    host.lose(victim, rival, "/x");
    while tries < 20 {
        // Before each try somebody else failed first (or while it rested).
        let hostile = host.socket();
        host.sleep(501 * MILLISECOND);
        host.lose(hostile, rival, "/x");
        host.begin(hostile);
        tries += 1;
        host.send(victim, T::TransactionStart, 0, b"\0");
        host.turn(victim);
        host.sleep(124 * MILLISECOND);
        host.engine.pass_time(host.now, &mut host.log);
        host.engine.disconnect(hostile, &mut host.log);
        let t: u32 = host.reply(victim).expect("its turn").parse().unwrap();
        // A fast client: a millisecond for each request.
        host.ask_in(victim, t, T::Read, "/x\0");
        host.sleep(MILLISECOND);
        host.ask_in(victim, t, T::Write, "/x\0mine");
        host.sleep(MILLISECOND);
        host.send(rival, T::Write, 0, format!("/x\0{tries}").as_bytes());
        host.turn(rival);
        let answer = host.commit(victim, t);
        host.reply(rival);
        if answer == "OK" {
            break;
        }
    }
    assert!(tries <= 3, "{tries} tries");
}

/// A guest's home with a chain of nodes as deep as paths may be.
fn deep(host: &mut Host, domid: u16) -> (ConnectionId, String) {
    let (tool, guest) = (host.socket(), host.guest(domid));
    let home = format!("/local/domain/{domid}");
    host.write(tool, &home, "");
    host.chmod(tool, &home, &format!("n{domid}"));
    let path = format!("{home}{}", "/d".repeat(990));
    assert_eq!(host.write(guest, &path, "v"), "OK");
    (guest, path)
}

/// A commit costs what its requests cost, and a request what its path has names. So that
/// nobody waits long for a guest's commit, deep paths fill a transaction soon.
#[test]
fn deep_paths_fill_a_transaction_soon() {
    let mut host = Host::new();
    let (guest, path) = deep(&mut host, 5);
    let t = host.begin(guest);
    let granted = (0..1000)
        .take_while(|_| host.ask_in(guest, t, T::Write, format!("{path}\0v")) == "OK")
        .count();
    assert!((3..20).contains(&granted), "{granted} requests of a thousand names");
    assert_eq!(host.log.refused[0].1, "memory");
    assert_eq!(host.commit(guest, t), "OK");
    let (other, _) = (host.guest(6), host.write(guest, "open", ""));
    host.chmod(guest, "open", "b5");
    let t = host.begin(other);
    for _ in 0..2500 {
        let request = "/local/domain/5/open/device/vif\0v";
        assert_eq!(host.ask_in(other, t, T::Write, request), "OK", "ordinary ones do not");
    }
    assert_eq!(host.commit(other, t), "OK");
}

/// Others at work beside a protected transaction do not make each of its requests cost as
/// much as all before: below what it made itself there is nothing to look after.
#[test]
fn a_protected_transaction_does_not_move_for_what_it_made() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    host.write(rival, "/x", "0");
    host.write(rival, "/local/domain/6/busy", "0");
    host.lose(victim, rival, "/x");
    let t = host.begin(victim);
    for number in 0..1000 {
        let request = format!("/local/domain/7/new/{number}\0v");
        assert_eq!(host.ask_in(victim, t, T::Write, request), "OK");
    }
    assert_eq!(host.write(rival, "/local/domain/6/busy", "1"), "OK");
    for number in 0..32 {
        let request = format!("/local/domain/7/new/more-{number}\0v");
        host.send(victim, T::Write, t, request.as_bytes());
    }
    // A turn ends early after much work.
    assert_eq!(host.turn(victim), Turn::Idle, "too much work for 32 requests");
    let answered = std::iter::from_fn(|| host.reply(victim)).count();
    assert_eq!(answered, 32);
    assert_eq!(host.commit(victim, t), "OK");
}

/// A guest that is protected and makes its own transaction hopeless: to find out again with
/// each request that it cannot be moved was as much work each time as all its requests.
#[test]
fn what_cannot_be_moved_is_not_tried_again() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    host.write(tool, "/local/domain/5/r", "0");
    host.write(tool, "/local/domain/5/d/x", "");
    for name in ["", "/r", "/d", "/d/x"] {
        host.chmod(tool, &format!("/local/domain/5{name}"), "n5");
    }
    host.lose(guest, tool, "/local/domain/5/r");
    let t = host.begin(guest);
    for number in 0..500 {
        assert_eq!(host.ask_in(guest, t, T::Write, format!("{}/{number}\0v", number / 50)), "OK");
    }
    assert_eq!(host.ask_in(guest, t, T::Read, "r\0"), "0x");
    host.write(guest, "r", "other");
    host.write(guest, "d/x", "other");
    let mut efforts = Vec::new();
    for number in 0..10 {
        assert_eq!(host.ask_in(guest, t, T::Read, format!("d/p{number}\0")), "ENOENT");
        efforts.push(host.engine.effort());
    }
    assert!(efforts[0] > 1000, "it was tried once: {efforts:?}");
    assert!(efforts[1..].iter().all(|&effort| effort < 10), "{efforts:?}");
    assert_eq!(host.commit(guest, t), "EAGAIN");
}

/// A subtree is walked through when it is removed inside a transaction, too. That was counted at
/// the commit alone, so who aborted had as many removed in a turn as it has requests.
#[test]
fn a_removal_inside_a_transaction_is_work() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    host.write(tool, "/local/domain/5/big", "");
    for name in ["", "/big"] {
        host.chmod(tool, &format!("/local/domain/5{name}"), "n5");
    }
    for number in 0..500 {
        assert_eq!(host.write(guest, &format!("big/{number}"), ""), "OK");
    }
    for number in 1..=8 {
        host.send(guest, T::TransactionStart, 0, b"\0");
        host.send(guest, T::Rm, number, b"big\0");
        host.send(guest, T::TransactionEnd, number, b"F\0");
    }
    assert_eq!(host.turn(guest), Turn::More, "all of it in one turn");
    let answers: Vec<_> = std::iter::from_fn(|| host.reply(guest)).collect();
    assert_eq!(answers, ["1", "OK"]);
}
