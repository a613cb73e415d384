//! A client that follows a script, and repeats a transaction until it goes through.

use std::time::Instant;

use xenstore_wire::text::{decimal, split_string};
use xenstore_wire::{Errno, Message, MessageType};

use crate::failure::Failure;
use crate::load::Client;
use crate::measure::Latencies;
use crate::script::Script;

/// What clients that do transactions have to tell.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Whole transactions that went through: from the first try's `TRANSACTION_START` to
    /// the reply to the last one's `TRANSACTION_END`.
    pub transactions: Latencies,
    /// Each request to commit, successful or not.
    pub commits: Latencies,
    /// Scripts followed to their end.
    pub scripts: Latencies,
    /// Tries that failed.
    pub aborts: u64,
    /// The most tries one transaction took, or has taken so far.
    pub most_tries: u64,
    /// Requests answered.
    pub requests: u64,
    /// Clients of which no transaction went through.
    pub starved: u64,
}

impl Tally {
    /// What several clients have to tell together.
    pub fn of(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::default(), |mut sum, one| {
            sum.transactions.append(one.transactions);
            sum.commits.append(one.commits);
            sum.scripts.append(one.scripts);
            sum.aborts += one.aborts;
            sum.most_tries = sum.most_tries.max(one.most_tries);
            sum.requests += one.requests;
            sum.starved += one.starved;
            sum
        })
    }
}

/// A client that does what its script says, so many times.
#[derive(Debug)]
pub struct Transactor {
    script: Script,
    /// How many times more, `None` for ever.
    left: Option<u32>,
    /// The request to be made, or answered, next.
    position: usize,
    /// Makes new values different from all others.
    mark: u64,
    script_begun: Instant,
    asked: Instant,
    transaction: Option<Open>,
    tally: Tally,
}

/// The transaction a client is in.
#[derive(Debug)]
struct Open {
    /// Where in the script it starts.
    start: usize,
    /// When the first try did.
    begun: Instant,
    tries: u64,
    /// 0 until the daemon has said.
    id: u32,
}

impl Transactor {
    /// A client with a `number` of its own that follows `script` so many times; without a
    /// limit, until time is up.
    pub fn new(number: u32, script: Script, times: Option<u32>) -> Self {
        let now = Instant::now();
        Self {
            script,
            left: times,
            position: 0,
            mark: u64::from(number) << 32,
            script_begun: now,
            asked: now,
            transaction: None,
            tally: Tally::default(),
        }
    }

    /// What it has to tell at the `end`. The tries and the time so far of a transaction
    /// that is still open count too: it may be the one that never goes through.
    pub fn into_tally(mut self, end: Instant) -> Tally {
        if let Some(open) = self.transaction {
            self.tally.most_tries = self.tally.most_tries.max(open.tries);
            self.tally.transactions.note_unfinished(end - open.begun);
        }
        self.tally.starved = u64::from(self.tally.transactions.count() == 0);
        self.tally
    }

    /// The transaction went through, or has to be done again from its start.
    fn ended(&mut self, committed: bool, now: Instant) {
        self.tally.commits.note(now - self.asked);
        let Some(open) = &self.transaction else { return };
        if committed {
            self.tally.transactions.note(now - open.begun);
            self.tally.most_tries = self.tally.most_tries.max(open.tries);
            self.transaction = None;
            self.advance(now);
        } else {
            self.tally.aborts += 1;
            self.position = open.start;
        }
    }

    /// Goes on to the next request; after the last, to the first again.
    fn advance(&mut self, now: Instant) {
        self.position += 1;
        if self.position == self.script.len() {
            self.position = 0;
            self.left = self.left.map(|left| left.saturating_sub(1));
            self.tally.scripts.note(now - self.script_begun);
        }
    }
}

impl Client for Transactor {
    fn ask(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let Some(ask) = self.script.get(self.position).filter(|_| self.left != Some(0)) else {
            return false;
        };
        if self.position == 0 && self.transaction.is_none() {
            self.script_begun = now;
        }
        if ask.kind == MessageType::TransactionStart {
            if let Some(open) = &mut self.transaction {
                open.tries += 1;
            } else {
                let open = Open { start: self.position, begun: now, tries: 1, id: 0 };
                self.transaction = Some(open);
                self.mark += 1;
            }
        }
        let id = self.transaction.as_ref().map_or(0, |open| open.id);
        ask.encode(id, self.mark, out);
        self.asked = now;
        true
    }

    fn answered(&mut self, reply: Message<'_>, now: Instant) -> Result<(), Failure> {
        let Some(kind) = self.script.get(self.position).map(|ask| ask.kind) else {
            return Ok(());
        };
        self.tally.requests += 1;
        let text = split_string(reply.payload).map(|(text, _)| text).unwrap_or_default();
        let refused = reply.header.kind == MessageType::Error.number();
        let error = refused.then(|| Errno::from_name(text)).flatten();
        match kind {
            MessageType::TransactionEnd if !refused => self.ended(true, now),
            MessageType::TransactionEnd if error == Some(Errno::Again) => self.ended(false, now),
            MessageType::TransactionStart if !refused => {
                let id = decimal(text);
                let id = id.map_err(|_| Failure::Reply { kind, expected: "a decimal number" })?;
                self.transaction.iter_mut().for_each(|open| open.id = id);
                self.advance(now);
            }
            // Whether a node is there is part of the question in many a script.
            kind if !refused || error == Some(Errno::NoEnt) && !is_frame(kind) => {
                self.advance(now);
            }
            kind => {
                let error = String::from_utf8_lossy(text).into_owned();
                return Err(Failure::Refused { kind, error });
            }
        }
        Ok(())
    }
}

/// Whether it begins or ends a transaction.
fn is_frame(kind: MessageType) -> bool {
    matches!(kind, MessageType::TransactionStart | MessageType::TransactionEnd)
}

#[cfg(test)]
mod tests {
    use xenstore_wire::{Header, message};

    use super::*;

    /// Gives the client the reply to what it asks next, and returns what it asked.
    fn step(client: &mut Transactor, kind: MessageType, payload: &[u8]) -> Option<Header> {
        let (now, mut out) = (Instant::now(), Vec::new());
        if !client.ask(now, &mut out) {
            return None;
        }
        let asked = Header::decode(&out);
        let mut reply = Vec::new();
        assert!(message::encode(&mut reply, kind, 0, 0, &[payload]));
        let header = Header::decode(&reply).unwrap();
        client.answered(Message { header, payload }, now).unwrap();
        asked
    }

    #[test]
    fn a_transaction_that_fails_is_repeated_and_counted_once() {
        use MessageType as T;
        let script = Script::new().start().read("/a").commit();
        let mut client = Transactor::new(1, script, Some(1));
        let asked = [
            step(&mut client, T::TransactionStart, b"5\0"),
            step(&mut client, T::Read, b"value"),
            step(&mut client, T::Error, b"EAGAIN\0"),
            step(&mut client, T::TransactionStart, b"6\0"),
            step(&mut client, T::Error, b"ENOENT\0"),
            step(&mut client, T::TransactionEnd, b"OK\0"),
            step(&mut client, T::Error, b"nobody asks"),
        ];
        let ids = asked.map(|header| header.map(|header| header.transaction_id));
        assert_eq!(ids, [Some(0), Some(5), Some(5), Some(0), Some(6), Some(6), None]);
        let tally = client.into_tally(Instant::now());
        assert_eq!((tally.aborts, tally.most_tries, tally.requests), (1, 2, 6));
        assert_eq!((tally.transactions.count(), tally.commits.count()), (1, 2));
    }
}
