//! Domains come, and what toolstacks say of them.

mod support;

use support::{BAD_PORT, Host, T};

/// A toolstack sets a domain's limits and features before it introduces it. If the news that
/// its predecessor died was still to come, they were set for that one, and gone with it: the
/// domain had the limits of everybody.
#[test]
fn what_is_set_for_a_number_is_for_the_domain_that_has_it_now() {
    let mut host = Host::new();
    let tool = host.socket();
    host.guest(5);
    assert_eq!(host.ask(tool, T::SetQuota, "5\0watches\x003\0"), "OK");
    host.create(5);
    assert_eq!(host.ask(tool, T::GetQuota, "5\0watches\0"), "128", "not the predecessor's");
    host.create(5);
    assert_eq!(host.ask(tool, T::SetQuota, "5\0nodes\x007\0"), "OK");
    host.create(5);
    assert_eq!(host.ask(tool, T::SetFeature, "5\x006\0"), "OK");
    assert_eq!(host.ask(tool, T::SetQuota, "5\0nodes\x008\0"), "OK");
    assert_eq!(host.ask(tool, T::Introduce, "5\x001\x007\0"), "OK");
    assert_eq!(host.ask(tool, T::GetFeature, "5\0"), "6");
    assert_eq!(host.ask(tool, T::GetQuota, "5\0nodes\0"), "8");
    host.check();
}

/// All that a toolstack is told is `EINVAL`. Why was known to the daemon, and lost.
#[test]
fn it_is_said_why_a_ring_is_not_connected() {
    let mut host = Host::new();
    let tool = host.socket();
    host.create(5);
    assert_eq!(host.ask(tool, T::Introduce, format!("5\x001\0{BAD_PORT}\0")), "EINVAL");
    assert_eq!(host.log.not_connected, ["event channel 13 of domain 5 cannot be bound"]);
}

/// A device model was to have the rights of a domain that was dead already, and of whose death
/// the news was still to come: that was granted, and came to nothing with the news.
#[test]
fn nobody_gets_the_rights_of_a_domain_that_died_unnoticed() {
    let mut host = Host::new();
    let tool = host.socket();
    host.guest(5);
    host.guest(6);
    host.create(5);
    assert_eq!(host.ask(tool, T::SetTarget, "6\x005\0"), "ENOENT");
    assert_eq!(host.ask(tool, T::Introduce, "5\x001\x007\0"), "OK");
    assert_eq!(host.ask(tool, T::SetTarget, "6\x005\0"), "OK");
    host.create(6);
    assert_eq!(host.ask(tool, T::SetTarget, "6\x005\0"), "ENOENT");
    host.check();
}

/// Only what was introduced can be released, and once.
#[test]
fn what_is_not_introduced_cannot_be_released() {
    let mut host = Host::new();
    let tool = host.socket();
    host.create(5);
    assert_eq!(host.ask(tool, T::Release, "5\0"), "ENOENT");
    host.guest(5);
    assert_eq!(host.ask(tool, T::Release, "5\0"), "OK");
    assert_eq!(host.ask(tool, T::Release, "5\0"), "ENOENT");
    host.check();
}

/// A ring that is kept after its domain is gone keeps the domain's memory: it becomes a zombie.
#[test]
fn the_ring_of_who_is_gone_is_let_go() {
    let mut host = Host::new();
    let tool = host.socket();
    for domid in [5, 6] {
        host.guest(domid);
    }
    assert_eq!(host.ask(tool, T::Release, "6\0"), "OK");
    host.kill(5);
    assert_eq!(host.domains.1, [6, 5]);
    host.check();
}
