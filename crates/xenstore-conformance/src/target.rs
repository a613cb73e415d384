//! What is tested: anything that clients can connect to and speak with.

use std::io;

use crate::message::{Message, Request};

/// A client of a target, as the target numbers it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Client(pub usize);

/// What there is to hear from a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// A message.
    Message(Message),
    /// The target has ended the connection, and all it had to say was heard.
    Closed,
}

/// A store daemon, wherever it runs. Clients are privileged: sockets, or the like.
pub trait Target {
    /// A new connection.
    fn connect(&mut self) -> io::Result<Client>;

    /// The client hangs up.
    fn disconnect(&mut self, client: Client);

    /// Sends bytes. Sending to a connection that the target ended is no error; what
    /// is heard next says so.
    fn send(&mut self, client: Client, bytes: &[u8]) -> io::Result<()>;

    /// The next message for a client. An error if it stays silent although something
    /// was due.
    fn hear(&mut self, client: Client) -> io::Result<Heard>;

    /// Tells the hypervisor under the target to do something to a domain. `false` if
    /// there is none that a test could command.
    fn domain(&mut self, change: DomainChange) -> bool {
        let _ = change;
        false
    }
}

/// Something a scripted hypervisor does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DomainChange {
    /// A domain is created; nothing tells the daemon.
    Create(u16),
    /// A domain stops, and the daemon is told that some domain changed.
    ShutDown(u16),
    /// A domain is being torn down, so it stopped too; the daemon is told.
    Dying(u16),
    /// A domain is gone; the daemon is told.
    Destroy(u16),
    /// A domain that stopped runs again, as after a soft reset; nothing tells the daemon.
    Run(u16),
    /// Nothing changed, but the daemon is told that something did.
    Nothing,
}

/// The request id of fences: no test uses it otherwise.
const FENCE: u32 = 0xfe0c_e5e5;

/// All that was on its way to a client when this was called.
///
/// A daemon answers the requests of a connection in order, and an event is on its way
/// once the request that caused it was answered. So the answer to a harmless request
/// comes after everything else, and no test has to sleep.
pub fn flush(target: &mut dyn Target, client: Client) -> io::Result<(Vec<Message>, bool)> {
    let fence = Request {
        kind: xenstore_wire::MessageType::GetDomainPath.number(),
        request_id: FENCE,
        transaction_id: 0,
        length: None,
        payload: b"0\0",
    };
    target.send(client, &fence.encode())?;
    let mut messages = Vec::new();
    loop {
        match target.hear(client)? {
            Heard::Closed => return Ok((messages, false)),
            Heard::Message(message) if message.header.request_id == FENCE => {
                return Ok((messages, true));
            }
            Heard::Message(message) => messages.push(message),
        }
    }
}
