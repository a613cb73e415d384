//! The tools under their old names, `xenstore-read` and so on.
//!
//! Each is a link to this program. Options are read by [`getopt`], which knows all
//! letters of all tools; one that a tool has no use for gets its usage.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use xenstore_client::Client;

use crate::classic::{self, Chmod, List, Ls, Read, Rm, Watch, Write};
use crate::failure::Failure;
use crate::getopt::{self, Item};
use crate::number::leading;

/// One of the old tools.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    Chmod,
    Control,
    Exists,
    List,
    Ls,
    Read,
    Rm,
    Watch,
    Write,
}

impl Tool {
    /// The tool of that name, if there was one.
    pub(crate) fn from_program(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("xenstore-")? {
            "chmod" => Self::Chmod,
            "control" => Self::Control,
            "exists" => Self::Exists,
            "list" => Self::List,
            "ls" => Self::Ls,
            "read" => Self::Read,
            "rm" => Self::Rm,
            "watch" => Self::Watch,
            "write" => Self::Write,
            _ => return None,
        })
    }

    /// The letters it has a use for. `s` chose a socket over the device once.
    const fn letters(self) -> &'static [u8] {
        match self {
            Self::Chmod => b"urs",
            Self::Exists => b"s",
            Self::List => b"ps",
            Self::Ls => b"fps",
            Self::Read => b"psR",
            Self::Rm => b"ts",
            Self::Write => b"sR",
            Self::Watch => b"ns",
            Self::Control => b"",
        }
    }

    /// Whether an option of that letter is one of its own.
    pub(crate) fn knows(self, letter: char) -> bool {
        self.letters().iter().any(|&known| char::from(known) == letter)
    }

    /// What it is to be given.
    pub(crate) const fn synopsis(self) -> &'static str {
        match self {
            Self::Chmod => "[-h] [-r] [-s] [-u] PATH PERMISSION...",
            Self::Exists => "[-h] [-s] PATH...",
            Self::List => "[-h] [-p] [-s] PATH...",
            Self::Ls => "[-h] [-f] [-p] [-s] [PATH...]",
            Self::Read => "[-h] [-p] [-R] [-s] PATH...",
            Self::Rm => "[-h] [-s] [-t] PATH...",
            Self::Watch => "[-h] [-n COUNT] [-s] PATH...",
            Self::Write => "[-h] [-R] [-s] PATH VALUE [PATH VALUE]...",
            Self::Control => "COMMAND [ARGUMENT]...",
        }
    }

    fn usage(self, program: &str) -> Failure {
        Failure::Complaint(format!("usage: {program} {}", self.synopsis()))
    }

    /// Whether it can do with that many operands.
    const fn takes(self, operands: usize) -> bool {
        match self {
            Self::Ls => true,
            Self::Write => operands > 0 && operands.is_multiple_of(2),
            _ => operands > 0,
        }
    }
}

/// Runs a tool as its name was: `called` is the whole path it was called by.
pub(crate) fn run(
    tool: Tool,
    program: &str,
    called: &OsStr,
    arguments: impl Iterator<Item = OsString>,
) -> Result<(), Failure> {
    if tool == Tool::Control {
        return run_control(called, arguments);
    }
    let in_order = std::env::var_os("POSIXLY_CORRECT").is_some();
    let (items, operands) = getopt::parse(arguments, in_order);
    let mut flags = Vec::new();
    let mut count = None;
    for item in items {
        match item {
            // These complaints name the program as it was called.
            Item::Wrong(what) => eprintln!("{}: {what}", called.to_string_lossy()),
            Item::Flag(letter) if tool.letters().contains(&letter) => flags.push(letter),
            Item::Number(number) if tool.letters().contains(&b'n') => count = events(&number),
            Item::Flag(_) | Item::Number(_) => return Err(tool.usage(program)),
        }
    }
    if !tool.takes(operands.len()) {
        return Err(tool.usage(program));
    }
    let flag = |letter: u8| flags.contains(&letter);
    let client = &mut Client::open()?;
    let mut paths: Vec<String> = operands.iter().map(text).collect();
    match tool {
        Tool::Control => Ok(()),
        Tool::Read => {
            let (prefix, raw) = (flag(b'p'), flag(b'R'));
            classic::read(client, Read { prefix, raw }, &paths)
        }
        Tool::Write => classic::write(client, Write { raw: flag(b'R') }, &pairs(operands)),
        Tool::Exists => classic::exists(client, &paths),
        Tool::List => classic::list(client, List { prefix: flag(b'p') }, &paths),
        Tool::Rm => classic::rm(client, Rm { tidy: flag(b't') }, &paths),
        Tool::Watch => classic::watch(client, Watch { count }, &paths),
        Tool::Chmod => {
            let path = paths.remove(0);
            let (upto, recurse) = (flag(b'u'), flag(b'r'));
            classic::chmod(client, Chmod { upto, recurse }, &path, &paths)
        }
        Tool::Ls => {
            if paths.is_empty() {
                paths.push("/".to_owned());
            }
            let what = Ls { full_path: flag(b'f'), permissions: flag(b'p'), wide: false };
            classic::ls(client, program, what, &paths)
        }
    }
}

/// This one has no options of its own and complaints of its own kind.
fn run_control(
    called: &OsStr,
    mut arguments: impl Iterator<Item = OsString>,
) -> Result<(), Failure> {
    let Some(command) = arguments.next() else {
        let synopsis = Tool::Control.synopsis();
        return Err(Failure::Verbatim {
            text: format!("Usage:\n{} {synopsis}\n", called.to_string_lossy()),
            code: 2,
        });
    };
    let mut client = Client::open().map_err(|_| Failure::Verbatim {
        text: "Failed to contact Xenstored.\n".to_owned(),
        code: 1,
    })?;
    let arguments: Vec<String> = arguments.map(|argument| text(&argument)).collect();
    classic::control(&mut client, &text(&command), &arguments)
}

/// Pairs of paths and values. A value may be any bytes, a path may not.
pub(crate) fn pairs(operands: Vec<OsString>) -> Vec<(String, Vec<u8>)> {
    let mut pairs = Vec::new();
    let mut left = operands.into_iter();
    while let (Some(path), Some(value)) = (left.next(), left.next()) {
        pairs.push((text(&path), value.into_vec()));
    }
    pairs
}

/// A path as text. Bytes that are none become a character that is in no path either,
/// so the daemon refuses it like the original.
pub(crate) fn text(argument: impl AsRef<OsStr>) -> String {
    argument.as_ref().to_string_lossy().into_owned()
}

/// How many events a number means; no limit if negative.
pub(crate) fn events(number: &OsStr) -> Option<u64> {
    let number = leading(&number.to_string_lossy()).cast_signed();
    u64::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_count_is_no_limit() {
        for (text, count) in [("3", Some(3)), ("x", Some(0)), ("-1", None)] {
            assert_eq!(events(OsStr::new(text)), count, "{text}");
        }
    }

    #[test]
    fn only_the_nine_old_names_are_old() {
        assert_eq!(Tool::from_program("xenstore-ls"), Some(Tool::Ls));
        assert_eq!(Tool::from_program("xenstore"), None);
        assert_eq!(Tool::from_program("xenstore-dump"), None);
    }
}
