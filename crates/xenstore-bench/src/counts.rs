//! What a request costs in things that can be counted, held against what it cost before.
//!
//! Times are others on every machine and at every moment; counts are not. So a file in the
//! repository says what they are, and whoever makes a request more costly is told at once.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::figure::{Better, Unit};
use crate::section::Section;

/// How much more a count may be than before. C libraries differ by some percent.
const SLACK: f64 = 1.1;

/// What is said at the head of the file.
const HEAD: &str = "\
# What rxenstored needs for a request: system calls, instructions outside the kernel, and bytes
# of memory for a node. Written by `cargo run --release -p xenstore-bench -- counts --update`;
# without --update it fails if one of them has grown by a tenth.
";

/// Counts by their names.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Counts(BTreeMap<String, f64>);

/// Why there is no file to compare with.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// It cannot be read.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// It says what it should not.
    #[error("{0}: expected a count and a name, found {1:?}")]
    Line(PathBuf, String),
}

/// How a count is another one than before.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    name: String,
    before: Option<f64>,
    now: Option<f64>,
}

impl Change {
    /// Whether it must not be so.
    pub fn fails(&self) -> bool {
        match (self.before, self.now) {
            (Some(before), Some(now)) => now > before,
            // Whoever adds or drops a count, or cannot count any more, has to say so.
            _ => true,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match (self.before, self.now) {
            (Some(before), Some(now)) if now > before => {
                write!(f, "{name}: has GROWN from {} to {}", show(before), show(now))
            }
            (Some(before), Some(now)) => {
                write!(f, "{name}: from {} to {}, say so with --update", show(before), show(now))
            }
            (Some(before), None) => write!(f, "{name}: NOT COUNTED, was {}", show(before)),
            (None, Some(now)) => write!(f, "{name}: NEW, {}; say so with --update", show(now)),
            (None, None) => write!(f, "{name}: never counted"),
        }
    }
}

impl Counts {
    /// What was counted, of all that was measured; of several rounds the lowest. Times are not
    /// among it, nor what is only compared with something else.
    pub fn of(sections: &[Section]) -> Self {
        let mut counts = BTreeMap::new();
        for section in sections {
            let own = section.columns.first();
            for figure in section.figures() {
                let counted = matches!(figure.unit, Unit::Number | Unit::Bytes);
                if counted
                    && figure.better == Better::Low
                    && let Some((low, _)) = own.and_then(|column| column.range(&figure.name))
                {
                    counts.insert(format!("{}: {}", section.name, figure.name), low);
                }
            }
        }
        Self(counts)
    }

    /// What a file says.
    pub fn read(file: &Path) -> Result<Self, Unreadable> {
        let text = fs::read_to_string(file).map_err(|error| Unreadable::Io(file.into(), error))?;
        Self::parse(&text).map_err(|line| Unreadable::Line(file.into(), line))
    }

    /// The counts of a file's text, or the line that is none.
    fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let parse = |line: &str| {
            let (count, name) = line.trim_start().split_once(char::is_whitespace)?;
            Some((name.trim_start().to_owned(), count.parse().ok()?))
        };
        lines
            .map(|line| parse(line).ok_or_else(|| line.to_owned()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// What differs by a tenth or more, and what one of both does not have.
    pub fn compared_with(&self, before: &Self) -> Vec<Change> {
        let names = self.0.keys().chain(before.0.keys().filter(|name| !self.0.contains_key(*name)));
        let change = |name: &String| {
            let (before, now) = (before.0.get(name).copied(), self.0.get(name).copied());
            let same = before
                .zip(now)
                .is_some_and(|(before, now)| now <= before * SLACK && before <= now * SLACK);
            (!same).then(|| Change { name: name.clone(), before, now })
        };
        names.filter_map(change).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        for (name, count) in &self.0 {
            writeln!(f, "{:>10}  {name}", show(*count))?;
        }
        Ok(())
    }
}

/// Four digits at least: a tenth of anything can be seen.
fn show(count: f64) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = if count < 10.0 { write!(text, "{count:.4}") } else { write!(text, "{count:.0}") };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, f64)]) -> Counts {
        Counts(counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
    }

    fn changes(now: &Counts, before: &Counts) -> Vec<(String, bool)> {
        let changes = now.compared_with(before).into_iter();
        changes.map(|change| (change.name.clone(), change.fails())).collect()
    }

    #[test]
    fn a_tenth_more_fails_and_a_tenth_less_is_said() {
        let before = counts(&[("a", 100.0), ("b", 3.0), ("c", 0.13), ("d", 0.0)]);
        assert_eq!(changes(&before, &before), []);
        let little = counts(&[("a", 109.0), ("b", 2.8), ("c", 0.14), ("d", 0.0)]);
        assert_eq!(changes(&little, &before), []);
        let much = counts(&[("a", 110.01), ("b", 2.7), ("c", 0.16), ("d", 0.1)]);
        let expected = [("a", true), ("b", false), ("c", true), ("d", true)];
        assert_eq!(changes(&much, &before), expected.map(|(name, fails)| (name.to_owned(), fails)));
    }

    #[test]
    fn what_is_not_counted_any_more_fails_and_so_does_what_is_new() {
        let (old, new) = (counts(&[("a", 1.0), ("b", 1.0)]), counts(&[("b", 1.0), ("c", 1.0)]));
        let expected = [("c".to_owned(), true), ("a".to_owned(), true)];
        assert_eq!(changes(&new, &old), expected);
        let said: Vec<_> = new.compared_with(&old).iter().map(ToString::to_string).collect();
        assert_eq!(said, ["c: NEW, 1.0000; say so with --update", "a: NOT COUNTED, was 1.0000"]);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let counts = counts(&[("calls: READ, 1 client", 3.0005), ("instructions: READ", 5642.3)]);
        let read = Counts::parse(&counts.to_string()).unwrap();
        assert_eq!(read.0["calls: READ, 1 client"].to_string(), "3.0005");
        assert_eq!(changes(&read, &counts), []);
        assert_eq!(Counts::parse("no number"), Err("no number".to_owned()));
        assert_eq!(Counts::parse("12"), Err("12".to_owned()));
    }

    #[test]
    fn times_and_rates_are_no_counts() {
        let counts = Counts::of(&[crate::section::tests::section()]);
        assert_eq!(counts.0.into_keys().collect::<Vec<_>>(), ["name: mishaps"]);
    }
}
