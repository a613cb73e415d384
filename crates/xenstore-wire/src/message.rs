//! Messages: the header, the types, and how a message becomes bytes.

use std::fmt;

use crate::PAYLOAD_MAX;

macro_rules! message_types {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $label:literal,)*) => {
        /// What a message is. A reply carries its request's type, or [`Self::Error`].
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u32)]
        pub enum MessageType {
            $($(#[$doc])* $variant = $number,)*
        }

        impl MessageType {
            /// Every type, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The type with this number; `None` for numbers without one.
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// The name the specification uses.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $label),* }
            }
        }
    };
}

message_types! {
    /// Commands to the daemon itself; once called DEBUG.
    Control = 0 "CONTROL",
    /// Names of a node's children.
    Directory = 1 "DIRECTORY",
    /// A node's value.
    Read = 2 "READ",
    /// A node's permission list.
    GetPerms = 3 "GET_PERMS",
    /// Register a watch.
    Watch = 4 "WATCH",
    /// Remove a watch.
    Unwatch = 5 "UNWATCH",
    /// Open a transaction.
    TransactionStart = 6 "TRANSACTION_START",
    /// Commit or abandon a transaction.
    TransactionEnd = 7 "TRANSACTION_END",
    /// Connect a domain's ring.
    Introduce = 8 "INTRODUCE",
    /// Forget a domain.
    Release = 9 "RELEASE",
    /// Where a domain's own nodes live.
    GetDomainPath = 10 "GET_DOMAIN_PATH",
    /// Set a node's value, creating it.
    Write = 11 "WRITE",
    /// Create a node.
    Mkdir = 12 "MKDIR",
    /// Remove a node and all below it.
    Rm = 13 "RM",
    /// Replace a node's permission list.
    SetPerms = 14 "SET_PERMS",
    /// Something watched changed; only ever sent by the daemon, unasked.
    WatchEvent = 15 "WATCH_EVENT",
    /// The answer to a refused request; only ever sent by the daemon.
    Error = 16 "ERROR",
    /// Whether a domain's ring is connected.
    IsDomainIntroduced = 17 "IS_DOMAIN_INTRODUCED",
    /// A domain that was shut down runs again.
    Resume = 18 "RESUME",
    /// Give a domain another one's rights.
    SetTarget = 19 "SET_TARGET",
    /// Drop all watches and transactions of the caller.
    ResetWatches = 21 "RESET_WATCHES",
    /// A part of a list of children too long for one message.
    DirectoryPart = 22 "DIRECTORY_PART",
    /// The feature word of a connection.
    GetFeature = 23 "GET_FEATURE",
    /// Set the feature word of a domain not yet introduced.
    SetFeature = 24 "SET_FEATURE",
    /// Quota values.
    GetQuota = 25 "GET_QUOTA",
    /// Set a quota value.
    SetQuota = 26 "SET_QUOTA",
}

impl MessageType {
    /// The number on the wire.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Whether a client may send it. The other two exist only as answers.
    pub const fn is_request(self) -> bool {
        !matches!(self, Self::WatchEvent | Self::Error)
    }

    /// Whether only the control domain and its sockets may send it (`xenstore.txt`;
    /// `GET_FEATURE` is open to all as long as it asks for the caller itself).
    pub const fn is_privileged(self) -> bool {
        matches!(
            self,
            Self::Control
                | Self::Introduce
                | Self::Release
                | Self::IsDomainIntroduced
                | Self::Resume
                | Self::SetTarget
                | Self::SetFeature
                | Self::GetQuota
                | Self::SetQuota
        )
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The 16 bytes before every payload: four numbers in the machine's byte order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Number of the message type; kept raw, since an unknown one has to be answered.
    pub kind: u32,
    /// The client's own mark, returned with the reply. 0 in watch events.
    pub request_id: u32,
    /// The transaction the request belongs to, returned with the reply. 0 is none.
    pub transaction_id: u32,
    /// Bytes of payload that follow.
    pub length: u32,
}

impl Header {
    /// Bytes of a header.
    pub const SIZE: usize = 16;

    /// The header at the start of `bytes`; `None` if they are too few.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.first_chunk::<{ Self::SIZE }>()?.as_chunks::<4>().0.iter();
        let mut next = || words.next().copied().map(u32::from_ne_bytes);
        Some(Self { kind: next()?, request_id: next()?, transaction_id: next()?, length: next()? })
    }

    /// The header as it goes over the wire.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let words = [self.kind, self.request_id, self.transaction_id, self.length];
        for (chunk, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *chunk = word.to_ne_bytes();
        }
        bytes
    }
}

/// A message whose payload lies in somebody else's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// Its header; `length` is the payload's.
    pub header: Header,
    /// Its payload, at most [`PAYLOAD_MAX`] bytes.
    pub payload: &'a [u8],
}

/// Appends a message whose payload is the concatenation of `parts`.
///
/// Returns `false`, with `out` unchanged, if the payload would exceed
/// [`PAYLOAD_MAX`]: no side may send such a message (XSA-72).
#[must_use]
pub fn encode(
    out: &mut Vec<u8>,
    kind: MessageType,
    request_id: u32,
    transaction_id: u32,
    parts: &[&[u8]],
) -> bool {
    let length = parts.iter().map(|part| part.len()).sum();
    let begun = begin(out, kind, request_id, transaction_id, length);
    for part in parts.iter().filter(|_| begun) {
        out.extend_from_slice(part);
    }
    begun
}

/// Appends the header of a message whose payload, of so many bytes, the caller is about to append;
/// `false`, with `out` unchanged, if it would exceed [`PAYLOAD_MAX`].
#[must_use]
pub fn begin(
    out: &mut Vec<u8>,
    kind: MessageType,
    request_id: u32,
    transaction_id: u32,
    length: usize,
) -> bool {
    if length > PAYLOAD_MAX {
        return false;
    }
    let header = Header {
        kind: kind.number(),
        request_id,
        transaction_id,
        #[expect(clippy::cast_possible_truncation, reason = "at most PAYLOAD_MAX")]
        length: length as u32,
    };
    out.reserve(Header::SIZE + length);
    out.extend_from_slice(&header.encode());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back() {
        let header = Header { kind: 11, request_id: 7, transaction_id: u32::MAX, length: 3 };
        assert_eq!(Header::decode(&header.encode()), Some(header));
        assert_eq!(Header::decode(&header.encode()[..15]), None);
    }

    #[test]
    fn there_are_26_types_and_the_gaps_stay_unknown() {
        assert_eq!(MessageType::ALL.len(), 26);
        for &kind in MessageType::ALL {
            assert_eq!(MessageType::from_number(kind.number()), Some(kind));
        }
        // 20 was RESTRICT; 65535 is promised never to be valid.
        for gap in [20, 27, 65535, u32::MAX] {
            assert_eq!(MessageType::from_number(gap), None);
        }
    }

    #[test]
    fn a_payload_over_the_limit_is_not_encoded() {
        let mut out = vec![1, 2, 3];
        let (half, rest) = ([0; 2048], [0; 2049]);
        assert!(!encode(&mut out, MessageType::Read, 0, 0, &[&half, &rest]));
        assert_eq!(out, [1, 2, 3]);
        assert!(encode(&mut out, MessageType::Read, 0, 0, &[&half, &half]));
        assert_eq!(out.len(), 3 + Header::SIZE + PAYLOAD_MAX);
    }
}
