//! Requests as values: what is sent, and how its reply is read.

use std::fmt;

use xenstore_wire::permission::Permissions;
use xenstore_wire::text::{self, decimal};
use xenstore_wire::{Domid, Features, MessageType, PAYLOAD_MAX};

use crate::error::{Error, ProtocolError, Result};

/// A transaction's number, unique among those open on its connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TransactionId(u32);

impl TransactionId {
    /// The number on the wire, never 0.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A request and the type of its reply.
///
/// Made by the functions named as the requests are, sent by a client's `call`, or
/// `send` and `receive` to have several under way. Making one costs one allocation
/// of its payload; it fails only if it could not be sent at all.
#[derive(Clone)]
pub struct Call<T> {
    pub(crate) kind: MessageType,
    pub(crate) transaction: u32,
    pub(crate) path: Option<String>,
    pub(crate) payload: Vec<u8>,
    pub(crate) decode: fn(MessageType, &[u8]) -> Result<T, ProtocolError>,
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("kind", &self.kind)
            .field("transaction", &self.transaction)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl<T> Call<T> {
    /// The same request as part of a transaction.
    #[must_use]
    pub fn within(mut self, transaction: TransactionId) -> Self {
        self.transaction = transaction.get();
        self
    }

    /// What kind of request it is.
    pub const fn kind(&self) -> MessageType {
        self.kind
    }

    fn new(
        kind: MessageType,
        strings: &[&str],
        tail: &[u8],
        decode: fn(MessageType, &[u8]) -> Result<T, ProtocolError>,
    ) -> Result<Self> {
        let mut payload = Vec::new();
        for string in strings {
            if string.contains('\0') {
                return Err(Error::Nul { request: kind, string: (*string).to_owned() });
            }
            payload.extend_from_slice(string.as_bytes());
            payload.push(0);
        }
        payload.extend_from_slice(tail);
        let path = strings.first().map(|path| (*path).to_owned());
        let length = payload.len();
        if length > PAYLOAD_MAX {
            return Err(Error::TooLong {
                request: kind,
                path: path.filter(|_| has_path(kind)),
                length,
            });
        }
        Ok(Self { kind, transaction: 0, path: path.filter(|_| has_path(kind)), payload, decode })
    }
}

/// Whether a request's first string is a path, to be named in errors.
const fn has_path(kind: MessageType) -> bool {
    use MessageType as T;
    matches!(
        kind,
        T::Read
            | T::Write
            | T::Mkdir
            | T::Rm
            | T::Directory
            | T::DirectoryPart
            | T::GetPerms
            | T::SetPerms
            | T::Watch
            | T::Unwatch
    )
}

impl Call<Vec<u8>> {
    /// A node's value.
    pub fn read(path: &str) -> Result<Self> {
        Self::new(MessageType::Read, &[path], &[], raw)
    }

    /// Any request at all: its payload is sent and its reply returned as they are.
    pub fn raw(kind: MessageType, payload: &[u8]) -> Result<Self> {
        Self::new(kind, &[], payload, raw)
    }
}

impl Call<()> {
    /// Sets a node's value, creating it and its missing ancestors.
    pub fn write(path: &str, value: &[u8]) -> Result<Self> {
        Self::new(MessageType::Write, &[path], value, done)
    }

    /// Creates a node with an empty value; does nothing to one that exists.
    pub fn mkdir(path: &str) -> Result<Self> {
        Self::new(MessageType::Mkdir, &[path], &[], done)
    }

    /// Removes a node and all below it.
    pub fn remove(path: &str) -> Result<Self> {
        Self::new(MessageType::Rm, &[path], &[], done)
    }

    /// Replaces a permission list.
    pub fn set_permissions(path: &str, permissions: &Permissions) -> Result<Self> {
        let mut tail = Vec::new();
        for permission in permissions.iter() {
            tail.extend_from_slice(permission.to_string().as_bytes());
            tail.push(0);
        }
        Self::new(MessageType::SetPerms, &[path], &tail, done)
    }

    /// Registers a watch, to a depth of that many components below `path` if given.
    pub fn watch(path: &str, token: &str, depth: Option<u32>) -> Result<Self> {
        let depth = depth.map(|depth| depth.to_string());
        let mut strings = vec![path, token];
        strings.extend(depth.as_deref());
        Self::new(MessageType::Watch, &strings, &[], done)
    }

    /// Removes a watch.
    pub fn unwatch(path: &str, token: &str) -> Result<Self> {
        Self::new(MessageType::Unwatch, &[path, token], &[], done)
    }

    /// Drops all watches and transactions of the connection.
    pub fn reset_watches() -> Result<Self> {
        Self::new(MessageType::ResetWatches, &[""], &[], done)
    }

