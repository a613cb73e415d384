//! A byte stream cut into messages.

use std::mem;

use thiserror::Error;

use crate::PAYLOAD_MAX;
use crate::message::{Header, Message};

/// A header announced a payload that no side may send. The stream cannot be
/// followed past it: the connection has to end (`xenstore.txt`, "violation").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("expected a payload of at most {PAYLOAD_MAX} bytes, found a length of {length}")]
pub struct Oversized {
    /// What the header said.
    pub length: u32,
}

/// The message at the start of `bytes` and how many bytes it takes.
///
/// `Ok(None)` if it is not complete yet. A message without payload is complete
/// with its header. Costs nothing but reading the header.
pub fn first_message(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>, Oversized> {
    let Some(header) = Header::decode(bytes) else {
        return Ok(None);
    };
    let length = header.length as usize;
    if length > PAYLOAD_MAX {
        return Err(Oversized { length: header.length });
    }
    let end = Header::SIZE + length;
    let message = bytes.get(Header::SIZE..end).map(|payload| (Message { header, payload }, end));
    Ok(message)
}

/// Whether [`first_message`] has something to say: a message or that the stream is broken.
pub fn is_ready(bytes: &[u8]) -> bool {
    !matches!(first_message(bytes), Ok(None))
}

/// Collects bytes and hands out messages, however the bytes were split.
///
/// What it holds is bounded by what it is given: callers stop feeding it while it
/// [is ready](Self::is_ready), and so it holds less than a message and what they feed at once.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Bytes at the front that were handed out already.
    taken: usize,
}

impl Decoder {
    /// An empty one.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), taken: 0 }
    }

    /// Appends bytes received.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken == self.bytes.len() {
            self.bytes.clear();
        } else {
            self.bytes.drain(..self.taken);
        }
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next complete message, if there is one.
    pub fn next_message(&mut self) -> Result<Option<Message<'_>>, Oversized> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        Ok(first_message(rest)?.map(|(message, used)| {
            self.taken += used;
            message
        }))
    }

    /// Whether [`next_message`](Self::next_message) has something to say: a message
    /// or that the stream is broken.
    pub fn is_ready(&self) -> bool {
        is_ready(self.bytes())
    }

    /// The bytes held and not handed out yet.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    /// How many these are.
    pub fn buffered(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Hands out so many of them: messages that were read where they lie.
    pub fn skip(&mut self, count: usize) {
        self.taken = self.bytes.len().min(self.taken + count);
    }

    /// Bytes of memory it takes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Has it use an empty buffer that has room already, if it holds nothing.
    pub fn lend(&mut self, buffer: Vec<u8>) {
        if self.buffered() == 0 {
            (self.bytes, self.taken) = (buffer, 0);
        }
    }

    /// Takes its buffer away once everything was handed out: an idle connection holds no
    /// memory. One without room until then.
    pub fn reclaim(&mut self) -> Vec<u8> {
        if self.buffered() > 0 {
            return Vec::new();
        }
        self.taken = 0;
        let mut buffer = mem::take(&mut self.bytes);
        buffer.clear();
        buffer
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{MessageType, encode};

    fn owned(message: Message<'_>) -> (Header, Vec<u8>) {
        (message.header, message.payload.to_vec())
    }

    proptest! {
        /// Zero-length requests were once parked until more bytes came, because the
        /// parser waited for a read that never happened. Here any split of the same
        /// bytes gives the same messages, each as soon as its last byte is there.
        #[test]
        fn any_split_of_the_stream_gives_the_same_messages(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut stream = Vec::new();
            let mut ends = Vec::new();
            for payload in &payloads {
                prop_assert!(encode(&mut stream, MessageType::Write, 1, 2, &[payload]));
                ends.push(stream.len());
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.push(stream.len());
            cuts.sort_unstable();

            let mut decoder = Decoder::new();
            let mut seen = Vec::new();
            let mut fed = 0;
            for cut in cuts {
                decoder.push(&stream[fed..cut]);
                fed = cut;
                while decoder.is_ready() {
                    seen.push(owned(decoder.next_message().unwrap().unwrap()));
                }
                prop_assert_eq!(seen.len(), ends.iter().filter(|&&end| end <= fed).count());
            }
            prop_assert_eq!(decoder.buffered(), 0);
            let values: Vec<_> = seen.into_iter().map(|(_, payload)| payload).collect();
            prop_assert_eq!(values, payloads);
        }

        #[test]
        fn arbitrary_bytes_never_yield_an_oversized_payload(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::new();
            decoder.push(&bytes);
            while let Ok(Some(message)) = decoder.next_message() {
                prop_assert!(message.payload.len() <= PAYLOAD_MAX);
            }
        }
    }

    #[test]
    fn a_length_over_the_limit_ends_the_stream_at_its_header() {
        // XSA-420: lengths that turn negative in 32-bit arithmetic.
        for length in [4097, 65536, 0x8000_0000, u32::MAX] {
            let header = Header { kind: 2, request_id: 0, transaction_id: 0, length };
            let mut decoder = Decoder::new();
            decoder.push(&header.encode());
            assert!(decoder.is_ready());
            assert_eq!(decoder.next_message(), Err(Oversized { length }));
        }
    }

    #[test]
    fn an_idle_decoder_holds_no_memory() {
        let mut decoder = Decoder::new();
        decoder.push(&Header { kind: 6, request_id: 0, transaction_id: 0, length: 0 }.encode());
        assert!(decoder.next_message().unwrap().is_some());
        assert!(decoder.reclaim().is_empty());
        assert_eq!(decoder.bytes.capacity(), 0);
    }
}
