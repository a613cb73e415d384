//! The access log of oxenstored, read back.
//!
//! A line is `[time]  connection operation data`. The connection is `D<domid>` for a
//! ring and `A<n>` for the n-th socket client, with `.<id>` inside a transaction. NULs
//! of the data are written as blanks, so values with blanks in them cannot be told
//! from values with NULs; clients rarely send either. Requests and what was answered to
//! them are lines of their own: requests when they are done, errors and events when
//! they are sent, while success leaves no trace.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;
use xenstore_wire::MessageType;

mod ends;

use ends::Ends;
pub(crate) use ends::{RELEASE_DOMAIN, any_shut_down, is_end, named, released};

/// Who a line is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Who {
    /// A domain, on its ring.
    Domain(u16),
    /// The so-many-th client on the socket.
    Socket(u32),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domid) => write!(f, "D{domid}"),
            Self::Socket(number) => write!(f, "A{number}"),
        }
    }
}

/// Something a client or a domain did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deed {
    /// The line, from 1.
    pub line: usize,
    /// Who.
    pub who: Who,
    /// What.
    pub what: What,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// The connection came to be.
    Connect,
    /// The connection ended; a domain's, because the domain did.
    Disconnect,
    /// The domain shut down. No line says so: it is what others were told of.
    ShutDown,
    /// A request.
    Ask {
        /// Its type.
        kind: MessageType,
        /// Its payload, as far as the log tells.
        payload: Vec<u8>,
        /// The transaction it belongs to, as the log numbers it; for a start, the one
        /// it starts. 0 is none.
        transaction: u32,
        /// The name of the error it was refused with.
        refused: Option<String>,
    },
}

/// An event as it was sent.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Event {
    /// What changed.
    pub path: String,
    /// The mark.
    pub token: String,
}

/// Everything a log tells.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// What was done, in order.
    pub deeds: Vec<Deed>,
    /// What each was told, in order, and in what line.
    pub events: BTreeMap<Who, Vec<(usize, Event)>>,
}

/// A line that is none of an access log.
#[derive(Debug, Error)]
#[error("line {line}: expected {expected}, found {found}")]
pub struct Malformed {
    /// From 1.
    pub line: usize,
    /// What should have been there.
    pub expected: &'static str,
    /// What was.
    pub found: String,
}

/// Width of the operation's name.
const LABEL: usize = 10;

/// Those that have no room in it.
const WIDE_LABELS: [&str; 2] = ["is introduced", "reset watches"];

/// Reads a log.
pub fn parse(text: &str) -> Result<Log, Malformed> {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        reader.line(number, line).ok_or_else(|| Malformed {
            line: number,
            expected: "a line of an access log",
            found: line.to_owned(),
        })?;
    }
    Ok(reader.finish())
}

#[derive(Default)]
struct Reader {
    log: Log,
    /// Transactions in conflict that the daemon itself tries once more, and by what id, when
    /// that is known. For their clients they are one.
    tried_again: BTreeMap<Who, Option<u32>>,
    /// What tells of shutdowns.
    ends: Ends,
}

