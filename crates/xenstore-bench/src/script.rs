//! A script: the requests that a client makes, one after the other, encoded once.
//!
//! What differs from one time to the next, the transaction's id and values that have to be
//! new, is put into the encoded bytes. So a client costs the load next to nothing.

use std::io::Write as _;

use xenstore_wire::{MessageType, message};

/// Where a header has its request's id.
const REQUEST_ID: usize = 4;

/// Where a header has its transaction's id.
const TRANSACTION_ID: usize = 8;

/// Digits of a value that is new each time.
pub const FRESH_DIGITS: usize = 16;

/// One request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Its type.
    pub kind: MessageType,
    /// Whether it belongs to the transaction that is open.
    pub inside: bool,
    /// Whether its value is to be another one each time.
    fresh: bool,
    bytes: Vec<u8>,
}

impl Ask {
    /// Appends the request as it goes over the wire. `mark` is what a new value is made of.
    pub fn encode(&self, transaction_id: u32, mark: u64, out: &mut Vec<u8>) {
        let id = out.len() + TRANSACTION_ID;
        out.extend_from_slice(&self.bytes);
        if self.inside
            && let Some(id) = out.get_mut(id..id + 4)
        {
            id.copy_from_slice(&transaction_id.to_ne_bytes());
        }
        if self.fresh {
            out.truncate(out.len().saturating_sub(FRESH_DIGITS));
            // Writing to a vector cannot fail.
            let _ = write!(out, "{mark:0FRESH_DIGITS$x}");
        }
    }
}

/// Requests to be made in order. A transaction in it goes from its `TRANSACTION_START` to
/// its `TRANSACTION_END`, and is repeated from there if it fails.
#[derive(Clone, Debug, Default)]
pub struct Script {
    asks: Vec<Ask>,
    /// Whether what is added belongs to a transaction.
    inside: bool,
}

impl Script {
    /// One without requests.
    pub fn new() -> Self {
        Self::default()
    }

    /// The request at `index`.
    pub fn get(&self, index: usize) -> Option<&Ask> {
        self.asks.get(index)
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.asks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.asks.is_empty()
    }

    /// Adds any request.
    ///
    /// # Panics
    ///
    /// The payload is longer than a message may be.
    pub fn add(&mut self, kind: MessageType, inside: bool, payload: &[&[u8]]) {
        self.push(kind, inside, false, payload);
    }

    /// Opens a transaction, to which all belongs that follows.
    #[must_use]
    pub fn start(mut self) -> Self {
        self.add(MessageType::TransactionStart, false, &[b"\0"]);
        self.inside = true;
        self
    }

    /// Ends the transaction.
    #[must_use]
    pub fn commit(mut self) -> Self {
        self.add(MessageType::TransactionEnd, true, &[b"T\0"]);
        self.inside = false;
        self
    }

    /// Reads a node.
    #[must_use]
    pub fn read(self, path: &str) -> Self {
        self.of_node(MessageType::Read, path)
    }

    /// Any request that says no more than a node's path.
    #[must_use]
    pub fn of_node(mut self, kind: MessageType, path: &str) -> Self {
        let inside = self.inside;
        self.add(kind, inside, &[path.as_bytes(), b"\0"]);
        self
    }

    /// Says how long the payload of the reply to the request added last is. That is the
    /// request's id then, from which the [echo server](crate::echo) learns it.
    #[must_use]
    pub fn replied(mut self, length: u32) -> Self {
        let id = self.asks.last_mut().and_then(|ask| ask.bytes.get_mut(REQUEST_ID..TRANSACTION_ID));
        if let Some(id) = id {
            id.copy_from_slice(&length.to_ne_bytes());
        }
        self
    }

    /// Writes to a node what it never held before.
    #[must_use]
    pub fn write_new(mut self, path: &str) -> Self {
        let inside = self.inside;
        let payload = [path.as_bytes(), b"\0", &[0; FRESH_DIGITS]];
        self.push(MessageType::Write, inside, true, &payload);
        self
    }

    fn push(&mut self, kind: MessageType, inside: bool, fresh: bool, payload: &[&[u8]]) {
        let mut bytes = Vec::new();
        assert!(message::encode(&mut bytes, kind, 0, 0, payload), "a payload fits into a message");
        self.asks.push(Ask { kind, inside, fresh, bytes });
    }
}

#[cfg(test)]
mod tests {
    use xenstore_wire::{Decoder, Header};

    use super::*;

    #[test]
    fn a_request_says_how_long_its_reply_is_and_others_do_not() {
        let script = Script::new().read("/a").replied(0x0102).read("/b");
        let ids = [0, 1].map(|index| {
            let mut bytes = Vec::new();
            script.get(index).unwrap().encode(0, 0, &mut bytes);
            Header::decode(&bytes).unwrap().request_id
        });
        assert_eq!(ids, [0x0102, 0]);
    }

    #[test]
    fn a_request_has_the_id_and_the_value_of_the_moment() {
        let script = Script::new().start().read("/a").write_new("/b").commit();
        let mut decoder = Decoder::new();
        for index in 0..script.len() {
            let mut bytes = Vec::new();
            script.get(index).unwrap().encode(7, 0xab, &mut bytes);
            decoder.push(&bytes);
        }
        let mut seen = Vec::new();
        while let Some(message) = decoder.next_message().unwrap() {
            seen.push((message.header.transaction_id, message.payload.to_vec()));
        }
        let expected: [(u32, &[u8]); 4] =
            [(0, b"\0"), (7, b"/a\0"), (7, b"/b\x0000000000000000ab"), (7, b"T\0")];
        assert_eq!(seen, expected.map(|(id, payload)| (id, payload.to_vec())));
    }
}
