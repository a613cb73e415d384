//! Several requests as one.

use crate::call::{Call, TransactionId};
use crate::client::Client;
use crate::error::Result;
use crate::store::Store;

/// How often to run a transaction that conflicts with others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Retry {
    /// Until it goes through. What toolstacks do: a conflict means that somebody
    /// else got on, so all of them together always do.
    #[default]
    Always,
    /// At most that many times in all; 0 counts as 1.
    Times(u32),
}

impl Retry {
    pub(crate) const fn gives_up_after(self, conflicts: u32) -> bool {
        match self {
            Self::Always => false,
            Self::Times(times) => conflicts >= times,
        }
    }
}

/// An open transaction: its requests see the store as it was when it began, and
/// take effect at once when it is committed, or never.
///
/// Nodes are read and written by the methods of [`Store`].
#[derive(Debug)]
#[must_use = "dropped, it is aborted"]
pub struct Transaction<'c> {
    client: &'c mut Client,
    id: TransactionId,
    ended: bool,
}

impl<'c> Transaction<'c> {
    pub(crate) fn new(client: &'c mut Client, id: TransactionId) -> Self {
        Self { client, id, ended: false }
    }

    /// Its number.
    pub const fn id(&self) -> TransactionId {
        self.id
    }

    /// Makes its changes. If they conflict with another client's, none is made and
    /// the error says so ([`is_conflict`](crate::Error::is_conflict)).
    pub fn commit(self) -> Result<()> {
        self.end(true)
    }

    /// Gives up its changes.
    pub fn abort(self) -> Result<()> {
        self.end(false)
    }

    fn end(mut self, commit: bool) -> Result<()> {
        // Whatever the answer, the daemon forgets the id with it.
        self.ended = true;
        let call = Call::transaction_end(self.id, commit)?;
        self.client.call(call)
    }
}

impl Store for Transaction<'_> {
    fn call<T>(&mut self, call: Call<T>) -> Result<T> {
        self.client.call(call.within(self.id))
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // A connection that fails here has ended the transaction by failing.
            let _ = Call::transaction_end(self.id, false)
                .and_then(|abort| self.client.send_and_forget(abort));
        }
    }
}
