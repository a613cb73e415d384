//! The real binary as a client of the socket sees it, and what it leaves in files.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use support::client::{Client, T, request};
use support::{Host, eventually};

const EVERYTHING: &str = "access-log-read-ops = true\naccess-log-transactions-ops = true\n\
                          access-log-special-ops = true\n";

/// The lines of a log, without their timestamps.
fn lines(host: &Host, name: &str) -> Vec<String> {
    let text = host.read(name);
    text.lines()
        .map(|line| {
            // [20261122T10:40:13.514Z] and two blanks.
            let (timestamp, rest) = line.split_at(26);
            let mask: String = timestamp
                .chars()
                .map(|letter| if letter.is_ascii_digit() { '0' } else { letter })
                .collect();
            assert_eq!(mask, "[00000000T00:00:00.000Z]  ");
            rest.to_owned()
        })
        .collect()
}

/// A client, after those are gone that only looked whether the daemon is there.
fn first_client(host: &Host) -> Client {
    eventually("quiet", || host.read("access").contains("endconn"));
    Client::connect(host)
}

/// The commands were in no page of the manual.
#[test]
fn every_control_command_is_in_the_man_page() {
    let page = include_str!("../../../docs/man/rxenstored.8");
    let host = Host::new();
    let _daemon = host.foreground(&[]);
    let help = Client::connect(&host).ask(T::Control, "help\0");
    assert!(help.lines().count() > 5, "{help}");
    for line in help.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let entry = format!(".It Cm {name}");
        assert!(page.lines().any(|line| line.starts_with(&entry)), "{name} is missing");
    }
}

#[test]
fn requests_are_answered() {
    let host = Host::new();
    let _daemon = host.foreground(&[]);
    let (mut one, mut other) = (Client::connect(&host), Client::connect(&host));
    assert_eq!(one.ask(T::Write, "/a/b\0value"), "OK");
    assert_eq!(other.ask(T::Read, "/a/b\0"), "value");
    assert_eq!(other.ask(T::Read, "/a/c\0"), "ENOENT");
    assert_eq!(other.ask(T::Directory, "/a\0"), "b");
    assert_eq!(other.ask(T::GetPerms, "/a/b\0"), "n0");
    assert_eq!(other.ask(T::Watch, "/a\0token\0"), "OK");
    assert_eq!(other.event(), "/a token ");

    let transaction = one.begin();
    assert_eq!(one.ask_in(transaction, T::Write, "/a/d\0inside"), "OK");
    assert_eq!(other.ask(T::Read, "/a/d\0"), "ENOENT");
    assert_eq!(one.ask_in(transaction, T::TransactionEnd, "T\0"), "OK");
    assert_eq!(other.event(), "/a/d token ");
    assert_eq!(other.ask(T::Read, "/a/d\0"), "inside");
    assert_eq!(one.ask(T::Read, "/tool/xenstored\0"), env!("CARGO_BIN_EXE_rxenstored"));
}

