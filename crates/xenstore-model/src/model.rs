//! The model: its clients, and the way of a request through it.

use std::collections::BTreeMap;
use std::time::Duration;

use xenstore_host::Hypervisor;
use xenstore_wire::{Errno, MessageType};

use crate::acl::{ALL_FEATURES, Caller, WATCH_DEPTH};
use crate::domains::{Domains, Holder};
use crate::operation::{Action, Answer, Behalf, OK, Operation, changes};
use crate::path::{canonical, counted_length, is_relative, is_special};
use crate::request::{Asked, Request};
use crate::store::Store;
use crate::transaction::{Change, Transaction};
use crate::watch::Watch;

/// A message to a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// The answer to its request.
    Reply {
        /// The request's type, or `Error`.
        kind: MessageType,
        /// Its transaction.
        transaction: u32,
        /// The payload; of `DIRECTORY_PART`, all that follows the generation.
        payload: String,
    },
    /// Something it watches changed.
    Event {
        /// What.
        path: String,
        /// Its mark.
        token: String,
    },
}

/// What clients were sent, by client.
pub type Output = BTreeMap<usize, Vec<Message>>;

/// A client. Clients are numbered in the order they connect.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub domid: u16,
    pub socket: bool,
    pub alive: bool,
    pub transactions: BTreeMap<u32, Transaction>,
    last_transaction: u32,
    /// While a request of it waits: the last domain that was known when it was asked.
    known: Option<u64>,
}

/// The plainest store daemon there can be.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub(crate) store: Store,
    pub(crate) domains: Domains,
    pub(crate) clients: Vec<Client>,
    pub(crate) watches: Vec<Watch>,
    /// Whether the nodes of the dead fall to the control domain.
    pub(crate) keep_orphans: bool,
    pub(crate) version: u64,
    last_watch: u64,
    now: Duration,
    output: Output,
}

/// What is still to be told once a request is answered.
enum Then {
    Nothing,
    /// Everybody, of this change of the store, which before was so.
    Tell(Store, Change),
    /// The client, of its new watch.
    Greet(Watch),
}

type Outcome = Result<(String, Then), Errno>;

impl Model {
    /// A model of a store nobody used yet.
    pub fn new(keep_orphans: bool) -> Self {
        let mut model = Self { keep_orphans, ..Self::default() };
        model.note_peaks();
        model
    }

    /// Everybody's store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Counts whatever may change the answer to a question of the store.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The domains.
    pub fn domains(&self) -> &Domains {
        &self.domains
    }

    /// The store as it is in a transaction of a client.
    pub fn store_in(&self, client: usize, transaction: u32) -> &Store {
        let open = self.clients[client].transactions.get(&transaction);
        open.map_or(&self.store, Transaction::store)
    }

    /// Whether a transaction changed anything in its copy.
    pub fn changes_anything(&self, client: usize, transaction: u32) -> bool {
        let open = self.clients[client].transactions.get(&transaction);
        open.is_some_and(Transaction::changes_anything)
    }

    /// A client comes: on the socket, or the ring of a domain. Its number.
    pub fn connect(&mut self, domid: u16, socket: bool) -> usize {
        let transactions = BTreeMap::new();
        let client =
            Client { domid, socket, alive: true, transactions, last_transaction: 0, known: None };
        self.clients.push(client);
        self.clients.len() - 1
    }

    /// A client goes, and with it what was not sent yet.
    pub fn disconnect(&mut self, client: usize) {
        self.reset(client);
        self.output.remove(&client);
        self.clients[client].alive = false;
    }

    /// A client's ring is connected anew: it is as if it had just come. Without an event
    /// channel it is not served.
    pub(crate) fn renew(&mut self, client: usize, connected: bool) {
        self.reset(client);
        self.output.remove(&client);
        self.clients[client].alive = connected;
        self.clients[client].last_transaction = 0;
        self.clients[client].known = None;
    }

    /// A guest has its ring begun anew.
    pub fn reconnect(&mut self, client: usize) {
        self.renew(client, true);
    }

    /// Whether a client is still connected.
    pub fn is_alive(&self, client: usize) -> bool {
        self.clients[client].alive
    }

    fn reset(&mut self, client: usize) {
        self.watches.retain(|watch| watch.client != client);
        self.clients[client].transactions.clear();
    }

    /// What clients were sent since this was last asked.
    pub fn take_output(&mut self) -> Output {
        std::mem::take(&mut self.output)
    }

    pub(crate) fn send(&mut self, client: usize, message: Message) {
        if self.clients[client].alive {
            self.output.entry(client).or_default().push(message);
        }
    }

    /// A client as the rules see it.
    pub fn caller(&self, client: usize) -> Caller {
        let Client { domid, socket, .. } = self.clients[client];
        let known = self.domains.records.get(&domid).filter(|_| !socket);
        Caller {
            domid,
            privileged: domid == 0,
            target: known.and_then(|known| known.target),
            features: known.and_then(|known| known.features).unwrap_or(ALL_FEATURES),
        }
    }

