//! The engine with its clients, and the same acts for the model.

use std::collections::VecDeque;
use std::time::Duration;

use xenstore_engine::{ConnectionId, Daemon, Engine, Outside, Settings, Silent, Turn};
use xenstore_host::ring::LANE_SIZE;
use xenstore_wire::{Decoder, Domid, Header, MessageType, message};

use crate::accounts::known_lines;
use crate::act::{Act, BAD_PORT, Machine};
use crate::model::{Message, Model, Output};
use crate::path::canonical;
use crate::request::{Asked, Request};
use crate::standing::Standing;
use crate::transaction::MOST_REQUESTS;

/// What is around the engine: of that, only the hypervisor and the time matter to a store.
macro_rules! outside {
    ($machine:expr, $now:expr) => {
        Outside { hypervisor: $machine, daemon: &mut Silent, now: $now }
    };
}

/// Requests that a client sends ahead: more than are answered in a turn.
const MOST_PENDING: usize = 40;

/// Bytes that are read of a client at a time, as by the daemon.
const SOCKET_READ: usize = 16 * 1024;

/// A client of the engine. Clients are numbered in the order they connect.
#[derive(Clone, Debug)]
pub struct Client {
    id: ConnectionId,
    /// Its domain.
    pub domid: u16,
    /// Whether it came over the socket; else it is a ring.
    pub socket: bool,
    /// Whether it is connected.
    pub alive: bool,
    /// What it asked and was not answered yet, with the transaction, in order.
    pub pending: VecDeque<(u32, Request)>,
    /// What it sent and the engine did not read yet.
    unread: Vec<u8>,
    /// Since when the first of these is held.
    held_since: Duration,
    /// What it has open and is owed.
    pub standing: Standing,
}

impl Client {
    /// Whether it may do everything.
    pub fn is_privileged(&self) -> bool {
        self.domid == 0
    }

    /// Whether it waits for nothing.
    pub fn is_free(&self) -> bool {
        self.alive && self.pending.is_empty()
    }
}

/// The domains whose clients are not protected any more because of the time.
#[derive(Default)]
struct Expired(Vec<u16>);

impl Daemon for Expired {
    fn protection_expired(&mut self, holder: Domid) {
        self.0.push(holder.get());
    }
}

/// An engine, driven by acts.
#[derive(Debug)]
pub struct World {
    engine: Engine,
    /// Its hypervisor.
    pub machine: Machine,
    /// All clients there ever were.
    pub clients: Vec<Client>,
    /// The time.
    pub now: Duration,
    /// Who is to have a turn, in order.
    line: VecDeque<usize>,
    /// The requests that were answered in the last act, in order.
    pub answered: Vec<Asked>,
    /// The longest that a request other than a transaction's start waited for, by the end of
    /// the last act.
    pub waited: Duration,
    /// The request that was looked at in the last act and has to wait.
    pub put_off: Option<Asked>,
    /// The generation that a `DIRECTORY_PART` was answered with in the last act.
    pub generation: Option<String>,
}

impl World {
    /// A world in which nothing happened yet.
    pub fn new(keep_orphans: bool) -> Self {
        let transaction_requests = MOST_REQUESTS;
        Self::with(&Settings { keep_orphans, transaction_requests, ..Settings::default() })
    }

    /// One with an engine of these settings.
    pub fn with(settings: &Settings) -> Self {
        Self {
            engine: Engine::new(settings),
            machine: Machine::new(),
            clients: Vec::new(),
            now: Duration::ZERO,
            line: VecDeque::new(),
            answered: Vec::new(),
            waited: Duration::ZERO,
            put_off: None,
            generation: None,
        }
    }

