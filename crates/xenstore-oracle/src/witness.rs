//! A well-behaved client that notices if anything of its was disturbed.

use xenstore_wire::MessageType as T;

use crate::client::Client;
use crate::daemon::Daemon;

/// A client with a node, a watch and an open transaction, from before somebody else
/// misbehaves until after.
pub struct Witness {
    client: Client,
    transaction: u32,
    files: usize,
}

impl Witness {
    /// Connects and sets all that up.
    pub fn new(daemon: &Daemon) -> Self {
        let mut client = Client::of(daemon);
        assert_eq!(client.error_of(T::Write, b"/kept\0value"), "");
        assert_eq!(client.error_of(T::SetPerms, b"/kept\0n0\0r5\0"), "");
        assert_eq!(client.error_of(T::Watch, b"/kept\0witness\0"), "");
        assert_eq!(client.receive().payload, b"/kept\0witness\0");
        let started = client.ask(T::TransactionStart, b"\0").payload;
        let id = started.strip_suffix(b"\0").expect("an id and a NUL");
        let transaction = std::str::from_utf8(id).expect("digits").parse().expect("a number");
        // The daemon answered: it has accepted this connection.
        let files = daemon.open_files();
        let mut witness = Self { client, transaction, files };
        assert_eq!(witness.inside(T::Write, b"/kept/inside\x001").payload, b"OK\0");
        witness
    }

    /// Still served, with a reply to each request and nothing else in between.
    pub fn is_served(&mut self) {
        assert_eq!(self.client.ask(T::Read, b"/kept\0").payload, b"value");
    }

    /// Everything is as it was: store, watch, transaction, accounts; and no connection
    /// of anybody else is left open.
    pub fn finds_all_as_left(mut self, daemon: &mut Daemon) {
        self.is_served();
        assert_eq!(self.client.ask(T::GetPerms, b"/kept\0").payload, b"n0\0r5\0");
        assert_eq!(self.inside(T::Read, b"/kept/inside\0").payload, b"1");
        // The watch fires for the commit, and had not fired for anything before.
        let end = self.send_inside(T::TransactionEnd, b"T\0");
        let event = self.client.receive();
        assert!(event.is_event() && event.payload == b"/kept/inside\0witness\0", "{event:?}");
        let reply = self.client.receive();
        assert_eq!((reply.header.request_id, &reply.payload[..]), (end, &b"OK\0"[..]));
        assert_eq!(self.client.ask(T::Control, b"check\0").payload, b"OK\0");
        assert_eq!(self.client.error_of(T::Unwatch, b"/kept\0witness\0"), "");
        assert_eq!(self.client.error_of(T::Rm, b"/kept\0"), "");
        // A connection that was closed goes when the daemon comes to it: each answer
        // here is a turn of its loop.
        for _ in 0..10_000 {
            if daemon.open_files() <= self.files {
                break;
            }
            assert_eq!(self.client.ask(T::Directory, b"/tool\0").payload, b"xenstored\0");
        }
        assert!(daemon.open_files() <= self.files, "{} files", daemon.open_files());
        assert!(daemon.is_running());
    }

    fn send_inside(&mut self, kind: T, payload: &[u8]) -> u32 {
        let message =
            crate::message::Message::new(kind.number(), 0x1000, self.transaction, payload);
        self.client.send(&message.encode());
        0x1000
    }

    fn inside(&mut self, kind: T, payload: &[u8]) -> crate::message::Message {
        self.send_inside(kind, payload);
        self.client.receive()
    }
}
