//! Whoever lost a transaction does not lose the next: others wait.

mod support;

use std::time::Duration;

use support::{Host, T};
use xenstore_engine::{ConnectionId, Settings};

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn who_lost_once_wins_the_next_time() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    let t = host.protected(victim, rival);
    assert_eq!(host.ask_in(victim, t, T::Read, "/x\0"), "0x");
    host.ask_in_vain(rival, 0, T::Write, "/x\0other");
    assert_eq!(host.ask_in(victim, t, T::Write, "/x\0mine"), "OK");
    assert_eq!(host.commit(victim, t), "OK");
    assert_eq!(host.reply(rival).as_deref(), Some("OK"), "the rival goes on");
    assert_eq!(host.read(victim, "/x"), "other");
    host.check();
}

#[test]
fn only_what_would_disturb_waits() {
    let mut host = Host::new();
    let (victim, rival, guest) = (host.socket(), host.socket(), host.guest(5));
    host.write(rival, "/x", "0");
    host.write(rival, "/d/a", "0");
    host.lose(victim, rival, "/x");
    let t = host.begin(victim);
    assert_eq!(host.ask_in(victim, t, T::Read, "/x\0"), "0x");
    assert_eq!(host.ask_in(victim, t, T::Read, "/d/a\0"), "0");
    assert_eq!(host.ask_in(victim, t, T::Write, "/d/b\0v"), "OK");
    // Reads, the same value again, other places, siblings; what is refused anyway.
    assert_eq!(host.read(rival, "/x"), "0x");
    assert_eq!(host.write(rival, "/x", "0x"), "OK");
    assert_eq!(host.write(rival, "/d", "v"), "OK");
    assert_eq!(host.write(rival, "/d/c", "v"), "OK");
    assert_eq!(host.write(rival, "/d/a/below", "v"), "OK");
    assert_eq!(host.write(guest, "/x", "v"), "EACCES");
    let other = host.begin(rival);
    assert_eq!(host.ask_in(rival, other, T::Write, "/d/e\0v"), "OK");
    assert_eq!(host.commit(rival, other), "OK");
    // A removal above would.
    host.ask_in_vain(rival, 0, T::Rm, "/d\0");
    assert_eq!(host.commit(victim, t), "OK");
    assert_eq!(host.reply(rival).as_deref(), Some("OK"));
    assert_eq!(host.log.held_back, [(0, 0)]);
    host.check();
}

#[test]
fn a_commit_waits_like_a_write() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    host.write(rival, "/x", "0");
    host.lose(victim, rival, "/x");
    let theirs = host.begin(rival);
    host.ask_in(rival, theirs, T::Write, "/x\0theirs");
    let t = host.begin(victim);
    host.ask_in(victim, t, T::Read, "/x\0");
    host.ask_in_vain(rival, theirs, T::TransactionEnd, "T\0");
    assert_eq!(host.ask_in(victim, t, T::Write, "/x\0mine"), "OK");
    assert_eq!(host.commit(victim, t), "OK");
    assert_eq!(host.reply(rival).as_deref(), Some("OK"), "a blind write goes through");
    assert_eq!(host.read(rival, "/x"), "theirs");
}

/// The protected cannot know before where they will be: what they reach late is told as
/// it is then, so that nobody has to be held back in advance.
#[test]
fn what_is_reached_late_is_told_as_it_is_then() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    for path in ["/x", "/late", "/dir/a"] {
        host.write(rival, path, "0");
    }
    host.lose(victim, rival, "/x");
    let t = host.begin(victim);
    assert_eq!(host.ask_in(victim, t, T::Read, "/x\0"), "0x");
    assert_eq!(host.ask_in(victim, t, T::Write, "/dir/mine\0v"), "OK");
    assert_eq!(host.write(rival, "/late", "1"), "OK");
    assert_eq!(host.write(rival, "/dir/b", "1"), "OK");
    assert_eq!(host.ask_in(victim, t, T::Read, "/late\0"), "1");
    assert_eq!(host.ask_in(victim, t, T::Directory, "/dir\0"), "a\0b\0mine");
    host.ask_in_vain(rival, 0, T::Write, "/late\x002");
    assert_eq!(host.commit(victim, t), "OK");
    host.check();
}

