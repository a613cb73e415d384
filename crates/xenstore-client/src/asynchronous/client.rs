//! The client and its transactions.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::task::{Context, Poll, ready};

use super::channel::Channel;
use super::events::Events;
use super::store::Store;
use crate::call::{Call, TransactionId};
use crate::client::Pending;
use crate::error::{Error, Result};
use crate::locate;
use crate::session::{Event, Reply, RequestId};
use crate::transaction::Retry;
use crate::transport::Transport;

/// A connection to the store whose methods are futures.
///
/// Requests of the control domain, which have no method of their own here, go
/// through [`Store::call`] with the [`Call`] of their name.
#[derive(Debug)]
pub struct Client {
    channel: Channel,
}

impl Store for Client {
    async fn call<T>(&mut self, call: Call<T>) -> Result<T> {
        let pending = self.queue(call)?;
        let mut waiting = Waiting { channel: &mut self.channel, id: pending.id };
        let reply = poll_fn(|context| waiting.poll(context)).await?;
        drop(waiting);
        pending.finish(reply)
    }
}

impl Client {
    /// Connects to the store, wherever it is found (see [`locate`]). Connecting to a
    /// local socket does not wait; it is done when this returns.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled, as everything of tokio's that
    /// waits for a file descriptor. So do the other constructors.
    pub fn open() -> Result<Self> {
        Self::over(Transport::first_of(locate::candidates())?.into())
    }

    /// Connects to the store at a socket or device.
    pub fn open_path(path: impl AsRef<Path>) -> Result<Self> {
        Self::over(Transport::first_of([path])?.into())
    }

    /// Takes over a connected socket.
    pub fn from_socket(socket: UnixStream) -> Result<Self> {
        Self::over(socket.into())
    }

    fn over(fd: OwnedFd) -> Result<Self> {
        Ok(Self { channel: Channel::over(fd)? })
    }

    fn queue<T>(&mut self, call: Call<T>) -> Result<Pending<T>> {
        let mut message = Vec::new();
        let session = &mut self.channel.session;
        let id = session
            .request(call.kind, call.transaction, &call.payload, &mut message)
            .ok_or_else(|| Error::TooLong {
                request: call.kind,
                path: call.path.clone(),
                length: call.payload.len(),
            })?;
        self.channel.queue(message);
        Ok(Pending { id, call })
    }

    /// Opens a transaction to be committed by hand. Dropped instead, it is aborted
    /// with the next request.
    pub async fn begin(&mut self) -> Result<Transaction<'_>> {
        let id = self.call(Call::transaction_start()?).await?;
        Ok(Transaction { client: self, id, ended: false })
    }

    /// Runs `body` inside a transaction and commits. If another client got in
    /// between, all of it again, until it goes through.
    pub async fn transaction<T, E: From<Error>>(
        &mut self,
        body: impl AsyncFnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transaction_with(Retry::Always, body).await
    }

    /// As [`transaction`](Self::transaction), giving up as `retry` says.
    pub async fn transaction_with<T, E: From<Error>>(
        &mut self,
        retry: Retry,
        mut body: impl AsyncFnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut conflicts = 0;
        loop {
            let mut transaction = self.begin().await?;
            let result = body(&mut transaction).await?;
            match transaction.commit().await {
                Ok(()) => return Ok(result),
                Err(error) if error.is_conflict() => {
                    conflicts += 1;
                    if retry.gives_up_after(conflicts) {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Registers a watch on a path and all below it, or on a special name.
    pub async fn watch(&mut self, path: &str, token: &str) -> Result<()> {
        self.call(Call::watch(path, token, None)?).await
    }

    /// Removes a watch. Events of it may still be under way.
    pub async fn unwatch(&mut self, path: &str, token: &str) -> Result<()> {
        self.call(Call::unwatch(path, token)?).await
    }

    /// Waits for the next event.
    pub async fn next_event(&mut self) -> Result<Event> {
        poll_fn(|context| self.poll_event(context)).await
    }

    /// The events as a stream. It borrows the client: for requests in between, drop
    /// it and ask again, nothing is lost; or open a second client.
    pub fn events(&mut self) -> Events<'_> {
        Events { client: self, failed: false }
    }

    pub(super) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<Event>> {
        loop {
            if let Some(event) = self.channel.session.take_event() {
                return Poll::Ready(Ok(event));
            }
            ready!(self.channel.poll_receive(context))?;
        }
    }
}

/// A request whose reply is awaited. Dropped before, the reply will be too.
struct Waiting<'c> {
    channel: &'c mut Channel,
    id: RequestId,
}

impl Waiting<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Reply>> {
        loop {
            if let Some(reply) = self.channel.session.take_reply(self.id) {
                return Poll::Ready(Ok(reply));
            }
            ready!(self.channel.poll_receive(context))?;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.channel.session.forget(self.id);
    }
}

/// An open transaction: see the blocking [`Transaction`](crate::Transaction).
#[derive(Debug)]
#[must_use = "dropped, it is aborted"]
pub struct Transaction<'c> {
    client: &'c mut Client,
    id: TransactionId,
    ended: bool,
}

impl Transaction<'_> {
    /// Its number.
    pub const fn id(&self) -> TransactionId {
        self.id
    }

    /// Makes its changes, all or none.
    pub async fn commit(self) -> Result<()> {
        self.end(true).await
    }

    /// Gives up its changes.
    pub async fn abort(self) -> Result<()> {
        self.end(false).await
    }

    async fn end(mut self, commit: bool) -> Result<()> {
        // From here on the request is queued, and whatever the answer, the daemon
        // forgets the id with it.
        let call = Call::transaction_end(self.id, commit)?;
        self.ended = true;
        self.client.call(call).await
    }
}

impl Store for Transaction<'_> {
    async fn call<T>(&mut self, call: Call<T>) -> Result<T> {
        self.client.call(call.within(self.id)).await
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // Nothing can be awaited here. The message goes out before the next request;
        // without one the transaction ends with the connection.
        if let Ok(abort) = Call::transaction_end(self.id, false)
            && let Ok(pending) = self.client.queue(abort)
        {
            self.client.channel.session.forget(pending.id);
        }
    }
}