    /// Whether an act makes sense: whoever acts has to be connected.
    pub fn allows(&self, act: &Act) -> bool {
        let connected = |client: usize| self.clients.get(client).filter(|client| client.alive);
        match act {
            Act::Send(client, _, Request::Introduce(domid, port)) => {
                // Rings come one at a time. The ring of domain 0 can be that of the client itself,
                // which then is not told any more what it asked before, and without a port nothing.
                let is_told = *domid == 0 && *port != BAD_PORT;
                is_told && connected(*client).is_some_and(Client::is_free)
            }
            Act::Ask(client, ..) => connected(*client).is_some_and(Client::is_free),
            Act::Send(client, ..) => {
                connected(*client).is_some_and(|client| client.pending.len() < MOST_PENDING)
            }
            Act::Disconnect(client) => connected(*client).is_some_and(|client| client.socket),
            Act::Turn | Act::TurnWith(_) => !self.line.is_empty(),
            // Turns take no time.
            Act::Pass(_) => self.line.is_empty(),
            _ => true,
        }
    }

    /// When time alone changes something next.
    pub fn deadline(&self) -> Option<Duration> {
        self.engine.deadline()
    }

    /// Whether a client waits for others: it asked, and will not have a turn of itself.
    pub fn is_held(&self, client: usize) -> bool {
        let Client { alive, pending, .. } = &self.clients[client];
        *alive && !pending.is_empty() && !self.line.contains(&client)
    }

    /// Lets an act happen; what the clients were sent.
    pub fn apply(&mut self, act: &Act) -> Output {
        self.machine.apply(act);
        self.answered.clear();
        self.waited = Duration::ZERO;
        self.put_off = None;
        self.generation = None;
        let mut served = None;
        let mut turn = Turn::Idle;
        match act {
            Act::Connect => {
                let id = self.engine.connect_socket(&mut Silent);
                self.add_client(id, 0, true);
            }
            Act::Disconnect(client) => {
                self.engine.disconnect(self.clients[*client].id, &mut Silent);
                self.clients[*client].alive = false;
            }
            Act::Ask(client, transaction, request) => {
                self.send(*client, *transaction, request);
                served = Some(*client);
                while self.has_input(*client) {
                    turn = self.turn(*client, usize::MAX);
                }
            }
            Act::Send(client, transaction, request) => {
                self.send(*client, *transaction, request);
                self.line_up(*client);
            }
            Act::Turn => (served, turn) = self.next_turn(usize::MAX),
            Act::TurnWith(bytes) => (served, turn) = self.next_turn(*bytes),
            Act::Pass(time) => self.pass_time(*time),
            Act::News(domid) => {
                let Self { engine, machine, now, .. } = self;
                engine.domain_changed(Domid::new(*domid), &mut outside!(machine, *now));
            }
            Act::Create(_) | Act::ShutDown(_) | Act::Die(_) | Act::Vanish(_) => {}
        }
        // Who has to take replies first is not put off by anybody.
        let lags = |client: usize| self.engine.standing(self.clients[client].id).lags;
        let may_be_held = turn == Turn::Idle && !served.is_some_and(lags);
        while let Some(id) = self.engine.next_ready() {
            let is_it = |client: &Client| client.alive && client.id == id;
            if let Some(woken) = self.clients.iter().position(is_it) {
                self.line_up(woken);
            }
        }
        self.find_rings(act);
        self.line.retain(|&client| self.clients[client].alive);
        let output = self.collect();
        if let Some(client) = served {
            self.note_replies(client, output.get(&client), may_be_held);
            self.line_up(client);
        }
        output
    }

    /// The turn of whoever is first in line.
    fn next_turn(&mut self, most: usize) -> (Option<usize>, Turn) {
        let first = self.line.pop_front();
        (first, first.map_or(Turn::Idle, |client| self.turn(client, most)))
    }

    /// A client's turn, in which at most so many bytes of it are read.
    fn turn(&mut self, client: usize, most: usize) -> Turn {
        let reads = self.has_input(client);
        let Self { engine, machine, clients, now, .. } = self;
        let Client { id, socket, unread, .. } = &mut clients[client];
        let most = most.max(1).min(if *socket { SOCKET_READ } else { LANE_SIZE });
        let count = if reads { most.min(unread.len()) } else { 0 };
        let bytes: Vec<u8> = unread.drain(..count).collect();
        let turn = engine.turn(*id, &bytes, &mut outside!(machine, *now));
        assert_ne!(turn, Turn::Broken, "clients keep the protocol");
        if turn == Turn::More {
            self.line_up(client);
        }
        turn
    }