/// What a protected transaction makes in the place of what it removed is made below a
/// parent that it has not looked at; what happened to that since the start is not seen.
#[test]
fn a_parent_that_changed_before_a_removal_is_noticed() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    host.write(rival, "/x", "0");
    host.write(rival, "/a/b", "0");
    host.lose(victim, rival, "/x");
    let t = host.begin(victim);
    assert_eq!(host.ask_in(victim, t, T::Read, "/x\0"), "0x");
    // Not held back: the protected was not there yet.
    assert_eq!(host.chmod(rival, "/a", "r0"), "OK");
    assert_eq!(host.ask_in(victim, t, T::Rm, "/a/b\0"), "OK");
    assert_eq!(host.ask_in(victim, t, T::Write, "/a/b\0mine"), "OK");
    host.ask_in(victim, t, T::GetPerms, "/a/b\0");
    assert_eq!(host.commit(victim, t), "OK");
}

/// The same with guests, where what is above decides what is allowed.
#[test]
fn a_guest_is_not_refused_later_what_it_was_granted() {
    let mut host = Host::new();
    let (tool, victim, rival) = (host.socket(), host.guest(5), host.guest(6));
    host.write(tool, "/x", "0");
    host.chmod(tool, "/x", "b0");
    host.write(tool, "/a/b", "0");
    host.chmod(tool, "/a", "n6 b5");
    host.chmod(tool, "/a/b", "n5");
    host.lose(victim, rival, "/x");
    let t = host.begin(victim);
    assert_eq!(host.ask_in(victim, t, T::Read, "/x\0"), "0x");
    assert_eq!(host.chmod(rival, "/a", "n6 r5"), "OK");
    let removed = host.ask_in(victim, t, T::Rm, "/a/b\0");
    let made = host.ask_in(victim, t, T::Write, "/a/b\0mine");
    assert_eq!(host.commit(victim, t), "OK", "{removed} {made}");
}

fn part(host: &mut Host, id: ConnectionId, t: u32, path: &str, offset: usize) -> String {
    host.ask_in(id, t, T::DirectoryPart, format!("{path}\0{offset}\0"))
}

/// Clients fetch a long list in parts and begin again if its generation changed, so a
/// protected transaction does not move for what it was told already.
#[test]
fn a_long_list_can_be_fetched_under_protection() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    host.write(rival, "/x", "0");
    for number in 0..200 {
        host.write(rival, &format!("/vm/{number:036}"), "v");
    }
    host.lose(victim, rival, "/x");
    let t = host.begin(victim);
    host.ask_in(victim, t, T::Read, "/x\0");
    assert_eq!(host.ask_in(victim, t, T::Write, "/vm/mine\0v"), "OK");
    let generation = |part: &str| part.split('\0').next().unwrap().to_owned();
    let first = part(&mut host, victim, t, "/vm", 0);
    let length = first.len() - generation(&first).len();
    // Somebody's business deep below; lists of names are the same.
    assert_eq!(host.write(rival, &format!("/vm/{:036}", 7), "other"), "OK");
    let second = part(&mut host, victim, t, "/vm", length);
    assert_eq!(generation(&first), generation(&second), "libxenstore begins anew");
}

/// Where a transaction was when it lost it will be again: these places are kept for it
/// from its start.
#[test]
fn where_it_lost_is_kept_from_the_start() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    let t = host.protected(victim, rival);
    host.ask_in_vain(rival, 0, T::Write, "/x\0other");
    assert_eq!(host.ask_in(victim, t, T::TransactionEnd, "F\0"), "OK");
    assert_eq!(host.reply(rival).as_deref(), Some("OK"));
}

