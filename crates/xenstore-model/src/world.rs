//! The engine with its clients, and the same acts for the model.

use std::time::Duration;

use xenstore_engine::{ConnectionId, Engine, Outside, Settings, Silent, Turn};
use xenstore_wire::{Decoder, Domid, Header, MessageType, message};

use crate::act::{Act, Machine};
use crate::model::{Message, Model, Output};
use crate::request::Request;

/// What is around the engine: of that, only the hypervisor matters to a store.
macro_rules! outside {
    ($machine:expr) => {
        Outside { hypervisor: $machine, daemon: &mut Silent, now: Duration::ZERO }
    };
}

/// Domains have numbers below this, or reserved ones.
pub const DOMIDS: u16 = 6;

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
    /// Its open transactions, as far as it was told.
    pub open: Vec<u32>,
}

/// An engine, driven by acts.
#[derive(Debug)]
pub struct World {
    engine: Engine,
    /// Its hypervisor.
    pub machine: Machine,
    /// All clients there ever were.
    pub clients: Vec<Client>,
    /// The generation that the last `DIRECTORY_PART` was answered with.
    pub generation: Option<String>,
}

impl World {
    /// A world in which nothing happened yet.
    pub fn new(keep_orphans: bool) -> Self {
        let settings = Settings { keep_orphans, ..Settings::default() };
        let (machine, clients) = (Machine::new(), Vec::new());
        Self { engine: Engine::new(&settings), machine, clients, generation: None }
    }

    /// Whether an act makes sense: whoever acts has to be connected.
    pub fn allows(&self, act: &Act) -> bool {
        let connected = |client: usize| self.clients.get(client).filter(|client| client.alive);
        match act {
            Act::Ask(client, ..) => connected(*client).is_some(),
            Act::Disconnect(client) => connected(*client).is_some_and(|client| client.socket),
            _ => true,
        }
    }

    /// Lets an act happen; what the clients were sent.
    pub fn apply(&mut self, act: &Act) -> Output {
        self.machine.apply(act);
        match act {
            Act::Connect => {
                let id = self.engine.connect_socket(&mut Silent);
                self.add_client(id, 0, true);
            }
            Act::Disconnect(client) => {
                self.engine.disconnect(self.clients[*client].id, &mut Silent);
                self.clients[*client].alive = false;
            }
            Act::Ask(client, transaction, request) => self.ask(*client, *transaction, request),
            Act::News(domid) => {
                let Self { engine, machine, .. } = self;
                engine.domain_changed(Domid::new(*domid), &mut outside!(machine));
            }
            Act::Create(_) | Act::ShutDown(_) | Act::Die(_) | Act::Vanish(_) => {}
        }
        self.find_rings();
        let output = self.collect();
        if let Act::Ask(client, transaction, request) = act {
            let mut sent = output.get(client).into_iter().flatten();
            let reply = sent.find(|message| matches!(message, Message::Reply { .. }));
            if let Some(Message::Reply { kind, payload, .. }) = reply {
                self.note_transactions(*client, *transaction, request, *kind, payload);
            }
        }
        output
    }

    /// The committed store as sorted lines.
    pub fn dump(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.engine.dump().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    fn add_client(&mut self, id: ConnectionId, domid: u16, socket: bool) {
        self.clients.push(Client { id, domid, socket, alive: true, open: Vec::new() });
    }

    fn ask(&mut self, client: usize, transaction: u32, request: &Request) {
        let id = self.clients[client].id;
        let mut bytes = Vec::new();
        let payload = request.payload();
        let fits = message::encode(
            &mut bytes,
            request.kind(),
            REQUEST_ID,
            transaction,
            &[payload.as_bytes()],
        );
        assert!(fits, "a request no client can send");
        self.engine.receive(id, &bytes);
        let turn = self.engine.turn(id, &mut outside!(&mut self.machine));
        assert_eq!(turn, Turn::Idle, "one request is one turn");
    }

    /// Takes note of rings that came and went.
    fn find_rings(&mut self) {
        for domid in 0..DOMIDS {
            let now = self.engine.ring(Domid::new(domid));
            let mut rings = self
                .clients
                .iter_mut()
                .filter(|client| client.alive && !client.socket && client.domid == domid);
            let known = rings.next();
            if known.as_ref().map(|client| client.id) == now {
                continue;
            }
            if let Some(old) = known {
                old.alive = false;
            }
            if let Some(id) = now {
                self.add_client(id, domid, false);
            }
        }
    }

    fn collect(&mut self) -> Output {
        let mut output = Output::new();
        for id in self.engine.take_outgoing() {
            let client = self.clients.iter().position(|client| client.alive && client.id == id);
            let bytes = self.engine.output(id).to_vec();
            self.engine.sent(id, bytes.len());
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
                let payload = self.without_generation(kind, &payload).to_owned();
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

    fn note_transactions(
        &mut self,
        client: usize,
        transaction: u32,
        request: &Request,
        kind: MessageType,
        payload: &str,
    ) {
        let open = &mut self.clients[client].open;
        match request {
            Request::Start if kind != MessageType::Error => {
                open.extend(payload.trim_end_matches('\0').parse::<u32>());
            }
            Request::End(_) => open.retain(|&number| number != transaction),
            Request::ResetWatches if kind != MessageType::Error => open.clear(),
            _ => {}
        }
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
    /// Lets the same act happen in the model; what its clients were sent. `machine` is
    /// already as the act made it.
    pub fn apply(&mut self, act: &Act, machine: &mut Machine) -> Output {
        match act {
            Act::Connect => {
                self.connect(0, true);
            }
            Act::Disconnect(client) => self.disconnect(*client),
            Act::Ask(client, transaction, request) => {
                self.answer(*client, *transaction, request, machine);
            }
            Act::News(domid) => self.domain_changed(*domid, machine),
            Act::Create(_) | Act::ShutDown(_) | Act::Die(_) | Act::Vanish(_) => {}
        }
        self.take_output()
    }
}
