//! A client that says exactly what a test wants said, and a shop of good requests.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use xenstore_wire::{Header, MessageType as T};

use crate::daemon::Daemon;
use crate::message::Message;
use crate::target::{Link, SocketLink};

/// A connection to a daemon for tests that go below well-formed requests.
pub struct Client {
    link: SocketLink,
    last: u32,
}

impl Client {
    /// Connects.
    pub fn of(daemon: &Daemon) -> Self {
        Self { link: daemon.link(), last: 0 }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.link.send(bytes);
    }

    /// Sends a request with an id of its own, without waiting.
    pub fn send_request(&mut self, kind: u32, payload: &[u8]) -> u32 {
        self.last += 1;
        self.link.send(&Message::new(kind, self.last, 0, payload).encode());
        self.last
    }

    /// The next message.
    pub fn receive(&mut self) -> Message {
        self.link.receive().expect("the connection is open")
    }

    /// The next message; `None` if the connection was closed.
    pub fn receive_if_open(&mut self) -> Option<Message> {
        self.link.receive()
    }

    /// Sends a request and takes its reply; events in between are dropped.
    pub fn ask(&mut self, kind: T, payload: &[u8]) -> Message {
        self.ask_raw(kind.number(), payload)
    }

    /// The same for any number as a type.
    pub fn ask_raw(&mut self, kind: u32, payload: &[u8]) -> Message {
        let id = self.send_request(kind, payload);
        loop {
            let message = self.receive();
            if !message.is_event() {
                assert_eq!(message.header.request_id, id, "replies come in order");
                return message;
            }
        }
    }

    /// The error name a request is refused with; empty if it is granted.
    pub fn error_of(&mut self, kind: T, payload: &[u8]) -> String {
        let reply = self.ask(kind, payload);
        if !reply.is_error() {
            return String::new();
        }
        let name = reply.payload.strip_suffix(b"\0").expect("an error's name ends in NUL");
        String::from_utf8(name.to_vec()).expect("an error has a name")
    }

    /// Whether the daemon ended the connection, nothing else having come.
    pub fn is_closed(&mut self) -> bool {
        self.link.receive().is_none()
    }

    /// Sends as much as the daemon takes without anybody reading what it answers.
    pub fn send_until_stuck(&mut self, bytes: &[u8]) -> usize {
        let mut stream = self.link.stream();
        stream.set_nonblocking(true).expect("a socket that need not block");
        let mut sent = 0;
        while let Some(rest @ [_, ..]) = bytes.get(sent..) {
            match stream.write(rest) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("cannot send: {error}"),
            }
        }
        stream.set_nonblocking(false).expect("a socket that may block");
        sent
    }

    /// Whatever has come and not been taken, without waiting.
    pub fn take_arrived(&mut self) -> Vec<u8> {
        let mut stream = self.link.stream();
        stream.set_nonblocking(true).expect("a socket that need not block");
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
            _ => {}
        }
        stream.set_nonblocking(false).expect("a socket that may block");
        bytes
    }

    /// A second handle of the connection, to send by while another thread receives.
    pub fn sender(&self) -> UnixStream {
        self.link.stream().try_clone().expect("a second handle of a socket")
    }

    /// Ends the sending half: what was asked can still be answered.
    pub fn finish_sending(&mut self) {
        self.link.stream().shutdown(Shutdown::Write).expect("an open socket");
    }
}

/// One good request of every type, with what makes it good and changes nothing that
/// matters.
pub const GOOD: &[(T, &[u8])] = &[
    (T::Control, b"check\0"),
    (T::Directory, b"/\0"),
    (T::Read, b"/kept\0"),
    (T::GetPerms, b"/kept\0"),
    (T::Watch, b"/scratch\0token\0"),
    (T::Unwatch, b"/scratch\0token\0"),
    (T::TransactionStart, b"\0"),
    (T::TransactionEnd, b"F\0"),
    (T::Introduce, b"7\x001\x001\0"),
    (T::Release, b"7\0"),
    (T::GetDomainPath, b"7\0"),
    (T::Write, b"/scratch\0value"),
    (T::Mkdir, b"/scratch/directory\0"),
    (T::Rm, b"/scratch\0"),
    (T::SetPerms, b"/scratch\0n0\0r7\0"),
    (T::IsDomainIntroduced, b"7\0"),
    (T::Resume, b"7\0"),
    (T::SetTarget, b"7\x008\0"),
    (T::ResetWatches, b"\0"),
    (T::DirectoryPart, b"/\x000\0"),
    (T::GetFeature, b"7\0"),
    (T::SetFeature, b"9\x0015\0"),
    (T::GetQuota, b"7\0nodes\0"),
    (T::SetQuota, b"7\0nodes\x001000\0"),
];

/// A header that announces a payload, and whatever bytes follow it.
pub fn header(kind: T, length: u32) -> [u8; Header::SIZE] {
    Header { kind: kind.number(), request_id: 1, transaction_id: 0, length }.encode()
}