#[test]
fn the_protected_come_one_after_the_other_oldest_first() {
    let mut host = Host::new();
    let rival = host.socket();
    let victims: Vec<_> = (0..5).map(|_| host.socket()).collect();
    host.write(rival, "/x", "0");
    for &victim in &victims {
        host.lose(victim, rival, "/x");
    }
    let mut last = host.begin(victims[0]);
    // They come in another order than they lost.
    for &victim in victims[1..].iter().rev() {
        host.ask_in_vain(victim, 0, T::TransactionStart, "\0");
    }
    for pair in victims.windows(2) {
        host.ask_in(pair[0], last, T::Read, "/x\0");
        host.ask_in(pair[0], last, T::Write, "/x\0v");
        assert_eq!(host.commit(pair[0], last), "OK");
        last = host.reply(pair[1]).expect("the next oldest").parse().unwrap();
    }
    assert!(victims.iter().all(|&victim| !host.engine.standing(victim).is_held));
}

/// Between two protected transactions everybody who waited has a turn.
#[test]
fn a_line_of_victims_does_not_stop_a_writer() {
    let mut host = Host::new();
    let (rival, writer) = (host.socket(), host.socket());
    let (one, two) = (host.socket(), host.socket());
    host.write(rival, "/x", "0");
    host.lose(one, rival, "/x");
    host.lose(two, rival, "/x");
    let t = host.begin(one);
    host.ask_in_vain(two, 0, T::TransactionStart, "\0");
    host.ask_in_vain(writer, 0, T::Write, "/x\0news");
    assert_eq!(host.commit(one, t), "OK");
    assert_eq!(host.reply(writer).as_deref(), Some("OK"));
    let t = host.reply(two).unwrap().parse().unwrap();
    assert_eq!(host.ask_in(two, t, T::Read, "/x\0"), "news");
}

#[test]
fn silence_loses_the_protection() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    let t = host.protected(victim, rival);
    host.ask_in(victim, t, T::Read, "/x\0");
    host.ask_in(victim, t, T::Write, "/y\0v");
    host.ask_in_vain(rival, 0, T::Write, "/x\0other");
    host.sleep(124 * MILLISECOND);
    assert_eq!(host.reply(rival), None);
    host.sleep(MILLISECOND);
    assert_eq!(host.reply(rival).as_deref(), Some("OK"), "silent for a quarter of 500 ms");
    assert_eq!(host.log.protection_expired, [0]);
    assert_eq!(host.commit(victim, t), "EAGAIN", "it is a transaction as any now");
}

/// Who asks for something now and then is protected for longer, but not for ever.
#[test]
fn the_protection_lasts_500_ms_at_most() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    let t = host.protected(victim, rival);
    host.ask_in(victim, t, T::Read, "/x\0");
    host.ask_in_vain(rival, 0, T::Write, "/x\0other");
    for _ in 0..4 {
        host.sleep(100 * MILLISECOND);
        host.ask_in(victim, t, T::Read, "/x\0");
    }
    host.sleep(99 * MILLISECOND);
    assert_eq!(host.reply(rival), None);
    host.sleep(MILLISECOND);
    assert_eq!(host.reply(rival).as_deref(), Some("OK"));
}

#[test]
fn a_victim_that_goes_lets_go() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    let t = host.protected(victim, rival);
    host.ask_in(victim, t, T::Read, "/x\0");
    host.ask_in_vain(rival, 0, T::Write, "/x\0other");
    host.engine.disconnect(victim, &mut host.log);
    assert_eq!(host.reply(rival).as_deref(), Some("OK"));
    let victim = host.socket();
    host.lose(victim, rival, "/x");
    let t = host.begin(victim);
    host.ask_in(victim, t, T::Read, "/x\0");
    host.ask_in_vain(rival, 0, T::Write, "/x\0another");
    assert_eq!(host.ask(victim, T::ResetWatches, "\0"), "OK");
    assert_eq!(host.reply(rival).as_deref(), Some("OK"));
}

