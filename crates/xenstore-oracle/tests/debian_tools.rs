//! Debian's own tools against rxenstored: what scripts see must be what they know.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use xenstore_oracle::blank::Caretaker;
use xenstore_oracle::daemon::{DEBIAN_BIN, Daemon, require};

/// Command lines of a shell, one after the other on one store. Each must print the same
/// on standard output, and end with the same status, whichever daemon serves it.
const LINES: &[&str] = &[
    "xenstore-ls",
    "xenstore-write /d/name alpha",
    "xenstore-read /d/name",
    "xenstore-read -p /d/name /d",
    "xenstore-read -R /d/name",
    "xenstore-read /d/missing",
    "xenstore-read /d/name /d/missing",
    "xenstore-read relative",
    "xenstore-write relative here && xenstore-read relative /local/domain/0/relative",
    "xenstore-write /d/a 1 /d/b 2 /d/c 3",
    "xenstore-write /d/a",
    "xenstore-write /d/empty ''",
    "xenstore-read /d/empty",
    r"xenstore-write -R /d/raw '\x0001\377text'",
    "xenstore-read /d/raw",
    "xenstore-read -R /d/raw | od -c",
    "xenstore-write '/d/wrong path' 1",
    "xenstore-write /d/wrong/ 1",
    "xenstore-write /d//wrong 1",
    "xenstore-list /d",
    "xenstore-list -p /d",
    "xenstore-list /d/missing",
    "xenstore-list /d /local",
    "xenstore-exists /d/name",
    "xenstore-exists /d/missing",
    "xenstore-exists /d/name /d/missing",
    "xenstore-exists",
    "xenstore-ls",
    "xenstore-ls -f",
    "xenstore-ls -p",
    "xenstore-ls -fp /d",
    "xenstore-ls /d/missing",
    "xenstore-chmod /d/name n0 r1 b2",
    "xenstore-ls -p /d",
    "xenstore-chmod -r /d b3 w0",
    "xenstore-ls -p",
    "xenstore-chmod -u /d/deep/er n0",
    "xenstore-chmod /d/name x0",
    "xenstore-chmod /d/missing n0",
    "xenstore-chmod /d/name",
    "xenstore-write /d/deep/er/still 1 && xenstore-chmod -u /d/deep/er/still r4 && xenstore-ls -p /d",
    "xenstore-rm /d/a",
    "xenstore-rm /d/missing",
    "xenstore-rm /d/missing/deeper",
    "xenstore-rm -t /d/deep/er/still",
    "xenstore-ls -f",
    "xenstore-rm /d/b /d/c",
    "xenstore-rm /d",
    "xenstore-ls -f",
    "xenstore-rm /",
    "xenstore-write /long $(printf '%04000d' 7) && xenstore-read /long",
    "xenstore-write /long $(printf '%05000d' 7)",
    "for i in $(seq 700); do set -- \"$@\" /many/child-$i $i; done; xenstore-write \"$@\"",
    "xenstore-ls /many",
    "xenstore-list /many | md5sum",
    "xenstore-rm /many && xenstore-ls",
    "xenstore-read -s /long | wc -c",
    "xenstore-watch -n 1 /long",
    "xenstore-control check",
    "xenstore-control print text",
    "xenstore-control log on",
    "xenstore-control log wrong",
    "xenstore-control nonsense >/dev/null",
    "xenstore-control quota set nodes 1000",
    "xenstore-control quota set nodes",
    "xenstore-control quota set wrong 1",
    "xenstore-control",
];

fn shell(daemon: &Daemon, line: &str) -> (String, Option<i32>) {
    let output = Command::new("bash")
        .args(["-c", line])
        .env("XENSTORED_PATH", daemon.socket())
        // The wrapper in /usr/bin asks for a hypervisor first.
        .env("PATH", format!("{DEBIAN_BIN}:{}", std::env::var("PATH").unwrap_or_default()))
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

fn tools() {
    require(&[
        "/usr/bin/xenstore-read",
        "/usr/bin/xenstore-ls",
        &format!("{DEBIAN_BIN}/xenstore-control"),
        &format!("{DEBIAN_BIN}/test-xenstore"),
    ]);
}

#[test]
fn tools_print_the_same_with_both_daemons() {
    tools();
    let (c, ours) = (Daemon::c(), Daemon::rxenstored());
    for daemon in [&c, &ours] {
        Caretaker::new(daemon).reset();
    }
    let wrong: Vec<_> = LINES
        .iter()
        .filter_map(|line| {
            let (expected, found) = (shell(&c, line), shell(&ours, line));
            (expected != found)
                .then(|| format!("{line}\n  C:          {expected:?}\n  rxenstored: {found:?}\n"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn watch_prints_the_same_with_both_daemons() {
    tools();
    let (c, ours) = (Daemon::c(), Daemon::rxenstored());
    for path in ["/w", "relative", "@releaseDomain"] {
        assert_eq!(watched(&ours, path), watched(&c, path), "{path}");
    }
}

/// What `xenstore-watch` prints while there are changes at, below and beside its path.
fn watched(daemon: &Daemon, path: &str) -> String {
    let count = if path.starts_with('@') { "1" } else { "5" };
    let mut watch = Command::new("xenstore-watch")
        .args(["-n", count, path])
        .env("XENSTORED_PATH", daemon.socket())
        .stdout(Stdio::piped())
        .spawn()
        .expect("xenstore-watch");
    let mut lines = BufReader::new(watch.stdout.take().unwrap());
    let mut printed = String::new();
    // The first line says that the watch is there.
    lines.read_line(&mut printed).unwrap();
    if count == "5" {
        let changes = "xenstore-write {}x/no 1; xenstore-write {} 1; xenstore-write {}/a/b 2; \
                       xenstore-chmod {}/a r1; xenstore-rm {}";
        shell(daemon, &changes.replace("{}", path));
    }
    lines.read_to_string(&mut printed).unwrap();
    assert!(watch.wait().unwrap().success());
    printed
}

#[test]
fn the_test_program_of_xen_passes() {
    tools();
    let daemon = Daemon::rxenstored();
    let (list, _) = shell(&daemon, "test-xenstore -l");
    assert_eq!(list.lines().count(), 12, "{list}");
    let (output, code) = shell(&daemon, "test-xenstore -i 20 2>&1");
    assert_eq!(code, Some(0), "{output}");
    let (left, _) = shell(&daemon, "xenstore-exists xenstore-test; echo $?");
    assert_eq!(left, "1\n", "the program cleans up");
}

#[test]
fn the_test_program_of_xen_passes_beside_itself() {
    tools();
    let daemon = Daemon::rxenstored();
    let four = "for i in 1 2 3 4; do test-xenstore -r 2 >/dev/null 2>&1 & jobs=\"$jobs $!\"; done; \
                for job in $jobs; do wait $job || exit 1; done";
    assert_eq!(shell(&daemon, four).1, Some(0));
    assert_eq!(shell(&daemon, "xenstore-control check"), ("OK\n".to_owned(), Some(0)));
}
