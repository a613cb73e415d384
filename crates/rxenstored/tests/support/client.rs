//! A client that says exactly what a test wants said.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use xenstore_wire::{Decoder, MessageType, message};

use super::{DEADLINE, Host};

pub use xenstore_wire::MessageType as T;

/// A message from the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub kind: MessageType,
    pub request: u32,
    pub transaction: u32,
    /// NULs are shown as blanks.
    pub text: String,
}

/// A connection to the socket of a [`Host`].
pub struct Client {
    pub stream: UnixStream,
    decoder: Decoder,
    /// Events that came while a reply was waited for.
    pub events: Vec<String>,
    last_request: u32,
}

/// A request as bytes.
pub fn request(kind: MessageType, number: u32, transaction: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(message::encode(&mut bytes, kind, number, transaction, &[payload]));
    bytes
}

impl Client {
    pub fn connect(host: &Host) -> Self {
        Self::on(UnixStream::connect(host.path("deep/run/socket")).unwrap())
    }

    pub fn on(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { stream, decoder: Decoder::new(), events: Vec::new(), last_request: 0 }
    }

    /// Asks, and waits for the answer: its text, or the name of an error.
    pub fn ask(&mut self, kind: MessageType, payload: &str) -> String {
        self.ask_in(0, kind, payload)
    }

    /// The same in a transaction.
    pub fn ask_in(&mut self, transaction: u32, kind: MessageType, payload: &str) -> String {
        self.last_request += 1;
        let number = self.last_request;
        let bytes = request(kind, number, transaction, payload.as_bytes());
        self.stream.write_all(&bytes).unwrap();
        let reply = self.reply();
        assert_eq!((reply.request, reply.transaction), (number, transaction));
        assert!([kind, T::Error].contains(&reply.kind), "{reply:?}");
        reply.text.trim_end().to_owned()
    }

    /// Begins a transaction.
    pub fn begin(&mut self) -> u32 {
        self.ask(T::TransactionStart, "\0").parse().unwrap()
    }

    /// The next message that is no event; events are kept.
    pub fn reply(&mut self) -> Seen {
        loop {
            let seen = self.next().expect("an answer");
            if seen.kind != T::WatchEvent {
                return seen;
            }
            self.events.push(seen.text);
        }
    }

    /// The next event, kept or yet to come.
    pub fn event(&mut self) -> String {
        if !self.events.is_empty() {
            return self.events.remove(0);
        }
        let seen = self.next().expect("an event");
        assert_eq!(seen.kind, T::WatchEvent);
        seen.text
    }

    /// The next message; none at the end of the connection.
    pub fn next(&mut self) -> Option<Seen> {
        let mut bytes = [0; 16384];
        loop {
            if let Some(message) = self.decoder.next_message().unwrap() {
                let header = message.header;
                let text = String::from_utf8_lossy(message.payload).replace('\0', " ");
                return Some(Seen {
                    kind: MessageType::from_number(header.kind).unwrap(),
                    request: header.request_id,
                    transaction: header.transaction_id,
                    text,
                });
            }
            match self.stream.read(&mut bytes).unwrap() {
                0 => return None,
                count => self.decoder.push(bytes.get(..count).unwrap()),
            }
        }
    }
}
