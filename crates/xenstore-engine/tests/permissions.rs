//! Who may do what, and who learns what from a refusal.

mod support;

use support::{Host, T};
use xenstore_engine::Settings;

#[test]
fn what_a_guest_creates_belongs_to_it() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    host.write(tool, "/local/domain/5", "");
    host.chmod(tool, "/local/domain/5", "r0 b5");
    assert_eq!(host.write(guest, "data/deep", "v"), "OK");
    assert_eq!(host.permissions(tool, "/local/domain/5/data"), "r5 b5");
    // A privileged client's nodes keep the owner of what is above.
    assert_eq!(host.write(tool, "/local/domain/5/data/tool", "v"), "OK");
    assert_eq!(host.permissions(tool, "/local/domain/5/data/tool"), "r5 b5");
    host.check();
}

#[test]
fn a_missing_node_is_denied_to_those_who_could_not_see_it() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    host.write(tool, "/secret", "");
    host.chmod(tool, "/secret", "n0");
    host.write(tool, "/open", "");
    host.chmod(tool, "/open", "b0");
    for kind in [T::Read, T::Directory, T::GetPerms, T::Rm] {
        assert_eq!(host.ask(guest, kind, "/secret/none/deep\0"), "EACCES", "{kind}");
        assert_eq!(host.ask(guest, kind, "/open/none/deep\0"), "ENOENT", "{kind}");
        assert_eq!(host.ask(tool, kind, "/secret/none/deep\0"), "ENOENT", "{kind}");
    }
    assert_eq!(host.chmod(guest, "/secret/none", "n5"), "EACCES");
    assert_eq!(host.chmod(guest, "/open/none", "n5"), "ENOENT");
    assert_eq!(host.write(guest, "/secret/none", "v"), "EACCES");
    assert_eq!(host.write(guest, "/open/none", "v"), "OK");
}

/// XSA-353: the root is a node like any other.
#[test]
fn the_root_is_protected_like_any_node() {
    let mut host = Host::new();
    let guest = host.guest(5);
    for kind in [T::Mkdir, T::Rm] {
        assert_eq!(host.ask(guest, kind, "/\0"), "EACCES", "{kind}");
    }
    assert_eq!(host.write(guest, "/", "v"), "EACCES");
    assert_eq!(host.chmod(guest, "/", "b5"), "EACCES");
    assert_eq!(host.read(guest, "/"), "EACCES");
    let tool = host.socket();
    assert_eq!(host.chmod(tool, "/", "r0"), "OK");
    assert_eq!(host.read(guest, "/"), "");
}

/// XSA-352: an owner that gives a node away would escape its quota.
#[test]
fn only_the_privileged_change_owners() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    host.guest(6);
    host.write(tool, "/n", "");
    host.chmod(tool, "/n", "n5");
    assert_eq!(host.chmod(guest, "/n", "n6"), "EPERM");
    assert_eq!(host.chmod(guest, "/n", "b5 r6"), "OK");
    assert_eq!(host.chmod(tool, "/n", "n6"), "OK");
    host.check();
}

/// XSA-322, XSA-417: entries mean the domain that was there when they were set.
#[test]
fn a_reused_domid_inherits_nothing() {
    let mut host = Host::new();
    let tool = host.socket();
    host.guest(5);
    host.write(tool, "/granted", "v");
    host.chmod(tool, "/granted", "n0 b5 r9");
    assert_eq!(host.permissions(tool, "/granted"), "n0 b5 r9");
    host.kill(5);
    assert_eq!(host.permissions(tool, "/granted"), "n0 r9");
    let reborn = host.guest(5);
    assert_eq!(host.read(reborn, "/granted"), "EACCES");
    // Domain 9 did not exist when the list was set.
    let late = host.guest(9);
    assert_eq!(host.read(late, "/granted"), "EACCES");
    assert_eq!(host.chmod(tool, "/granted", "n0 r9"), "OK");
    assert_eq!(host.read(late, "/granted"), "v");
    host.check();
}

/// A toolstack names a new domain before it introduces it, perhaps before the news of
/// the death of the last one with that number came.
#[test]
fn a_domid_reused_before_the_news_is_noticed() {
    let mut host = Host::new();
    let tool = host.socket();
    host.guest(5);
    host.write(tool, "/old", "");
    assert_eq!(host.chmod(tool, "/old", "n5"), "OK");
    host.create(5);
    host.write(tool, "/local/domain/5", "");
    assert_eq!(host.chmod(tool, "/local/domain/5", "n5"), "OK");
    assert_eq!(host.read(tool, "/old"), "ENOENT");
    assert_eq!(host.ask(tool, T::Introduce, "5\x001\x007\0"), "OK");
    assert_eq!(host.permissions(tool, "/local/domain/5"), "n5");
    host.check();
}

/// A request can bring the news that its own sender is dead: then it is not done, least
/// of all with the rights of whoever has the number now.
#[test]
fn the_dead_grant_nothing() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(1));
    host.guest(2);
    host.write(tool, "/t", "v");
    host.chmod(tool, "/t", "n2");
    assert_eq!(host.ask(tool, T::SetTarget, "1\x002\0"), "OK");
    host.create(1);
    host.send(guest, T::SetPerms, 0, b"/t\0n2\0b1\0");
    host.turn(guest);
    assert_eq!(host.permissions(tool, "/t"), "n2");
    host.check();
}