#[test]
fn the_access_log_is_oxenstoreds_to_the_byte() {
    let host = Host::new();
    host.configure(EVERYTHING);
    let daemon = host.foreground(&[]);
    let mut one = first_client(&host);
    assert_eq!(one.ask(T::Write, "/t/a\x001"), "OK");
    let mut other = Client::connect(&host);
    assert_eq!(other.ask(T::Read, "/t/a\0"), "1");
    assert_eq!(other.ask(T::Read, "/t/none\0"), "ENOENT");
    assert_eq!(one.ask(T::Watch, "/t\0tok\0"), "OK");
    let begun = one.begin();
    assert_eq!(one.ask_in(begun, T::Write, "/t/b\x002 \"\n"), "OK");
    assert_eq!(one.ask_in(begun, T::TransactionEnd, "T\0"), "OK");

    let merged = one.begin();
    assert_eq!(one.ask_in(merged, T::Mkdir, "/t/c\0"), "OK");
    assert_eq!(other.ask(T::Mkdir, "/t/d\0"), "OK");
    assert_eq!(one.ask_in(merged, T::TransactionEnd, "T\0"), "OK");

    let refused = one.begin();
    assert_eq!(one.ask_in(refused, T::Read, "/t/a\0"), "1");
    assert_eq!(one.ask_in(refused, T::Rm, "/t/b\0"), "OK");
    assert_eq!(other.ask(T::Write, "/t/a\x003"), "OK");
    assert_eq!(one.ask_in(refused, T::TransactionEnd, "T\0"), "EAGAIN");

    assert_eq!(other.ask(T::SetPerms, "/t\0n0\0r5\0"), "OK");
    assert_eq!(other.ask(T::GetPerms, "/t\0"), "n0 r5");
    assert_eq!(other.ask(T::Directory, "/t\0"), "a b d c");
    assert_eq!(other.ask(T::GetDomainPath, "3\0"), "/local/domain/3");
    assert_eq!(other.ask(T::IsDomainIntroduced, "3\0"), "F");
    assert_eq!(other.ask(T::Rm, "/\0"), "EINVAL");
    assert_eq!(one.ask(T::Unwatch, "/t\0tok\0"), "OK");
    drop(other);
    eventually("end of A3", || host.read("access").contains("A3           endconn"));
    drop(one);
    daemon.stop(Signal::TERM);

    let expected = [
        "A1           newconn   ",
        "A1           endconn   ",
        "A2           newconn   ",
        "A2           write     /t/a 1",
        "A3           newconn   ",
        "A3           read      /t/a ",
        "A3           read      /t/none ",
        "A3           error     ENOENT ",
        "A2           watch     /t tok ",
        "A2           w event   /t tok ",
        "A2.1         t start   ",
        r#"A2.1         write     /t/b 2 \"\n"#,
        "A2.1         t end     ",
        "A2.1         commit    ",
        "A2           w event   /t/b tok ",
        "A2.2         t start   ",
        "A2.2         mkdir     /t/c ",
        "A3           mkdir     /t/d ",
        "A2           w event   /t/d tok ",
        "A2.2         t end     ",
        "A2.2         coalesce  ",
        "A2           w event   /t/c tok ",
        "A2.3         t start   ",
        "A2.3         read      /t/a ",
        "A2.3         rm        /t/b ",
        "A3           write     /t/a 3",
        "A2           w event   /t/a tok ",
        "A2.3         t end     ",
        "A2.3         conflict  ",
        "A2.3         error     EAGAIN ",
        "A3           setperms  /t n0 r5 ",
        "A2           w event   /t tok ",
        "A3           getperms  /t ",
        "A3           directory /t ",
        "A3           getdomain 3 ",
        "A3           is introduced 3 ",
        "A3           rm        / ",
        "A3           error     EINVAL ",
        "A2           unwatch   /t tok ",
        "A3           endconn   ",
    ];
    let written = lines(&host, "access");
    for (written, expected) in written.iter().zip(expected) {
        assert_eq!(written, expected);
    }
    // Whether A2 went before the daemon did is nobody's business.
    assert!(written.len() >= expected.len());
}

#[test]
fn reads_and_transactions_are_logged_on_demand() {
    let host = Host::new();
    let daemon = host.foreground(&[]);
    let mut client = first_client(&host);
    client.ask(T::Read, "/none\0");
    client.ask(T::GetDomainPath, "1\0");
    let begun = client.begin();
    client.ask_in(begun, T::Write, "/a\0x");
    client.ask_in(begun, T::TransactionEnd, "T\0");
    daemon.stop(Signal::TERM);
    let expected =
        ["A2           newconn   ", "A2.1         write     /a x", "A2.1         commit    "];
    assert_eq!(lines(&host, "access").get(2..5).unwrap(), expected);
}

#[test]
fn a_trace_shows_everything_unless_told_otherwise() {
    let host = Host::new();
    let trace = host.path("trace").display().to_string();
    for (control, shown) in [(&[] as &[_], true), (&["--trace-control=-io"], false)] {
        let daemon = host.foreground(&[&["-T", &trace], control].concat());
        Client::connect(&host).ask(T::Read, "/\0");
        daemon.stop(Signal::TERM);
        assert_eq!(lines(&host, "trace").contains(&"A2           read      / ".to_owned()), shown);
        assert!(!host.path("access").exists());
        fs::remove_file(&trace).unwrap();
    }
}

