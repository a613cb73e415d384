//! What bounds a client, and what it cannot do to others.

mod support;

use support::{Host, T};
use xenstore_engine::{Quota, Turn};

fn home(host: &mut Host) {
    let tool = host.socket();
    host.write(tool, "/local/domain/5", "");
    host.chmod(tool, "/local/domain/5", "n5");
}

/// XSA-272: a limit of N means N, for every way to create a node.
#[test]
fn nodes_are_counted_however_they_are_made() {
    for kind in [T::Write, T::Mkdir] {
        let mut host = Host::new();
        let guest = host.guest(5);
        home(&mut host);
        let tool = host.socket();
        assert_eq!(host.ask(tool, T::SetQuota, "node-size\x000\0"), "OK");
        for number in 1..1000 {
            assert_eq!(host.ask(guest, kind, format!("n{number}\0")), "OK");
        }
        assert_eq!(host.ask(guest, kind, "more\0"), "ENOSPC");
        assert_eq!(host.rm(guest, "n1"), "OK");
        assert_eq!(host.ask(guest, kind, "two/more\0"), "ENOSPC");
        assert_eq!(host.ask(guest, kind, "more\0"), "OK");
        host.check();
    }
}

#[test]
fn a_node_may_only_be_so_large() {
    let mut host = Host::new();
    let guest = host.guest(5);
    home(&mut host);
    // 16 bytes for the node and 8 for its one permission leave 2024.
    assert_eq!(host.write(guest, "v", &"x".repeat(2024)), "OK");
    assert_eq!(host.write(guest, "v", &"x".repeat(2025)), "ENOSPC");
    assert_eq!(host.write(guest, "deep/v", &"x".repeat(2025)), "ENOSPC");
    assert_eq!(host.read(guest, "deep"), "ENOENT", "a refused creation leaves nothing");
    // The names of its children are part of a directory.
    for number in 0..20 {
        assert_eq!(host.write(guest, &format!("d/{number:0>99}"), ""), "OK");
    }
    assert_eq!(host.write(guest, &format!("d/{:0>99}", 20), ""), "ENOSPC");
    assert_eq!(host.write(guest, "d/short", ""), "OK");
    host.check();
}

#[test]
fn permissions_are_part_of_a_nodes_size() {
    let mut host = Host::new();
    let guest = host.guest(5);
    home(&mut host);
    assert_eq!(host.write(guest, "v", &"x".repeat(2024)), "OK");
    assert_eq!(host.chmod(guest, "v", "n5 r0"), "ENOSPC");
    assert_eq!(host.write(guest, "v", &"x".repeat(2016)), "OK");
    assert_eq!(host.chmod(guest, "v", "n5 r0"), "OK");
    host.check();
}

/// The places that a transaction asks about are counted, and so remembered. Those of requests
/// that were refused for a limit were not charged: ten transactions with a thousand long paths
/// each made the daemon hold 20 MB, whatever the quota.
#[test]
fn what_is_refused_in_a_transaction_is_remembered_at_its_expense() {
    let mut host = Host::new();
    let guest = host.guest(5);
    home(&mut host);
    let t = host.begin(guest);
    let before = host.memory(5);
    // Larger than any node may be; the paths are as long as such a message lets them be.
    let payload = |n| format!("{n:0>2000}\0{}", "x".repeat(2025));
    for n in 0..100 {
        assert_eq!(host.ask_in(guest, t, T::Write, payload(n)), "ENOSPC");
    }
    let after = host.memory(5);
    assert!(after - before >= 100 * 2000, "{} bytes for 100 paths", after - before);
    for n in 0..100 {
        assert_eq!(host.ask_in(guest, t, T::Write, payload(n)), "ENOSPC");
    }
    assert_eq!(host.memory(5), after, "no place is remembered twice");
    host.check();
    assert_eq!(host.commit(guest, t), "OK");
    host.check();
}

/// Where something is changed for the first time, nodes are copied or made, and paid for. A
/// write that was refused changed nothing: once it counted as the first all the same, and the
/// next, which was granted, cost a fifth.
#[test]
fn a_refused_write_does_not_pay_for_the_next() {
    let cost = |refused: bool| {
        let mut host = Host::new();
        let guest = host.guest(5);
        home(&mut host);
        let deep = "a/".repeat(400) + "a";
        let t = host.begin(guest);
        let before = host.memory(5);
        if refused {
            let large = "x".repeat(2025);
            assert_eq!(host.ask_in(guest, t, T::Write, format!("{deep}\0{large}")), "ENOSPC");
        }
        assert_eq!(host.ask_in(guest, t, T::Write, format!("{deep}\0")), "OK");
        let cost = host.memory(5) - before;
        host.check();
        assert_eq!(host.commit(guest, t), "OK");
        host.check();
        cost
    };
    let (plain, after_refusal) = (cost(false), cost(true));
    assert!(after_refusal >= plain, "{after_refusal} bytes in the place of {plain}");
}

