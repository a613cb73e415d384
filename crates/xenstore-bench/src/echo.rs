//! The echo server: what sockets and system calls cost, and nothing else.
//!
//! It answers every request with as many bytes as a store daemon would, without knowing what
//! was asked. How many that are the request says itself: its id, which every daemon returns
//! as it is, is the length of the reply's payload. The load checks that of every reply (see
//! [`asker`](crate::asker)), so what the echo server sends is as long as what the daemons do.
//!
//! It does what a daemon cannot do without: one wait for all connections, and one read and one
//! write for each that has something to say, however many requests that is. It has one thread,
//! as the daemons have. So what it reaches is the most that any of them can.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use xenstore_wire::{Decoder, Header, PAYLOAD_MAX};

/// Events taken from the kernel at a time.
const EVENTS: usize = 256;

/// Bytes read at a time.
const CHUNK: usize = 16384;

/// By what the kernel names the listening socket. Clients have their places in a list.
const DOOR: u64 = u64::MAX;

/// Answers whoever connects to the socket it makes at this path, for ever.
///
/// # Errors
///
/// The socket cannot be made, or the system is short of something.
pub fn serve(socket: &Path) -> io::Result<Infallible> {
    let listener = UnixListener::bind(socket)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(DOOR), EventFlags::IN)?;
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut events = Vec::with_capacity(EVENTS);
    let mut buffers = Buffers { chunk: vec![0; CHUNK], out: Vec::new() };
    loop {
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            let data = event.data.u64();
            if data == DOOR {
                let_in(&listener, &epoll, &mut clients)?;
                continue;
            }
            let place = usize::try_from(data).ok().and_then(|place| clients.get_mut(place));
            let Some(place) = place else { continue };
            if let Some(client) = place
                && !client.answer(&mut buffers)?
            {
                *place = None;
            }
        }
    }
}

/// Gives everybody who waits a place.
fn let_in(
    listener: &UnixListener,
    epoll: &OwnedFd,
    clients: &mut Vec<Option<Client>>,
) -> io::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if is_for_later(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        let free = clients.iter().position(Option::is_none).unwrap_or(clients.len());
        epoll::add(epoll, &stream, EventData::new_u64(free as u64), EventFlags::IN)?;
        let client = Some(Client { stream, inbox: Decoder::new() });
        match clients.get_mut(free) {
            Some(place) => *place = client,
            None => clients.push(client),
        }
    }
}

/// What is used for one client after the other.
struct Buffers {
    chunk: Vec<u8>,
    out: Vec<u8>,
}

/// A client on its connection.
struct Client {
    stream: UnixStream,
    inbox: Decoder,
}

impl Client {
    /// Answers what has come. `false`: there will be no more.
    fn answer(&mut self, buffers: &mut Buffers) -> io::Result<bool> {
        let count = match self.stream.read(&mut buffers.chunk) {
            Ok(0) => return Ok(false),
            Ok(count) => count,
            Err(error) if is_for_later(&error) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(error),
        };
        self.inbox.push(buffers.chunk.get(..count).unwrap_or_default());
        buffers.out.clear();
        while let Some(request) = self.inbox.next_message().map_err(io::Error::other)? {
            reply(request.header, &mut buffers.out);
        }
        // The load takes its replies before it asks for more. Whoever does not is no part of
        // it, and is let go.
        Ok(self.stream.write(&buffers.out).is_ok_and(|sent| sent == buffers.out.len()))
    }
}

/// Appends the reply to a request: as many bytes as its id says, or as fit into a message.
fn reply(request: Header, out: &mut Vec<u8>) {
    let length = (request.request_id as usize).min(PAYLOAD_MAX);
    #[expect(clippy::cast_possible_truncation, reason = "at most PAYLOAD_MAX")]
    let header = Header { length: length as u32, ..request };
    out.extend_from_slice(&header.encode());
    out.resize(out.len() + length, 0);
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use xenstore_wire::{MessageType, message};

    use super::*;

    fn client() -> (Client, UnixStream, Buffers) {
        let (stream, other) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        other.set_nonblocking(true).unwrap();
        let buffers = Buffers { chunk: vec![0; CHUNK], out: Vec::new() };
        (Client { stream, inbox: Decoder::new() }, other, buffers)
    }

    /// Headers of the replies there are.
    fn headers(stream: &mut UnixStream) -> Vec<(u32, u32, u32, u32)> {
        let mut decoder = Decoder::new();
        let mut chunk = [0; CHUNK];
        let count = stream.read(&mut chunk).unwrap_or(0);
        decoder.push(&chunk[..count]);
        let mut headers = Vec::new();
        while let Some(message) = decoder.next_message().unwrap() {
            let Header { kind, request_id, transaction_id, length } = message.header;
            headers.push((kind, request_id, transaction_id, length));
        }
        assert_eq!(decoder.buffered(), 0, "whole replies");
        headers
    }

    #[test]
    fn a_reply_is_as_long_as_its_request_says_and_each_has_one_however_they_come() {
        let (mut client, mut other, mut buffers) = client();
        let mut asked = Vec::new();
        for (kind, length) in [(MessageType::Read, 16), (MessageType::Write, 3)] {
            assert!(message::encode(&mut asked, kind, length, 7, &[b"/a\0"]));
        }
        assert!(message::encode(&mut asked, MessageType::Directory, 0, 0, &[b"/\0"]));
        let (first, rest) = asked.split_at(30);
        other.write_all(first).unwrap();
        assert!(client.answer(&mut buffers).unwrap());
        assert_eq!(headers(&mut other), [(2, 16, 7, 16)]);
        other.write_all(rest).unwrap();
        assert!(client.answer(&mut buffers).unwrap());
        assert_eq!(headers(&mut other), [(11, 3, 7, 3), (1, 0, 0, 0)]);
        // Nothing more has come.
        assert!(client.answer(&mut buffers).unwrap());
        drop(other);
        assert!(!client.answer(&mut buffers).unwrap());
    }

    #[test]
    fn no_reply_is_longer_than_a_message_may_be() {
        let mut out = Vec::new();
        reply(Header { kind: 2, request_id: u32::MAX, transaction_id: 0, length: 3 }, &mut out);
        assert_eq!(out.len(), Header::SIZE + PAYLOAD_MAX);
    }
}
