//! One client that asks one thing after the other and waits for each: what sets up a
//! store, and what measures a single client.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use xenstore_wire::text::{decimal, split_string};
use xenstore_wire::{Decoder, MessageType, message};

use crate::failure::Failure;

/// How long a daemon may take for one answer before it is called stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// Requests on their way at a time when a store is filled.
const IN_FLIGHT: usize = 64;

/// Bytes read at a time.
const CHUNK: usize = 16384;

/// A connection.
#[derive(Debug)]
pub struct Conversation {
    stream: UnixStream,
    decoder: Decoder,
    out: Vec<u8>,
    /// Watch events that came and were not asked for yet.
    events: u64,
}

impl Conversation {
    /// A connection to the daemon at `socket`.
    pub fn connect(socket: &Path) -> Result<Self, Failure> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, decoder: Decoder::new(), out: Vec::new(), events: 0 })
    }

    /// Asks, and waits for the answer; a refusal is a failure.
    pub fn ask(
        &mut self,
        kind: MessageType,
        transaction: u32,
        payload: &[&[u8]],
    ) -> Result<Vec<u8>, Failure> {
        self.begin(kind, transaction, payload)?;
        self.reply(kind)
    }

    /// Asks, and does not wait: [`reply`](Self::reply) does.
    pub fn begin(
        &mut self,
        kind: MessageType,
        transaction: u32,
        payload: &[&[u8]],
    ) -> Result<(), Failure> {
        self.put(kind, transaction, payload)?;
        self.send()
    }

    /// Asks for several things at once, outside transactions, and does not wait.
    pub fn begin_all(&mut self, requests: &[(MessageType, Vec<u8>)]) -> Result<(), Failure> {
        requests.iter().try_for_each(|(kind, payload)| self.put(*kind, 0, &[payload]))?;
        self.send()
    }

    /// Opens a transaction.
    pub fn start(&mut self) -> Result<u32, Failure> {
        let kind = MessageType::TransactionStart;
        let reply = self.ask(kind, 0, &[b"\0"])?;
        let id = split_string(&reply).and_then(|(text, _)| decimal(text).ok());
        id.ok_or(Failure::Reply { kind, expected: "a decimal number" })
    }

    /// Reads a node.
    pub fn read(&mut self, transaction: u32, path: &str) -> Result<Vec<u8>, Failure> {
        self.ask(MessageType::Read, transaction, &[path.as_bytes(), b"\0"])
    }

    /// Writes to a node.
    pub fn write(&mut self, transaction: u32, path: &str, value: &[u8]) -> Result<(), Failure> {
        self.ask(MessageType::Write, transaction, &[path.as_bytes(), b"\0", value]).map(drop)
    }

    /// Writes the same value to many nodes, without waiting for each.
    pub fn fill(
        &mut self,
        paths: impl IntoIterator<Item = String>,
        value: &[u8],
    ) -> Result<(), Failure> {
        let writes = paths
            .into_iter()
            .map(|path| (MessageType::Write, [path.as_bytes(), b"\0", value].concat()));
        self.ask_all(writes)
    }

    /// Asks for many things outside transactions, without waiting for each; a refusal is a
    /// failure.
    pub fn ask_all(
        &mut self,
        requests: impl IntoIterator<Item = (MessageType, Vec<u8>)>,
    ) -> Result<(), Failure> {
        let mut requests = requests.into_iter();
        let mut asked = Vec::with_capacity(IN_FLIGHT);
        loop {
            for (kind, payload) in requests.by_ref().take(IN_FLIGHT) {
                self.put(kind, 0, &[&payload])?;
                asked.push(kind);
            }
            if asked.is_empty() {
                return Ok(());
            }
            self.send()?;
            for kind in asked.drain(..) {
                self.reply(kind)?;
            }
        }
    }

    fn put(
        &mut self,
        kind: MessageType,
        transaction: u32,
        payload: &[&[u8]],
    ) -> Result<(), Failure> {
        if message::encode(&mut self.out, kind, 0, transaction, payload) {
            Ok(())
        } else {
            Err(Failure::Refused { kind, error: "longer than a message may be".to_owned() })
        }
    }

    fn send(&mut self) -> Result<(), Failure> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Waits for the answer to the oldest request on its way; a refusal is a failure.
    pub fn reply(&mut self, kind: MessageType) -> Result<Vec<u8>, Failure> {
        loop {
            while let Some(message) = self.decoder.next_message()? {
                if message.header.kind == MessageType::WatchEvent.number() {
                    self.events += 1;
                } else if message.header.kind == MessageType::Error.number() {
                    let error = split_string(message.payload).map(|(text, _)| text);
                    let error = String::from_utf8_lossy(error.unwrap_or_default()).into_owned();
                    return Err(Failure::Refused { kind, error });
                } else {
                    return Ok(message.payload.to_vec());
                }
            }
            self.receive()?;
        }
    }

    /// Waits for so many more watch events. What they say does not matter.
    pub fn hear(&mut self, events: u64) -> Result<(), Failure> {
        loop {
            while self.decoder.next_message()?.is_some() {
                self.events += 1;
            }
            if let Some(more) = self.events.checked_sub(events) {
                self.events = more;
                return Ok(());
            }
            self.receive()?;
        }
    }

    /// Reads a node again and again for some time: the longest that an answer took.
    pub fn longest_wait(&mut self, path: &str, time: Duration) -> Result<Duration, Failure> {
        let (begun, mut longest) = (Instant::now(), Duration::ZERO);
        while begun.elapsed() < time {
            let asked = Instant::now();
            self.read(0, path)?;
            longest = longest.max(asked.elapsed());
        }
        Ok(longest)
    }

    fn receive(&mut self) -> Result<(), Failure> {
        let mut chunk = [0; CHUNK];
        let count = self.stream.read(&mut chunk)?;
        if count == 0 {
            return Err(Failure::Closed);
        }
        self.decoder.push(chunk.get(..count).unwrap_or_default());
        Ok(())
    }
}