#[test]
fn a_log_that_is_off_is_not_touched() {
    let host = Host::new();
    let daemon = host.foreground(&["--no-access-log"]);
    let mut client = Client::connect(&host);
    client.ask(T::Write, "/a\0b");
    client.ask(T::Control, "log\0on\0");
    client.ask(T::Control, "print\0hello\0");
    daemon.signal(Signal::HUP);
    client.ask(T::Write, "/a\0c");
    daemon.stop(Signal::TERM);
    assert!(!host.path("access").exists());
    assert!(host.read("log").contains("hello"));
}

#[test]
fn a_full_access_log_makes_room() {
    let host = Host::new();
    host.configure("access-log-nb-lines = 10\naccess-log-nb-files = 3\n");
    let daemon = host.foreground(&[]);
    let mut client = first_client(&host);
    for number in 0..40 {
        client.ask(T::Write, &format!("/a\0{number}"));
    }
    daemon.stop(Signal::TERM);
    // Newconn, endconn, newconn and the first 8; then 11 each.
    let values = |name| -> Vec<u32> {
        let value = |line: &String| line.rsplit(' ').next().unwrap().parse().ok();
        lines(&host, name).iter().filter_map(value).collect()
    };
    assert_eq!(values("access"), (30..40).collect::<Vec<_>>());
    assert_eq!(values("access.1"), (19..30).collect::<Vec<_>>());
    assert_eq!(values("access.2"), (8..19).collect::<Vec<_>>());
    assert!(!host.path("access.3").exists());
}

#[test]
fn a_log_that_was_moved_is_begun_anew_on_sighup() {
    let host = Host::new();
    let daemon = host.foreground(&[]);
    let mut client = first_client(&host);
    client.ask(T::Write, "/a\0before");
    fs::rename(host.path("access"), host.path("moved")).unwrap();
    client.ask(T::Write, "/a\0between");
    daemon.signal(Signal::HUP);
    eventually("new log", || host.path("access").exists());
    client.ask(T::Write, "/a\0after");
    daemon.stop(Signal::TERM);
    let moved = lines(&host, "moved");
    let moved: Vec<_> = moved.iter().skip(3).map(String::as_str).collect();
    assert_eq!(moved, ["A2           write     /a before", "A2           write     /a between"]);
    assert_eq!(lines(&host, "access").first().unwrap(), "A2           write     /a after");
}

