//! Transactions: what they see, when they go through, when not.

mod support;

use support::{Host, T};
use xenstore_engine::Settings;

#[test]
fn a_transaction_sees_a_snapshot_and_its_own_changes() {
    let mut host = Host::new();
    let (a, b) = (host.socket(), host.socket());
    host.write(a, "/x", "old");
    let t = host.begin(a);
    host.write(b, "/x", "new");
    host.write(b, "/y", "new");
    assert_eq!(host.ask_in(a, t, T::Read, "/x\0"), "old");
    assert_eq!(host.ask_in(a, t, T::Read, "/y\0"), "ENOENT");
    host.ask_in(a, t, T::Write, "/z\0mine");
    assert_eq!(host.ask_in(a, t, T::Read, "/z\0"), "mine");
    assert_eq!(host.read(b, "/z"), "ENOENT");
    assert_eq!(host.commit(a, t), "EAGAIN");
    assert_eq!(host.commit(a, t), "ENOENT", "the id is gone after a failure too");
}

/// What `inside` does in a transaction while `outside` happens, and how it ends.
fn race(inside: &[(T, &str)], outside: &[(T, &str)]) -> String {
    let mut host = Host::new();
    let (a, b) = (host.socket(), host.socket());
    for path in ["/d/one", "/d/two", "/other"] {
        host.write(a, path, "0");
    }
    let t = host.begin(a);
    for &(kind, payload) in inside {
        host.ask_in(a, t, kind, payload);
    }
    for &(kind, payload) in outside {
        host.ask(b, kind, payload);
    }
    let end = host.commit(a, t);
    host.check();
    end
}

#[test]
fn only_an_answer_that_changed_is_a_conflict() {
    let write = |payload| (T::Write, payload);
    let read = |payload| (T::Read, payload);
    let list = (T::Directory, "/d\0");
    let fine: [(&[_], &[_]); 9] = [
        // Siblings side by side, which is what starting many domains at once does.
        (&[write("/d/new\0v")], &[write("/d/else\0v")]),
        (&[read("/d/one\0"), write("/d/one\0v")], &[write("/d/two\0v")]),
        // Nobody was told what was overwritten.
        (&[write("/d/one\0v")], &[write("/d/one\0w")]),
        // The answer is the same although the node is another.
        (&[read("/d/one\0"), write("/x\0v")], &[write("/d/one\x000")]),
        (&[list, write("/x\0v")], &[write("/d/one\0w")]),
        (&[read("/d\0"), write("/x\0v")], &[write("/d/more\0w")]),
        // A transaction that changes nothing is as if it happened at its start.
        (&[read("/d/one\0"), list], &[write("/d/one\0w"), (T::Rm, "/d/two\0")]),
        (&[(T::Rm, "/d/one\0")], &[(T::Rm, "/d/two\0")]),
        (&[(T::Mkdir, "/d/one\0")], &[write("/d/one\0w")]),
    ];
    for (inside, outside) in fine {
        assert_eq!(race(inside, outside), "OK", "{inside:?} against {outside:?}");
    }
    let conflicts: [(&[_], &[_]); 5] = [
        (&[read("/d/one\0"), write("/x\0v")], &[write("/d/one\0w")]),
        (&[list, write("/x\0v")], &[write("/d/more\0w")]),
        // A refusal is an answer too.
        (&[read("/none\0"), write("/x\0v")], &[write("/none\0w")]),
        (&[(T::GetPerms, "/d\0"), write("/x\0v")], &[(T::SetPerms, "/d\0b0\0")]),
        (&[(T::Rm, "/d/one/none\0"), write("/x\0v")], &[(T::Rm, "/d\0")]),
    ];
    for (inside, outside) in conflicts {
        assert_eq!(race(inside, outside), "EAGAIN", "{inside:?} against {outside:?}");
    }
}

#[test]
fn a_merge_keeps_what_both_did() {
    let mut host = Host::new();
    let (a, b) = (host.socket(), host.socket());
    host.write(a, "/d", "");
    let t = host.begin(a);
    host.ask_in(a, t, T::Write, "/d/a\0v");
    host.write(b, "/d/b", "v");
    assert_eq!(host.commit(a, t), "OK");
    assert_eq!(host.ask(a, T::Directory, "/d\0"), "b\0a");
    host.check();
}

