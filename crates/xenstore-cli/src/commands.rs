//! `xenstore COMMAND`: from the command line to what is done.

use std::ffi::OsString;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use clap::{FromArgMatches, error::ErrorKind};
use xenstore_client::Client;

use crate::args::{self, Cli, Command, Load};
use crate::classic::{self, Chmod, List, Ls, Read, Rm, Watch, Write};
use crate::failure::{Failure, complaint, with_causes};
use crate::manual;
use crate::old_names::{events, pairs, text};
use crate::progress::Progress;
use crate::snapshot::apply::{self, Mode};
use crate::snapshot::file::{self, FileError, Format};
use crate::snapshot::{Snapshot, capture, diff, json, text as text_format};

const PROGRAM: &str = "xenstore";

/// Runs a command line.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let arguments: Vec<_> = arguments.collect();
    // A program like `diff` keeps 1 for "different"; the others always used it.
    let is_diff = arguments.get(1).is_some_and(|name| name == "diff");
    let parsed = args::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(cli) => perform(cli),
        Err(error) => help_or_usage(&error, if is_diff { 2 } else { 1 }),
    }
}

fn help_or_usage(error: &clap::Error, code: u8) -> Result<(), Failure> {
    let wanted = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    error.print()?;
    if wanted { Ok(()) } else { Err(Failure::Silent(code)) }
}

fn perform(cli: Cli) -> Result<(), Failure> {
    let socket = cli.socket.as_deref();
    let texts = |paths: Vec<OsString>| -> Vec<String> { paths.iter().map(text).collect() };
    match cli.command {
        Command::Read { prefix, raw, paths } => {
            let paths = texts(paths.paths);
            classic::read(&mut open(socket)?, Read { prefix, raw }, &paths)
        }
        Command::Write { raw, pairs: words } => {
            if !words.len().is_multiple_of(2) {
                return Err(complaint(
                    "usage: xenstore write [-R] PATH VALUE [PATH VALUE]...; a value is missing",
                ));
            }
            classic::write(&mut open(socket)?, Write { raw }, &pairs(words))
        }
        Command::Exists { paths } => classic::exists(&mut open(socket)?, &texts(paths.paths)),
        Command::List { prefix, paths } => {
            classic::list(&mut open(socket)?, List { prefix }, &texts(paths.paths))
        }
        Command::Ls { flat, prefix, wide, paths } => {
            let what = Ls { full_path: flat, permissions: prefix, wide };
            classic::ls(&mut open(socket)?, PROGRAM, what, &texts(paths))
        }
        Command::Rm { tidy, paths } => {
            classic::rm(&mut open(socket)?, Rm { tidy }, &texts(paths.paths))
        }
        Command::Chmod { recurse, upto, path, permissions } => {
            let whose = Chmod { upto, recurse };
            classic::chmod(&mut open(socket)?, whose, &text(&path), &permissions)
        }
        Command::Watch { number, paths } => {
            let count = number.as_deref().and_then(events);
            classic::watch(&mut open(socket)?, Watch { count }, &texts(paths.paths))
        }
        Command::Control { command, arguments } => {
            classic::control(&mut open(socket)?, &command, &arguments)
        }
        Command::Dump { format, permissions, progress, path } => {
            let mut progress = Progress::new(progress);
            let snapshot = live(&mut open(socket)?, &text(&path), &mut progress)?;
            drop(progress);
            dump(&snapshot, format, permissions)
        }
        Command::Load(how) => load(&mut open(socket)?, &how),
        Command::Diff { json, progress, old, new } => {
            compare(socket, &old, new.as_deref(), json, progress).map_err(as_trouble)
        }
        Command::Completions { shell } => completions(shell),
        Command::Man { directory } => Ok(manual::write(args::command(), &directory)?),
    }
}

/// Connects. Unlike under the old names, a complaint tells where it was tried.
fn open(socket: Option<&Path>) -> Result<Client, Failure> {
    let opened = match socket {
        Some(path) => Client::open_path(path),
        None => Client::open(),
    };
    opened.map_err(|error| complaint(with_causes(&error)))
}

/// The store's own subtree. Says so if it kept changing while it was read.
fn live(client: &mut Client, root: &str, progress: &mut Progress) -> Result<Snapshot, Failure> {
    let (snapshot, consistent) = capture::consistent(client, root, progress)?;
    if !consistent {
        eprintln!("{PROGRAM}: {root} changed at every try while it was read: parts may not fit");
    }
    Ok(snapshot)
}

fn dump(snapshot: &Snapshot, format: Format, permissions: bool) -> Result<(), Failure> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    match format {
        Format::Json => json::write(snapshot, &mut out)?,
        Format::Text => text_format::write(snapshot, permissions, &mut out)?,
    }
    out.flush()?;
    Ok(())
}

fn load(client: &mut Client, how: &Load) -> Result<(), Failure> {
    let mut wanted = file::read(&how.file, how.format).map_err(|error| no_dump(&error))?;
    if how.no_permissions {
        for node in &mut wanted.nodes {
            node.permissions = None;
        }
    }
    let mode = if how.replace { Mode::Replace } else { Mode::Merge };
    let mut progress = Progress::new(how.progress);
    let Some(batch) = how.batch else {
        return client.transaction(|tx| {
            let changes = apply::plan(tx, &wanted, mode, &mut progress)?;
            progress.restart();
            apply::apply(tx, &changes, &mut progress)
        });
    };
    let changes = apply::plan(client, &wanted, mode, &mut progress)?;
    progress.restart();
    for part in changes.chunks(batch.get()) {
        client.transaction(|tx| apply::apply(tx, part, &mut progress))?;
    }
    Ok(())
}

fn compare(
    socket: Option<&Path>,
    old: &Path,
    new: Option<&Path>,
    as_json: bool,
    progress: bool,
) -> Result<(), Failure> {
    let old = file::read(old, None).map_err(|error| no_dump(&error))?;
    let new = match new {
        Some(new) => file::read(new, None).map_err(|error| no_dump(&error))?,
        None => live(&mut open(socket)?, &old.root, &mut Progress::new(progress))?,
    };
    let differences = diff::differences(&old, &new);
    let mut out = BufWriter::new(std::io::stdout().lock());
    if as_json {
        let list: Vec<_> = differences.iter().map(diff::to_json).collect();
        serde_json::to_writer_pretty(&mut out, &list)?;
        writeln!(out)?;
    } else {
        for difference in &differences {
            diff::write(difference, &mut out)?;
        }
    }
    out.flush()?;
    if differences.is_empty() { Ok(()) } else { Err(Failure::Silent(1)) }
}

/// What is neither "same" nor "different".
fn as_trouble(failure: Failure) -> Failure {
    match failure {
        Failure::Silent(_) => failure,
        other => match other.text(PROGRAM) {
            Some(text) => Failure::Verbatim { text, code: 2 },
            None => other,
        },
    }
}

/// What is wrong with a file, with its causes: nothing was done, and 1 would say that
/// the store refused or differs.
fn no_dump(error: &FileError) -> Failure {
    let text = format!("{PROGRAM}: {}\n", with_causes(error));
    Failure::Verbatim { text, code: 2 }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), PROGRAM, &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}