#[test]
fn watches_transactions_permissions_and_paths_have_limits() {
    let mut host = Host::new();
    let guest = host.guest(5);
    home(&mut host);
    for number in 0..128 {
        assert_eq!(host.ask(guest, T::Watch, format!("w\0{number}\0")), "OK");
    }
    assert_eq!(host.ask(guest, T::Watch, "w\0more\0"), "ENOSPC");
    assert_eq!(host.ask(guest, T::Watch, "w\x005\0"), "EEXIST");
    assert_eq!(host.ask(guest, T::ResetWatches, "\0"), "OK");
    assert_eq!(host.ask(guest, T::Watch, "w\0more\0"), "OK");
    host.events(guest);
    for _ in 0..10 {
        host.begin(guest);
    }
    assert_eq!(host.ask(guest, T::TransactionStart, "\0"), "ENOSPC");
    host.write(guest, "n", "");
    assert_eq!(host.chmod(guest, "n", "n5 r0 r0 r0 r0"), "OK");
    assert_eq!(host.chmod(guest, "n", "n5 r0 r0 r0 r0 r0"), "ENOSPC");
    assert_eq!(host.chmod(guest, "//", "n5 r0 r0 r0 r0 bad"), "ENOSPC", "counted before read");
    assert_eq!(host.chmod(guest, "//", "n5 bad"), "EINVAL");
    // Names that long do not fit into a node; the path is what is looked at first.
    assert_eq!(host.read(guest, &"x".repeat(2048)), "ENOENT");
    assert_eq!(host.read(guest, &"x".repeat(2049)), "EINVAL");
    assert_eq!(host.ask(guest, T::Watch, format!("/{}\0t\0", "x".repeat(2048))), "EINVAL");
    let refused: Vec<_> = host.log.refused.iter().map(|&(_, quota, ..)| quota).collect();
    let expected = [
        Quota::Watches,
        Quota::Transactions,
        Quota::NodePermissions,
        Quota::NodePermissions,
        Quota::PathMax,
    ];
    assert_eq!(refused, expected.map(Quota::name));
}

#[test]
fn a_client_gets_one_bounded_share_a_turn() {
    let mut host = Host::new();
    let client = host.socket();
    for _ in 0..100 {
        host.send(client, T::Read, 0, b"/\0");
    }
    let mut turns = Vec::new();
    while host.turn(client) == Turn::More {
        turns.push(host.all(client).len());
    }
    assert_eq!(turns, [32, 32, 32]);
    assert_eq!(host.all(client).len(), 4);
}

/// How many pieces there are still to be freed.
fn pieces(host: &mut Host) -> usize {
    (0..1000).find(|_| !host.engine.sweep()).map_or(1000, |before| before + 1)
}

/// What was removed, and what an old version of the store kept, is freed a piece at a time, and
/// others have their turns in between. An aborted transaction once freed all of it at once.
#[test]
fn what_nobody_needs_is_freed_in_pieces() {
    let mut host = Host::new();
    let (client, reader) = (host.socket(), host.socket());
    let make = |host: &mut Host| {
        for node in 0..5_000 {
            assert_eq!(host.ask(client, T::Mkdir, format!("/large/{node}\0")), "OK");
        }
        while host.engine.sweep() {}
    };
    make(&mut host);
    assert_eq!(host.ask(client, T::Rm, "/large\0"), "OK");
    assert!((9..=10).contains(&pieces(&mut host)));
    // Whoever makes nodes frees twice as many, however many others it removed.
    make(&mut host);
    assert_eq!(host.ask(client, T::Rm, "/large\0"), "OK");
    assert_eq!(host.ask(client, T::Mkdir, format!("{}\0", "/a".repeat(1_500))), "OK");
    assert!((2..=4).contains(&pieces(&mut host)));
    for end in ["abort", "commit", "reset", "hang up"] {
        make(&mut host);
        let t = host.begin(reader);
        host.ask_in(reader, t, T::Read, "/\0");
        assert_eq!(host.ask(client, T::Rm, "/large\0"), "OK");
        assert!(pieces(&mut host) <= 2, "the transaction still sees it");
        match end {
            "abort" => assert_eq!(host.ask_in(reader, t, T::TransactionEnd, "F\0"), "OK"),
            "commit" => assert_eq!(host.commit(reader, t), "OK"),
            "reset" => assert_eq!(host.ask(reader, T::ResetWatches, "\0"), "OK"),
            _ => host.engine.disconnect(reader, &mut host.log),
        }
        assert!(pieces(&mut host) >= 9, "{end}");
    }
}