    /// Time passes: transactions that are open for too long go.
    pub fn pass_time(&mut self, now: Duration) {
        self.now = now;
        for client in &mut self.clients {
            client.transactions.retain(|_, open| open.expires > now);
        }
    }

    /// A request is to wait. All that is done about it now is to find out whom it means.
    pub fn put_off(&mut self, asked: &Asked, hypervisor: &mut dyn Hypervisor) {
        if let Request::Node(path, action) = &asked.request {
            // What is wrong with it is told when its time has come.
            let _ = self.prepare(asked.client, path, action, hypervisor);
        }
        let latest = self.domains.latest();
        self.clients[asked.client].known.get_or_insert(latest);
    }

    /// A request that waited, if one did, is answered.
    pub fn waits_no_more(&mut self, client: usize) {
        self.clients[client].known = None;
    }

    /// The model in which the transaction of a request has just been moved to the store as it
    /// is now. That may happen to one that is protected, if all its answers still hold.
    pub fn moved(&self, asked: &Asked, hypervisor: &mut dyn Hypervisor) -> Option<Self> {
        let Asked { client, transaction, request: Request::Node(path, action), protected: true } =
            asked
        else {
            return None;
        };
        let (client, mut moved) = (*client, self.clone());
        let name = moved.prepare(client, path, action, hypervisor).ok()?.name;
        let caller = moved.caller(client);
        let Self { store, domains, clients, version, .. } = &mut moved;
        let open = clients[client].transactions.get_mut(transaction)?;
        *open = open.moved(&name, store, *version, caller, domains)?;
        Some(moved)
    }

    /// The moments at which open transactions began.
    pub fn moments(&self) -> Vec<u64> {
        let open = self.clients.iter().flat_map(|client| client.transactions.values());
        open.map(Transaction::moment).collect()
    }

    /// Answers a request.
    pub fn answer(&mut self, asked: &Asked, hypervisor: &mut dyn Hypervisor) {
        let Asked { client, transaction, ref request, .. } = *asked;
        let outcome = self.decide(asked, hypervisor);
        self.waits_no_more(client);
        self.note_peaks();
        let (kind, payload, then) = match outcome {
            Ok((payload, then)) => (request.kind(), payload, then),
            Err(errno) => (MessageType::Error, format!("{}\0", errno.name()), Then::Nothing),
        };
        self.send(client, Message::Reply { kind, transaction, payload });
        match then {
            Then::Nothing => {}
            Then::Tell(before, change) => self.tell_changes(&before, vec![change]),
            Then::Greet(watch) => self.send_event(&watch, &watch.name),
        }
    }

    fn decide(&mut self, asked: &Asked, hypervisor: &mut dyn Hypervisor) -> Outcome {
        let Asked { client, transaction, ref request, .. } = *asked;
        if request.kind().is_privileged() && !self.caller(client).privileged {
            return Err(Errno::Acces);
        }
        let watching = matches!(request, Request::Watch(..) | Request::Unwatch(..));
        let open = &self.clients[client].transactions;
        if transaction != 0 && !watching && !open.contains_key(&transaction) {
            return Err(Errno::NoEnt);
        }
        match request {
            Request::Node(path, action) => {
                let operation = self.prepare(client, path, action, hypervisor)?;
                if transaction == 0 {
                    self.operate(client, &operation)
                } else {
                    self.operate_inside(client, transaction, &operation).map(plain)
                }
            }
            Request::Watch(path, token, depth) => self.watch(client, path, token, *depth),
            Request::Unwatch(path, token) => self.unwatch(client, path, token).map(plain),
            Request::ResetWatches => {
                self.reset(client);
                Ok(plain(OK.to_owned()))
            }
            Request::Start => self.start(client, transaction).map(plain),
            Request::End(commit) => self.end(client, transaction, *commit).map(plain),
            other => self.administer(client, other, hypervisor).map(plain),
        }
    }

    /// All that is decided before anybody looks at a node: what the client means.
    pub fn prepare(
        &mut self,
        client: usize,
        path: &str,
        action: &Action,
        hypervisor: &mut dyn Hypervisor,
    ) -> Result<Operation, Errno> {
        let caller = self.caller(client);
        let mut holders = Vec::new();
        if let Action::SetPerms(list) = action {
            if !self.domains.permits(&caller, "node-permissions", list.len()) {
                return Err(Errno::NoSpc);
            }
            for permission in list {
                self.domain_changed(permission.domid, hypervisor);
            }
            let known = self.clients[client].known;
            for permission in list {
                let holder = self.domains.holder(permission.domid, &caller, hypervisor);
                // Who came after it was asked is not meant.
                let is_later =
                    matches!(holder, Holder::Domain(it) if known.is_some_and(|k| it > k));
                holders.push(if is_later { Holder::Nobody } else { holder });
            }
            // A client that turns out to be gone asks for nothing any more.
            let gone = !self.clients[client].alive;
            if gone || !self.domains.is_there(list[0].domid, holders[0]) {
                return Err(Errno::NoEnt);
            }
        }
        let name = canonical(path, caller.domid).ok_or(Errno::Inval)?;
        let may_be_special = matches!(action, Action::GetPerms | Action::SetPerms(_));
        if is_special(&name) && !may_be_special {
            return Err(Errno::Inval);
        }
        self.check_length(&caller, &name)?;
        Ok(Operation { name, action: action.clone(), holders })
    }

