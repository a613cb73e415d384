//! Transactions that have to let go of the version of the store they began on, because too
//! many old versions are kept (XSA-326).

mod support;

use support::{Host, T};
use xenstore_engine::{ConnectionId, Settings};

/// A store that keeps next to nothing for guests' transactions; a guest and somebody who
/// writes a lot.
fn short_of_memory() -> (Host, ConnectionId, ConnectionId) {
    let mut host = Host::with(&Settings { old_versions: 20_000, ..Settings::default() });
    let (tool, guest) = (host.socket(), host.guest(5));
    host.write(tool, "/g", "");
    host.chmod(tool, "/g", "n5");
    host.write(tool, "/g/seen", "before");
    (host, guest, tool)
}

/// Enough that what was there before is kept no more.
fn replace_a_lot(host: &mut Host, tool: ConnectionId) {
    for round in 0..4 {
        for number in 0..20 {
            let value = format!("{round}{}", "x".repeat(1000));
            host.write(tool, &format!("/elsewhere/{number}"), &value);
        }
    }
}

#[test]
fn a_transaction_that_is_cast_off_goes_on_if_its_answers_hold() {
    let (mut host, guest, tool) = short_of_memory();
    replace_a_lot(&mut host, tool);
    let t = host.begin(guest);
    assert_eq!(host.ask_in(guest, t, T::Read, "/g/seen\0"), "before");
    assert_eq!(host.ask_in(guest, t, T::Write, "/g/own\0mine"), "OK");
    replace_a_lot(&mut host, tool);
    assert_eq!(host.ask_in(guest, t, T::Read, "/g/own\0"), "mine");
    assert_eq!(host.ask_in(guest, t, T::Read, "/g/seen\0"), "before");
    replace_a_lot(&mut host, tool);
    assert_eq!(host.commit(guest, t), "OK");
    assert_eq!(host.read(tool, "/g/own"), "mine");
    host.check();
}

/// It cannot commit, and is told so where clients expect it: at its end.
#[test]
fn one_whose_answers_do_not_hold_fails_at_its_end() {
    let (mut host, guest, tool) = short_of_memory();
    replace_a_lot(&mut host, tool);
    for writes in [true, false] {
        host.write(tool, "/g/seen", "before");
        let t = host.begin(guest);
        assert_eq!(host.ask_in(guest, t, T::Read, "/g/seen\0"), "before");
        if writes {
            assert_eq!(host.ask_in(guest, t, T::Write, "/g/own\0mine"), "OK");
        }
        host.write(tool, "/g/seen", "after");
        replace_a_lot(&mut host, tool);
        if writes {
            assert_eq!(host.ask_in(guest, t, T::Read, "/g/own\0"), "mine");
        }
        assert_eq!(host.ask_in(guest, t, T::Read, "/g/seen\0"), "after", "the only one there is");
        assert_eq!(host.commit(guest, t), "EAGAIN");
        assert_eq!(host.read(tool, "/g/own"), "ENOENT");
        host.check();
    }
}

/// What was told before is told again by the time of the commit: nothing stands against it.
#[test]
fn what_holds_at_the_end_counts() {
    let (mut host, guest, tool) = short_of_memory();
    replace_a_lot(&mut host, tool);
    let t = host.begin(guest);
    assert_eq!(host.ask_in(guest, t, T::Read, "/g/seen\0"), "before");
    host.write(tool, "/g/seen", "after");
    replace_a_lot(&mut host, tool);
    host.write(tool, "/g/seen", "before");
    assert_eq!(host.commit(guest, t), "OK");
}

#[test]
fn the_toolstacks_transactions_keep_what_they_saw() {
    let (mut host, _, tool) = short_of_memory();
    replace_a_lot(&mut host, tool);
    let t = host.begin(tool);
    let other = host.socket();
    host.write(other, "/g/seen", "after");
    replace_a_lot(&mut host, other);
    assert_eq!(host.ask_in(tool, t, T::Read, "/g/seen\0"), "before");
    assert_eq!(host.commit(tool, t), "OK");
}

/// Guests with ten transactions each once took the only one of another guest away.
#[test]
fn who_has_many_lets_go_before_who_has_one() {
    let mut host = Host::with(&Settings { old_versions: 60_000, ..Settings::default() });
    let (tool, good, greedy) = (host.socket(), host.guest(5), host.guest(6));
    host.write(tool, "/seen", "before");
    host.chmod(tool, "/seen", "r0");
    replace_a_lot(&mut host, tool);
    let t = host.begin(good);
    assert_eq!(host.ask_in(good, t, T::Read, "/seen\0"), "before");
    host.write(tool, "/seen", "after");
    let mut greedy_ones = Vec::new();
    for _ in 0..10 {
        replace_a_lot(&mut host, tool);
        greedy_ones.push(host.begin(greedy));
    }
    replace_a_lot(&mut host, tool);
    assert_eq!(host.ask_in(good, t, T::Read, "/seen\0"), "before");
    assert_eq!(host.commit(good, t), "OK");
    assert!(host.log.cast_off.len() >= 8 && host.log.cast_off.iter().all(|&domid| domid == 6));
    for t in greedy_ones {
        assert_eq!(host.commit(greedy, t), "OK", "no answer of theirs is another one");
    }
    host.check();
}

/// A protected transaction that could not be moved to a later moment, and then was when it was
/// cast off, is moved again: it was told old values, and lost a second time.
#[test]
fn what_was_moved_after_all_is_protected_again() {
    let (mut host, guest, tool) = short_of_memory();
    for name in ["", "/r", "/d", "/d/x", "/q"] {
        host.write(tool, &format!("/local/domain/5{name}"), "0");
        host.chmod(tool, &format!("/local/domain/5{name}"), "n5");
    }
    replace_a_lot(&mut host, tool);
    host.lose(guest, tool, "/local/domain/5/r");
    let t = host.begin(guest);
    assert_eq!(host.ask_in(guest, t, T::Read, "r\0"), "0x");
    assert_eq!(host.ask_in(guest, t, T::Write, "mine\0v"), "OK");
    // It disturbs itself.
    host.write(guest, "r", "other");
    host.write(guest, "d/x", "other");
    assert_eq!(host.ask_in(guest, t, T::Read, "d/none\0"), "ENOENT");
    host.write(guest, "r", "0x");
    replace_a_lot(&mut host, tool);
    assert!(host.log.cast_off.contains(&5));
    assert_eq!(host.ask_in(guest, t, T::Read, "mine\0"), "v");
    host.write(tool, "/local/domain/5/q", "1");
    assert_eq!(host.ask_in(guest, t, T::Read, "q\0"), "1");
    assert_eq!(host.commit(guest, t), "OK");
    host.check();
}
