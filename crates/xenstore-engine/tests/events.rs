//! Who is told of what, in which order.

mod support;

use support::{Host, Seen, T};
use xenstore_engine::Settings;

#[test]
fn a_reply_comes_before_the_events_of_a_simple_write() {
    let mut host = Host::new();
    let client = host.socket();
    host.watch(client, "/a", "t");
    host.send(client, T::Write, 0, b"/a\0v");
    host.turn(client);
    let event = Seen::Event("/a".to_owned(), "t".to_owned());
    assert_eq!(host.all(client), [Seen::Reply("OK".to_owned()), event.clone()]);

    let transaction = host.begin(client);
    host.ask_in(client, transaction, T::Write, "/a\0w");
    host.send(client, T::TransactionEnd, transaction, b"T\0");
    host.turn(client);
    assert_eq!(host.all(client), [event, Seen::Reply("OK".to_owned())]);
}

/// XSA-115: an event tells that something is there; only who may read it is told.
#[test]
fn guests_are_told_only_of_what_they_could_read() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    host.write(tool, "/p", "");
    host.chmod(tool, "/p", "n0");
    host.watch(guest, "/", "all");
    host.watch(guest, "/p/secret", "exact");
    host.write(tool, "/p/secret", "1");
    host.chmod(tool, "/p/secret", "n0 w5");
    assert_eq!(host.paths(guest), [""; 0]);
    // Now it may read it, and then not any more: both are changes it may know of.
    host.chmod(tool, "/p/secret", "n0 r5");
    assert_eq!(host.paths(guest).len(), 2);
    host.chmod(tool, "/p/secret", "n0");
    assert_eq!(host.paths(guest).len(), 2);
    host.write(tool, "/p/secret", "2");
    assert_eq!(host.paths(guest), [""; 0]);
    // Who may read a directory may know when an entry goes, though not what was in it.
    host.chmod(tool, "/", "r0");
    host.events(guest);
    host.rm(tool, "/p");
    assert_eq!(host.paths(guest), ["/p"]);
}

#[test]
fn a_removal_tells_the_deepest_first() {
    let mut host = Host::new();
    let client = host.socket();
    for path in ["/r/b/x", "/r/a"] {
        host.write(client, path, "");
    }
    for path in ["/", "/r", "/r/a", "/r/b", "/r/b/x", "/r/none"] {
        host.watch(client, path, "t");
    }
    host.rm(client, "/r");
    // The root of what was removed is told to those above and to its own watch.
    assert_eq!(host.paths(client), ["/r/b/x", "/r/b", "/r/a", "/r", "/r"]);
}

#[test]
fn a_commit_tells_each_changed_path_once_in_the_order_of_the_last_change() {
    let mut host = Host::new();
    let client = host.socket();
    host.watch(client, "/", "t");
    let transaction = host.begin(client);
    for path in ["/a", "/b", "/a", "/gone"] {
        host.ask_in(client, transaction, T::Write, format!("{path}\0v"));
    }
    host.ask_in(client, transaction, T::Rm, "/gone\0");
    assert_eq!(host.commit(client, transaction), "OK");
    assert_eq!(host.paths(client), ["/b", "/a"]);
}

#[test]
fn an_abandoned_or_failed_transaction_tells_nothing() {
    let mut host = Host::new();
    let (client, other) = (host.socket(), host.socket());
    host.watch(client, "/", "t");
    let transaction = host.begin(client);
    host.ask_in(client, transaction, T::Write, "/a\0v");
    assert_eq!(host.ask_in(client, transaction, T::TransactionEnd, "F\0"), "OK");
    let transaction = host.begin(client);
    host.ask_in(client, transaction, T::Read, "/a\0");
    host.ask_in(client, transaction, T::Write, "/b\0v");
    host.write(other, "/a", "v");
    assert_eq!(host.commit(client, transaction), "EAGAIN");
    assert_eq!(host.paths(client), ["/a"]);
}

#[test]
fn relative_watches_hear_relative_paths() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    host.write(tool, "/local/domain/5", "");
    host.chmod(tool, "/local/domain/5", "n5");
    host.watch(guest, "device", "t");
    host.write(tool, "/local/domain/5/device/vif", "v");
    assert_eq!(host.paths(guest), ["device/vif"]);
    // Either spelling names the same watch.
    let absolute = "/local/domain/5/device\0t\0";
    assert_eq!(host.ask(guest, T::Watch, absolute), "EEXIST");
    assert_eq!(host.ask(guest, T::Unwatch, absolute), "OK");
}

