//! The engine: connections, their turns, and the way of a request through it.

use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::num::NonZeroU64;
use std::time::Duration;

use xenstore_tree::{Remains, Subtree, names};
use xenstore_wire::{Domid, Features, decoder};

use crate::acl::Caller;
use crate::charges::signed;
use crate::connection::{Connection, Standing, Transport};
use crate::context::{Clock, Context};
use crate::domains::Domains;
use crate::ids::ConnectionId;
use crate::listing::Listing;
use crate::node::NodeData;
use crate::outbox::Outbox;
use crate::outside::{Daemon, Incident, Origin, Outside, TraceSwitch};
use crate::protection::{Protection, Rank};
use crate::quota::{Ledger, Limits, Quota};
use crate::spares::Spares;
use crate::store::Store;
use crate::transaction::Transaction;
use crate::versions::Versions;
use crate::watch::Watches;

/// Requests a connection may have answered in one turn, if they all lie there.
/// Enough that a pipelining client costs few system calls, few enough that the
/// others wait for microseconds.
const REQUESTS_PER_TURN: usize = 32;

/// Work after which a turn ends although requests are left: events told, nodes removed,
/// requests done again at a commit. One request can be that much by itself; what follows
/// it waits until the others had their turns.
pub(crate) const EFFORT_PER_TURN: usize = 256;

/// Nodes freed at a time: of 20,000 that were removed at once, so that others wait for the time
/// of a hundred requests at most, and of all that is left of a usual commit.
const NODES_PER_SWEEP: usize = 512;

/// Nodes looked at that are one unit of it.
pub(crate) const WORK_PER_EFFORT: usize = 8;

/// How an engine is to behave.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What domains may have unless told otherwise.
    pub limits: Limits,
    /// The control domain; sockets belong to it too.
    pub privileged: Domid,
    /// The value of `/tool/xenstored`, which tells toolstacks what serves them: the
    /// path of the program, by custom.
    pub served_by: String,
    /// Keep the nodes of a domain that dies; they fall to the control domain.
    pub keep_orphans: bool,
    /// Requests a domain may have in one transaction, 0 for no limit.
    pub transaction_requests: u32,
    /// How long a transaction may be open; zero for ever. After that it is gone.
    pub transaction_time: Duration,
    /// How long others may be held back at most for the sake of a transaction that failed
    /// before; zero for no protection at all.
    pub protection_time: Duration,
    /// Bytes of old versions of the store that may be kept for open transactions of guests,
    /// all together.
    pub old_versions: u64,
    /// Let every third commit fail, so that clients can be seen to try again.
    pub test_eagain: bool,
    /// Which parts of the trace are on, as `CONTROL log` shows.
    pub trace: BTreeSet<TraceSwitch>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            privileged: Domid::DOM0,
            served_by: String::new(),
            keep_orphans: false,
            transaction_requests: 4096,
            transaction_time: Duration::from_mins(10),
            protection_time: Duration::from_millis(500),
            old_versions: 64 << 20,
            test_eagain: false,
            trace: BTreeSet::from([TraceSwitch::Objects, TraceSwitch::Io]),
        }
    }
}

/// How a turn ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Nothing more to do before more bytes come or output is taken.
    Idle,
    /// More requests lie there: the connection wants another turn, after the others.
    More,
    /// The client broke the protocol, just now. What was answered before may still be sent;
    /// then the connection has to end.
    Broken,
}

