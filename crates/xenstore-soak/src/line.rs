//! A client's end of its connection: a ring, or a socket that never blocks.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use xenstore_guests::Guest;
use xenstore_host::ring::Field;
use xenstore_model::model::Message;
use xenstore_model::request::Request;
use xenstore_wire::{Decoder, MessageType, message, text};

use crate::failure::Failure;

/// A connection of one client.
#[derive(Debug)]
pub enum Line {
    /// A guest's.
    Ring(Box<Guest>),
    /// A toolstack's.
    Socket(Box<Socket>),
}

/// A connection over the socket.
#[derive(Debug)]
pub struct Socket {
    stream: UnixStream,
    unsent: Vec<u8>,
    inbox: Decoder,
}

impl Line {
    /// Connects to a daemon's socket.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_nonblocking(true)?;
        Ok(Self::Socket(Box::new(Socket { stream, unsent: Vec::new(), inbox: Decoder::new() })))
    }

    /// What to wait on, if it is a socket.
    pub fn file(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Ring(_) => None,
            Self::Socket(socket) => Some(socket.stream.as_fd()),
        }
    }

    /// Has a request wait to be sent.
    pub fn queue(&mut self, transaction: u32, request: &Request) -> Result<(), Failure> {
        let (kind, payload) = (request.kind(), request.payload());
        let payload = [payload.as_bytes()];
        let fits = match self {
            Self::Ring(guest) => guest.queue_request(kind, REQUEST_ID, transaction, &payload),
            Self::Socket(socket) => {
                message::encode(&mut socket.unsent, kind, REQUEST_ID, transaction, &payload)
            }
        };
        let too_long = || Failure::Broken(format!("expected a request that fits: {request:?}"));
        fits.then_some(()).ok_or_else(too_long)
    }

    /// Sends what finds room.
    pub fn flush(&mut self) -> Result<(), Failure> {
        match self {
            Self::Ring(guest) => drop(guest.push()?),
            Self::Socket(socket) => {
                while !socket.unsent.is_empty() {
                    match socket.stream.write(&socket.unsent) {
                        Ok(count) => drop(socket.unsent.drain(..count)),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Ok(())
    }

    /// What came, in order.
    pub fn receive(&mut self) -> Result<Vec<Message>, Failure> {
        let mut messages = Vec::new();
        match self {
            Self::Ring(guest) => {
                guest.push()?;
                while guest.pull()? > 0 {
                    while let Some(message) = guest.next_message()? {
                        messages.push(parse(&message)?);
                    }
                }
                guest.push()?;
                check_ring(guest)?;
            }
            Self::Socket(socket) => {
                socket.fill()?;
                while let Some(message) = socket.inbox.next_message()? {
                    messages.push(parse(&message)?);
                }
            }
        }
        Ok(messages)
    }
}

/// Every request carries it, and every reply has to.
const REQUEST_ID: u32 = 7;

/// A good guest's ring is never given up.
fn check_ring(guest: &Guest) -> Result<(), Failure> {
    match guest.page().field(Field::Error) {
        0 => Ok(()),
        error => Err(Failure::Broken(format!(
            "the ring of domain {}, a good guest, was given up: {error}",
            guest.domid()
        ))),
    }
}

impl Socket {
    fn fill(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Failure::Broken("the daemon closed a socket".to_owned())),
                Ok(count) => self.inbox.push(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn parse(message: &xenstore_wire::Message<'_>) -> Result<Message, Failure> {
    let header = message.header;
    let wrong = || Failure::Disagreement(format!("a message nobody expects: {header:?}"));
    let kind = MessageType::from_number(header.kind).ok_or_else(wrong)?;
    if kind != MessageType::WatchEvent {
        let payload = String::from_utf8_lossy(message.payload).into_owned();
        let is_reply = header.request_id == REQUEST_ID;
        let reply = Message::Reply { kind, transaction: header.transaction_id, payload };
        return is_reply.then_some(reply).ok_or_else(wrong);
    }
    let strings: Vec<_> = text::strings(message.payload).map(String::from_utf8_lossy).collect();
    let [path, token] = &strings[..] else { return Err(wrong()) };
    Ok(Message::Event { path: path.clone().into_owned(), token: token.clone().into_owned() })
}
