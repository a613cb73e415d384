//! A domain's end of its ring.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use thiserror::Error;
use xenstore_client::Event;
use xenstore_host::ring::{BadIndices, LANE_SIZE, Lane, RingPage};
use xenstore_host::sim::Board;
use xenstore_wire::message::{self, Message};
use xenstore_wire::{Decoder, Domid, MessageType, Oversized};

/// A domain that talks to the store.
///
/// Bytes wait in it until there is room for them, and until they are a whole message. What
/// it does by its methods is what a guest's driver does: it fires its event channel after
/// each move. A guest that misbehaves works on its [page](Self::page), which nothing guards,
/// or leaves out what a good one would do.
#[derive(Debug)]
pub struct Guest {
    domid: Domid,
    board: Arc<Board>,
    page: RingPage,
    /// What is to be sent, from [`Self::sent`] on.
    outbox: Vec<u8>,
    /// Bytes at the front of the outbox that found room already.
    sent: usize,
    inbox: Decoder,
    pub(crate) last_request: u32,
    pub(crate) events: VecDeque<Event>,
}

/// Why bytes could not be moved.
#[derive(Debug, Error)]
pub enum MoveError {
    /// Somebody left senseless indices in the ring.
    #[error("the ring's indices make no sense")]
    Indices(#[from] BadIndices),
    /// The daemon could not be told.
    #[error("the event channel does not fire")]
    EventChannel(#[from] io::Error),
}

impl Guest {
    pub(crate) fn new(domid: Domid, board: Arc<Board>) -> io::Result<Self> {
        let page = board.ring(domid)?;
        Ok(Self {
            domid,
            board,
            page,
            outbox: Vec::new(),
            sent: 0,
            inbox: Decoder::new(),
            last_request: 0,
            events: VecDeque::new(),
        })
    }

    /// Whose ring it is.
    pub fn domid(&self) -> Domid {
        self.domid
    }

    /// The page itself: indices, fields and bytes, to be read and written at will. Nobody is
    /// told of what is done to it: see [`fire`](Self::fire).
    pub fn page(&self) -> &RingPage {
        &self.page
    }

    /// Has bytes wait to be sent, be they a message or not.
    pub fn queue(&mut self, bytes: &[u8]) {
        self.outbox.drain(..self.sent);
        self.sent = 0;
        self.outbox.extend_from_slice(bytes);
    }

    /// Has a request wait to be sent; `false` if its payload is longer than any may be.
    #[must_use]
    pub fn queue_request(
        &mut self,
        kind: MessageType,
        request_id: u32,
        transaction_id: u32,
        payload: &[&[u8]],
    ) -> bool {
        self.queue(&[]);
        message::encode(&mut self.outbox, kind, request_id, transaction_id, payload)
    }

    /// Bytes that wait to be sent.
    pub fn unsent(&self) -> usize {
        self.outbox.len() - self.sent
    }

    /// Sends what finds room, and fires if there was any; how many bytes.
    pub fn push(&mut self) -> Result<usize, MoveError> {
        let count = self.page.put(Lane::Requests, self.outbox.get(self.sent..).unwrap_or(&[]))?;
        self.sent += count;
        if count > 0 {
            self.fire()?;
        }
        Ok(count)
    }

    /// Takes all that has arrived, and fires if there was anything; how many bytes.
    pub fn pull(&mut self) -> Result<usize, MoveError> {
        self.pull_at_most(LANE_SIZE)
    }

    /// Takes at most so many bytes of what has arrived, and fires if there were any.
    pub fn pull_at_most(&mut self, limit: usize) -> Result<usize, MoveError> {
        let mut buffer = [0; LANE_SIZE];
        let (buffer, _) = buffer.split_at_mut(limit.min(LANE_SIZE));
        let count = self.page.take(Lane::Responses, buffer)?;
        self.inbox.push(buffer.get(..count).unwrap_or_default());
        if count > 0 {
            self.fire()?;
        }
        Ok(count)
    }

    /// The next whole message among what was taken.
    ///
    /// # Errors
    ///
    /// What was taken is no message, and what follows cannot be told to be any.
    pub fn next_message(&mut self) -> Result<Option<Message<'_>>, Oversized> {
        self.inbox.next_message()
    }

    /// Bytes that were taken and are not a whole message yet, once there is no
    /// [next message](Self::next_message).
    pub fn partial(&self) -> usize {
        self.inbox.buffered()
    }

    /// The oldest event that came while something else was waited for.
    pub fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Forgets all that waits to be sent, was taken, or was asked, as a guest does that
    /// crashed or hands its ring over.
    pub fn forget(&mut self) {
        self.outbox.clear();
        self.sent = 0;
        self.inbox = Decoder::new();
        self.events.clear();
    }

    /// Tells the daemon to look at the ring. One system call, or none if the daemon is to
    /// look anyway.
    pub fn fire(&self) -> io::Result<()> {
        self.board.fire_from(self.domid)
    }
}

#[cfg(test)]
mod tests {
    use xenstore_host::Machine;
    use xenstore_host::machine::Port;
    use xenstore_host::sim::{FIRST_PORT, Simulated};