/// The store and all its clients. See the crate's documentation.
#[derive(Debug)]
pub struct Engine {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) listing: Listing,
    pub(crate) ledger: Ledger,
    pub(crate) domains: Domains,
    pub(crate) privileged: Domid,
    pub(crate) keep_orphans: bool,
    /// Requests a domain may have in one transaction.
    pub(crate) most_requests: u32,
    /// How long a transaction may be open.
    pub(crate) transaction_time: Duration,
    /// When which transaction will have been open for too long.
    pub(crate) expiries: BTreeSet<(Duration, ConnectionId, u32)>,
    pub(crate) protection: Protection,
    pub(crate) versions: Versions,
    /// Connections that were woken and wait to be given a turn.
    pub(crate) ready: VecDeque<ConnectionId>,
    /// The time, as far as it is known.
    pub(crate) now: Duration,
    /// Commits until the next that fails for the sake of a test, if any shall.
    pub(crate) commits_until_failure: Option<u32>,
    pub(crate) watches: Watches,
    /// Counts what gives permission lists another meaning without touching a node: the
    /// death of a domain, a new target.
    pub(crate) rights_epoch: u64,
    /// Counts new limits.
    pub(crate) limits_epoch: u64,
    /// Which parts of the trace are on, for `CONTROL log` to show.
    pub(crate) trace: BTreeSet<TraceSwitch>,
    pub(crate) connections: Vec<Option<Connection>>,
    vacant: Vec<usize>,
    last_serial: NonZeroU64,
    last_socket: u32,
    /// Work done in this turn; see [`EFFORT_PER_TURN`].
    pub(crate) effort: usize,
    /// What nobody needs any more of versions of the store and of what was removed.
    remains: Remains<NodeData>,
    /// Connections with something to send that were not collected yet.
    pub(crate) outgoing: VecDeque<ConnectionId>,
    pub(crate) spares: Spares,
}

/// What an operation inside a transaction needs beside that.
pub(crate) struct Inside<'a> {
    pub store: &'a Store,
    pub protection: &'a mut Protection,
    pub effort: &'a mut usize,
    pub context: Context<'a>,
}

impl Engine {
    /// An engine whose store holds what every store has from the start.
    pub fn new(settings: &Settings) -> Self {
        let mut clock = Clock::default();
        let mut ledger = Ledger::default();
        let store = Store::new(settings.privileged, &settings.served_by, &mut clock, &mut ledger);
        let mut domains = Domains::new(settings.privileged, settings.limits);
        domains.book(&mut ledger);
        Self {
            store,
            clock,
            listing: Listing::default(),
            ledger,
            domains,
            privileged: settings.privileged,
            keep_orphans: settings.keep_orphans,
            most_requests: settings.transaction_requests,
            transaction_time: settings.transaction_time,
            expiries: BTreeSet::new(),
            protection: Protection::new(settings.protection_time),
            versions: Versions::new(settings.old_versions),
            ready: VecDeque::new(),
            now: Duration::ZERO,
            commits_until_failure: settings.test_eagain.then_some(2),
            watches: Watches::default(),
            rights_epoch: 0,
            limits_epoch: 0,
            trace: settings.trace.clone(),
            connections: Vec::new(),
            vacant: Vec::new(),
            last_serial: NonZeroU64::MIN,
            last_socket: 0,
            effort: 0,
            remains: Remains::default(),
            outgoing: VecDeque::new(),
            spares: Spares::default(),
        }
    }

    /// A client connected to the socket. It belongs to the control domain.
    pub fn connect_socket(&mut self, daemon: &mut dyn Daemon) -> ConnectionId {
        self.last_socket = self.last_socket.wrapping_add(1);
        let caller = Caller {
            domid: self.privileged,
            privileged: true,
            target: None,
            features: Features::ALL,
        };
        self.connect(Transport::Socket(self.last_socket), caller, daemon)
    }

    pub(crate) fn connect(
        &mut self,
        transport: Transport,
        caller: Caller,
        daemon: &mut dyn Daemon,
    ) -> ConnectionId {
        self.last_serial = self.last_serial.saturating_add(1);
        let connection = Connection::new(self.last_serial, transport, caller);
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        if let Some(place) = self.connections.get_mut(slot) {
            *place = Some(connection);
        }
        let id = ConnectionId { slot, serial: self.last_serial };
        self.observe(id, 0, daemon, || Incident::Connected);
        id
    }

