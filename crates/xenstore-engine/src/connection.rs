//! One client: who it is, what it has open, what waits for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use xenstore_wire::{Decoder, Name};

use crate::acl::Caller;
use crate::ids::WatchId;
use crate::outbox::Outbox;
use crate::transaction::Transaction;

/// What a connection arrives on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// A client on the Unix socket, the so-many-th.
    Socket(u32),
    /// A domain on its ring.
    Ring,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Connection {
    pub serial: u64,
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
    last_transaction: u32,
    /// Its watches by what it calls them.
    pub watches: HashMap<(Name, Arc<[u8]>), WatchId>,
}

impl Connection {
    pub fn new(serial: u64, transport: Transport, caller: Caller) -> Self {
        Self {
            serial,
            transport,
            caller,
            inbox: Decoder::new(),
            outbox: Outbox::default(),
            queued: false,
            broken: false,
            transactions: BTreeMap::new(),
            last_transaction: 0,
            watches: HashMap::new(),
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