impl Reader {
    fn line(&mut self, line: usize, text: &str) -> Option<()> {
        let (_time, rest) = text.strip_prefix('[')?.split_once("]  ")?;
        let (connection, rest) = rest.split_once(' ')?;
        let rest = rest.trim_start();
        let wide = WIDE_LABELS.iter().find(|label| rest.starts_with(**label));
        let width = wide.map_or(LABEL, |label| label.len() + 1).min(rest.len());
        let (label, data) = rest.split_at_checked(width)?;
        // `r(3):A34.4`: what the daemon does when it tries transaction 3 again.
        if let Some(again) = connection.strip_prefix("r(") {
            let (transaction, connection) = again.split_once("):")?;
            return match label.trim_end() {
                "commit" | "coalesce" => {
                    note_commit(&mut self.log, who(connection)?.0, transaction.parse().ok()?)
                }
                _ => Some(()),
            };
        }
        let (who, transaction) = who(connection)?;
        let what = match label.trim_end() {
            "newconn" => What::Connect,
            "endconn" => {
                if matches!(who, Who::Domain(_)) {
                    self.ends.gone();
                }
                What::Disconnect
            }
            "w event" => {
                let (path, token) = data.trim_end().split_once(' ')?;
                let event = Event { path: path.to_owned(), token: token.to_owned() };
                if path == RELEASE_DOMAIN {
                    self.ends.fired(who, token, line);
                }
                self.log.events.entry(who).or_default().push((line, event));
                return Some(());
            }
            "error" => return note_error(&mut self.log, who, transaction, data.trim_end()),
            // Nothing but this line tells a commit from an abort.
            "commit" | "coalesce" => return note_commit(&mut self.log, who, transaction),
            "conflict" => {
                self.tried_again.insert(who, None);
                return Some(());
            }
            "t start" if self.tried_again.get(&who) == Some(&None) => {
                self.tried_again.insert(who, Some(transaction));
                return Some(());
            }
            "t end" if self.tried_again.get(&who) == Some(&Some(transaction)) => {
                self.tried_again.remove(&who);
                return Some(());
            }
            operation => {
                let (kind, payload) = request(operation, data)?;
                if let ("watch", Some((RELEASE_DOMAIN, token))) =
                    (operation, data.trim_end().split_once(' '))
                {
                    self.ends.watched(who, token, line);
                }
                if kind == MessageType::Release {
                    self.released(&payload);
                }
                What::Ask { kind, payload, transaction, refused: None }
            }
        };
        self.log.deeds.push(Deed { line, who, what });
        Some(())
    }

    /// A domain is let go of, which has its connection end in the line before; that it is gone
    /// was not said.
    fn released(&mut self, payload: &[u8]) {
        if let Some(Deed { who, what: What::Disconnect, .. }) = self.log.deeds.last()
            && named(payload) == Some(*who)
        {
            self.log.deeds.pop();
        }
    }

    /// The log, with the shutdowns that no line tells of.
    fn finish(mut self) -> Log {
        self.ends.add_shutdowns(&mut self.log.deeds);
        self.log
    }
}

fn who(connection: &str) -> Option<(Who, u32)> {
    let (name, transaction) = match connection.split_once('.') {
        Some((name, transaction)) => (name, transaction.parse().ok()?),
        None => (connection, 0),
    };
    let who = match name.strip_prefix('D') {
        Some(domid) => Who::Domain(domid.parse().ok()?),
        None => Who::Socket(name.strip_prefix('A')?.parse().ok()?),
    };
    Some((who, transaction))
}

/// A request from what the log says of it.
fn request(operation: &str, data: &str) -> Option<(MessageType, Vec<u8>)> {
    use MessageType as T;
    let kind = match operation {
        "read" => T::Read,
        "directory" => T::Directory,
        "getperms" => T::GetPerms,
        "write" => T::Write,
        "mkdir" => T::Mkdir,
        "rm" => T::Rm,
        "setperms" => T::SetPerms,
        "watch" => T::Watch,
        "unwatch" => T::Unwatch,
        "t start" => T::TransactionStart,
        "t end" => T::TransactionEnd,
        "introduce" => T::Introduce,
        "release" => T::Release,
        "getdomain" => T::GetDomainPath,
        "is introduced" => T::IsDomainIntroduced,
        "resume" => T::Resume,
        "settarget" => T::SetTarget,
        "reset watches" => T::ResetWatches,
        "debug" => T::Control,
        _ => return None,
    };
    let payload = match kind {
        // The value may hold blanks of its own.
        T::Write => {
            let (path, value) = data.split_once(' ')?;
            format!("{path}\0{value}")
        }
        T::TransactionStart => "\0".to_owned(),
        T::TransactionEnd => "F\0".to_owned(),
        _ => data.trim_end().replace(' ', "\0") + "\0",
    };
    Some((kind, payload.into_bytes()))
}

