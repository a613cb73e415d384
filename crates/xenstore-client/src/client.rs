//! The blocking client.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use xenstore_wire::{Domid, Features, MessageType};

use crate::call::{Call, TransactionId};
use crate::error::{Error, Result};
use crate::locate;
use crate::session::{Event, Reply, RequestId, Session};
use crate::store::Store;
use crate::transaction::{Retry, Transaction};
use crate::transport::Transport;

/// Bytes read at once: a whole message and then some.
const READ_SIZE: usize = 8192;

/// A connection to the store whose methods wait for their replies.
///
/// Nodes are read and written by the methods of [`Store`]. Dropping it closes the
/// connection, with which its watches and transactions end.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    session: Session,
}

/// A request under way: what [`Client::send`] gives and [`Client::receive`] takes.
///
/// Dropped instead, its reply is kept until the client is.
#[derive(Debug)]
#[must_use = "the reply waits to be received"]
pub struct Pending<T> {
    pub(crate) id: RequestId,
    pub(crate) call: Call<T>,
}

impl<T> Pending<T> {
    /// What the reply means.
    pub(crate) fn finish(self, reply: Reply) -> Result<T> {
        let Call { kind, path, decode, .. } = self.call;
        match reply {
            Reply::Done(payload) => Ok(decode(kind, &payload)?),
            Reply::Refused { errno, unlisted } => {
                Err(Error::Refused { request: kind, path, errno, unlisted })
            }
        }
    }
}

impl Store for Client {
    fn call<T>(&mut self, call: Call<T>) -> Result<T> {
        let pending = self.send(call)?;
        self.receive(pending)
    }
}

impl Client {
    /// Connects to the store, wherever it is found (see [`locate`]).
    pub fn open() -> Result<Self> {
        Transport::first_of(locate::candidates()).map(Self::over)
    }

    /// Connects to the store at a socket or device.
    pub fn open_path(path: impl AsRef<Path>) -> Result<Self> {
        Transport::first_of([path]).map(Self::over)
    }

    /// Takes over a connected socket.
    pub fn from_socket(socket: UnixStream) -> Self {
        Self::over(OwnedFd::from(socket).into())
    }

    fn over(transport: Transport) -> Self {
        let session = Session::new();
        Self { transport, session }
    }

    /// Sends a request without waiting for its reply, so that several can be under
    /// way at once.
    ///
    /// The daemon may stop reading while nobody takes what it answers: after some
    /// hundred requests it is time to receive.
    pub fn send<T>(&mut self, call: Call<T>) -> Result<Pending<T>> {
        let mut message = Vec::new();
        let id = self
            .session
            .request(call.kind, call.transaction, &call.payload, &mut message)
            .ok_or_else(|| Error::TooLong {
                request: call.kind,
                path: call.path.clone(),
                length: call.payload.len(),
            })?;
        self.transport.send(&message)?;
        Ok(Pending { id, call })
    }

    /// Waits for the reply to a request; in any order.
    pub fn receive<T>(&mut self, pending: Pending<T>) -> Result<T> {
        loop {
            if let Some(reply) = self.session.take_reply(pending.id) {
                return pending.finish(reply);
            }
            self.pump()?;
        }
    }

    /// Sends any message type with any payload, within a transaction or not.
    pub fn raw(
        &mut self,
        kind: MessageType,
        transaction: Option<TransactionId>,
        payload: &[u8],
    ) -> Result<Vec<u8>> {
        let call = Call::raw(kind, payload)?;
        self.call(match transaction {
            Some(id) => call.within(id),
            None => call,
        })
    }

    /// Sends and forgets: for what cannot wait, as when a transaction is dropped.
    pub(crate) fn send_and_forget<T>(&mut self, call: Call<T>) -> Result<()> {
        let pending = self.send(call)?;
        self.session.forget(pending.id);
        Ok(())
    }

    fn pump(&mut self) -> Result<()> {
        let mut buffer = [0; READ_SIZE];
        let bytes = self.transport.receive(&mut buffer)?;
        self.session.receive(bytes)?;
        Ok(())
    }
}