    /// Ends a transaction.
    pub fn transaction_end(transaction: TransactionId, commit: bool) -> Result<Self> {
        let decision = if commit { "T" } else { "F" };
        let call = Self::new(MessageType::TransactionEnd, &[decision], &[], done)?;
        Ok(call.within(transaction))
    }

    /// Connects a domain's ring.
    pub fn introduce(domid: Domid, frame: u64, port: u32) -> Result<Self> {
        let (domid, frame, port) = (domid.to_string(), frame.to_string(), port.to_string());
        Self::new(MessageType::Introduce, &[&domid, &frame, &port], &[], done)
    }

    /// Forgets a domain.
    pub fn release(domid: Domid) -> Result<Self> {
        Self::new(MessageType::Release, &[&domid.to_string()], &[], done)
    }

    /// Says that a domain that was shut down runs again.
    pub fn resume(domid: Domid) -> Result<Self> {
        Self::new(MessageType::Resume, &[&domid.to_string()], &[], done)
    }

    /// Gives a domain another one's rights.
    pub fn set_target(domid: Domid, target: Domid) -> Result<Self> {
        let (domid, target) = (domid.to_string(), target.to_string());
        Self::new(MessageType::SetTarget, &[&domid, &target], &[], done)
    }

    /// Sets the feature word of a domain not yet introduced.
    pub fn set_feature(domid: Domid, features: Features) -> Result<Self> {
        let (domid, bits) = (domid.to_string(), features.bits().to_string());
        Self::new(MessageType::SetFeature, &[&domid, &bits], &[], done)
    }

    /// Sets a quota: a domain's, or without one the default of domains to come.
    pub fn set_quota(domid: Option<Domid>, name: &str, value: u32) -> Result<Self> {
        let domid = domid.map(|domid| domid.to_string());
        let value = value.to_string();
        let strings: Vec<&str> = domid.as_deref().into_iter().chain([name, &value]).collect();
        Self::new(MessageType::SetQuota, &strings, &[], done)
    }
}

impl Call<Vec<String>> {
    /// The names of a node's children, refused with `E2BIG` if they are too many.
    pub fn directory(path: &str) -> Result<Self> {
        Self::new(MessageType::Directory, &[path], &[], names)
    }

    /// The names of all quotas.
    pub fn quota_names() -> Result<Self> {
        Self::new(MessageType::GetQuota, &[], &[], |kind, payload| {
            let list = string(kind, payload)?;
            Ok(list.split_ascii_whitespace().map(str::to_owned).collect())
        })
    }
}

impl Call<Part> {
    /// A part of a list of children, from a byte offset into it.
    pub fn directory_part(path: &str, offset: usize) -> Result<Self> {
        let offset = offset.to_string();
        Self::new(MessageType::DirectoryPart, &[path, &offset], &[], part)
    }
}

impl Call<Permissions> {
    /// A permission list.
    pub fn permissions(path: &str) -> Result<Self> {
        Self::new(MessageType::GetPerms, &[path], &[], permissions)
    }
}

impl Call<TransactionId> {
    /// Opens a transaction.
    pub fn transaction_start() -> Result<Self> {
        Self::new(MessageType::TransactionStart, &[""], &[], |kind, payload| {
            let number = number(kind, payload)?;
            if number == 0 {
                return Err(malformed(kind, "a transaction id other than 0", b"0"));
            }
            Ok(TransactionId(number))
        })
    }
}

impl Call<String> {
    /// Where a domain's own nodes live.
    pub fn domain_path(domid: Domid) -> Result<Self> {
        let domid = domid.to_string();
        Self::new(MessageType::GetDomainPath, &[&domid], &[], string)
    }

    /// A command to the daemon itself. What it answers is text for people.
    pub fn control(command: &str, arguments: &[&str]) -> Result<Self> {
        let mut strings = vec![command];
        strings.extend(arguments);
        Self::new(MessageType::Control, &strings, &[], string)
    }
}

impl Call<bool> {
    /// Whether a domain's ring is connected.
    pub fn is_introduced(domid: Domid) -> Result<Self> {
        let domid = domid.to_string();
        Self::new(MessageType::IsDomainIntroduced, &[&domid], &[], |_, payload| {
            Ok(payload.first() != Some(&b'F'))
        })
    }
}

impl Call<u32> {
    /// The feature word of the connection itself, or of a domain's ring. Bits may be
    /// set that [`Features`] does not know yet.
    pub fn feature(domid: Option<Domid>) -> Result<Self> {
        let domid = domid.map(|domid| domid.to_string());
        let strings: Vec<&str> = domid.as_deref().into_iter().collect();
        Self::new(MessageType::GetFeature, &strings, &[], number)
    }