/// A request that is much work ends the turn: 32 of them in a row once kept everybody
/// else waiting for seconds.
#[test]
fn an_expensive_request_ends_the_turn() {
    let mut host = Host::new();
    let (watcher, writer) = (host.socket(), host.socket());
    for number in 0..1000 {
        assert_eq!(host.ask(watcher, T::Watch, format!("/w\0{number}\0")), "OK");
    }
    for _ in 0..3 {
        host.send(writer, T::Write, 0, b"/w\0v");
    }
    assert_eq!(host.turn(writer), Turn::More);
    assert_eq!(host.all(writer).len(), 1);
    assert_eq!(host.turn(writer), Turn::More);
    assert_eq!(host.turn(writer), Turn::Idle);
}

/// XSA-326: requests of a client that takes no replies are not answered any more.
#[test]
fn a_client_that_takes_no_replies_is_not_read() {
    let mut host = Host::new();
    let client = host.socket();
    host.write(client, "/big", &"x".repeat(4000));
    let mut sent = 0;
    while host.engine.standing(client).wants_input {
        host.send(client, T::Read, 0, b"/big\0");
        host.turn(client);
        sent += 1;
        assert!(sent < 100, "bounded");
    }
    // What the client sent before is answered when it takes what waits.
    host.send(client, T::Read, 0, b"/big\0");
    assert_eq!(host.turn(client), Turn::Idle);
    assert_eq!(host.all(client).len(), sent);
    assert_eq!(host.turn(client), Turn::Idle);
    assert_eq!(host.all(client).len(), 1);
}

/// XSA-420 and the specification: a length over 4096 ends the connection, after what
/// was asked before it.
#[test]
fn an_oversized_message_breaks_the_connection() {
    let mut host = Host::new();
    let (client, other) = (host.socket(), host.socket());
    host.send(client, T::Write, 0, b"/a\0v");
    let mut header = [0; 16];
    header[12..].copy_from_slice(&4097_u32.to_ne_bytes());
    host.engine.receive(client, &header);
    host.send(client, T::Write, 0, b"/a\0w");
    assert_eq!(host.turn(client), Turn::Broken);
    assert_eq!(host.turn(client), Turn::Idle);
    assert_eq!(host.all(client).len(), 1);
    assert!(!host.engine.standing(client).wants_input);
    assert_eq!(host.read(other, "/a"), "v");
}

/// XSA-418: no recursion as deep as a client likes.
#[test]
fn the_deepest_tree_can_be_made_watched_and_removed() {
    let mut host = Host::new();
    let client = host.socket();
    let deep = "/x".repeat(1536);
    assert_eq!(host.write(client, &deep, "v"), "OK");
    assert_eq!(host.write(client, &"/x".repeat(1537), "v"), "EINVAL");
    host.watch(client, &deep, "t");
    let t = host.begin(client);
    assert_eq!(host.ask_in(client, t, T::Rm, "/x\0"), "OK");
    assert_eq!(host.commit(client, t), "OK");
    assert_eq!(host.paths(client), [deep]);
    host.check();
}

/// A long list comes in parts whose generation shows that they belong together.
#[test]
fn a_long_directory_comes_in_parts() {
    let mut host = Host::new();
    let client = host.socket();
    let names: Vec<_> = (0..1000).map(|number| format!("child-{number}")).collect();
    for name in &names {
        host.write(client, &format!("/wide/{name}"), "");
    }
    assert_eq!(host.ask(client, T::Directory, "/wide\0"), "E2BIG");
    let (mut list, mut generations) = (String::new(), Vec::new());
    while !list.ends_with("\0\0") {
        let part = host.ask(client, T::DirectoryPart, format!("/wide\0{}\0", list.len()));
        // The helper cut one NUL off the end: of the list's end, or of the last name.
        let (generation, names) = part.split_once('\0').unwrap();
        generations.push(generation.to_owned());
        list.push_str(names);
        list.push('\0');
    }
    assert_eq!(list.trim_end_matches('\0').split('\0').collect::<Vec<_>>(), names);
    generations.dedup();
    assert_eq!(generations.len(), 1);
    assert!(host.ask(client, T::DirectoryPart, "/wide\0999999\0").starts_with(&generations[0]));
}