/// What a read inside answers can depend on what the transaction itself did above it:
/// the node it made inherits from a place that others changed.
#[test]
fn an_inherited_permission_is_an_answer_too() {
    let mut host = Host::new();
    let (a, b) = (host.socket(), host.socket());
    host.write(a, "/d/e", "v");
    let t = host.begin(a);
    assert_eq!(host.ask_in(a, t, T::Rm, "/d\0"), "OK");
    assert_eq!(host.ask_in(a, t, T::Write, "/d/e\0w"), "OK");
    assert_eq!(host.ask_in(a, t, T::GetPerms, "/d/e\0"), "n0");
    assert_eq!(host.chmod(b, "/", "r0"), "OK");
    assert_eq!(host.commit(a, t), "EAGAIN");
}

/// Whether a domain's node has room for one child more is part of the answer, and others
/// can have filled it.
#[test]
fn room_among_siblings_is_an_answer_too() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    host.write(tool, "/g", "");
    host.chmod(tool, "/g", "n5");
    assert_eq!(host.ask(tool, T::SetQuota, "5\0node-size\x00100\0"), "OK");
    assert_eq!(host.write(guest, "/g/a", "v"), "OK");
    let t = host.begin(guest);
    assert_eq!(host.ask_in(guest, t, T::Rm, "/g/a\0"), "OK");
    assert_eq!(host.ask_in(guest, t, T::Write, "/g/a\0w"), "OK");
    host.write(tool, &format!("/g/{}", "x".repeat(90)), "");
    assert_eq!(host.commit(guest, t), "EAGAIN");
    host.check();
}

/// Creating what exists changes nothing, unless it is gone by the time of the commit.
#[test]
fn a_merge_tells_of_what_it_really_changed() {
    let mut host = Host::new();
    let (a, b) = (host.socket(), host.socket());
    host.write(a, "/d", "");
    let t = host.begin(a);
    host.ask_in(a, t, T::Mkdir, "/d\0");
    host.ask_in(a, t, T::Write, "/x\0v");
    host.rm(b, "/d");
    host.watch(b, "/d", "t");
    assert_eq!(host.commit(a, t), "OK");
    assert_eq!(host.paths(b), ["/d"]);
    assert_eq!(host.read(b, "/d"), "");
    host.check();
}

#[test]
fn a_list_in_parts_does_not_conflict_with_the_transaction_itself() {
    let mut host = Host::new();
    let (a, b) = (host.socket(), host.socket());
    let t = host.begin(a);
    host.ask_in(a, t, T::Write, "/d/x\0v");
    assert!(host.ask_in(a, t, T::DirectoryPart, "/d\x000\0").ends_with("x\0"));
    host.write(b, "/other", "v");
    assert_eq!(host.commit(a, t), "OK");

    let t = host.begin(a);
    host.ask_in(a, t, T::DirectoryPart, "/d\x000\0");
    host.ask_in(a, t, T::Write, "/d/y\0v");
    host.write(b, "/d/z", "v");
    assert_eq!(host.commit(a, t), "EAGAIN");
}

/// XSA-322 again: a number in a list set inside may name another domain by the time of
/// the commit. The client meant the domain that had it when it asked.
#[test]
fn a_death_in_between_leaves_a_grant_without_effect() {
    let mut host = Host::new();
    let tool = host.socket();
    host.guest(5);
    host.write(tool, "/n", "v");
    let t = host.begin(tool);
    assert_eq!(host.ask_in(tool, t, T::SetPerms, "/n\0n0\0r5\0"), "OK");
    host.kill(5);
    let reborn = host.guest(5);
    assert_eq!(host.commit(tool, t), "OK");
    assert_eq!(host.permissions(tool, "/n"), "n0 r5");
    assert_eq!(host.read(reborn, "/n"), "EACCES");

    let t = host.begin(tool);
    assert_eq!(host.ask_in(tool, t, T::SetPerms, "/n\0n5\0"), "OK");
    host.kill(5);
    host.guest(5);
    assert_eq!(host.commit(tool, t), "EAGAIN", "its owner would be refused now");
}

/// XSA-417 inside: the domain did not exist when the list was set, and a merge with what
/// others did must not bring the entry to life.
#[test]
fn a_merge_does_not_wake_a_grant_to_nobody() {
    let mut host = Host::new();
    let tool = host.socket();
    host.write(tool, "/n", "v");
    let t = host.begin(tool);
    assert_eq!(host.ask_in(tool, t, T::SetPerms, "/n\0n0\0r9\0"), "OK");
    let late = host.guest(9);
    host.write(tool, "/other", "v");
    assert_eq!(host.commit(tool, t), "OK");
    assert_eq!(host.read(late, "/n"), "EACCES");
}