#[test]
fn special_watches_hear_of_domains() {
    let mut host = Host::new();
    let (tool, watcher) = (host.socket(), host.guest(5));
    for (name, depth) in [("@introduceDomain", ""), ("@releaseDomain", "1\0")] {
        assert_eq!(host.ask(tool, T::Watch, format!("{name}\0t\0{depth}")), "OK");
    }
    // Every domain may wait for the end of others, none for their coming.
    for name in ["@introduceDomain", "@releaseDomain"] {
        host.watch(watcher, name, "t");
    }
    host.events(tool);
    host.guest(6);
    assert_eq!((host.paths(tool), host.paths(watcher)), (vec!["@introduceDomain".into()], vec![]));
    host.kill(6);
    assert_eq!(host.paths(tool), ["@releaseDomain/6"]);
    assert_eq!(host.paths(watcher), ["@releaseDomain"]);
}

#[test]
fn a_shutdown_is_news_once_until_the_domain_resumes() {
    let mut host = Host::new();
    let tool = host.socket();
    host.guest(6);
    host.watch(tool, "@releaseDomain", "t");
    host.domains.0.get_mut(&6).unwrap().shutdown = true;
    host.changed(6);
    host.changed(6);
    assert_eq!(host.paths(tool).len(), 1);
    assert_eq!(host.ask(tool, T::Resume, "6\0"), "OK");
    host.changed(6);
    assert_eq!(host.paths(tool).len(), 1);
}

/// What a dead domain owned goes, and those who watched it are told.
#[test]
fn death_removes_what_was_owned_with_events() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    host.write(tool, "/local/domain/5/own", "");
    host.chmod(tool, "/local/domain/5/own", "n5");
    host.write(guest, "own/deep", "v");
    host.chmod(tool, "/", "n5");
    host.watch(tool, "/local/domain/5/own/deep", "t");
    host.kill(5);
    assert_eq!(host.paths(tool), ["/local/domain/5/own/deep"]);
    assert_eq!(host.read(tool, "/local/domain/5"), "");
    assert_eq!(host.read(tool, "/local/domain/5/own"), "ENOENT");
    // The root cannot go: it falls to the control domain.
    assert_eq!(host.permissions(tool, "/"), "n0");
    host.check();
}

#[test]
fn orphans_can_be_kept() {
    let mut host = Host::with(&Settings { keep_orphans: true, ..Settings::default() });
    let (tool, _) = (host.socket(), host.guest(5));
    host.write(tool, "/a/b", "v");
    host.chmod(tool, "/a/b", "b5 r5 r0");
    host.kill(5);
    assert_eq!(host.permissions(tool, "/a/b"), "b0 r0");
    host.check();
}

/// libxl removes what is not there and is told that it is gone; nobody else is told anything.
#[test]
fn what_was_not_there_is_not_told_to_be_removed() {
    let mut host = Host::new();
    let client = host.socket();
    host.write(client, "/a", "");
    for path in ["/", "/a", "/a/missing"] {
        host.watch(client, path, "t");
    }
    assert_eq!(host.rm(client, "/a/missing"), "OK");
    assert!(host.paths(client).is_empty());
}

/// Who introduces a domain again has its ring connected anew. It is no other domain for that.
#[test]
fn a_domain_that_is_introduced_again_is_no_news() {
    let mut host = Host::new();
    let tool = host.socket();
    host.watch(tool, "@introduceDomain", "t");
    host.guest(5);
    assert_eq!(host.paths(tool), ["@introduceDomain"]);
    assert_eq!(host.ask(tool, T::Introduce, "5\x001\x007\0"), "OK");
    assert!(host.paths(tool).is_empty());
}

/// Domains that nobody introduced have nothing here: what becomes of them is not told.
#[test]
fn the_end_of_a_domain_that_nobody_introduced_is_no_news() {
    let mut host = Host::new();
    let tool = host.socket();
    host.watch(tool, "@releaseDomain", "t");
    host.create(6);
    host.domains.0.get_mut(&6).unwrap().shutdown = true;
    host.changed(6);
    host.kill(6);
    assert!(host.paths(tool).is_empty());
}
