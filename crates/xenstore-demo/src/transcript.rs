//! What was said, written down.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use xenstore_wire::MessageType;
use xenstore_wire::text::{split_string, strings};

/// What the daemon made of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The reply's payload.
    Granted(Vec<u8>),
    /// The error's name.
    Refused(String),
}

impl Answer {
    /// The error's name, if it is one.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Granted(_) => None,
            Self::Refused(error) => Some(error),
        }
    }
}

/// A transcript under way.
pub struct Transcript {
    out: Box<dyn Write>,
    /// Nothing is only counted.
    all: bool,
    bold: bool,
    /// What was only counted, while that is so.
    counted: Option<BTreeMap<String, Count>>,
}

/// What one of the cast said that is not shown line by line.
#[derive(Debug, Default)]
struct Count {
    requests: usize,
    committed: usize,
    refused: BTreeMap<String, usize>,
    events: usize,
}

impl Transcript {
    /// Writes to `out`: all that is said if `all`, titles in bold print if `bold`.
    pub fn new(out: Box<dyn Write>, all: bool, bold: bool) -> Self {
        Self { out, all, bold, counted: None }
    }

    /// A new scene begins.
    pub fn scene(&mut self, title: &str) -> io::Result<()> {
        let (bold, plain) = if self.bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        writeln!(self.out, "\n{bold}{title}{plain}")
    }

    /// Something happens that is not said to the daemon.
    pub fn remark(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "  ({text})")
    }

    /// From now on what is said is counted, unless all is to be shown.
    pub fn count(&mut self) {
        if !self.all {
            self.counted = Some(BTreeMap::new());
        }
    }

    /// Says what was counted; from now on everything is shown again.
    pub fn tell_count(&mut self) -> io::Result<()> {
        for (who, count) in self.counted.take().unwrap_or_default() {
            writeln!(self.out, "  {who:<13} {count}")?;
        }
        Ok(())
    }

    /// Somebody asked, and was answered.
    pub fn said(
        &mut self,
        who: &str,
        kind: MessageType,
        payload: &[u8],
        transaction: u32,
        answer: &Answer,
    ) -> io::Result<()> {
        if let Some(counted) = &mut self.counted {
            let count = counted.entry(who.to_owned()).or_default();
            count.requests += 1;
            match answer {
                Answer::Refused(error) => *count.refused.entry(error.clone()).or_default() += 1,
                Answer::Granted(_) if commits(kind, payload) => count.committed += 1,
                Answer::Granted(_) => {}
            }
            return Ok(());
        }
        let request = match transaction {
            0 => spell_request(kind, payload),
            _ => format!("{} in {transaction}", spell_request(kind, payload)),
        };
        let answer = spell_answer(kind, answer);
        writeln!(self.out, "  {who:<13} {request:<66} {answer}")
    }

    /// Somebody was told of a change.
    pub fn told(&mut self, who: &str, path: &str, token: &str) -> io::Result<()> {
        if let Some(counted) = &mut self.counted {
            counted.entry(who.to_owned()).or_default().events += 1;
            return Ok(());
        }
        writeln!(self.out, "  {who:<13} <- {path}  [{token}]")
    }

    /// A tool was run.
    pub fn ran(&mut self, command: &str, output: &str) -> io::Result<()> {
        writeln!(self.out, "  $ {command}")?;
        for line in output.trim_end().lines() {
            writeln!(self.out, "    {}", line.trim_end())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript").field("all", &self.all).finish_non_exhaustive()
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [("requests", self.requests), ("commits", self.committed)];
        let refused = self.refused.iter().map(|(error, &count)| (&**error, count));
        let numbers = numbers.into_iter().chain(refused).chain([("events", self.events)]);
        let parts: Vec<_> = numbers
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{what}: {count}"))
            .collect();
        f.write_str(&parts.join(", "))
    }
}

fn commits(kind: MessageType, payload: &[u8]) -> bool {
    kind == MessageType::TransactionEnd && payload.starts_with(b"T")
}

/// A request, for people.
pub fn spell_request(kind: MessageType, payload: &[u8]) -> String {
    match (kind, split_string(payload)) {
        (MessageType::Write, Some((path, value))) => {
            format!("{kind} {} = {}", String::from_utf8_lossy(path), quoted(value))
        }
        (MessageType::TransactionStart, _) => kind.to_string(),
        (MessageType::TransactionEnd, _) if commits(kind, payload) => format!("{kind} commit"),
        (MessageType::TransactionEnd, _) => format!("{kind} abort"),
        _ => format!("{kind} {}", words(payload)),
    }
}

/// What came back, for people.
pub fn spell_answer(kind: MessageType, answer: &Answer) -> String {
    match answer {
        Answer::Refused(error) => error.clone(),
        Answer::Granted(value) if kind == MessageType::Read => quoted(value),
        Answer::Granted(names) if names.is_empty() => "(none)".to_owned(),
        Answer::Granted(payload) => words(payload),
    }
}

fn quoted(value: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(value))
}

fn words(payload: &[u8]) -> String {
    let words: Vec<_> = strings(payload).map(String::from_utf8_lossy).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_read_well() {
        let spelled = |kind, payload: &[u8]| spell_request(kind, payload);
        assert_eq!(spelled(MessageType::Write, b"a/b\0one two"), "WRITE a/b = \"one two\"");
        assert_eq!(spelled(MessageType::SetPerms, b"/a\0n0\0r1\0"), "SET_PERMS /a n0 r1");
        assert_eq!(spelled(MessageType::TransactionEnd, b"F\0"), "TRANSACTION_END abort");
        let granted = |kind, payload: &[u8]| spell_answer(kind, &Answer::Granted(payload.into()));
        assert_eq!(granted(MessageType::Read, b""), "\"\"");
        assert_eq!(granted(MessageType::Directory, b""), "(none)");
        assert_eq!(granted(MessageType::Directory, b"a\0b\0"), "a b");
    }
}
