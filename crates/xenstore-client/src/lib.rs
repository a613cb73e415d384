//! A client of xenstore.
//!
//! ```no_run
//! use xenstore_client::{Client, Store};
//!
//! # fn main() -> Result<(), xenstore_client::Error> {
//! let mut client = Client::open()?;
//! let name = client.read("/local/domain/0/name")?;
//! println!("{}", String::from_utf8_lossy(&name));
//!
//! // All or nothing, and tried again for as long as others get in between.
//! client.transaction(|tx| {
//!     let count = tx.directory("/vm")?.len();
//!     tx.write("/tool/count", count.to_string())
//! })?;
//!
//! client.watch("/local/domain", "my-token")?;
//! for event in client.events() {
//!     println!("{} changed", event?.path);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The store is found as `libxenstore` finds it: see [`locate`]. It may be a socket
//! of the daemon or the kernel's character device; nothing else differs.
//!
//! | what | where |
//! |---|---|
//! | the blocking client | [`Client`] |
//! | reading and writing, inside a transaction or not | [`Store`] |
//! | transactions | [`Transaction`], [`Retry`] |
//! | an async client with the same methods | `asynchronous::Client`, feature `tokio` |
//! | the protocol's client side without any I/O | [`Session`], [`Call`] |
//!
//! # Paths
//!
//! Paths are passed to the daemon as they are spelled, relative ones too; the daemon
//! judges them. A spelling that could not be sent at all (a NUL inside, too long)
//! is an error here.

#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
pub mod asynchronous;
mod call;
mod client;
mod directory;
mod error;
pub mod locate;
mod session;
mod store;
mod transaction;
mod transport;

pub use call::{Call, TransactionId};
pub use client::{Client, Events, Pending};
pub use error::{Error, ProtocolError, Result};
pub use session::{Event, Reply, RequestId, Session};
pub use store::Store;
pub use transaction::{Retry, Transaction};

pub use xenstore_wire as wire;
