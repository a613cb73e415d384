//! A connection to the daemon's socket, seen from the client's end.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::net::{RecvFlags, recv};
use xenstore_wire::Decoder;

use crate::daemon_process::PATIENCE;
use crate::message::Message;
use crate::target::Heard;

/// A connection.
#[derive(Debug)]
pub struct Line {
    stream: UnixStream,
    received: Decoder,
}

impl Line {
    /// Connects.
    pub fn to(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, received: Decoder::new() })
    }

    /// Sends bytes. That the daemon ended the connection is no error; what is heard next
    /// says so.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.stream.write_all(bytes) {
            Err(error) if ended(&error) => Ok(()),
            result => result,
        }
    }

    /// Waits for the next message.
    pub fn hear(&mut self) -> io::Result<Heard> {
        loop {
            if let Some(message) = self.next_message()? {
                return Ok(Heard::Message(message));
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Heard::Closed),
                Ok(length) => self.received.push(buffer.get(..length).unwrap_or_default()),
                Err(error) if ended(&error) => return Ok(Heard::Closed),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What there is to hear without waiting.
    pub fn overhear(&mut self) -> io::Result<Option<Heard>> {
        if let Some(message) = self.next_message()? {
            return Ok(Some(Heard::Message(message)));
        }
        let mut buffer = [0; 4096];
        match recv(&self.stream, &mut buffer[..], RecvFlags::DONTWAIT).map_err(io::Error::from) {
            Ok((0, _)) => Ok(Some(Heard::Closed)),
            Ok((length, _)) => {
                self.received.push(buffer.get(..length).unwrap_or_default());
                Ok(self.next_message()?.map(Heard::Message))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if ended(&error) => Ok(Some(Heard::Closed)),
            Err(error) => Err(error),
        }
    }

    fn next_message(&mut self) -> io::Result<Option<Message>> {
        let message = self.received.next_message().map_err(io::Error::other)?;
        Ok(message
            .map(|message| Message { header: message.header, payload: message.payload.to_vec() }))
    }
}

/// Whether an error says that the other side is gone.
fn ended(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