#[test]
fn a_guest_holds_back_guests_and_nobody_above() {
    let mut host = Host::new();
    let (tool, victim, rival) = (host.socket(), host.guest(5), host.guest(6));
    host.write(tool, "/x", "0");
    host.chmod(tool, "/x", "b0");
    host.lose(victim, rival, "/x");
    let t = host.begin(victim);
    host.ask_in(victim, t, T::Read, "/x\0");
    host.ask_in_vain(rival, 0, T::Write, "/x\0guest");
    assert_eq!(host.write(tool, "/x", "tool"), "OK");
    host.ask_in(victim, t, T::Write, "/x\0mine");
    assert_eq!(host.commit(victim, t), "EAGAIN");
    assert_eq!(host.log.held_back, [(6, 5)]);
    // The toolstack holds back guests, and is protected beside a protected guest.
    host.sleep(20 * MILLISECOND);
    let t = host.begin(victim);
    host.ask_in(victim, t, T::Read, "/x\0");
    let second_tool = host.socket();
    host.lose(tool, second_tool, "/x");
    let theirs = host.begin(tool);
    host.ask_in(tool, theirs, T::Read, "/x\0");
    host.ask_in(victim, t, T::Write, "/x\0mine");
    host.ask_in_vain(victim, t, T::TransactionEnd, "T\0");
    assert_eq!(host.ask_in(tool, theirs, T::Write, "/x\0tool"), "OK");
    assert_eq!(host.commit(tool, theirs), "OK");
    assert_eq!(host.reply(victim).as_deref(), Some("EAGAIN"));
    host.check();
}

/// Whether a guest's node has room for one child more depends on its siblings, so they
/// wait.
#[test]
fn room_among_siblings_is_kept_for_a_guest() {
    let mut host = Host::new();
    let (tool, victim, rival) = (host.socket(), host.guest(5), host.guest(6));
    host.write(tool, "/s", "");
    host.chmod(tool, "/s", "b0");
    assert_eq!(host.ask(tool, T::SetQuota, "node-size\x0030\0"), "OK");
    for name in ["a", "b"] {
        assert_eq!(host.write(rival, &format!("/s/{name}"), ""), "OK");
    }
    let t = host.begin(victim);
    assert_eq!(host.ask_in(victim, t, T::Mkdir, "/s/v\0"), "OK");
    assert_eq!(host.write(rival, "/s/c", ""), "OK");
    assert_eq!(host.commit(victim, t), "EAGAIN");
    assert_eq!(host.rm(rival, "/s/c"), "OK");
    let t = host.begin(victim);
    assert_eq!(host.ask_in(victim, t, T::Mkdir, "/s/v\0"), "OK");
    host.ask_in_vain(rival, 0, T::Write, "/s/c\0");
    assert_eq!(host.commit(victim, t), "OK");
    assert_eq!(host.reply(rival).as_deref(), Some("ENOSPC"));
}

/// A transaction that changed nothing disturbs nobody, whatever others did meanwhile to
/// what it asked for.
#[test]
fn who_changed_nothing_does_not_wait() {
    let mut host = Host::new();
    let (victim, rival, other) = (host.socket(), host.socket(), host.socket());
    host.write(rival, "/d/x", "0");
    let theirs = host.begin(other);
    assert_eq!(host.ask_in(other, theirs, T::Mkdir, "/d\0"), "OK");
    host.lose(victim, rival, "/d/x");
    host.rm(rival, "/d");
    let t = host.begin(victim);
    assert_eq!(host.commit(other, theirs), "OK");
    assert_eq!(host.commit(victim, t), "OK");
}

