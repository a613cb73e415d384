//! A request and its reply, for who has nothing else to do meanwhile.

use std::io;
use std::time::{Duration, Instant};

use thiserror::Error;
use xenstore_client::Event;
use xenstore_wire::{Domid, Header, MessageType, Oversized, text};

use crate::guest::{Guest, MoveError};
use crate::host::Host;

/// How long the daemon may leave a guest without an answer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no reply to hand out.
#[derive(Debug, Error)]
pub enum AskError {
    /// The daemon refused the request.
    #[error("{kind} was refused: {error}")]
    Refused {
        /// What was asked.
        kind: MessageType,
        /// The error's name.
        error: String,
    },
    /// The daemon did not answer, or did not say that it did.
    #[error("expected a message for domain {domid} within {PATIENCE:?}, and heard nothing")]
    Silence {
        /// Who waited for it.
        domid: Domid,
    },
    /// The daemon answered something else.
    #[error("expected a reply to {kind}, request {request_id}, found {found:?}")]
    Other {
        /// What was asked.
        kind: MessageType,
        /// By what number.
        request_id: u32,
        /// What came.
        found: Header,
    },
    /// An event without a path and a token.
    #[error("expected an event of two strings, found {0}")]
    Event(usize),
    /// The payload is longer than any may be; nothing was sent.
    #[error("the payload of {0} does not fit into a message")]
    TooLong(MessageType),
    /// What came is no message.
    #[error("expected a message")]
    Oversized(#[from] Oversized),
    /// Bytes could not be moved.
    #[error("the ring failed")]
    Move(#[from] MoveError),
    /// The simulated host failed.
    #[error("the simulated host failed")]
    Host(#[from] io::Error),
}

impl AskError {
    /// The name of the error the daemon refused with, if it did.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl Host {
    /// Sends a guest's request and waits for its reply: the payload, if it was granted.
    /// Events that come first are kept for [`Guest::take_event`].
    pub fn ask(
        &mut self,
        guest: &mut Guest,
        kind: MessageType,
        transaction_id: u32,
        payload: &[u8],
    ) -> Result<Vec<u8>, AskError> {
        guest.last_request = guest.last_request.wrapping_add(1);
        let request_id = guest.last_request;
        if !guest.queue_request(kind, request_id, transaction_id, &[payload]) {
            return Err(AskError::TooLong(kind));
        }
        let Some((header, reply)) = self.next_reply(guest)? else {
            return Err(AskError::Silence { domid: guest.domid() });
        };
        if header.request_id != request_id {
            return Err(AskError::Other { kind, request_id, found: header });
        }
        if header.kind == MessageType::Error.number() {
            let error = String::from_utf8_lossy(reply.strip_suffix(b"\0").unwrap_or(&reply));
            return Err(AskError::Refused { kind, error: error.into_owned() });
        }
        if header.kind != kind.number() {
            return Err(AskError::Other { kind, request_id, found: header });
        }
        Ok(reply)
    }

    /// Waits for a guest's next event.
    pub fn next_event(&mut self, guest: &mut Guest) -> Result<Event, AskError> {
        let kind = MessageType::WatchEvent;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = guest.take_event() {
                return Ok(event);
            }
            if let Some((found, _)) = sort(guest)? {
                return Err(AskError::Other { kind, request_id: 0, found });
            }
            if guest.events.is_empty() && !self.moved(guest, deadline)? {
                return Err(AskError::Silence { domid: guest.domid() });
            }
        }
    }

    /// Waits for a guest's next message, be it a reply or an event.
    pub fn next_message(&mut self, guest: &mut Guest) -> Result<(Header, Vec<u8>), AskError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(message) = guest.next_message()? {
                return Ok((message.header, message.payload.to_vec()));
            }
            if !self.moved(guest, deadline)? {
                return Err(AskError::Silence { domid: guest.domid() });
            }
        }
    }

    /// The next message that is no event.
    fn next_reply(&mut self, guest: &mut Guest) -> Result<Option<(Header, Vec<u8>)>, AskError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(reply) = sort(guest)? {
                return Ok(Some(reply));
            }
            if !self.moved(guest, deadline)? {
                return Ok(None);
            }
        }
    }

    /// Moves a guest's bytes, waiting if there is nothing to move; `false` if time ran out.
    fn moved(&mut self, guest: &mut Guest, deadline: Instant) -> Result<bool, AskError> {
        loop {
            if guest.push()? + guest.pull()? > 0 {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            self.wait_for(guest.domid(), left)?;
        }
    }
}

/// Puts aside the events up to the next message that is none.
fn sort(guest: &mut Guest) -> Result<Option<(Header, Vec<u8>)>, AskError> {
    while let Some(message) = guest.next_message()? {
        if message.header.kind != MessageType::WatchEvent.number() {
            return Ok(Some((message.header, message.payload.to_vec())));
        }
        let strings: Vec<_> = text::strings(message.payload).collect();
        let [path, token] = strings[..] else { return Err(AskError::Event(strings.len())) };
        let event = Event {
            path: String::from_utf8_lossy(path).into_owned(),
            token: token.to_vec(),
            more: Vec::new(),
        };
        guest.events.push_back(event);
    }
    Ok(None)
}