    use super::*;
    use crate::Host;

    const DOMID: Domid = Domid::new(3);

    /// A daemon's machine, a host and a guest whose event channel is bound.
    fn world(directory: &tempfile::TempDir) -> (Simulated, Host, Guest) {
        let mut machine = Simulated::open(directory.path()).unwrap();
        let mut host = Host::open(directory.path()).unwrap();
        let guest = host.create(DOMID).unwrap();
        machine.bind(DOMID, 5).unwrap();
        (machine, host, guest)
    }

    fn fired(machine: &mut Simulated) -> Vec<Port> {
        let mut ports = Vec::new();
        machine.fired(&mut ports).unwrap();
        ports
    }

    #[test]
    fn what_finds_no_room_is_sent_later() {
        let directory = tempfile::tempdir().unwrap();
        let (mut machine, _host, mut guest) = world(&directory);
        guest.queue(&[1; LANE_SIZE]);
        guest.queue(&[2; 10]);
        assert_eq!(guest.push().unwrap(), LANE_SIZE);
        assert_eq!(fired(&mut machine), [Port(FIRST_PORT + 3)]);
        assert_eq!((guest.unsent(), guest.push().unwrap()), (10, 0));
        assert_eq!(fired(&mut machine), [], "nothing was moved");

        let page = machine.map(DOMID).unwrap();
        let mut out = [0; LANE_SIZE];
        assert_eq!(page.take(Lane::Requests, &mut out), Ok(LANE_SIZE));
        guest.queue(&[3; 10]);
        assert_eq!((guest.push().unwrap(), guest.unsent()), (20, 0));
        assert_eq!(page.take(Lane::Requests, &mut out), Ok(20));
        assert_eq!(out[..20], [[2; 10], [3; 10]].concat());
    }

    #[test]
    fn each_notification_is_told_once_and_then_again() {
        let directory = tempfile::tempdir().unwrap();
        let (mut machine, mut host, guest) = world(&directory);
        let port = Port(FIRST_PORT + 3);
        for _ in 0..2 {
            machine.notify(port).unwrap();
            machine.notify(port).unwrap();
            assert!(host.is_notified(guest.domid()).unwrap());
            assert_eq!(host.wait(None).unwrap(), [guest.domid()]);
            assert_eq!(host.wait(Some(std::time::Duration::ZERO)).unwrap(), []);
        }
    }

    #[test]
    fn many_fire_at_once_and_each_is_delivered_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut machine = Simulated::open(directory.path()).unwrap();
        let mut host = Host::open(directory.path()).unwrap();
        let domids: Vec<_> = (1..=1500).map(Domid::new).collect();
        for &domid in &domids {
            host.create(domid).unwrap();
            machine.bind(domid, 5).unwrap();
        }
        let all_fired = |machine: &mut Simulated| {
            let mut ports = Vec::new();
            loop {
                let before = ports.len();
                machine.fired(&mut ports).unwrap();
                if ports.len() == before {
                    return ports;
                }
            }
        };
        let expected: Vec<_> = (1..=1500).map(|number| Port(FIRST_PORT + number)).collect();
        host.fire(&domids).unwrap();
        host.fire(&domids).unwrap();
        assert_eq!(all_fired(&mut machine), expected);
        assert_eq!(all_fired(&mut machine), []);
        machine.unmask(&expected).unwrap();
        assert_eq!(all_fired(&mut machine), expected, "they fired again when they were masked");

        machine.notify(Port(FIRST_PORT + 7)).unwrap();
        assert_eq!(host.notified().unwrap(), [Domid::new(7)]);
        assert_eq!(host.notified().unwrap(), []);
    }

    #[test]
    fn a_domid_used_again_is_another_domain() {
        let directory = tempfile::tempdir().unwrap();
        let (mut machine, host, guest) = world(&directory);
        let first = machine.domain(DOMID).unwrap().unique_id;
        guest.page().put(Lane::Requests, b"left over").unwrap();
        guest.fire().unwrap();
        host.remove(DOMID).unwrap();
        assert_eq!(machine.domain(DOMID), None);

        let mut host = Host::open(directory.path()).unwrap();
        let second = host.create(DOMID).unwrap();
        assert_ne!(machine.domain(DOMID).unwrap().unique_id, first);
        assert_eq!(second.page().waiting(Lane::Requests), Ok(0));
        assert_eq!(second.page().copy_of(Lane::Requests), [0; LANE_SIZE]);
        assert_eq!(machine.changed(), Some(vec![Domid::DOM0, DOMID]));
    }

    #[test]
    fn numbers_no_domain_can_have_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (_machine, mut host, _guest) = world(&directory);
        assert!(host.create(Domid::SELF).is_err());
        assert!(host.set_state(Domid::ANY, 1).is_err());
        assert!(host.guest(Domid::INVALID).is_err());
    }
}