/// A target changes what a domain may do, though no node changes.
#[test]
fn a_new_target_can_make_an_answer_wrong() {
    let mut host = Host::new();
    let (tool, stubdom) = (host.socket(), host.guest(6));
    host.guest(5);
    for (path, permissions) in [("/n", "n5"), ("/mine", "n6")] {
        host.write(tool, path, "v");
        host.chmod(tool, path, permissions);
    }
    let t = host.begin(stubdom);
    assert_eq!(host.ask_in(stubdom, t, T::Read, "/n\0"), "EACCES");
    assert_eq!(host.ask_in(stubdom, t, T::Write, "/mine\0w"), "OK");
    assert_eq!(host.ask(tool, T::SetTarget, "6\x005\0"), "OK");
    assert_eq!(host.commit(stubdom, t), "EAGAIN");
}

/// XSA-421: creations and removals inside count one by one.
#[test]
fn quotas_hold_inside() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    host.write(tool, "/g", "");
    host.chmod(tool, "/g", "n5");
    assert_eq!(host.ask(tool, T::SetQuota, "5\0nodes\x003\0"), "OK");
    let t = host.begin(guest);
    assert_eq!(host.ask_in(guest, t, T::Write, "/g/a\0v"), "OK");
    assert_eq!(host.ask_in(guest, t, T::Write, "/g/b/c\0v"), "ENOSPC", "two more than allowed");
    assert_eq!(host.ask_in(guest, t, T::Write, "/g/b\0v"), "OK");
    assert_eq!(host.ask_in(guest, t, T::Mkdir, "/g/c\0"), "ENOSPC");
    assert_eq!(host.ask_in(guest, t, T::Rm, "/g/b\0"), "OK");
    assert_eq!(host.ask_in(guest, t, T::Mkdir, "/g/c\0"), "OK");
    assert_eq!(host.commit(guest, t), "OK");
    assert_eq!(host.write(guest, "/g/d", ""), "ENOSPC");
    host.check();
    assert_eq!(host.log.refused[0], (5, "nodes", 4, 3), "every refusal is reported");
}

/// XSA-484: what a request needs for its reply must not go with the transaction.
#[test]
fn watches_and_transactions_can_be_reset_from_inside_one() {
    let mut host = Host::new();
    let client = host.socket();
    host.watch(client, "/a", "t");
    let t = host.begin(client);
    assert_eq!(host.ask_in(client, t, T::ResetWatches, "\0"), "OK");
    assert_eq!(host.commit(client, t), "ENOENT");
    host.write(client, "/a", "v");
    assert_eq!(host.paths(client), [""; 0]);
}

#[test]
fn transactions_have_their_own_errors() {
    let mut host = Host::new();
    let client = host.socket();
    let t = host.begin(client);
    assert_eq!(host.ask_in(client, t, T::TransactionStart, "\0"), "EBUSY");
    assert_eq!(host.ask_in(client, 99, T::TransactionStart, "\0"), "ENOENT");
    assert_eq!(host.ask_in(client, t, T::TransactionEnd, "X\0"), "EINVAL");
    assert_eq!(host.ask(client, T::TransactionEnd, "T\0"), "ENOENT");
    assert_eq!(host.ask_in(client, 99, T::Watch, "/a\0t\0"), "OK", "watches know no transactions");
    assert_eq!(host.commit(client, t), "OK");
}

#[test]
fn commits_can_be_made_to_fail_to_test_clients() {
    let mut host = Host::with(&Settings { test_eagain: true, ..Settings::default() });
    let client = host.socket();
    let mut ends = Vec::new();
    for _ in 0..6 {
        let t = host.begin(client);
        ends.push(host.commit(client, t));
    }
    assert_eq!(ends, ["OK", "OK", "EAGAIN", "OK", "OK", "EAGAIN"]);
}

#[test]
fn what_a_guest_gives_up_is_not_done() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    host.write(tool, "/local/domain/5", "");
    host.chmod(tool, "/local/domain/5", "n5");
    for (end, found) in [("F\0", "ENOENT"), ("T\0", "v")] {
        let transaction = host.begin(guest);
        assert_eq!(host.ask_in(guest, transaction, T::Write, "a\0v"), "OK");
        assert_eq!(host.ask_in(guest, transaction, T::TransactionEnd, end), "OK");
        assert_eq!(host.read(guest, "a"), found);
    }
    host.check();
}
