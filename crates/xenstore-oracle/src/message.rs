//! Messages as a client sees them.

use std::fmt;

use xenstore_wire::{Header, MessageType};

/// A message of any length: some daemons send more than the protocol allows.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its header.
    pub header: Header,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Message {
    /// A message with this payload, whatever its length.
    pub fn new(kind: u32, request_id: u32, transaction_id: u32, payload: &[u8]) -> Self {
        let length = u32::try_from(payload.len()).expect("tests send little");
        let header = Header { kind, request_id, transaction_id, length };
        Self { header, payload: payload.to_vec() }
    }

    /// As it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        [&self.header.encode()[..], &self.payload].concat()
    }

    /// Whether it is a watch event.
    pub fn is_event(&self) -> bool {
        self.header.kind == MessageType::WatchEvent.number()
    }

    /// Whether it refuses a request.
    pub fn is_error(&self) -> bool {
        self.header.kind == MessageType::Error.number()
    }

    /// Takes the first message off a buffer, if it is complete.
    pub fn take_from(buffer: &mut Vec<u8>) -> Option<Self> {
        let header = Header::decode(buffer)?;
        let end = Header::SIZE + header.length as usize;
        let payload = buffer.get(Header::SIZE..end)?.to_vec();
        buffer.drain(..end);
        Some(Self { header, payload })
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Header { request_id, transaction_id, .. } = self.header;
        let name = name_of(self.header.kind);
        let payload = self.payload.escape_ascii();
        write!(f, "{name} id {request_id} transaction {transaction_id} \"{payload}\"")
    }
}

/// The name of a message type, or its number.
pub fn name_of(kind: u32) -> String {
    MessageType::from_number(kind)
        .map_or_else(|| format!("type {kind}"), |kind| kind.name().to_owned())
}