#[test]
fn sigusr1_dumps_the_store_for_its_owner_only() {
    let host = Host::new();
    let daemon = host.foreground(&[]);
    let mut client = Client::connect(&host);
    client.ask(T::Write, "/a/b\0one\ntwo");
    client.ask(T::SetPerms, "/a\0n0\0r5\0");
    let open = client.begin();
    client.ask_in(open, T::Write, "/private\0");
    let dump = host.path("deep/run/db.debug");
    daemon.signal(Signal::USR1);
    let text = || fs::read_to_string(&dump).unwrap_or_default();
    eventually("dump", || text().contains("@releaseDomain"));
    assert!(text().contains("/a = \"\" (n0 r5)\n/a/b = \"one\\ntwo\" (n0)\n"), "{}", text());
    assert!(!text().contains("/private"));
    assert_eq!(fs::metadata(&dump).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Everything about the trace that `xenstore-control` can ask for.
#[test]
fn the_trace_is_controlled_by_commands() {
    let host = Host::new();
    host.configure(EVERYTHING);
    let daemon = host.foreground(&[]);
    let mut client = first_client(&host);
    let mut control = |arguments: &str| client.ask(T::Control, &format!("{arguments}\0"));
    let trace = host.path("trace");
    let switch = format!("logfile\0{}", trace.display());

    assert_eq!(control(&switch), "OK");
    assert_eq!(control("print\0in the trace"), "OK");
    assert_eq!(control("log\0off"), "OK");
    assert_eq!(control("quota"), control("quota"));
    assert_eq!(control("log\0on"), "OK");
    assert_eq!(control("memreport"), "OK");
    let report = host.path("report");
    assert_eq!(control(&format!("memreport\0{}", report.display())), "OK");
    assert_eq!(control("memreport\0/nonexistent/report"), "EINVAL");
    assert_eq!(control("logfile\0/nonexistent/trace"), "OK");
    assert_eq!(control("memreport"), "OK", "lost with the log");
    assert_eq!(control("logfile\0"), "OK");
    assert_eq!(control("memreport"), "EINVAL");
    daemon.stop(Signal::TERM);

    let name = trace.display().to_string();
    let heading = "domid      nodes    watches transactions     memory";
    let written = lines(&host, "trace");
    let domain = written.get(5).unwrap().clone();
    let expected = [
        "A2           debug     print in the trace ",
        "in the trace",
        "A2           debug     log off ",
        "A2           debug     memreport ",
        heading,
        &domain,
        &format!("A2           debug     memreport {} ", report.display()),
        "A2           debug     memreport /nonexistent/report ",
        "A2           error     EINVAL ",
        "A2           debug     logfile /nonexistent/trace ",
    ];
    assert_eq!(written, expected);
    assert!(domain.starts_with("0  "), "{domain}");
    assert_eq!(host.read("report").lines().next(), Some(heading));
    let before = lines(&host, "access");
    assert_eq!(before.last().unwrap(), &format!("A2           debug     logfile {name} "));
}

/// The switch for requests and the one for the trace as a whole were one: `+io` turned
/// on a trace that `off` had turned off.
#[test]
fn switches_of_the_trace_do_not_overrule_it() {
    let host = Host::new();
    let daemon = host.foreground(&[]);
    let mut client = first_client(&host);
    for (number, switch) in ["off", "+io", "-io", "on", "+io"].into_iter().enumerate() {
        client.ask(T::Control, &format!("log\0{switch}\0"));
        client.ask(T::Write, &format!("/a\0{number}"));
    }
    daemon.stop(Signal::TERM);
    let written = lines(&host, "access");
    assert_eq!(
        written.get(3..5).unwrap(),
        ["A2           debug     log off ", "A2           write     /a 4"]
    );
}

#[test]
fn quotas_are_as_given() {
    let host = Host::new();
    host.configure("quota-maxentity = 8192\nquota-maxwatch = 7\n");
    let options = ["-W", "512", "--quota", "outstanding=33", "-M", "99999", "-q", "memory=44"];
    let _daemon = host.foreground(&options);
    let mut client = Client::connect(&host);
    let text = client.ask(T::Control, "quota\0");
    let limit = |name: &str| {
        let line = text.lines().find(|line| line.split(':').next().unwrap().trim() == name);
        line.unwrap().split_whitespace().find_map(|word| word.parse().ok())
    };
    assert_eq!(limit("nodes"), Some(8192));
    assert_eq!(limit("watches"), Some(512));
    assert_eq!(limit("outstanding"), Some(33));
    assert_eq!(limit("path-max"), Some(2048));
    assert_eq!(limit("transactions"), Some(10));
    assert!(client.ask(T::Control, "quota-soft\0").contains(" 44 "));
    assert_eq!(client.ask(T::GetQuota, "nodes\0"), "8192");
}

#[test]
fn every_third_commit_can_be_made_to_fail() {
    let host = Host::new();
    host.configure("test-eagain = true\n");
    let _daemon = host.foreground(&[]);
    let mut client = Client::connect(&host);
    let ends: Vec<_> = (0..6)
        .map(|_| {
            let begun = client.begin();
            client.ask_in(begun, T::Write, "/a\0");
            client.ask_in(begun, T::TransactionEnd, "T\0")
        })
        .collect();
    assert_eq!(ends, ["OK", "OK", "EAGAIN", "OK", "OK", "EAGAIN"]);
}

#[test]
fn the_control_domain_is_the_one_named() {
    let host = Host::new();
    let _daemon = host.foreground(&["--priv-domid", "4"]);
    let mut client = Client::connect(&host);
    assert_eq!(client.ask(T::Write, "relative\0x"), "OK");
    assert_eq!(client.ask(T::Read, "/local/domain/4/relative\0"), "x");
}

#[test]
fn who_breaks_the_protocol_is_cut_off_after_its_replies() {
    let host = Host::new();
    let _daemon = host.foreground(&[]);
    let mut client = Client::connect(&host);
    let mut bytes = request(T::Write, 1, 0, b"/a\0b");
    bytes.extend([2, 2, 0, 4097].map(u32::to_ne_bytes).concat());
    client.stream.write_all(&bytes).unwrap();
    assert_eq!(client.reply().text, "OK ");
    assert_eq!(client.next(), None);
    assert_eq!(Client::connect(&host).ask(T::Read, "/a\0"), "b");
}