/// A guest pays for holding others back with nine times the time, and after each guest
/// all have as much time without.
#[test]
fn guests_have_a_budget() {
    let mut host = Host::new();
    let (tool, greedy, other, rival) = (host.socket(), host.guest(5), host.guest(6), host.guest(7));
    host.write(tool, "/x", "0");
    host.chmod(tool, "/x", "b0");
    host.lose(greedy, rival, "/x");
    let t = host.begin(greedy);
    host.sleep(10 * MILLISECOND);
    assert_eq!(host.commit(greedy, t), "OK");
    host.lose(greedy, rival, "/x");
    host.lose(other, rival, "/x");
    host.ask_in_vain(greedy, 0, T::TransactionStart, "\0");
    host.ask_in_vain(other, 0, T::TransactionStart, "\0");
    host.sleep(9 * MILLISECOND);
    assert_eq!(host.reply(other), None, "guests rest for as long as the last took");
    host.sleep(MILLISECOND);
    let t = host.reply(other).expect("after 10 ms").parse().unwrap();
    assert_eq!(host.commit(other, t), "OK");
    host.sleep(79 * MILLISECOND);
    assert_eq!(host.reply(greedy), None, "the same guest rests nine times as long");
    host.sleep(MILLISECOND);
    assert!(host.reply(greedy).is_some(), "after 90 ms");
}

/// A daemon's clock may stand still while time changes nothing. That somebody rests is something:
/// else the rest would last for as long as the daemon has nothing else to do.
#[test]
fn time_does_not_stand_still_while_somebody_rests() {
    let mut host = Host::new();
    let (tool, greedy, rival) = (host.socket(), host.guest(5), host.guest(7));
    host.write(tool, "/x", "0");
    host.chmod(tool, "/x", "b0");
    assert!(host.engine.is_timeless());
    host.lose(greedy, rival, "/x");
    let t = host.begin(greedy);
    assert!(!host.engine.is_timeless());
    host.sleep(10 * MILLISECOND);
    assert_eq!(host.commit(greedy, t), "OK");
    let until = (0..200).find(|_| {
        let rests = !host.engine.is_timeless();
        host.now += MILLISECOND;
        host.engine.pass_time(host.now, &mut host.log);
        !rests
    });
    assert_eq!(until, Some(90), "nine times as long as it held others back");
    host.lose(greedy, rival, "/x");
    let t = host.begin(greedy);
    assert_eq!(host.commit(greedy, t), "OK");
}

/// The protection is for one transaction: others of the same connection go on, and can be
/// what makes it fail.
#[test]
fn the_own_connection_is_never_held_back() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    let t = host.protected(victim, rival);
    let second = host.begin(victim);
    host.ask_in(victim, t, T::Read, "/x\0");
    assert_eq!(host.ask_in(victim, second, T::Write, "/x\0second"), "OK");
    assert_eq!(host.commit(victim, second), "OK");
    host.ask_in(victim, t, T::Write, "/y\0v");
    assert_eq!(host.commit(victim, t), "EAGAIN");
}

/// A connection that lost two has two protected: what one of them was told says nothing of
/// what the other, which began before that changed, would be told.
#[test]
fn two_protected_transactions_are_told_apart() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    host.write(rival, "/x", "0");
    let two = [host.begin(victim), host.begin(victim)];
    for t in two {
        host.ask_in(victim, t, T::Read, "/x\0");
        host.ask_in(victim, t, T::Write, "/y\0v");
    }
    host.write(rival, "/x", "1");
    for t in two {
        assert_eq!(host.commit(victim, t), "EAGAIN");
    }
    let (one, other) = (host.begin(victim), host.begin(victim));
    assert_eq!(host.write(rival, "/late", "v"), "OK");
    assert_eq!(host.ask_in(victim, other, T::Write, "/late/below\0w"), "OK");
    assert_eq!(host.ask_in(victim, one, T::Read, "/late\0"), "v");
    assert_eq!(host.ask_in(victim, one, T::Write, "/z\0v"), "OK");
    assert_eq!(host.commit(victim, one), "OK");
    assert_eq!(host.commit(victim, other), "OK");
}

