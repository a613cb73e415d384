//! Guests that ask for more before they were answered.

use std::collections::VecDeque;

use xenstore_guests::{Guest, PATIENCE};
use xenstore_host::ring::Field;
use xenstore_wire::MessageType as T;

use crate::world::World;

/// A guest that sends as much as its ring takes, without waiting for what it is answered.
#[derive(Debug)]
pub struct Flood {
    /// Whose ring it is.
    pub guest: Guest,
    /// Replies it has taken.
    pub replies: u64,
    /// Of these, errors, by name.
    pub refusals: Vec<String>,
    /// Events it has taken and nobody looked at yet: path and token.
    pub events: VecDeque<(String, Vec<u8>)>,
    /// Requests that were queued.
    pub requests: u32,
}

impl Flood {
    /// A guest that has asked for nothing yet.
    pub fn new(guest: Guest) -> Self {
        let (refusals, events) = (Vec::new(), VecDeque::new());
        Self { guest, replies: 0, refusals, events, requests: 0 }
    }

    /// Has a request wait for room in the ring.
    pub fn queue(&mut self, kind: T, transaction: u32, payload: impl AsRef<[u8]>) {
        let id = self.requests;
        self.requests += 1;
        assert!(self.guest.queue_request(kind, id, transaction, &[payload.as_ref()]));
    }

    /// Takes what has arrived; how many bytes.
    pub fn take(&mut self) -> usize {
        let count = self.guest.pull().unwrap();
        while let Some(message) = self.guest.next_message().unwrap() {
            if message.header.kind == T::WatchEvent.number() {
                let strings: Vec<_> = message.payload.split(|&byte| byte == 0).collect();
                let [path, token, []] = strings[..] else { panic!("{strings:?} is no event") };
                let path = String::from_utf8(path.to_vec()).unwrap();
                self.events.push_back((path, token.to_vec()));
                continue;
            }
            let expected = u32::try_from(self.replies).unwrap();
            assert_eq!(message.header.request_id, expected, "in order");
            if message.header.kind == T::Error.number() {
                self.refusals.push(String::from_utf8(message.payload.to_vec()).unwrap());
            }
            self.replies += 1;
        }
        count
    }

    /// Sends what finds room and takes what has arrived; how many bytes were moved.
    pub fn step(&mut self) -> usize {
        self.guest.push().unwrap() + self.take()
    }

    /// Bytes of its requests that the daemon has taken since the ring was made.
    pub fn consumed(&self) -> u32 {
        self.guest.page().field(Field::RequestConsumer)
    }
}

impl World {
    /// Lets a guest go on until all it asked for is answered.
    pub fn finish(&mut self, flood: &mut Flood) {
        while flood.replies < u64::from(flood.requests) {
            if flood.step() == 0 {
                let told = self.host.wait(Some(PATIENCE)).unwrap();
                assert!(!told.is_empty(), "domain {} waits in vain", flood.guest.domid());
            }
        }
    }

    /// Has guests send all they can while they take nothing, until the daemon takes no more.
    pub fn fill(&mut self, floods: &mut [Flood]) {
        let mut calm = 0;
        while calm < 3 {
            let before: Vec<_> = floods.iter().map(Flood::consumed).collect();
            for flood in &mut *floods {
                flood.guest.push().unwrap();
            }
            // Nobody has two turns before all others had one.
            self.toolstack.domain_path(xenstore_wire::Domid::DOM0).unwrap();
            let same = before.iter().copied().eq(floods.iter().map(Flood::consumed));
            calm = if same { calm + 1 } else { 0 };
        }
    }
}