    /// Whether a client sent something that is to be read now.
    fn has_input(&self, client: usize) -> bool {
        let Client { id, unread, .. } = &self.clients[client];
        !unread.is_empty() && self.engine.standing(*id).wants_input
    }

    fn line_up(&mut self, client: usize) {
        // Who is held is woken when it may go on.
        let Client { id, alive, .. } = self.clients[client];
        let has_work = self.engine.standing(id).is_ready || self.has_input(client);
        if alive && has_work && !self.line.contains(&client) {
            self.line.push_back(client);
        }
    }

    /// Lets time pass, but not beyond the next moment that matters.
    fn pass_time(&mut self, time: Duration) {
        let next = self.engine.deadline().map(|deadline| deadline.max(self.now));
        let end = self.now + time;
        self.now = next.map_or(end, |next| next.min(end));
        let held = (0..self.clients.len()).filter(|&client| self.is_held(client));
        let waiting = held.map(|client| &self.clients[client]).filter(|client| {
            let first = client.pending.front();
            first.is_some_and(|(_, request)| *request != Request::Start)
        });
        let waited = waiting.map(|client| self.now.saturating_sub(client.held_since)).max();
        self.waited = waited.unwrap_or_default();
        let mut expired = Expired::default();
        if next.is_some_and(|next| next <= self.now) {
            self.engine.pass_time(self.now, &mut expired);
        }
        for client in self.clients.iter_mut().filter(|client| client.alive) {
            client.standing.pass_time(self.now);
            // Of the toolstacks one is protected at a time.
            if expired.0.contains(&client.domid) {
                client.standing.expire();
            }
        }
    }

