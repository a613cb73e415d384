//! `ls`: a tree of names, values and permissions.
//!
//! The layout is the old tool's to the letter, for scripts read it: one column of
//! indent per level, long lines cut so that they fit, permissions in a column.

use std::fmt::Write as _;
use std::io::{BufWriter, IsTerminal, Write};

use rustix::termios::tcgetwinsize;
use xenstore_client::{Client, Store};

use crate::failure::{Failure, complaint_about, system_text};
use crate::value::escape;

/// What to print of each node.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ls {
    /// Its whole path instead of its name behind an indent.
    pub(crate) full_path: bool,
    /// Its permissions.
    pub(crate) permissions: bool,
    /// Lines as long as they get.
    pub(crate) wide: bool,
}

/// Columns that a cut line needs beside name and value: ` = "`, `\..."`, less one.
const CUT_MARK: usize = 8;

/// Where permissions begin on a terminal at least that wide, less two.
const PERMISSION_COLUMN: usize = 60;

/// Prints what lies below each of `paths`.
///
/// Not in a transaction: what changes meanwhile may be half seen, as ever.
pub(crate) fn ls(
    client: &mut Client,
    program: &str,
    what: Ls,
    paths: &[String],
) -> Result<(), Failure> {
    let layout = Layout { what, width: if what.wide { None } else { width(what) } };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let result = paths.iter().try_for_each(|path| below(client, program, layout, path, &mut out));
    out.flush()?;
    result
}

/// Columns to keep within; `None` for no limit.
fn width(what: Ls) -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return (!what.full_path).then_some(80);
    }
    let columns = tcgetwinsize(stdout).map_or(80, |size| usize::from(size.ws_col));
    // A terminal that does not know its width says 0.
    columns.checked_sub(2)
}

fn below(
    client: &mut Client,
    program: &str,
    layout: Layout,
    top: &str,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut stack = children(client, top, 0)?;
    while let Some(node) = stack.pop() {
        let value = client.read(&node.path).ok();
        write!(out, "{}", layout.name_and_value(&node, value.as_deref()))?;
        if layout.what.permissions {
            permissions(client, program, &node.path, out)?;
        }
        writeln!(out)?;
        match children(client, &node.path, node.depth + 1) {
            Ok(nodes) => stack.extend(nodes),
            Err(failure) => {
                out.flush()?;
                return Err(failure);
            }
        }
    }
    Ok(())
}

fn permissions(
    client: &mut Client,
    program: &str,
    path: &str,
    out: &mut impl Write,
) -> Result<(), Failure> {
    match client.permissions(path) {
        Ok(list) => {
            let entries: Vec<_> = list.iter().map(|entry| entry.to_string()).collect();
            write!(out, "  ({})", entries.join(","))?;
        }
        Err(error) => {
            // In its place among the lines, if both go to a terminal.
            out.flush()?;
            let why = system_text(&error);
            eprintln!("\n{program}: could not access permissions for {path}: {why}");
        }
    }
    Ok(())
}

/// A node to print.
struct Node {
    path: String,
    name: String,
    depth: usize,
}

/// The children of a node, the last first. One that is gone by now, other than the
/// top, has none.
fn children(client: &mut Client, path: &str, depth: usize) -> Result<Vec<Node>, Failure> {
    let names = match client.directory(path) {
        Ok(names) => names,
        Err(error) if error.is_missing() && depth > 0 => Vec::new(),
        Err(error) => return Err(complaint_about(&format!("xs_directory ({path})"), &error)),
    };
    let stem = if path == "/" { "" } else { path };
    let node = |name: String| Node { path: format!("{stem}/{name}"), name, depth };
    Ok(names.into_iter().rev().map(node).collect())
}

/// How lines are laid out.
#[derive(Clone, Copy)]
struct Layout {
    what: Ls,
    width: Option<usize>,
}

impl Layout {
    /// The line up to its permissions, if it is to have any.
    fn name_and_value(self, node: &Node, value: Option<&[u8]>) -> String {
        // Whole paths are never cut and do not count.
        let (mut line, mut columns) = if self.what.full_path {
            (node.path.clone(), 0)
        } else {
            let indent = " ".repeat(node.depth);
            let name = self.cut(&node.name, node.depth);
            let columns = node.depth + name.len();
            (indent + name, columns)
        };
        let Some(value) = value else {
            line.push(':');
            return line;
        };
        let text = escape(value);
        // The bytes of the value count here, however they are escaped.
        if self.width.is_some_and(|width| width < columns + value.len() + CUT_MARK) {
            let cut = self.cut(&text, columns);
            // Writing to a string cannot fail.
            let _ = write!(line, " = \"{cut}\\...\"");
            return line;
        }
        let _ = write!(line, " = \"{text}\"");
        columns += text.len() + 5;
        if self.what.permissions {
            line.push_str(&self.leader(columns));
        }
        line
    }

    /// What of a text fits behind `columns`. Where there is less than no room at
    /// all, it is not cut.
    fn cut(self, text: &str, columns: usize) -> &str {
        let room = |width: usize| width.checked_sub(CUT_MARK + columns);
        match self.width.and_then(room) {
            Some(room) => text.get(..room).unwrap_or(text),
            None => text,
        }
    }

    /// Dots that lead the eye to the permissions.
    fn leader(self, columns: usize) -> String {
        let end = self.width.unwrap_or(0).min(PERMISSION_COLUMN);
        let end = if self.what.full_path { 0 } else { end };
        let dots = (columns + 1..end).map(|column| if column % 2 == 1 { '.' } else { ' ' });
        std::iter::once(' ').chain(dots).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(what: Ls, width: Option<usize>, depth: usize, name: &str, value: &[u8]) -> String {
        let node = Node { path: format!("/top/{name}"), name: name.to_owned(), depth };
        Layout { what, width }.name_and_value(&node, Some(value))
    }

    #[test]
    fn long_lines_are_cut_to_fit() {
        let plain = Ls::default();
        let text = line(plain, Some(18), 0, "nnn", &[b'v'; 120]);
        assert_eq!(text, r#"nnn = "vvvvvvv\...""#);
        assert_eq!(line(plain, Some(18), 0, "n", b"12"), r#"n = "12""#);
        assert_eq!(line(plain, Some(11), 1, "abcd", b"w"), r#" ab = "\...""#);
        // No room at all: everything is printed, and marked as cut.
        assert_eq!(line(plain, Some(3), 0, "n", b"1"), r#"n = "1\...""#);
        assert_eq!(line(plain, None, 0, "n", &[b'v'; 99]).len(), 105);
    }

    #[test]
    fn escapes_do_not_count_when_it_is_decided_whether_to_cut() {
        let text = line(Ls::default(), Some(38), 0, "esc", &[1; 24]);
        assert_eq!(text, format!("esc = \"{}\"", "\\001".repeat(24)));
    }

    #[test]
    fn dots_lead_to_the_permissions() {
        let what = Ls { permissions: true, ..Ls::default() };
        assert_eq!(line(what, Some(18), 1, "a", b""), " a = \"\"  . . . . .");
        assert_eq!(line(what, Some(18), 2, "b", b""), "  b = \"\" . . . . .");
        assert_eq!(line(what, Some(19), 1, "a", b""), " a = \"\"  . . . . . ");
        assert_eq!(line(what, None, 1, "a", b""), " a = \"\" ");
        assert_eq!(line(what, Some(10), 0, "aa", b"123"), " = \"\\...\"".replace(" = ", "aa = "));
    }
}