    fn check_length(&self, caller: &Caller, name: &str) -> Result<(), Errno> {
        let permitted = self.domains.permits(caller, "path-max", counted_length(name));
        if is_special(name) || permitted { Ok(()) } else { Err(Errno::Inval) }
    }

    fn operate(&mut self, client: usize, operation: &Operation) -> Outcome {
        let caller = self.caller(client);
        let Self { store, domains, .. } = self;
        let before = store.clone();
        let (answer, effect) = store.execute(operation, &Behalf { caller, domains, elsewhere: 0 });
        let payload = answer?;
        let Some((name, removed)) = changes(operation, effect) else {
            return Ok(plain(payload));
        };
        self.version += 1;
        Ok((payload, Then::Tell(before, Change { name, removed })))
    }

    fn operate_inside(&mut self, client: usize, transaction: u32, operation: &Operation) -> Answer {
        let caller = self.caller(client);
        let Self { store, domains, clients, .. } = self;
        let open = clients[client].transactions.get_mut(&transaction).ok_or(Errno::NoEnt)?;
        open.execute(operation, caller, domains, store)
    }

    /// Does an operation outside any transaction and tells nobody.
    pub fn perform(&mut self, client: usize, operation: &Operation) -> Answer {
        self.operate(client, operation).map(|(payload, _)| payload)
    }

    /// Puts what a transaction made of the store in its place and tells nobody.
    pub fn install(&mut self, store: Store) {
        self.store = store;
        self.version += 1;
    }

    fn watch(&mut self, client: usize, path: &str, token: &str, depth: Option<usize>) -> Outcome {
        let caller = self.caller(client);
        if depth.is_some() && caller.features & WATCH_DEPTH == 0 {
            return Err(Errno::Inval);
        }
        let name = canonical(path, caller.domid).ok_or(Errno::Inval)?;
        self.check_length(&caller, &name)?;
        if self.find_watch(client, &name, token).is_some() {
            return Err(Errno::Exist);
        }
        if !self.domains.permits(&caller, "watches", self.usage(caller.domid, "watches") + 1) {
            return Err(Errno::NoSpc);
        }
        self.last_watch += 1;
        let relative_to = is_relative(path).then_some(caller.domid);
        let (number, token) = (self.last_watch, token.to_owned());
        let watch = Watch { number, client, name, relative_to, token, depth };
        self.watches.push(watch.clone());
        Ok((OK.to_owned(), Then::Greet(watch)))
    }

    fn unwatch(&mut self, client: usize, path: &str, token: &str) -> Answer {
        let name = canonical(path, self.caller(client).domid).ok_or(Errno::Inval)?;
        let found = self.find_watch(client, &name, token).ok_or(Errno::NoEnt)?;
        self.watches.remove(found);
        Ok(OK.to_owned())
    }

    fn find_watch(&self, client: usize, name: &str, token: &str) -> Option<usize> {
        let is_it =
            |watch: &Watch| watch.client == client && watch.name == name && watch.token == token;
        self.watches.iter().position(is_it)
    }

    fn start(&mut self, client: usize, inside: u32) -> Answer {
        if inside != 0 {
            return Err(Errno::Busy);
        }
        let caller = self.caller(client);
        let open = self.usage(caller.domid, "transactions");
        if !self.domains.permits(&caller, "transactions", open + 1) {
            return Err(Errno::NoSpc);
        }
        let begun = Transaction::begin(&self.store, self.version, self.now);
        let client = &mut self.clients[client];
        client.last_transaction += 1;
        client.transactions.insert(client.last_transaction, begun);
        Ok(format!("{}\0", client.last_transaction))
    }

    fn end(&mut self, client: usize, transaction: u32, commit: bool) -> Answer {
        let open = self.clients[client].transactions.remove(&transaction).ok_or(Errno::NoEnt)?;
        if commit {
            let caller = self.caller(client);
            let (after, changes) = open.commit(&self.store, self.version, caller, &self.domains)?;
            let before = std::mem::replace(&mut self.store, after);
            self.version += u64::from(!changes.is_empty());
            self.tell_changes(&before, changes);
        }
        Ok(OK.to_owned())
    }
}

fn plain(payload: String) -> (String, Then) {
    (payload, Then::Nothing)
}