    /// The committed store as sorted lines.
    pub fn dump(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.engine.dump().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    fn add_client(&mut self, id: ConnectionId, domid: u16, socket: bool) {
        self.clients.push(Client {
            id,
            domid,
            socket,
            alive: true,
            pending: VecDeque::new(),
            unread: Vec::new(),
            held_since: Duration::ZERO,
            standing: Standing::default(),
        });
    }

    fn send(&mut self, client: usize, transaction: u32, request: &Request) {
        let payload = request.payload();
        let (kind, payload) = (request.kind(), &[payload.as_bytes()]);
        let client = &mut self.clients[client];
        let fits = message::encode(&mut client.unread, kind, REQUEST_ID, transaction, payload);
        assert!(fits, "a request no client can send");
        client.pending.push_back((transaction, request.clone()));
    }

    /// Takes note of rings that came and went. They come one at a time, when somebody
    /// introduces them.
    fn find_rings(&mut self, act: &Act) {
        let Self { engine, clients, .. } = self;
        for client in clients.iter_mut().filter(|client| !client.socket) {
            let ring = engine.ring(Domid::new(client.domid));
            client.alive = ring == Some(client.id) && !engine.is_cut_off(client.id);
        }
        // In the midst of other requests only domain 0 is introduced.
        let domid = match *act {
            Act::Ask(_, _, Request::Introduce(domid, _)) => domid,
            _ => 0,
        };
        if let Some(id) = self.engine.ring(Domid::new(domid))
            && self.clients.iter().all(|client| client.id != id)
        {
            self.add_client(id, domid, false);
        }
    }

    fn collect(&mut self) -> Output {
        let mut output = Output::new();
        while let Some(id) = self.engine.next_outgoing() {
            let client = self.clients.iter().position(|client| client.alive && client.id == id);
            let mut bytes = Vec::new();
            // What waited for room comes after what took it.
            while self.engine.standing(id).has_output {
                let output = self.engine.output(id);
                let count = output.len();
                bytes.extend_from_slice(output);
                self.engine.sent(id, count);
            }
            if let (Some(client), false) = (client, bytes.is_empty()) {
                output.insert(client, self.decode(&bytes));
            }
        }
        output
    }

    fn decode(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut decoder = Decoder::new();
        decoder.push(bytes);
        let mut messages = Vec::new();
        while let Some(message) = decoder.next_message().expect("the engine keeps the protocol") {
            let Header { kind, request_id, transaction_id, .. } = message.header;
            let kind = MessageType::from_number(kind).expect("a known type");
            let payload = String::from_utf8_lossy(message.payload);
            messages.push(if kind == MessageType::WatchEvent {
                assert_eq!((request_id, transaction_id), (0, 0));
                event(&payload)
            } else {
                assert_eq!(request_id, REQUEST_ID);
                let payload = match kind {
                    MessageType::Control => known_lines(&payload),
                    _ => self.without_generation(kind, &payload).to_owned(),
                };
                Message::Reply { kind, transaction: transaction_id, payload }
            });
        }
        messages
    }

    /// The model has no generations: that of a `DIRECTORY_PART` is put aside.
    fn without_generation<'p>(&mut self, kind: MessageType, payload: &'p str) -> &'p str {
        if kind != MessageType::DirectoryPart {
            return payload;
        }
        let (generation, names) = payload.split_once('\0').expect("a generation");
        self.generation = Some(generation.to_owned());
        names
    }

    /// Takes note of what a client was told in its turn, and of what it was not.
    fn note_replies(&mut self, client: usize, sent: Option<&Vec<Message>>, may_be_held: bool) {
        for message in sent.into_iter().flatten() {
            if let Message::Reply { kind, payload, .. } = message {
                let pending = self.clients[client].pending.pop_front();
                let (transaction, request) = pending.expect("a reply is to a request");
                let refused = *kind == MessageType::Error;
                self.note_reply(client, transaction, request, refused, payload);
            }
        }
        let Client { id, alive, pending, standing, held_since, .. } = &mut self.clients[client];
        let asked = |(transaction, request): (u32, Request)| {
            let protected = standing.protects(transaction);
            Asked { client, transaction, request, protected }
        };
        if !*alive {
            // It was found to be dead on the way, and what it was told went with it.
            self.answered.extend(pending.drain(..).map(asked));
        } else if may_be_held && !self.engine.standing(*id).wants_input {
            *held_since = self.now;
            self.put_off = pending.front().cloned().map(asked);
        }
    }

    /// A ring was connected anew: what its client asked before is answered no more.
    fn forget_ring(&mut self, domid: u16) {
        let ring = self.engine.ring(Domid::new(domid));
        if let Some(client) = self.clients.iter_mut().find(|client| Some(client.id) == ring) {
            client.pending.clear();
            client.unread.clear();
            client.standing = Standing::default();
        }
    }

    fn note_reply(
        &mut self,
        client: usize,
        transaction: u32,
        request: Request,
        refused: bool,
        payload: &str,
    ) {
        let Client { domid, standing, .. } = &mut self.clients[client];
        let protected = standing.protects(transaction);
        match &request {
            Request::Start if !refused => {
                let number = payload.trim_end_matches('\0').parse();
                standing.begin(number.expect("a number"), self.now);
            }
            Request::End(_) => standing.end(transaction, payload == "EAGAIN\0"),
            Request::ResetWatches if !refused => standing.reset(),
            Request::Introduce(introduced, _) if !refused => self.forget_ring(*introduced),
            Request::Node(path, action) => {
                if let Some(name) = canonical(path, *domid) {
                    standing.ask(transaction, (name, action.clone()));
                }
            }
            _ => {}
        }
        self.answered.push(Asked { client, transaction, request, protected });
    }
}

/// Every request carries it, and every reply has to.
const REQUEST_ID: u32 = 7;

fn event(payload: &str) -> Message {
    let parts: Vec<&str> = payload.split('\0').collect();
    let [path, token, ""] = parts[..] else {
        panic!("an event is a path and a token, not {payload:?}");
    };
    Message::Event { path: path.to_owned(), token: token.to_owned() }
}

impl Model {
    /// As much of an act as nobody asked for.
    pub fn happen(&mut self, act: &Act, world: &mut World) {
        match act {
            Act::Connect => {
                self.connect(0, true);
            }
            Act::Disconnect(client) => self.disconnect(*client),
            Act::News(domid) => self.domain_changed(*domid, &mut world.machine),
            Act::Pass(_) => self.pass_time(world.now),
            _ => {}
        }
    }
}
