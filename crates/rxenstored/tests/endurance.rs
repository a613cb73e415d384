//! What the daemon takes upon itself when clients are many, greedy or gone. Counted, not
//! timed, so that a busy machine changes nothing.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are test code too, which clippy.toml cannot see"
)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, prlimit, setrlimit};

use support::client::{Client, T, request};
use support::process::Process;
use support::{Foreground, Host, eventually};

/// Lets this process, and the daemons it starts, have many files open; how many.
fn raise_open_files() -> u64 {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    maximum.unwrap_or(u64::MAX)
}

/// Sends as much as the daemon takes while nothing it says is read; how many bytes.
fn stuff(stream: &mut UnixStream, bytes: &[u8]) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut sent = 0;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    sent
}

/// System calls of a process while `work` is done, as strace counts them; `None` without
/// strace or the right to use it.
fn system_calls(process: &Process, work: impl FnOnce()) -> Option<u64> {
    let pid = process.0.as_raw_nonzero().to_string();
    let strace = Command::new("strace").args(["-c", "-p", &pid]).stderr(Stdio::piped()).spawn();
    let mut strace = Foreground(strace.ok()?);
    let mut output = BufReader::new(strace.0.stderr.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    if !line.contains("attached") {
        return None;
    }
    work();
    strace.signal(Signal::INT);
    let mut summary = String::new();
    output.read_to_string(&mut summary).unwrap();
    let total = summary.lines().find(|line| line.ends_with(" total"))?;
    total.split_whitespace().filter_map(|word| word.parse().ok()).next_back()
}

#[test]
fn a_request_costs_three_system_calls_whoever_else_is_connected() {
    const REQUESTS: u64 = 1000;
    let files = raise_open_files();
    let idle = usize::try_from(files.saturating_sub(200)).unwrap().min(5000);
    let host = Host::new();
    let daemon = host.foreground(&["--no-access-log"]);
    let process = Process::of(&daemon);
    let crowd: Vec<_> = (0..idle).map(|_| Client::connect(&host)).collect();
    let mut client = Client::connect(&host);
    assert_eq!(client.ask(T::Write, "/a\0b"), "OK");
    process.assert_asleep(0);

    let before = process.reads();
    let mut ask = || (0..REQUESTS).for_each(|_| assert_eq!(client.ask(T::Read, "/a\0"), "b"));
    ask();
    assert_eq!(process.reads() - before, REQUESTS);
    if let Some(calls) = system_calls(&process, &mut ask) {
        // It is waiting when the counting begins and when it ends.
        assert!(calls.abs_diff(3 * REQUESTS) <= 3, "{calls}");
        println!("{idle} idle connections: {calls} system calls for {REQUESTS} requests");
    }
    drop(crowd);
    assert_eq!(client.ask(T::Read, "/a\0"), "b");
}

/// All that the kernel took from a client is done, though it left without a word.
#[test]
fn who_leaves_at_once_has_asked_all_the_same() {
    let host = Host::new();
    let daemon = host.foreground(&["--no-access-log"]);
    let requests: Vec<_> =
        (0..10_000).map(|n| request(T::Write, n, 0, format!("/last\0{n:08}").as_bytes())).collect();
    let size = requests.first().unwrap().len();
    for _ in 0..3 {
        let mut client = Client::connect(&host);
        let complete = stuff(&mut client.stream, &requests.concat()) / size;
        assert!(complete > 1000, "{complete}");
        drop(client);
        let mut other = Client::connect(&host);
        let last = format!("{:08}", complete - 1);
        eventually("the last write", || other.ask(T::Read, "/last\0") == last);
        assert_eq!(other.ask(T::Rm, "/last\0"), "OK");
        println!("{complete} of 10000 requests taken and done");
    }
    Process::of(&daemon).assert_asleep(0);
}

/// XSA-326 and more: what is kept for a client that does not read is bounded, and it
/// still learns that something changed.
#[test]
fn who_never_reads_costs_little_and_learns_of_changes() {
    const NODES: usize = 1000;
    const ROUNDS: usize = 100;
    let host = Host::new();
    let daemon = host.foreground(&["--no-access-log"]);
    let process = Process::of(&daemon);
    let mut lazy = Client::connect(&host);
    let mut busy = Client::connect(&host);
    let path = |number: usize| format!("/w/{number:0>1000}");
    let write = |number| request(T::Write, 1, 0, format!("{}\0x", path(number)).as_bytes());
    let round: Vec<_> = (0..NODES).map(write).collect();
    let mut change_all = || {
        for batch in round.chunks(50) {
            busy.stream.write_all(&batch.concat()).unwrap();
            for _ in batch {
                assert_eq!(busy.reply().text, "OK ");
            }
        }
    };
    change_all();
    assert_eq!(lazy.ask(T::Watch, "/w\0token\0"), "OK");
    let before = process.resident_kib();
    (0..ROUNDS).for_each(|_| change_all());
    let grown = process.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB");
    process.assert_asleep(0);

    let mut events = 0;
    let collapsed = "/w token ";
    assert_eq!(lazy.event(), collapsed, "the first of a new watch");
    while lazy.event() != collapsed {
        events += 1;
    }
    assert!(events < NODES, "{events}");
    busy.ask(T::Rm, "/w\0");
    assert_eq!(lazy.event(), collapsed);
    println!("{} events: {grown} KiB, {events} told one by one", NODES * ROUNDS);
}

/// Requests that wait in the daemon because their client does not read are not
/// forgotten when it does.
#[test]
fn who_reads_late_gets_every_reply() {
    let host = Host::new();
    let daemon = host.foreground(&["--no-access-log"]);
    let mut client = Client::connect(&host);
    client.ask(T::Write, &format!("/a\0{}", "x".repeat(4000)));
    let requests: Vec<_> = (0..2000).map(|n| request(T::Read, n, 0, b"/a\0")).collect();
    let taken = stuff(&mut client.stream, &requests.concat()) / requests.first().unwrap().len();
    Process::of(&daemon).assert_asleep(0);
    for number in 0..u32::try_from(taken).unwrap() {
        assert_eq!(client.reply().request, number);
    }
}

/// Who always leaves something lying in the daemon does not make it grow: 80 MB go to a
/// client that never catches up.
#[test]
fn who_always_lags_costs_little() {
    let host = Host::new();
    let daemon = host.foreground(&["--no-access-log"]);
    let process = Process::of(&daemon);
    let mut client = Client::connect(&host);
    client.ask(T::Write, &format!("/a\0{}", "x".repeat(4000)));
    let requests: Vec<u8> = (0..200).flat_map(|n| request(T::Read, n, 0, b"/a\0")).collect();
    client.stream.write_all(&requests).unwrap();
    let mut answer = |count| {
        client.stream.write_all(&requests).unwrap();
        (0..count).for_each(|_| drop(client.reply()));
    };
    answer(200);
    let before = process.resident_kib();
    (0..100).for_each(|_| answer(200));
    let grown = process.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB");
    println!("80 MB to a client that lags: {grown} KiB");
}

/// A script pipes requests into the socket and closes its sending half. It once lost
/// the replies that had not found room in the socket yet.
#[test]
fn who_stops_sending_still_gets_its_replies() {
    let host = Host::new();
    let daemon = host.foreground(&["--no-access-log"]);
    let value = format!("/a\0{}", "x".repeat(4000));
    assert_eq!(Client::connect(&host).ask(T::Write, &value), "OK");
    // For some of these the replies are a little more than the socket holds, wherever
    // that is.
    let scripts = (30..100).step_by(5).map(|count| {
        let mut script = Client::connect(&host);
        let requests: Vec<_> = (0..count).flat_map(|n| request(T::Read, n, 0, b"/a\0")).collect();
        script.stream.write_all(&requests).unwrap();
        script.stream.shutdown(Shutdown::Write).unwrap();
        (count, script)
    });
    let scripts: Vec<_> = scripts.collect();
    Process::of(&daemon).assert_asleep(0);
    for (count, mut script) in scripts {
        for number in 0..count {
            assert_eq!(script.next().map(|seen| seen.request), Some(number), "of {count}");
        }
        assert_eq!(script.next(), None, "and then it is let go");
    }
}

/// Stops a daemon while clients prepare what it is to find.
fn meanwhile(daemon: &Foreground, prepare: impl FnOnce()) {
    let process = Process::of(daemon);
    daemon.signal(Signal::STOP);
    eventually("stop", || process.word("status", "State:") == "T");
    prepare();
    daemon.signal(Signal::CONT);
}

/// A flooder counts in a node. Who asks for the number sees how often it was served.
fn flood(stream: &mut UnixStream) {
    let count = |n| request(T::Write, n, 0, format!("/count\0{n}").as_bytes());
    let requests: Vec<u8> = (1..=4000).flat_map(count).collect();
    assert!(stuff(stream, &requests) > 50_000);
}

#[test]
fn nobody_has_a_second_turn_while_others_wait() {
    let host = Host::new();
    let daemon = host.foreground(&["--no-access-log"]);
    let mut flooder = Client::connect(&host);
    assert_eq!(flooder.ask(T::Write, "/count\x000"), "OK");
    let mut victims: Vec<_> = (0..200).map(|_| Client::connect(&host)).collect();
    // A client that was answered has been let in.
    for victim in &mut victims {
        assert_eq!(victim.ask(T::Read, "/count\0"), "0");
    }
    meanwhile(&daemon, || {
        flood(&mut flooder.stream);
        for victim in &mut victims {
            victim.stream.write_all(&request(T::Read, 0, 0, b"/count\0")).unwrap();
        }
    });
    let seen = victims.iter_mut().map(|victim| victim.reply().text.parse::<u32>().unwrap());
    let most = seen.max().unwrap();
    assert!(most <= 64, "{most} requests of the flooder before one of a victim");
    println!("at most {most} requests of a flooder before the only one of 200 victims");
}

#[test]
fn a_flooder_and_a_victim_take_turns() {
    let host = Host::new();
    let daemon = host.foreground(&["--no-access-log"]);
    let mut flooder = Client::connect(&host);
    assert_eq!(flooder.ask(T::Write, "/count\x000"), "OK");
    let mut victim = Client::connect(&host);
    assert_eq!(victim.ask(T::Read, "/count\0"), "0");
    meanwhile(&daemon, || {
        flood(&mut flooder.stream);
        let asked = (0..1000).flat_map(|n| request(T::Read, n, 0, b"/count\0"));
        victim.stream.write_all(&asked.collect::<Vec<_>>()).unwrap();
    });
    let seen: Vec<u32> = (0..1000).map(|_| victim.reply().text.parse().unwrap()).collect();
    let steps = seen.windows(2).map(|pair| pair[1] - pair[0]);
    let most = steps.max().unwrap();
    assert!((1..=64).contains(&most), "{most}");
    println!("at most {most} requests of a flooder between two of a victim");
}

#[test]
fn a_full_house_lets_others_wait_without_spinning() {
    let host = Host::new();
    let mut command = Command::new("sh");
    let few = "ulimit -n 40; exec \"$0\" \"$@\"";
    let given = host.command(&["--no-fork", "--no-domain-init"]);
    command.args(["-c", few]).arg(given.get_program()).args(given.get_args());
    command.env("XENSTORED_RUNDIR", host.path("deep/run"));
    command.env_remove("XENSTORED_PATH").env_remove("NOTIFY_SOCKET");
    let daemon = host.start(command);
    let process = Process::of(&daemon);

    let mut clients: Vec<_> = (0..60).map(|_| Client::connect(&host)).collect();
    let asked = request(T::Read, 0, 0, b"/\0");
    for client in &mut clients {
        client.stream.write_all(&asked).unwrap();
    }
    let mut waiting = clients.split_off(16);
    for client in &mut clients {
        assert_eq!(client.reply().text, "");
    }
    process.assert_asleep(0);
    for client in &mut waiting {
        client.stream.set_nonblocking(true).unwrap();
        let nothing = client.stream.read(&mut [0; 16]);
        assert_eq!(nothing.unwrap_err().kind(), ErrorKind::WouldBlock);
        client.stream.set_nonblocking(false).unwrap();
    }
    // A log can be opened even now.
    fs::rename(host.path("access"), host.path("moved")).unwrap();
    daemon.signal(Signal::HUP);
    eventually("new log", || host.path("access").exists());

    // As one leaves another comes in.
    for mut client in waiting {
        drop(clients.pop());
        assert_eq!(client.reply().text, "");
        clients.insert(0, client);
    }
    let complaints = host.read("log").lines().filter(|line| line.contains("no room")).count();
    assert_eq!(complaints, 1);
}

/// No file descriptor is free and there is no client who could leave: the daemon once
/// spun, with a line in its log each time.
#[test]
fn a_shortage_is_waited_out() {
    let host = Host::new();
    let daemon = host.foreground(&[]);
    eventually("quiet", || host.read("access").contains("endconn"));
    let process = Process::of(&daemon);
    let limit = |current| {
        let maximum = getrlimit(Resource::Nofile).maximum;
        prlimit(Some(process.0), Resource::Nofile, Rlimit { current, maximum }).unwrap()
    };
    let before = limit(Some(5));
    let mut client = Client::connect(&host);
    eventually("complaint", || host.read("log").contains("client not let in"));
    process.assert_asleep(2);
    limit(before.current);
    assert_eq!(client.ask(T::Read, "/\0"), "");
    assert_eq!(host.read("log").lines().filter(|line| line.contains("not let in")).count(), 1);
}