/// Transactions.
impl Client {
    /// Opens a transaction to be committed by hand. Dropped instead, it is aborted.
    pub fn begin(&mut self) -> Result<Transaction<'_>> {
        let id = self.call(Call::transaction_start()?)?;
        Ok(Transaction::new(self, id))
    }

    /// Runs `body` inside a transaction and commits. If another client got in
    /// between, all of it again, until it goes through.
    ///
    /// An error of the body aborts and is returned.
    pub fn transaction<T, E: From<Error>>(
        &mut self,
        body: impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transaction_with(Retry::Always, body)
    }

    /// As [`transaction`](Self::transaction), giving up as `retry` says: then the
    /// error is the last conflict.
    pub fn transaction_with<T, E: From<Error>>(
        &mut self,
        retry: Retry,
        mut body: impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut conflicts = 0;
        loop {
            let mut transaction = self.begin()?;
            let result = body(&mut transaction)?;
            match transaction.commit() {
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
}

/// Watches.
impl Client {
    /// Registers a watch on a path and all below it, or on a special name. An event
    /// comes at once, to say that it is set, and then one per change.
    pub fn watch(&mut self, path: &str, token: &str) -> Result<()> {
        self.call(Call::watch(path, token, None)?)
    }

    /// Registers a watch that sees at most `depth` components below the path. Only
    /// daemons with [`Features::WATCH_DEPTH`] know it.
    pub fn watch_to_depth(&mut self, path: &str, token: &str, depth: u32) -> Result<()> {
        self.call(Call::watch(path, token, Some(depth))?)
    }

    /// Removes a watch. Events of it may still be under way.
    pub fn unwatch(&mut self, path: &str, token: &str) -> Result<()> {
        self.call(Call::unwatch(path, token)?)
    }

    /// Drops all watches and transactions of this connection.
    pub fn reset_watches(&mut self) -> Result<()> {
        self.call(Call::reset_watches()?)
    }

    /// Waits for the next event.
    pub fn next_event(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.session.take_event() {
                return Ok(event);
            }
            self.pump()?;
        }
    }

    /// Waits for the next event, at most that long. A zero timeout only looks.
    pub fn next_event_within(&mut self, timeout: Duration) -> Result<Option<Event>> {
        // A time beyond the clock's range is no limit at all.
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if let Some(event) = self.session.take_event() {
                return Ok(Some(event));
            }
            let left = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if self.transport.wait(left)? {
                self.pump()?;
            } else if left.is_zero() {
                return Ok(None);
            }
        }
    }

    /// The events as an endless iterator that waits for each. It ends after an error.
    pub fn events(&mut self) -> Events<'_> {
        Events { client: self, failed: false }
    }
}

/// The events of a client: see [`Client::events`].
#[derive(Debug)]
pub struct Events<'c> {
    client: &'c mut Client,
    failed: bool,
}

impl Iterator for Events<'_> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let event = self.client.next_event();
        self.failed = event.is_err();
        Some(event)
    }
}

/// Domains and the daemon itself: for the control domain.
impl Client {
    /// Where a domain's own nodes live, whether or not there is such a domain.
    pub fn domain_path(&mut self, domid: Domid) -> Result<String> {
        self.call(Call::domain_path(domid)?)
    }

    /// Connects a domain's ring: `frame` is its guest frame number, `port` the
    /// domain's end of the event channel.
    pub fn introduce(&mut self, domid: Domid, frame: u64, port: u32) -> Result<()> {
        self.call(Call::introduce(domid, frame, port)?)
    }

    /// Forgets a domain.
    pub fn release(&mut self, domid: Domid) -> Result<()> {
        self.call(Call::release(domid)?)
    }

    /// Says that a domain that was shut down runs again.
    pub fn resume(&mut self, domid: Domid) -> Result<()> {
        self.call(Call::resume(domid)?)
    }

    /// Gives `domid` the rights of `target` beside its own.
    pub fn set_target(&mut self, domid: Domid, target: Domid) -> Result<()> {
        self.call(Call::set_target(domid, target)?)
    }

    /// Whether a domain's ring is connected.
    pub fn is_introduced(&mut self, domid: Domid) -> Result<bool> {
        self.call(Call::is_introduced(domid)?)
    }

    /// A command to the daemon itself, such as `check` or `help`, and what it says.
    pub fn control(&mut self, command: &str, arguments: &[&str]) -> Result<String> {
        self.call(Call::control(command, arguments)?)
    }

    /// The feature word of this connection, or of a domain's ring. Bits may be set
    /// that [`Features`] does not know yet.
    pub fn feature(&mut self, domid: Option<Domid>) -> Result<u32> {
        self.call(Call::feature(domid)?)
    }

    /// Sets the feature word of a domain not yet introduced.
    pub fn set_feature(&mut self, domid: Domid, features: Features) -> Result<()> {
        self.call(Call::set_feature(domid, features)?)
    }

    /// The names of all quotas.
    pub fn quota_names(&mut self) -> Result<Vec<String>> {
        self.call(Call::quota_names()?)
    }

    /// A quota: a domain's, or without one the default. 0 is unlimited.
    pub fn quota(&mut self, domid: Option<Domid>, name: &str) -> Result<u32> {
        self.call(Call::quota(domid, name)?)
    }

    /// Sets a quota: a domain's, or without one the default of domains to come.
    pub fn set_quota(&mut self, domid: Option<Domid>, name: &str, value: u32) -> Result<()> {
        self.call(Call::set_quota(domid, name, value)?)
    }
}

impl AsFd for Client {
    /// For a poll loop of one's own: readable means that
    /// [`next_event_within`](Client::next_event_within) may have something.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.transport.as_fd()
    }
}
