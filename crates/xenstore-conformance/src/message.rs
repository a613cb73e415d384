//! One message as a client sees it, with nothing checked that a test may want wrong.

use xenstore_wire::{Header, MessageType};

/// A request, malformed if the test wants it so.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Any number, with a meaning or without.
    pub kind: u32,
    /// Comes back with the reply.
    pub request_id: u32,
    /// 0 is none.
    pub transaction_id: u32,
    /// What the header claims, if not the payload's true length.
    pub length: Option<u32>,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl Request<'_> {
    /// The request as it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        let actual = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        let header = Header {
            kind: self.kind,
            request_id: self.request_id,
            transaction_id: self.transaction_id,
            length: self.length.unwrap_or(actual),
        };
        [&header.encode()[..], self.payload].concat()
    }
}

/// A message from the daemon: a reply or an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its header.
    pub header: Header,
    /// What followed.
    pub payload: Vec<u8>,
}

impl Message {
    /// Whether nobody asked for it: the news that something watched changed.
    pub fn is_event(&self) -> bool {
        self.header.kind == MessageType::WatchEvent.number()
    }
}