    /// A client is gone: so are its watches, its transactions and what waited for it.
    pub fn disconnect(&mut self, id: ConnectionId, daemon: &mut dyn Daemon) {
        self.observe(id, 0, daemon, || Incident::Disconnected);
        self.reset(id);
        if let Some(connection) = self.connection_mut(id) {
            connection.renew();
        }
        self.charge_buffers(id);
        if self.connection(id).is_some()
            && let Some(place) = self.connections.get_mut(id.slot)
        {
            *place = None;
            self.vacant.push(id.slot);
        }
    }

    /// Drops watches and transactions of a connection.
    pub(crate) fn reset(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection_mut(id) else {
            return;
        };
        let caller = connection.caller;
        let domid = caller.domid;
        let watches = mem::take(&mut connection.watches);
        let transactions = mem::take(&mut connection.transactions);
        if !caller.privileged {
            let bytes = self.watches.weight_of(watches.values())
                + transactions.values().map(Transaction::bytes).sum::<usize>();
            self.domains.charge(domid, Quota::Watches, -signed(watches.len()));
            self.domains.charge(domid, Quota::Transactions, -signed(transactions.len()));
            self.domains.charge(domid, Quota::Memory, -signed(bytes));
        }
        for watch in watches.into_values() {
            self.watches.remove(watch);
        }
        for (number, transaction) in transactions {
            self.expiries.remove(&(transaction.expires, id, number));
            self.versions.unpin(transaction.since, id, number);
            self.discard(transaction.into_versions());
        }
        let now = self.now;
        self.claims(id, |protection, claim| protection.left(id, Rank::of(&caller), claim, now));
        self.wake();
    }

