//! One client: who it is, what it has open, what waits for it.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use xenstore_wire::{Decoder, Domid};

use crate::acl::Caller;
use crate::hold::Held;
use crate::ids::WatchId;
use crate::outbox::Outbox;
use crate::places::PlaceId;
use crate::protection::Claim;
use crate::spares::weight;
use crate::transaction::Transaction;

/// What a connection arrives on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// A client on the Unix socket, the so-many-th.
    Socket(u32),
    /// A domain on its ring.
    Ring,
}

/// What waits for a client or was sent by it, and what is kept of transactions it lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Buffers {
    /// Bytes of memory it takes.
    pub bytes: usize,
    /// Replies not sent whole.
    pub replies: usize,
}

/// What a connection can do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each answers a question of its own")]
pub struct Standing {
    /// The domain whose ring it is; `None` for a socket.
    pub ring: Option<Domid>,
    /// It has requests that could be answered in a turn.
    pub is_ready: bool,
    /// More bytes of it should be read: it takes its replies, and no complete request waits.
    pub wants_input: bool,
    /// A request of it waits for the end of another's transaction: for one at a time, and each
    /// for no longer than [`Settings::protection_time`](crate::Settings::protection_time).
    pub is_held: bool,
    /// It lags far behind in taking its output: it is not to be listened to.
    pub lags: bool,
    /// Something waits to be sent.
    pub has_output: bool,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Connection {
    pub serial: NonZeroU64,
    pub transport: Transport,
    pub caller: Caller,
    /// Bytes received and not yet understood.
    pub inbox: Decoder,
    pub outbox: Outbox,
    /// Whether it is on the engine's list of connections with something to send.
    pub queued: bool,
    /// It broke the protocol: nothing it sends is read any more.
    pub broken: bool,
    pub transactions: BTreeMap<u32, Transaction>,
    /// What it is owed for transactions it lost.
    pub claim: Claim,
    /// A request that had to wait.
    pub held: Option<Box<Held>>,
    last_transaction: u32,
    /// How often it began anew.
    pub renewals: u64,
    /// What its domain is charged for what waits in its inbox and outbox.
    pub charged: Buffers,
    /// Its watches by what tells them apart: where they are, and its marks. In this order, which
    /// is nearly that in memory, they go twice as fast as from a table of hashes.
    pub watches: BTreeMap<(PlaceId, Arc<[u8]>), WatchId>,
}

impl Connection {
    pub fn new(serial: NonZeroU64, transport: Transport, caller: Caller) -> Self {
        Self {
            serial,
            transport,
            caller,
            inbox: Decoder::new(),
            outbox: Outbox::default(),
            queued: false,
            broken: false,
            transactions: BTreeMap::new(),
            claim: Claim::default(),
            held: None,
            last_transaction: 0,
            renewals: 0,
            charged: Buffers::default(),
            watches: BTreeMap::new(),
        }
    }

    /// Forgets what it sent and what waits for it; watches and transactions are gone
    /// already.
    pub fn renew(&mut self) {
        self.inbox = Decoder::new();
        self.outbox = Outbox::default();
        self.broken = false;
        self.claim.forget();
        self.held = None;
        self.last_transaction = 0;
        self.renewals += 1;
    }

    /// Whether a request of it waits and must not be looked at yet.
    pub fn is_asleep(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.asleep)
    }

    /// What waits.
    pub fn buffers(&self) -> Buffers {
        let held = self.held.as_ref().map_or(0, |held| held.payload.len());
        let inbox = weight(self.inbox.memory(), self.inbox.buffered());
        let bytes = inbox + self.outbox.weight() + held + self.claim.bytes();
        Buffers { bytes, replies: self.outbox.unsent_replies() }
    }

    /// What it can do next.
    #[inline]
    pub fn standing(&self) -> Standing {
        let ring = (self.transport == Transport::Ring).then_some(self.caller.domid);
        // Mostly nothing waits: asked twice a turn, and 50 instructions less of a READ's.
        if self.held.is_none() && self.inbox.buffered() == 0 && self.outbox.is_empty() {
            return Standing { ring, wants_input: !self.broken, ..Standing::default() };
        }
        self.standing_of_busy(ring)
    }

    #[inline(never)]
    fn standing_of_busy(&self, ring: Option<Domid>) -> Standing {
        let (lags, has_request) = (self.outbox.is_congested(), self.inbox.is_ready());
        let held = self.held.as_ref().map(|held| held.asleep);
        Standing {
            ring,
            is_ready: !lags && held.map_or(has_request, |asleep| !asleep),
            wants_input: !lags && !has_request && held.is_none() && !self.broken,
            is_held: held == Some(true),
            lags,
            has_output: !self.outbox.bytes().is_empty(),
        }
    }

    /// An id for a new transaction: the next number that is neither 0 nor in use.
    pub fn next_transaction(&mut self) -> u32 {
        loop {
            self.last_transaction = self.last_transaction.wrapping_add(1);
            let id = self.last_transaction;
            if id != 0 && !self.transactions.contains_key(&id) {
                return id;
            }
        }
    }
}
