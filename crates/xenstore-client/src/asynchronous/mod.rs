//! The async client, on tokio (feature `tokio`).
//!
//! ```no_run
//! use xenstore_client::asynchronous::{Client, Store};
//!
//! # async fn example() -> Result<(), xenstore_client::Error> {
//! let mut client = Client::open()?;
//! client
//!     .transaction(async |tx| {
//!         let name = tx.read("/local/domain/0/name").await?;
//!         tx.write("/tool/name", name).await
//!     })
//!     .await?;
//! client.watch("/local/domain", "my-token").await?;
//! loop {
//!     let event = client.next_event().await?;
//!     println!("{} changed", event.path);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Its methods are the blocking [`Client`](crate::Client)'s. Dropping any of their
//! futures is safe at any moment: what was begun to be sent is sent to its end
//! before the next request, and a reply that nobody waits for any more is dropped.

mod channel;
mod client;
mod events;
mod store;

pub use client::{Client, Transaction};
pub use events::Events;
pub use store::Store;
