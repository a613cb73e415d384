//! The tools against those that Debian ships (4.17), line by line of a table.
//!
//! What Debian's tools do is recorded in `recorded/debian-4.17.txt`, so the
//! comparison needs none of them. Where they are installed, they are run as well,
//! against the daemon at `XENSTORE_TEST_SOCKET` or else a stand-in. To record anew:
//! `XENSTORE_TEST_RECORD=1 cargo test -p xenstore-cli --test same_as_debian`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "support code of tests, shared by path"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

mod support;

use support::fake_store;
use support::runner::{Outcome, Tools, differences, run_multi, run_table, text};

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded/debian-4.17.txt");

/// Our program under its old names, as links in a directory.
fn ours(directory: &Path) -> Tools {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_xenstore"));
    for tool in ["chmod", "control", "exists", "list", "ls", "read", "rm", "watch", "write"] {
        let link = directory.join(format!("xenstore-{tool}"));
        symlink(&program, link).unwrap();
    }
    let directory = directory.to_owned();
    Tools {
        multi: Some(program),
        single: Box::new(move |tool| directory.join(format!("xenstore-{tool}"))),
    }
}

/// Debian's, if they are installed. Its `xenstore-control` is a wrapper that wants a
/// running hypervisor; the program itself lies elsewhere.
fn debians() -> Option<Tools> {
    let versions = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut programs = versions.map(|entry| entry.path().join("bin/xenstore-control"));
    let control = programs.find(|program| program.exists())?;
    let multi = PathBuf::from("/usr/bin/xenstore");
    multi.exists().then(|| Tools {
        multi: Some(multi),
        single: Box::new(move |tool| match tool {
            "control" => control.clone(),
            _ => PathBuf::from(format!("/usr/bin/xenstore-{tool}")),
        }),
    })
}

fn recorded(outcomes: &[Outcome]) -> String {
    outcomes.iter().map(text).collect()
}

#[test]
fn ours_do_what_debians_are_recorded_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    fake_store::serve(&socket);
    if std::env::var_os("XENSTORE_TEST_RECORD").is_some() {
        let theirs = run_table(&socket, &debians().unwrap());
        fs::write(RECORDING, recorded(&theirs)).unwrap();
    }
    let ours = recorded(&run_table(&socket, &ours(directory.path())));
    let theirs = fs::read_to_string(RECORDING).unwrap();
    let (mut ours, mut theirs) = (ours.split("$ "), theirs.split("$ "));
    loop {
        match (theirs.next(), ours.next()) {
            (None, None) => break,
            (theirs, ours) => assert_eq!(ours, theirs),
        }
    }
}

#[test]
fn ours_do_what_debians_do_here() {
    let Some(debians) = debians() else {
        eprintln!("Debian's tools are not installed: nothing compared");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let given = std::env::var_os("XENSTORE_TEST_SOCKET").map(PathBuf::from);
    let socket = given.unwrap_or_else(|| {
        let socket = directory.path().join("socket");
        fake_store::serve(&socket);
        socket
    });
    let ours = ours(directory.path());
    let found = differences(&run_table(&socket, &debians), &run_table(&socket, &ours));
    assert!(found.is_empty(), "{}", found.join("\n"));

    // As subcommands: where the old ones went on after an unknown option or printed
    // their usage on request, ours refuse and help as programs do today.
    let comparable = |(theirs, _): &(Outcome, Outcome)| {
        !theirs.stderr.contains("option") && !theirs.line.contains("\"-h\"")
    };
    let theirs = run_multi(&socket, &debians);
    let pairs = theirs.into_iter().zip(run_multi(&socket, &ours));
    let (theirs, ours): (Vec<_>, Vec<_>) = pairs
        .filter(comparable)
        .map(|(theirs, ours)| {
            // A command line refused is explained in other words, but with the same code.
            let refused = ours.stderr.contains("(usage)");
            let stderr = if refused { &theirs } else { &ours }.stderr.clone();
            (theirs, Outcome { stderr, ..ours })
        })
        .unzip();
    let found = differences(&theirs, &ours);
    assert!(found.is_empty(), "{}", found.join("\n"));
}