/// An error belongs to the last request of the same connection and transaction.
fn note_error(log: &mut Log, who: Who, transaction: u32, name: &str) -> Option<()> {
    if name == "EAGAIN" {
        // Only what was to be committed is refused so.
        note_commit(log, who, transaction)?;
    }
    let asked = log.deeds.iter_mut().rev().filter(|deed| deed.who == who);
    let refused = asked.filter_map(|deed| match &mut deed.what {
        What::Ask { transaction: inside, refused, .. } if *inside == transaction => Some(refused),
        _ => None,
    });
    let refused = { refused }.next()?;
    refused.is_none().then(|| *refused = Some(name.to_owned()))
}

fn note_commit(log: &mut Log, who: Who, transaction: u32) -> Option<()> {
    let ended = log.deeds.iter_mut().rev().filter(|deed| deed.who == who);
    let ended =
        { ended }.find_map(|deed| match &mut deed.what {
            What::Ask {
                kind: MessageType::TransactionEnd, payload, transaction: inside, ..
            } if *inside == transaction => Some(payload),
            _ => None,
        })?;
    b"T\0".as_slice().clone_into(ended);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_reads_back() {
        let log = parse(
            "\
[20260101T10:00:00.000Z]  A11.1        t start   \x20
[20260101T10:00:00.001Z]  A11.1        write     /a two words
[20260101T10:00:00.002Z]  A11.1        setperms  /a n0 r1 \x20
[20260101T10:00:00.003Z]  D1           read      name \x20
[20260101T10:00:00.004Z]  A11.1        t end     \x20
[20260101T10:00:00.005Z]  A11.1        commit    \x20
[20260101T10:00:00.006Z]  D1           error     ENOENT \x20
[20260101T10:00:00.007Z]  D1           w event   name t/1 \x20
",
        )
        .unwrap();
        let asked: Vec<_> = log
            .deeds
            .iter()
            .map(|deed| match &deed.what {
                What::Ask { payload, refused, .. } => (&payload[..], refused.as_deref()),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [
            (&b"\0"[..], None),
            (b"/a\0two words", None),
            (b"/a\0n0\0r1\0", None),
            (b"name\0", Some("ENOENT")),
            (b"T\0", None),
        ];
        assert_eq!(asked, expected);
        let event = Event { path: "name".to_owned(), token: "t/1".to_owned() };
        assert_eq!(log.events[&Who::Domain(1)], [(8, event)]);
    }

    /// oxenstored tries a transaction once more by itself, and only then refuses it.
    #[test]
    fn what_the_daemon_tries_again_is_one_transaction() {
        let log = parse(
            "\
[20260101T10:00:00.000Z]  A1.3         t start   \x20
[20260101T10:00:00.001Z]  A1.3         write     /a b
[20260101T10:00:00.002Z]  A1.3         t end     \x20
[20260101T10:00:00.002Z]  A1.3         conflict  \x20
[20260101T10:00:00.002Z]  A1.4         t start   \x20
[20260101T10:00:00.003Z]  r(3):A1.4    t start   \x20
[20260101T10:00:00.003Z]  r(3):A1.4    write     /a b
[20260101T10:00:00.004Z]  r(3):A1.4    t end     \x20
[20260101T10:00:00.004Z]  r(3):A1.4    commit    \x20
[20260101T10:00:00.004Z]  A1.4         t end     \x20
[20260101T10:00:00.005Z]  A1.5         t start   \x20
",
        )
        .unwrap();
        let asked: Vec<_> = log
            .deeds
            .iter()
            .map(|deed| match &deed.what {
                What::Ask { payload, transaction, .. } => (&payload[..], *transaction),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(asked, [(&b"\0"[..], 3), (b"/a\0b", 3), (b"T\0", 3), (b"\0", 5)]);
    }

    #[test]
    fn a_line_of_something_else_is_named() {
        assert_eq!(parse("hello").unwrap_err().line, 1);
    }
}
