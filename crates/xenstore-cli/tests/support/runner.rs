//! Running command lines and comparing what comes of them.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use xenstore_client::{Client, Store};

use super::table::{CASES, Case, MANY, STORE};

/// Where the programs to compare are.
pub struct Tools {
    /// `xenstore`, or nothing if only old names are to be run.
    pub multi: Option<PathBuf>,
    /// The program of a tool by its name without `xenstore-`.
    pub single: Box<dyn Fn(&str) -> PathBuf>,
}

/// What came of a command line.
#[derive(PartialEq, Eq, Clone, Debug)]
pub struct Outcome {
    /// The command line.
    pub line: String,
    /// Standard output, and on a terminal what went to it.
    pub stdout: Vec<u8>,
    /// Standard error, where usages are reduced to the fact.
    pub stderr: String,
    /// The exit code.
    pub code: Option<i32>,
}

/// Puts the store into the state that the table begins with.
pub fn reset(socket: &Path) {
    let mut client = Client::open_path(socket).unwrap();
    // First, so that it comes first in every listing of the root.
    client.mkdir("/local/domain/0").unwrap();
    for top in ["/t", "/many", "/local/domain/0/rel", "/local/domain/0/relative"] {
        let _ = client.remove(top);
    }
    for &(path, value, permissions) in STORE {
        client.write(path, value).unwrap();
        let entries = permissions.split(',').map(str::as_bytes);
        let permissions = xenstore_client::wire::Permissions::parse(entries);
        let permissions = permissions.unwrap().unwrap();
        client.set_permissions(path, &permissions).unwrap();
    }
    for number in 0..MANY {
        let path = format!("/many/one-child-of-many-{number:04}");
        client.write(&path, "").unwrap();
    }
}

/// Runs the table with a set of tools by their old names.
pub fn run_table(socket: &Path, tools: &Tools) -> Vec<Outcome> {
    reset(socket);
    let run = |case: &Case| {
        let (&name, arguments) = case.words.split_first().unwrap();
        let mut command = Command::new((tools.single)(name));
        command.args(arguments);
        outcome(case, command, socket)
    };
    CASES.iter().map(run).collect()
}

/// Runs the table as subcommands of `xenstore`, as far as the old one had them.
pub fn run_multi(socket: &Path, tools: &Tools) -> Vec<Outcome> {
    reset(socket);
    let program = tools.multi.as_ref().unwrap();
    let known = |case: &&Case| case.words.first() != Some(&"control");
    let run = |case: &Case| {
        let mut command = Command::new(program);
        command.args(case.words);
        outcome(case, command, socket)
    };
    CASES.iter().filter(known).map(run).collect()
}

/// The lines whose outcomes differ, and how.
pub fn differences(theirs: &[Outcome], ours: &[Outcome]) -> Vec<String> {
    assert_eq!(theirs.len(), ours.len());
    let pairs = theirs.iter().zip(ours);
    let differing = pairs.filter(|(theirs, ours)| theirs != ours);
    differing
        .map(|(theirs, ours)| format!("theirs:\n{}ours:\n{}", text(theirs), text(ours)))
        .collect()
}

/// An outcome as text, in the form of the recording.
pub fn text(outcome: &Outcome) -> String {
    let mut text = format!("$ {}\n", outcome.line);
    for (mark, stream) in [("1", visible(&outcome.stdout)), ("2", outcome.stderr.clone())] {
        for line in stream.lines() {
            writeln!(text, "{mark} {line}").unwrap();
        }
    }
    if !outcome.stdout.is_empty() && !outcome.stdout.ends_with(b"\n") {
        writeln!(text, "1 (no line end)").unwrap();
    }
    writeln!(text, "= {}", outcome.code.unwrap_or(-1)).unwrap();
    text
}

fn outcome(case: &Case, mut command: Command, socket: &Path) -> Outcome {
    command.env("XENSTORED_PATH", socket);
    command.env_remove("POSIXLY_CORRECT");
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let (stdout, stderr, code) = match case.columns {
        None => {
            let output = command.output().unwrap();
            (output.stdout, output.stderr, output.status.code())
        }
        Some(columns) => on_terminal(command, columns),
    };
    let words: Vec<_> = case.words.iter().map(|word| format!("{word:?}")).collect();
    let columns = case.columns.map(|columns| format!("({columns} columns) "));
    Outcome {
        line: columns.unwrap_or_default() + &words.join(" "),
        stdout,
        stderr: shape(&String::from_utf8_lossy(&stderr)),
        code,
    }
}

/// Bytes as text, unprintable ones in brackets.
fn visible(bytes: &[u8]) -> String {
    let shown = |&byte: &u8| match byte {
        b'\n' | b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("<{byte:02x}>"),
    };
    bytes.iter().map(shown).collect()
}

/// Runs a program whose output is a terminal of that width.
fn on_terminal(mut command: Command, columns: u16) -> (Vec<u8>, Vec<u8>, Option<i32>) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size).unwrap();
    let slave =
        OpenOptions::new().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).unwrap();
    let child = command.stdout(slave).spawn().unwrap();
    // Our copy of the other end goes with the command; then its end is the program's.
    drop(command);
    let mut output = Vec::new();
    // A terminal without programs ends in an error, not in an end of file.
    let _ = File::from(master).read_to_end(&mut output);
    let rest = child.wait_with_output().unwrap();
    (output, rest.stderr, rest.status.code())
}

/// Standard error without what may differ: the wording of a usage, and where the
/// program lies.
fn shape(stderr: &str) -> String {
    let line = |line: &str| {
        let lower = line.to_lowercase();
        // Programs are called by their paths, which the option parser repeats.
        let line = line
            .rsplit_once("/xenstore")
            .map_or(line.to_owned(), |(_, rest)| format!("xenstore{rest}"));
        if lower.contains("usage:")
            || line.ends_with("<command> [<arg>...]")
            || line.ends_with("[ARGUMENT]...")
        {
            "(usage)\n".to_owned()
        } else {
            format!("{line}\n")
        }
    };
    stderr.lines().map(line).collect()
}