    /// A quota: a domain's, or without one the default. 0 is unlimited.
    pub fn quota(domid: Option<Domid>, name: &str) -> Result<Self> {
        let domid = domid.map(|domid| domid.to_string());
        let strings: Vec<&str> = domid.as_deref().into_iter().chain([name]).collect();
        Self::new(MessageType::GetQuota, &strings, &[], number)
    }
}

/// A piece of a list of children and the state of the node it was taken from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Changes whenever the node does.
    pub generation: Vec<u8>,
    /// Names, each with its NUL; two NULs in a row end the whole list.
    pub names: Vec<u8>,
}

// How each kind of reply is read. The text of an acknowledgement is not looked at:
// daemons always agreed on the reply's type and never needed to on the text.

#[expect(clippy::unnecessary_wraps, reason = "one signature for all kinds")]
fn done(_: MessageType, _: &[u8]) -> Result<(), ProtocolError> {
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all kinds")]
fn raw(_: MessageType, payload: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    Ok(payload.to_vec())
}

/// Text up to its NUL; oxenstored forgets the NUL of some answers.
#[expect(clippy::unnecessary_wraps, reason = "one signature for all kinds")]
fn string(_: MessageType, payload: &[u8]) -> Result<String, ProtocolError> {
    let text = text::split_string(payload).map_or(payload, |(text, _)| text);
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn number(kind: MessageType, payload: &[u8]) -> Result<u32, ProtocolError> {
    let text = string(kind, payload)?;
    decimal(text.as_bytes()).map_err(|_| malformed(kind, "a decimal number", text.as_bytes()))
}

fn names(kind: MessageType, payload: &[u8]) -> Result<Vec<String>, ProtocolError> {
    split_names(payload).ok_or_else(|| malformed(kind, "names, each with a NUL", payload))
}

/// The names of a list of children; `None` if it is none.
pub(crate) fn split_names(list: &[u8]) -> Option<Vec<String>> {
    if text::unterminated(list) {
        return None;
    }
    let name = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    text::strings(list).map(name).collect()
}

fn part(kind: MessageType, payload: &[u8]) -> Result<Part, ProtocolError> {
    match text::split_string(payload) {
        Some((generation, names)) => {
            Ok(Part { generation: generation.to_vec(), names: names.to_vec() })
        }
        None => Err(malformed(kind, "a generation and names", payload)),
    }
}

fn permissions(kind: MessageType, payload: &[u8]) -> Result<Permissions, ProtocolError> {
    Permissions::parse(text::strings(payload))
        .ok()
        .flatten()
        .ok_or_else(|| malformed(kind, "a list of permissions", payload))
}

pub(crate) fn malformed(
    request: MessageType,
    expected: &'static str,
    found: &[u8],
) -> ProtocolError {
    ProtocolError::Payload { request, expected, found: String::from_utf8_lossy(found).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload<T>(call: Result<Call<T>>) -> Vec<u8> {
        call.unwrap().payload
    }

    #[test]
    fn requests_are_laid_out_as_the_specification_has_them() {
        assert_eq!(payload(Call::write("/a", b"v\0w")), b"/a\0v\0w");
        assert_eq!(payload(Call::watch("/a", "t", None)), b"/a\0t\0");
        assert_eq!(payload(Call::watch("/a", "", Some(2))), b"/a\0\x002\0");
        assert_eq!(payload(Call::control("log", &["on"])), b"log\0on\0");
        assert_eq!(payload(Call::introduce(Domid::new(3), 4, 5)), b"3\x004\x005\0");
        assert_eq!(payload(Call::quota_names()), b"");
        assert_eq!(payload(Call::quota(Some(Domid::DOM0), "nodes")), b"0\0nodes\0");
        assert_eq!(payload(Call::set_quota(None, "nodes", 7)), b"nodes\x007\0");
        let list = Permissions::parse([&b"n0"[..], b"r5"].into_iter()).unwrap();
        let list = list.unwrap();
        assert_eq!(payload(Call::set_permissions("/a", &list)), b"/a\0n0\0r5\0");
    }

    #[test]
    fn what_cannot_be_sent_is_refused_here() {
        assert!(matches!(Call::read("/a\0b"), Err(Error::Nul { .. })));
        let value = [0; PAYLOAD_MAX];
        let error = Call::write("/a", &value).unwrap_err();
        assert!(matches!(error, Error::TooLong { length: 4099, .. }), "{error}");
    }

    #[test]
    fn replies_are_read_with_or_without_their_last_nul() {
        assert_eq!(string(MessageType::Control, b"OK\0").unwrap(), "OK");
        assert_eq!(string(MessageType::Control, b"OK").unwrap(), "OK");
        assert_eq!(number(MessageType::GetFeature, b"14\0"), Ok(14));
        assert!(number(MessageType::GetFeature, b"x\0").is_err());
        assert_eq!(names(MessageType::Directory, b""), Ok(vec![]));
        assert!(names(MessageType::Directory, b"a\0b").is_err());
    }
}