/// Whatever makes a domain's account grow is refused at the limit; what does not is granted.
#[test]
fn memory_is_refused_before_it_is_taken() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    home(&mut host);
    host.write(guest, "old", "value");
    assert_eq!(host.ask(tool, T::SetQuota, "5\0memory\x0020000\0"), "OK");
    let big = "x".repeat(1500);
    let made = (0..100).take_while(|n| host.write(guest, &format!("n{n}"), &big) == "OK").count();
    assert!((8..13).contains(&made), "{made} nodes of some 1,700 bytes in 20,000");
    assert_eq!(host.log.refused.last().map(|refused| refused.1), Some("memory"));
    // What is there can be read, shrunk and removed.
    assert_eq!(host.read(guest, "old"), "value");
    assert_eq!(host.write(guest, "n0", ""), "OK");
    assert_eq!(host.rm(guest, "n1"), "OK");
    host.check();
    // Watches and transactions are memory too.
    let watches = (0..128).take_while(|n| {
        host.ask(guest, T::Watch, format!("{}\0{n}\0", "a/".repeat(2) + "a")) == "OK"
    });
    assert!(watches.count() < 4);
    host.events(guest);
    assert_eq!(host.ask(guest, T::Unwatch, format!("{}\x000\0", "a/".repeat(2) + "a")), "OK");
    assert_eq!(host.ask(guest, T::ResetWatches, "\0"), "OK");
    host.check();
    // For the toolstack it is no limit, whoever is charged.
    assert_eq!(host.write(tool, "/local/domain/5/more", &"x".repeat(4000)), "OK");
    for n in 0..10 {
        host.write(tool, &format!("/local/domain/5/t{n}"), &big);
        assert_eq!(host.chmod(tool, &format!("/local/domain/5/t{n}"), "n5"), "OK");
    }
    assert_eq!(host.write(guest, "one", ""), "ENOSPC");
    host.check();
}

/// XSA-326: nobody else can fill a domain's account, nor can it fill that of others.
#[test]
fn a_writable_node_charges_its_owner() {
    let mut host = Host::new();
    let (tool, owner, other) = (host.socket(), host.guest(5), host.guest(6));
    home(&mut host);
    host.write(owner, "shared", "");
    host.chmod(owner, "shared", "b5");
    assert_eq!(host.ask(tool, T::SetQuota, "5\0memory\x003000\0"), "OK");
    let big = "x".repeat(2000);
    assert_eq!(host.write(other, "/local/domain/5/shared", &big), "OK");
    assert_eq!(host.write(owner, "own", &big), "ENOSPC");
    assert_eq!(host.write(other, "/local/domain/5/shared/of/6", ""), "OK", "its own nodes");
    let refused = host.log.refused.last();
    assert_eq!(refused.map(|&(domid, what, ..)| (domid, what)), Some((5, "memory")));
    host.check();
}

/// XSA-326: past its quota of unread replies a guest's requests wait.
#[test]
fn outstanding_requests_are_limited() {
    let mut host = Host::new();
    let (tool, guest) = (host.socket(), host.guest(5));
    home(&mut host);
    host.write(guest, "v", "value");
    assert_eq!(host.ask(tool, T::SetQuota, "5\0outstanding\x003\0"), "OK");
    for _ in 0..10 {
        host.send(guest, T::Read, 0, b"v\0");
    }
    host.turn(guest);
    assert_eq!(host.turn(guest), Turn::Idle);
    assert!(!host.engine.standing(guest).wants_input);
    let account = host.ask(tool, T::Control, "quota\x005\0");
    assert!(account.contains("outstanding      :        3"), "{account}");
    assert_eq!(host.all(guest).len(), 3);
    host.check();
}