#[test]
fn a_dead_owner_is_refused() {
    let mut host = Host::new();
    let tool = host.socket();
    host.write(tool, "/n", "");
    assert_eq!(host.chmod(tool, "/n", "n5"), "ENOENT");
    assert_eq!(host.chmod(tool, "//", "n5"), "ENOENT");
    assert_eq!(host.chmod(tool, "//", "n0"), "EINVAL");
}

/// The dead are named a thousand levels deep, and not named between; what they owned there
/// goes, what others have below that with it.
#[test]
fn the_dead_are_named_nowhere_however_deep() {
    for keep_orphans in [false, true] {
        let mut host = Host::with(&Settings { keep_orphans, ..Settings::default() });
        let tool = host.socket();
        host.guest(5);
        host.guest(6);
        let mut path = String::new();
        let mut named = Vec::new();
        for depth in 0..1000 {
            path.push_str("/n");
            host.write(tool, &path, "");
            named.push(match depth % 100 {
                50 => "n6",
                99 => "n0 r6",
                _ => "n6 r0 b5",
            });
            assert_eq!(host.chmod(tool, &path, named[depth]), "OK");
        }
        let branch = &path[..2 * 970];
        host.write(tool, &format!("{branch}/mine"), "");
        host.chmod(tool, &format!("{branch}/mine"), "n5 r6");
        host.write(tool, &format!("{branch}/mine/below"), "");
        host.chmod(tool, &format!("{branch}/mine/below"), "n6 r5");
        host.check();
        host.kill(5);
        for (depth, before) in named.iter().enumerate() {
            let permissions = host.permissions(tool, &path[..2 * depth + 2]);
            assert_eq!(permissions, before.replace(" b5", ""), "{depth}");
        }
        let mine = host.permissions(tool, &format!("{branch}/mine"));
        let below = host.permissions(tool, &format!("{branch}/mine/below"));
        let expected = if keep_orphans { ["n0 r6", "n6"] } else { ["ENOENT"; 2] };
        assert_eq!([mine, below], expected);
        host.check();
    }
}

#[test]
fn a_target_lends_its_rights_until_it_dies() {
    let mut host = Host::new();
    let (tool, stubdom) = (host.socket(), host.guest(6));
    host.guest(5);
    host.write(tool, "/n", "v");
    host.chmod(tool, "/n", "n5");
    assert_eq!(host.read(stubdom, "/n"), "EACCES");
    assert_eq!(host.ask(tool, T::SetTarget, "6\x005\0"), "OK");
    assert_eq!(host.read(stubdom, "/n"), "v");
    host.kill(5);
    host.guest(5);
    host.write(tool, "/n", "v");
    host.chmod(tool, "/n", "n5");
    assert_eq!(host.read(stubdom, "/n"), "EACCES");
}

/// Requests about domains and the daemon are for the control domain.
#[test]
fn privileged_requests_are_denied_to_guests() {
    let mut host = Host::new();
    let guest = host.guest(5);
    for &kind in T::ALL.iter().filter(|kind| kind.is_privileged()) {
        assert_eq!(host.ask(guest, kind, "5\x001\x001\0"), "EACCES", "{kind}");
    }
    assert_eq!(host.ask(guest, T::GetFeature, "5\0"), "EACCES");
    assert_eq!(host.ask(guest, T::GetFeature, ""), "15");
}

/// XSA-322 in kind: a list that names a domain, held back until that domain is dead and
/// another has its number. Who asked meant the first.
#[test]
fn a_list_that_waits_means_the_domains_of_when_it_was_asked() {
    let mut host = Host::new();
    let (victim, rival, _) = (host.socket(), host.socket(), host.guest(5));
    let t = host.protected(victim, rival);
    host.write(rival, "/secret", "s");
    assert_eq!(host.ask_in(victim, t, T::GetPerms, "/secret\0"), "n0");
    host.ask_in_vain(rival, 0, T::SetPerms, "/secret\0n0\0r5\0");
    host.kill(5);
    let other = host.guest(5);
    assert_eq!(host.commit(victim, t), "OK");
    assert_eq!(host.reply(rival).as_deref(), Some("OK"));
    assert_eq!(host.permissions(rival, "/secret"), "n0 r5", "shown, and means nobody");
    assert_eq!(host.read(other, "/secret"), "EACCES");
    host.check();
}

/// A dead domain's own entries go. An entry that was made when there was no such domain
/// never was any domain's: it stays, and grants nothing.
#[test]
fn only_live_entries_go_with_a_domain() {
    let mut host = Host::new();
    let tool = host.socket();
    host.write(tool, "/a", "");
    assert_eq!(host.chmod(tool, "/a", "n0 r5"), "OK");
    let guest = host.guest(5);
    host.write(tool, "/b", "");
    host.chmod(tool, "/b", "n0 r5");
    assert_eq!((host.read(guest, "/a"), host.read(guest, "/b")), ("EACCES".into(), String::new()));
    host.kill(5);
    assert_eq!(host.permissions(tool, "/a"), "n0 r5 ".trim_end());
    assert_eq!(host.permissions(tool, "/b"), "n0");
    host.check();
}