    /// Takes bytes a client sent, to be answered in its turns. What is held for a client is what
    /// the caller feeds: it stops while it does not [want input](Standing::wants_input).
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8]) {
        if let Some(connection) = find(&mut self.connections, id)
            && !connection.broken
            && !bytes.is_empty()
        {
            if connection.inbox.memory() == 0 {
                connection.inbox.lend(self.spares.take());
            }
            connection.inbox.push(bytes);
            self.charge_buffers(id);
        }
    }

    /// What a connection can do next; nothing, if it is gone.
    pub fn standing(&self, id: ConnectionId) -> Standing {
        self.connection(id).map_or(Standing::default(), Connection::standing)
    }

    /// The connection that has a [slot](ConnectionId::slot) now, and what it can do next.
    pub fn in_slot(&self, slot: usize) -> Option<(ConnectionId, Standing)> {
        let connection = self.connections.get(slot)?.as_ref()?;
        Some((ConnectionId { slot, serial: connection.serial }, connection.standing()))
    }

    /// The connection of a domain's ring.
    pub fn ring(&self, domid: Domid) -> Option<ConnectionId> {
        self.domains.get(domid)?.connection
    }

    /// The committed store as text, for people: a line per node, with its permissions.
    pub fn dump(&self) -> String {
        self.store.dump()
    }

    /// Takes bytes a client sent, as [`receive`](Self::receive) does, and answers requests of it,
    /// a bounded share of them.
    pub fn turn(&mut self, id: ConnectionId, bytes: &[u8], outside: &mut Outside<'_>) -> Turn {
        self.now = outside.now;
        self.sweep();
        let Some(connection) = self.connection_mut(id) else {
            return Turn::Idle;
        };
        if connection.broken || connection.is_asleep() {
            self.receive(id, bytes);
            return Turn::Idle;
        }
        let held = connection.held.take();
        // Mostly no bytes of before wait, and requests are answered where they lie.
        let mut inbox = (connection.inbox.buffered() > 0).then(|| mem::take(&mut connection.inbox));
        let (renewals, caller) = (connection.renewals, connection.caller);
        self.effort = 0;
        if !caller.privileged {
            self.limit_replies(id, caller.domid);
        }
        if let Some(held) = held {
            self.answer(id, held.header, &held.payload, Some(held.known), outside);
            self.had_turn(id);
        }
        let all = match &mut inbox {
            Some(inbox) => {
                inbox.push(bytes);
                inbox.bytes()
            }
            None => bytes,
        };
        let (turn, answered) = self.answer_requests(id, renewals, all, outside);
        let Some(connection) = find(&mut self.connections, id) else {
            return turn;
        };
        if connection.renewals != renewals {
            // What came behind the request that did it is forgotten with the rest.
            return Turn::Idle;
        }
        connection.broken = turn == Turn::Broken;
        if let Some(mut inbox) = inbox {
            inbox.skip(answered);
            self.spares.give(inbox.reclaim());
            connection.inbox = inbox;
        } else if let Some(rest) = bytes.get(answered..).filter(|rest| !rest.is_empty()) {
            self.receive(id, rest);
        }
        if !caller.privileged {
            self.charge_buffers(id);
            self.watch_soft_limit(id, outside.daemon);
        }
        self.cast_off_old(outside.daemon);
        turn
    }

    /// How much work the last turn was beyond that of ordinary requests, in units of some 40 ns:
    /// so that it can be tested without a clock what a request costs.
    pub fn effort(&self) -> usize {
        self.effort
    }

    /// Sets how many unread replies a domain's ring may have.
    fn limit_replies(&mut self, id: ConnectionId, domid: Domid) {
        let most = self.domains.limit(domid, Quota::Outstanding);
        if let Some(connection) = self.connection_mut(id) {
            connection.outbox.set_most_replies(usize::try_from(most).unwrap_or(0));
        }
    }

    /// Answers requests at the beginning of `bytes`; how many bytes they were.
    #[expect(clippy::inline_always, reason = "called once: 1 % of a READ's instructions")]
    #[inline(always)]
    fn answer_requests(
        &mut self,
        id: ConnectionId,
        renewals: u64,
        bytes: &[u8],
        outside: &mut Outside<'_>,
    ) -> (Turn, usize) {
        let mut rest = bytes;
        let answered = |rest: &[u8]| bytes.len() - rest.len();
        for _ in 0..REQUESTS_PER_TURN {
            let waits = |connection: &Connection| {
                connection.outbox.is_congested()
                    || connection.held.is_some()
                    || connection.renewals != renewals
            };
            if rest.is_empty() || self.connection(id).is_none_or(waits) {
                return (Turn::Idle, answered(rest));
            }
            if self.effort > EFFORT_PER_TURN {
                break;
            }
            match decoder::first_message(rest) {
                Ok(Some((message, length))) => {
                    rest = rest.get(length..).unwrap_or_default();
                    self.answer(id, message.header, message.payload, None, outside);
                }
                Ok(None) => return (Turn::Idle, answered(rest)),
                Err(_oversized) => return (Turn::Broken, answered(rest)),
            }
        }
        (if decoder::is_ready(rest) { Turn::More } else { Turn::Idle }, answered(rest))
    }

    /// Frees some of what is left of transactions and removals; whether there is more. So does each
    /// turn; called when replies are sent, it does not make them wait: a third of what a commit
    /// costs beside a large store.
    pub fn sweep(&mut self) -> bool {
        self.remains.free(NODES_PER_SWEEP)
    }

    /// Leaves versions of the store to be freed that nobody needs any more.
    pub(crate) fn discard(&mut self, versions: impl IntoIterator<Item = Store>) {
        versions.into_iter().flat_map(Store::into_parts).for_each(|part| self.remains.add(part));
    }

    /// Leaves what was removed to be freed.
    pub(crate) fn discard_removed(&mut self, subtree: Subtree<NodeData>) {
        self.remains.add(subtree);
    }

    /// Whoever makes nodes, or has those on its way copied, frees twice as many of what nobody
    /// needs: so with what is left to be freed the store never takes more memory than it did
    /// without.
    pub(crate) fn make_room(&mut self, ways: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        // Mostly there is nothing, and the ways need not be looked at.
        if !self.remains.is_empty() {
            let nodes: usize = ways.into_iter().map(|way| 1 + names(&way).count()).sum();
            self.remains.free(2 * nodes);
        }
    }

    /// Bytes to be sent to a client now.
    pub fn output(&self, id: ConnectionId) -> &[u8] {
        self.connection(id).map_or(&[], |connection| connection.outbox.bytes())
    }

    /// Takes note that so many bytes of [`output`](Self::output) were sent; whether there are
    /// more.
    pub fn sent(&mut self, id: ConnectionId, bytes: usize) -> bool {
        let Some(connection) = find(&mut self.connections, id) else {
            return false;
        };
        connection.outbox.consume(bytes);
        self.spares.give(connection.outbox.reclaim());
        let more = !connection.outbox.bytes().is_empty();
        if !connection.caller.privileged {
            self.charge_buffers(id);
        }
        more
    }

    /// A connection that got something to send since it was last named, if there is one. The
    /// caller is about to offer it its [`output`](Self::output).
    pub fn next_outgoing(&mut self) -> Option<ConnectionId> {
        let id = self.outgoing.pop_front()?;
        if let Some(connection) = self.connection_mut(id) {
            connection.queued = false;
            connection.outbox.offer();
        }
        Some(id)
    }

    pub(crate) fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        let connection = self.connections.get(id.slot)?.as_ref()?;
        (connection.serial == id.serial).then_some(connection)
    }

    pub(crate) fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        find(&mut self.connections, id)
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter().flatten()
    }

    /// A number that grows with whatever changes the answers this caller gets without
    /// touching a node. The privileged have no limits.
    pub(crate) fn epoch(&self, caller: Caller) -> u64 {
        self.rights_epoch + if caller.privileged { 0 } else { self.limits_epoch }
    }

    /// An open transaction, and all that an operation inside it needs.
    pub(crate) fn inside(
        &mut self,
        id: ConnectionId,
        caller: Caller,
        number: u32,
    ) -> Option<(&mut Transaction, Inside<'_>)> {
        let epoch = self.epoch(caller);
        let open = find(&mut self.connections, id)?.transactions.get_mut(&number)?;
        let context = Context {
            caller,
            epoch,
            domains: &self.domains,
            ledger: &mut self.ledger,
            clock: &mut self.clock,
            listing: &mut self.listing,
        };
        let (protection, effort) = (&mut self.protection, &mut self.effort);
        Some((open, Inside { store: &self.store, protection, effort, context }))
    }

    /// The committed store, and all that an operation needs beside it.
    pub(crate) fn context(&mut self, caller: Caller) -> (&mut Store, Context<'_>) {
        let context = Context {
            caller,
            epoch: self.epoch(caller),
            domains: &self.domains,
            ledger: &mut self.ledger,
            clock: &mut self.clock,
            listing: &mut self.listing,
        };
        (&mut self.store, context)
    }

    /// Tells the daemon what happened, if it wants to know.
    pub(crate) fn observe<'i>(
        &self,
        id: ConnectionId,
        transaction: u32,
        daemon: &mut dyn Daemon,
        incident: impl FnOnce() -> Incident<'i>,
    ) {
        if daemon.observes()
            && let Some(connection) = self.connection(id)
        {
            let Caller { domid, .. } = connection.caller;
            daemon.observe(
                &Origin { transport: connection.transport, domid, transaction },
                &incident(),
            );
        }
    }
}

/// Has something put into what waits to be sent to a client; `put` says whether it was. The
/// client is then among those with something to send.
pub(crate) fn put_out(
    connection: &mut Connection,
    id: ConnectionId,
    spares: &mut Spares,
    outgoing: &mut VecDeque<ConnectionId>,
    put: impl FnOnce(&mut Outbox) -> bool,
) -> bool {
    if connection.outbox.is_without_buffer() {
        connection.outbox.lend(spares.take());
    }
    let done = put(&mut connection.outbox);
    if done && !mem::replace(&mut connection.queued, true) {
        outgoing.push_back(id);
    }
    done
}

pub(crate) fn find(
    connections: &mut [Option<Connection>],
    id: ConnectionId,
) -> Option<&mut Connection> {
    let connection = connections.get_mut(id.slot)?.as_mut()?;
    (connection.serial == id.serial).then_some(connection)
}