/// Requests behind one that waits wait too, and are answered in their order.
#[test]
fn replies_keep_their_order() {
    let mut host = Host::new();
    let (victim, rival) = (host.socket(), host.socket());
    let t = host.protected(victim, rival);
    host.send(rival, T::Write, 0, b"/x\0new");
    host.send(rival, T::Read, 0, b"/x\0");
    host.turn(rival);
    assert!(!host.engine.standing(rival).wants_input, "nothing more is taken from it meanwhile");
    host.turn(rival);
    assert_eq!(host.reply(rival), None);
    assert_eq!(host.commit(victim, t), "OK");
    assert_eq!(host.reply(rival).as_deref(), Some("OK"));
    assert_eq!(host.reply(rival).as_deref(), Some("new"));
}

#[test]
fn protection_can_be_turned_off() {
    let mut host = Host::with(&Settings { protection_time: Duration::ZERO, ..Settings::default() });
    let (victim, rival) = (host.socket(), host.socket());
    let t = host.protected(victim, rival);
    host.ask_in(victim, t, T::Read, "/x\0");
    host.ask_in(victim, t, T::Write, "/x\0mine");
    assert_eq!(host.write(rival, "/x", "other"), "OK");
    assert_eq!(host.commit(victim, t), "EAGAIN");
}

#[test]
fn a_transaction_is_open_for_a_bounded_time() {
    let mut host = Host::new();
    let guest = host.guest(5);
    let t = host.begin(guest);
    host.sleep(599 * 1000 * MILLISECOND);
    assert_eq!(host.ask_in(guest, t, T::Read, "/tool/xenstored\0"), "EACCES");
    host.sleep(1000 * MILLISECOND);
    assert_eq!(host.ask_in(guest, t, T::Read, "/tool/xenstored\0"), "ENOENT");
    assert_eq!(host.commit(guest, t), "ENOENT");
    assert_eq!(host.log.transaction_expired, [5]);
    host.check();
}

#[test]
fn a_transaction_holds_a_bounded_number_of_requests() {
    let settings = Settings { transaction_requests: 10, ..Settings::default() };
    let mut host = Host::with(&settings);
    let (tool, guest) = (host.socket(), host.guest(5));
    host.write(tool, "/g", "");
    host.chmod(tool, "/g", "n5");
    let t = host.begin(guest);
    for _ in 0..10 {
        assert_eq!(host.ask_in(guest, t, T::Write, "/g\0v"), "OK");
    }
    assert_eq!(host.ask_in(guest, t, T::Read, "/g\0"), "ENOSPC");
    assert_eq!(host.commit(guest, t), "OK", "what was granted is kept");
    let t = host.begin(tool);
    for _ in 0..20 {
        assert_eq!(host.ask_in(tool, t, T::Write, "/g\0v"), "OK", "not the toolstack's");
    }
    assert_eq!(host.log.refused, [(5, "transaction-requests", 11, 10)]);
}

#[test]
fn a_transaction_touches_a_bounded_number_of_nodes_and_bytes() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    host.write(tool, "/g", "");
    host.chmod(tool, "/g", "n5");
    assert_eq!(host.ask(tool, T::SetQuota, "5\0transaction-nodes\x003\0"), "OK");
    assert_eq!(host.ask(tool, T::SetQuota, "5\0memory\x0024000\0"), "OK");
    let t = host.begin(guest);
    for path in ["/g/a", "/g/b", "/g/a", "/g/c"] {
        assert_eq!(host.ask_in(guest, t, T::Write, format!("{path}\0v")), "OK");
    }
    assert_eq!(host.ask_in(guest, t, T::Read, "/g/d\0"), "ENOSPC");
    assert_eq!(host.ask_in(guest, t, T::Read, "/g/c\0"), "v");
    let value = format!("/g/a\0{}", "v".repeat(1500));
    let granted = (0..10).take_while(|_| host.ask_in(guest, t, T::Write, &value) == "OK").count();
    assert!((4..=10).contains(&granted), "{granted} requests of 1.5 KB beside four small ones");
    assert_eq!(host.commit(guest, t), "OK");
    let refused: Vec<_> = host.log.refused.iter().map(|&(_, what, ..)| what).collect();
    assert_eq!(refused, ["transaction-nodes", "memory"]);
    host.check();
}
