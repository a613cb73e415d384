//! The real binary as an operating system sees it: started, told, and stopped.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are test code too, which clippy.toml cannot see"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Output, Stdio};

use rustix::process::{Signal, kill_process, test_kill_process};

use support::{DEADLINE, Foreground, Host, eventually};

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_start_returns_when_the_daemon_serves() {
    let mut host = Host::new();
    let output = host.background(&["--output-pid"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(host.connects());
    let pid = host.pid().unwrap();
    assert_eq!(stdout(&output), host.read("pid"));
    assert!(host.read("log").contains("ready"));

    let proc = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    for number in ["0", "1", "2"] {
        let file = fs::read_link(proc.join("fd").join(number)).unwrap();
        assert_eq!(file, PathBuf::from("/dev/null"), "{number}");
    }
    assert_eq!(fs::read_link(proc.join("cwd")).unwrap(), PathBuf::from("/"));
    assert_eq!(fs::read_to_string(proc.join("comm")).unwrap(), "rxenstored\n");
    assert_eq!(rustix::process::getsid(Some(pid)).unwrap(), pid);
    let ignored = fs::read_to_string(proc.join("status")).unwrap();
    let ignored = ignored.lines().find_map(|line| line.strip_prefix("SigIgn:\t"));
    let ignored = u64::from_str_radix(ignored.unwrap(), 16).unwrap();
    assert_ne!(ignored & 1 << (Signal::PIPE.as_raw() - 1), 0, "SIGPIPE");
    let limits = fs::read_to_string(proc.join("limits")).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files"));
    let files: Vec<_> = files.unwrap().split_whitespace().collect();
    assert_eq!(files[3], files[4], "soft and hard limit");

    kill_process(pid, Signal::TERM).unwrap();
    eventually("exit", || test_kill_process(pid).is_err() || host.read("log").contains("leaving"));
    eventually("cleaning up", || {
        !host.path("pid").exists() && !host.path("deep/run/socket").exists()
    });
}

#[test]
fn the_start_fails_with_the_message_of_the_daemon() {
    let host = Host::new();
    fs::create_dir_all(host.path("deep/run/socket")).unwrap();
    let output = host.output(&["--no-domain-init"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("expected a socket or nothing"), "{message}");
    assert!(host.read("log").contains("expected a socket or nothing"));
    assert!(!host.path("pid").exists());
}

#[test]
fn a_second_daemon_is_refused() {
    let mut host = Host::new();
    assert!(host.background(&[]).status.success());
    let pid = host.read("pid");

    let same_pid_file = host.output(&["--no-domain-init"]);
    assert_eq!(same_pid_file.status.code(), Some(1));
    let message = stderr(&same_pid_file);
    assert!(message.contains(&format!("process {}", pid.trim())), "{message}");

    let other = host.path("other-pid").display().to_string();
    let same_socket = host.output(&["--no-domain-init", "--pid-file", &other]);
    assert_eq!(same_socket.status.code(), Some(1));
    let message = stderr(&same_socket);
    assert!(message.contains("another daemon is listening"), "{message}");

    assert_eq!(host.read("pid"), pid);
    assert!(!host.path("other-pid").exists());
    assert!(host.connects());
}

#[test]
fn what_a_crash_left_behind_is_no_obstacle() {
    let host = Host::new();
    host.foreground(&[]).stop(Signal::KILL);
    assert!(host.path("pid").exists() && host.path("deep/run/socket").exists());
    let daemon = host.foreground(&[]);
    let mode = fs::metadata(host.path("deep/run/socket")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let (status, _) = daemon.stop(Signal::INT);
    assert!(status.success());
    assert!(!host.path("pid").exists() && !host.path("deep/run/socket").exists());
}

#[test]
fn options_override_the_environment_and_the_file() {
    let host = Host::new();
    let options = ["--no-fork", "--no-domain-init", "--pid-file"];
    let mut command = host.command(&options);
    command
        .arg("relative-pid")
        .current_dir(host.directory.path())
        .env("XENSTORED_PATH", host.path("elsewhere"));
    let daemon = Foreground(command.stderr(Stdio::piped()).spawn().unwrap());
    eventually("socket", || UnixStream::connect(host.path("elsewhere")).is_ok());
    assert!(host.path("relative-pid").exists() && !host.path("pid").exists());
    assert!(!host.path("deep/run/socket").exists());
    assert!(daemon.stop(Signal::TERM).0.success());
}

#[test]
fn without_a_socket() {
    let host = Host::new();
    let options = ["--no-fork", "--no-domain-init", "--disable-socket"];
    let daemon = Foreground(host.command(&options).stderr(Stdio::piped()).spawn().unwrap());
    eventually("ready", || host.read("log").contains("ready"));
    assert!(!host.path("deep/run/socket").exists());
    assert!(daemon.stop(Signal::TERM).0.success());
}

#[test]
fn the_service_manager_is_told() {
    for in_foreground in [true, false] {
        let mut host = Host::new();
        let manager = UnixDatagram::bind(host.path("notify")).unwrap();
        manager.set_read_timeout(Some(DEADLINE)).unwrap();
        let fork: &[&str] = if in_foreground { &["--no-fork"] } else { &[] };
        let mut command = host.command(&[&["--no-domain-init"], fork].concat());
        command.env("NOTIFY_SOCKET", host.path("notify"));
        let starter = Foreground(command.stderr(Stdio::null()).spawn().unwrap());
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
        assert!(host.connects(), "ready means that clients can connect");
        host.background.extend(host.pid());
        drop(starter);
    }
}

#[test]
fn sighup_opens_the_logs_again() {
    let host = Host::new();
    let daemon = host.foreground(&[]);
    eventually("access log", || host.read("access").contains("newconn"));
    for log in ["log", "access"] {
        fs::rename(host.path(log), host.path(&format!("{log}.moved"))).unwrap();
    }
    daemon.signal(Signal::HUP);
    eventually("new logs", || host.path("log").exists() && host.path("access").exists());
    assert!(host.connects());
    eventually("new access log", || host.read("access").contains("endconn"));
    assert!(host.read("log.moved").contains("ReopenLogs"));
    daemon.signal(Signal::USR1);
    eventually("new log", || host.read("log").contains("DumpStore"));
}

#[test]
fn the_access_log_rotates_by_lines() {
    let host = Host::new();
    host.configure("access-log-nb-lines = 3\naccess-log-nb-files = 2\n");
    let daemon = host.foreground(&[]);
    for _ in 0..8 {
        assert!(host.connects());
    }
    eventually("rotation", || host.path("access.1").exists());
    daemon.stop(Signal::TERM);
    assert_eq!(host.read("access.1").lines().count(), 4);
    assert!(!host.path("access.2").exists());
}

#[test]
fn logs_as_configured() {
    let host = Host::new();
    host.foreground(&["--log-format", "json", "--no-access-log", "-R"]).stop(Signal::TERM);
    let log = host.read("log");
    assert!(log.lines().all(|line| line.starts_with("{\"timestamp\":\"2")), "{log}");
    assert!(log.contains("--no-recovery: no effect"), "{log}");
    assert!(!host.path("access").exists());

    host.foreground(&["-T", &host.path("trace").display().to_string()]).stop(Signal::TERM);
    assert!(host.read("trace").contains("  A1           newconn   \n"));

    fs::write(host.path("conf"), "xenstored-log-level = info\n").unwrap();
    let daemon = host.foreground(&["--no-access-log"]);
    let (_, stderr) = daemon.stop(Signal::TERM);
    assert!(stderr.contains("ready") && stderr.contains("leaving"), "{stderr}");
}

#[test]
fn logs_that_cannot_be_written_do_not_stop_it() {
    let mut host = Host::new();
    let text = format!(
        "pid-file = {}\nxenstored-log-file = /nonexistent/log\naccess-log-file = /dev/full\n\
         access-log-nb-lines = 1\n",
        host.path("pid").display()
    );
    fs::write(host.path("conf"), text).unwrap();
    assert!(host.background(&[]).status.success());
    for _ in 0..10 {
        assert!(host.connects());
    }
    assert!(test_kill_process(host.pid().unwrap()).is_ok());
}

#[test]
fn a_host_that_cannot_be_served_is_refused_and_what_is_missing_named() {
    let host = Host::new();
    host.configure("xenstored-kva = /nonexistent/kva\n");
    for options in [&["--no-fork"] as &[_], &[]] {
        let output = host.output(options);
        assert_eq!(output.status.code(), Some(1));
        let message = stderr(&output);
        assert!(message.contains("/nonexistent/kva"), "{message}");
        assert!(message.contains("--no-domain-init"), "{message}");
    }
}

#[test]
fn configuration_can_be_checked() {
    let host = Host::new();
    let good = host.output(&["--config-test"]);
    assert!(good.status.success());
    let expected = format!("Configuration valid at {}\n", host.path("conf").display());
    assert_eq!(stdout(&good), expected);
    assert!(host.output(&["--live", "--restart", "--help"]).status.success());

    host.configure("no-such-key = 1\nquota-maxsize = much\n");
    for options in [&["--config-test"] as &[_], &["--live", "--help"]] {
        let bad = host.output(options);
        assert_eq!(bad.status.code(), Some(1));
        let message = stderr(&bad);
        assert!(message.contains("line 5: unknown key \"no-such-key\""), "{message}");
        assert!(message.contains("line 6: quota-maxsize: expected a whole"), "{message}");
    }

    let (status, message) = host.foreground(&[]).stop(Signal::TERM);
    assert!(status.success(), "a daemon starts all the same");
    assert!(message.contains("no-such-key"), "{message}");
}

#[test]
fn wrong_usage() {
    let host = Host::new();
    for options in [
        &["--no-such-option"] as &[_],
        &["extra"],
        &["-E", "many"],
        &["--quota", "nods=1"],
        &["--timeout", "watch-event"],
    ] {
        let output = host.output(options);
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(stderr(&output).contains("error:"), "{options:?}");
    }
    let output = host.output(&["-U"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("live update is not supported yet"));
}

#[test]
fn help_and_version() {
    let host = Host::new();
    for option in ["--help", "-H", "-h", "-help"] {
        let output = host.output(&[option]);
        assert!(output.status.success());
        assert!(stdout(&output).starts_with("The store of a Xen host"), "{option}");
        assert!(stdout(&output).contains("--quota-soft"), "{option}");
    }
    let version = concat!("rxenstored ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(stdout(&host.output(&["--version"])), version);
}