/// Rights of a directory decide where what concerns a domain begins, for each child anew.
/// That is work of a guest's turn, and of a transaction that may have to be done again: one
/// commit of three thousand such requests once took 0.7 s.
#[test]
fn rights_of_a_wide_directory_are_work() {
    let mut host = Host::new();
    let guest = host.guest(5);
    home(&mut host);
    for domid in 6..10 {
        host.guest(domid);
    }
    host.write(guest, "d", "");
    host.chmod(guest, "d", "n5 r6 r7 r8 r9");
    for number in 0..400 {
        assert_eq!(host.write(guest, &format!("d/{number}"), ""), "OK");
    }
    let lists = ["d\0n5\0", "d\0n5\0r6\0r7\0r8\0r9\0"];
    for round in 0..10 {
        host.send(guest, T::SetPerms, 0, lists[round % 2].as_bytes());
    }
    assert_eq!(host.turn(guest), Turn::More);
    assert!(host.all(guest).len() <= 2, "a bounded share of it");
    while host.turn(guest) == Turn::More {
        host.all(guest);
    }
    host.all(guest);
    let t = host.begin(guest);
    let granted = (0..4000)
        .take_while(|round| host.ask_in(guest, t, T::SetPerms, lists[round % 2]) == "OK")
        .count();
    assert!((10..100).contains(&granted), "{granted}");
    assert_eq!(host.commit(guest, t), "OK");
    host.check();
}

/// A transaction whose every answer holds is not told to try again: if an owner has memory
/// for each of its writes and not for all, the last of them is refused.
#[test]
fn writes_to_others_nodes_count_together() {
    let mut host = Host::new();
    let (tool, owner, other) = (host.socket(), host.guest(5), host.guest(6));
    home(&mut host);
    for name in ["a", "b"] {
        host.write(owner, name, "");
        host.chmod(owner, name, "b5");
    }
    let account = host.ask(tool, T::Control, "quota\x005\0");
    let line = account.lines().find(|line| line.starts_with("memory")).unwrap();
    let used: u32 = line.split_whitespace().nth(2).unwrap().parse().unwrap();
    let quota = format!("5\0memory\0{}\0", used + 2000);
    assert_eq!(host.ask(tool, T::SetQuota, quota), "OK");
    let value = "x".repeat(1200);
    let t = host.begin(other);
    let write = |name: &str| format!("/local/domain/5/{name}\0{value}");
    assert_eq!(host.ask_in(other, t, T::Write, write("a")), "OK");
    assert_eq!(host.ask_in(other, t, T::Write, write("b")), "ENOSPC");
    assert_eq!(host.commit(other, t), "OK");
    // What the owner takes meanwhile is a reason to try again, and to be told why.
    let half = write("b")[..600].to_owned();
    let t = host.begin(other);
    assert_eq!(host.ask_in(other, t, T::Write, &half), "OK");
    assert_eq!(host.write(owner, "own", &"x".repeat(250)), "OK");
    assert_eq!(host.commit(other, t), "EAGAIN");
    let t = host.begin(other);
    assert_eq!(host.ask_in(other, t, T::Write, &half), "ENOSPC");
    assert_eq!(host.commit(other, t), "OK");
    host.check();
}

/// Who removes a subtree in a transaction is not charged, and keeps nothing, for what others
/// have in it. A hundred guests with lists of their own on nine hundred nodes each once made
/// it 50 MB for every transaction in which somebody removed them all.
#[test]
fn a_removal_in_a_transaction_costs_no_more_for_others_nodes() {
    let mut host = Host::new();
    let (tool, remover) = (host.socket(), host.guest(5));
    home(&mut host);
    host.write(remover, "p", "");
    host.chmod(remover, "p", "b5");
    for domid in 6..12 {
        let guest = host.guest(domid);
        for number in 0..100 {
            let path = format!("/local/domain/5/p/{domid}/{number}");
            assert_eq!(host.write(guest, &path, ""), "OK");
            assert_eq!(host.chmod(guest, &path, &format!("n{domid} r5")), "OK");
        }
    }
    let charged = |host: &mut Host| -> u32 {
        let account = host.ask(tool, T::Control, "quota\x005\0");
        let line = account.lines().find(|line| line.starts_with("memory")).unwrap();
        line.split_whitespace().nth(2).unwrap().parse().unwrap()
    };
    let before = charged(&mut host);
    let t = host.begin(remover);
    assert_eq!(host.ask_in(remover, t, T::Rm, "p\0"), "OK");
    assert!(charged(&mut host) - before < 5000);
    assert_eq!(host.commit(remover, t), "OK");
    host.check();
    assert!(charged(&mut host) < before);
}
