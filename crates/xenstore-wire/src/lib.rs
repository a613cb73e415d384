//! The language spoken between a xenstore daemon and its clients.
//!
//! Everything here is a value or a pure function: no I/O, no state of a store.
//! Both sides use it: the daemon decodes [`Request`]s and encodes replies, a
//! client does the reverse. Bytes become types at this edge and are not checked
//! again further in: a [`Path`] is well formed, a [`Domid`] is a number that fits,
//! a [`Permissions`] list has an owner.
//!
//! The rules come from the public specification (`docs/misc/xenstore.txt` in
//! Xen's tree) and from what the daemons in the field answer where it is silent.
//!
//! | module | what |
//! |---|---|
//! | [`message`] | the 16-byte header, message types, encoding |
//! | [`decoder`] | a byte stream cut into messages, however it is split |
//! | [`request`] | the payload grammar of every request |
//! | [`path`] | absolute, relative and special paths |
//! | [`permission`] | access letters, permission lists |
//! | [`errno`] | the sixteen error names a client may be told |
//! | [`domid`] | domain numbers and the reserved ones |
//! | [`text`] | NUL-terminated strings and decimal numbers in payloads |
//! | [`feature`] | the bits of a connection's feature word |

#![forbid(unsafe_code)]

pub mod decoder;
pub mod domid;
mod domid_map;
pub mod errno;
pub mod feature;
pub mod message;
pub mod path;
pub mod permission;
pub mod request;
pub mod text;

pub use decoder::{Decoder, Oversized};
pub use domid::Domid;
pub use domid_map::DomidMap;
pub use errno::Errno;
pub use feature::Features;
pub use message::{Header, Message, MessageType};
pub use path::{Name, Path, PathError, Special};
pub use permission::{Access, Permission, Permissions};
pub use request::{Malformed, Request};

/// Largest payload of a message, in bytes, in both directions (`XENSTORE_PAYLOAD_MAX`).
pub const PAYLOAD_MAX: usize = 4096;

/// Longest absolute path in bytes (`XENSTORE_ABS_PATH_MAX`).
pub const ABSOLUTE_PATH_MAX: usize = 3072;

/// Longest relative path in bytes (`XENSTORE_REL_PATH_MAX`).
pub const RELATIVE_PATH_MAX: usize = 2048;
