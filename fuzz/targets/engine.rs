//! Clients and guests that do anything at all; the engine keeps its promises:
//!
//! * each complete request has one reply, in order, and no message is too long;
//! * what waits for a client is bounded, and nobody waits for another for ever;
//! * the accounts are what a recount gives (`CONTROL check`).

#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use xenstore_engine::{
    ConnectionId, Daemon, Engine, Incident, Origin, Outside, Settings, Silent, Transport, Turn,
};
use xenstore_host::{ConnectError, DomainState, Hypervisor};
use xenstore_wire::{Domid, Features, Header, Message, MessageType, PAYLOAD_MAX, decoder, message};

/// What happens next. Numbers are taken modulo what there is.
#[derive(Arbitrary, Debug)]
enum Action {
    Connect,
    Close(u8),
    /// Bytes of no form.
    Bytes(u8, Vec<u8>),
    /// A request of any payload.
    Request {
        by: u8,
        kind: u8,
        transaction: u8,
        payload: Vec<u8>,
    },
    /// A request that means something.
    Sensible {
        by: u8,
        transaction: u8,
        what: What,
    },
    /// A client takes so many hundred bytes of what waits for it.
    Take(u8, u8),
    Introduce(u8),
    Release(u8),
    Target(u8, u8),
    Dies(u8),
    ShutsDown(u8),
    /// So many milliseconds pass.
    Sleep(u8),
}

#[derive(Arbitrary, Debug)]
enum What {
    Read(Place),
    Directory(Place),
    Part(Place, u8),
    Write(Place, Vec<u8>),
    Mkdir(Place),
    Rm(Place),
    GetPerms(Place),
    SetPerms(Place, Vec<(u8, u8)>),
    Watch(Place, u8, Option<u8>),
    Unwatch(Place, u8),
    Start,
    End(bool),
    Reset,
    Quota(u8, u8, u8),
}

/// One of few names.
#[derive(Arbitrary, Debug)]
struct Place(u8);

impl Place {
    fn spell(&self) -> String {
        const NAMES: [&str; 4] = ["a", "b", "c", "long-enough-for-an-allocation"];
        let name = |shift: u8| NAMES[usize::from(self.0 >> shift) % NAMES.len()];
        match self.0 % 16 {
            0 => "/".into(),
            1 => "@releaseDomain".into(),
            2 => "@introduceDomain".into(),
            3 => format!("@releaseDomain/{}", 1 + (self.0 >> 4) % 4),
            4..8 => format!("/{}", name(4)),
            8..11 => format!("/{}/{}", name(4), name(6)),
            11..13 => format!("/a/{}/{}", name(4), name(6)),
            13 => name(4).to_owned(),
            14 => format!("/local/domain/{}", (self.0 >> 4) % 5),
            _ => format!("/local/domain/{}/{}", (self.0 >> 4) % 4, name(6)),
        }
    }
}

impl What {
    fn request(&self) -> (MessageType, Vec<u8>) {
        use MessageType as T;
        let path = |kind, place: &Place| (kind, format!("{}\0", place.spell()).into_bytes());
        match self {
            Self::Read(place) => path(T::Read, place),
            Self::Directory(place) => path(T::Directory, place),
            Self::Part(place, at) => {
                (T::DirectoryPart, format!("{}\0{at}\0", place.spell()).into())
            }
            Self::Write(place, value) => {
                let (kind, mut payload) = path(T::Write, place);
                payload.extend(value);
                (kind, payload)
            }
            Self::Mkdir(place) => path(T::Mkdir, place),
            Self::Rm(place) => path(T::Rm, place),
            Self::GetPerms(place) => path(T::GetPerms, place),
            Self::SetPerms(place, entries) => {
                let (kind, mut payload) = path(T::SetPerms, place);
                for (letter, domid) in entries.iter().take(6) {
                    let letter = char::from(b"nrwb"[usize::from(letter % 4)]);
                    let domid = if *domid == 255 { 32757 } else { u16::from(domid % 5) };
                    payload.extend(format!("{letter}{domid}\0").into_bytes());
                }
                (kind, payload)
            }
            Self::Watch(place, token, None) => {
                (T::Watch, format!("{}\0{}\0", place.spell(), token % 4).into())
            }
            Self::Watch(place, token, Some(depth)) => {
                (T::Watch, format!("{}\0{}\0{}\0", place.spell(), token % 4, depth % 4).into())
            }
            Self::Unwatch(place, token) => {
                (T::Unwatch, format!("{}\0{}\0", place.spell(), token % 4).into())
            }
            Self::Start => (T::TransactionStart, b"\0".to_vec()),
            Self::End(true) => (T::TransactionEnd, b"T\0".to_vec()),
            Self::End(false) => (T::TransactionEnd, b"F\0".to_vec()),
            Self::Reset => (T::ResetWatches, b"\0".to_vec()),
            Self::Quota(domid, name, value) => {
                let names = ["nodes", "watches", "transactions", "node-size", "path-max"];
                let name = names[usize::from(*name) % names.len()];
                (T::SetQuota, format!("{}\0{name}\0{value}\0", domid % 5).into())
            }
        }
    }
}

/// A few domains, each with a state.
#[derive(Default)]
struct Guests {
    states: BTreeMap<Domid, DomainState>,
    born: u64,
}

impl Hypervisor for Guests {
    fn domain(&mut self, domid: Domid) -> Option<DomainState> {
        if domid == Domid::DOM0 {
            return Some(DomainState::RUNNING);
        }
        self.states.get(&domid).copied()
    }

    fn connect(&mut self, domid: Domid, _: u32, _: Features) -> Result<(), ConnectError> {
        self.domain(domid).map(|_| ()).ok_or(ConnectError::NoSuchDomain(domid))
    }

    fn disconnect(&mut self, _domid: Domid) {}
}

/// Whose rings ended or began anew. What their clients asked before is not answered any more.
#[derive(Default)]
struct Renewals(Vec<Domid>);

impl Daemon for Renewals {
    fn observes(&self) -> bool {
        true
    }

    fn observe(&mut self, origin: &Origin, incident: &Incident<'_>) {
        if matches!((origin.transport, incident), (Transport::Ring, Incident::Disconnected)) {
            self.0.push(origin.domid);
        }
    }
}

/// A connection, and what its client has seen of it.
#[derive(Default)]
struct Client {
    /// Sent and not yet recognized as requests.
    sent: Vec<u8>,
    /// Ids of requests that wait for their reply.
    asked: std::collections::VecDeque<u32>,
    received: Vec<u8>,
    /// It broke the protocol, or was taken away.
    gone: bool,
}

struct World {
    engine: Engine,
    guests: Guests,
    renewals: Renewals,
    clients: Vec<(ConnectionId, Client)>,
    next_id: u32,
    now: Duration,
}

/// The most that may lie ready for a client: the engine's limit of 64 KiB, and what
/// one message and the events it causes can add.
const READY_MAX: usize = 64 * 1024 + 64 * (Header::SIZE + PAYLOAD_MAX);

fuzz_target!(|actions: Vec<Action>| {
    let mut world = World {
        engine: Engine::new(&Settings::default()),
        guests: Guests::default(),
        renewals: Renewals::default(),
        clients: Vec::new(),
        next_id: 1,
        now: Duration::ZERO,
    };
    world.connect();
    for action in actions.iter().take(200) {
        world.act(action);
    }
    world.finish();
});

impl World {
    fn act(&mut self, action: &Action) {
        match action {
            Action::Connect if self.clients.len() < 8 => self.connect(),
            Action::Connect => {}
            Action::Close(which) if self.clients.len() > 1 => {
                let (id, _) = self.clients.remove(usize::from(*which) % self.clients.len());
                self.engine.disconnect(id, &mut Silent);
            }
            Action::Close(_) => {}
            Action::Bytes(by, bytes) => self.send(*by, bytes),
            Action::Request { by, kind, transaction, payload } => {
                let kind = u32::from(*kind % 32);
                self.request(*by, kind, u32::from(*transaction % 4), payload);
            }
            Action::Sensible { by, transaction, what } => {
                let (kind, payload) = what.request();
                let transaction =
                    if kind == MessageType::TransactionStart { 0 } else { transaction % 4 };
                self.request(*by, kind.number(), transaction.into(), &payload);
            }
            Action::Take(by, amount) => {
                let which = usize::from(*by) % self.clients.len();
                self.take(which, usize::from(*amount) * 100);
            }
            Action::Introduce(domid) => self.introduce(domid % 4 + 1),
            Action::Release(domid) => {
                let payload = format!("{}\0", domid % 5);
                self.request(0, MessageType::Release.number(), 0, payload.as_bytes());
            }
            Action::Target(domid, target) => {
                let payload = format!("{}\0{}\0", domid % 5, target % 5);
                self.request(0, MessageType::SetTarget.number(), 0, payload.as_bytes());
            }
            Action::Dies(domid) => {
                self.guests.states.remove(&Domid::new(u16::from(domid % 4 + 1)));
                self.domain_changed(domid % 4 + 1);
            }
            Action::ShutsDown(domid) => {
                if let Some(state) =
                    self.guests.states.get_mut(&Domid::new(u16::from(domid % 4 + 1)))
                {
                    state.shutdown = true;
                }
                self.domain_changed(domid % 4 + 1);
            }
            Action::Sleep(milliseconds) => {
                self.now += Duration::from_millis(u64::from(*milliseconds) * 10);
                self.engine.pass_time(self.now, &mut Silent);
            }
        }
        self.wake();
        self.check();
    }

    /// Turns for those who waited and need not any more. Who waits again waits for
    /// somebody who got on.
    fn wake(&mut self) {
        for _ in 0..100_000 {
            let Some(id) = self.engine.next_ready() else {
                return;
            };
            self.turns(id, &[]);
        }
        panic!("some wake each other for ever");
    }

    /// Time passes until nobody waits for another.
    fn let_all_go_on(&mut self) {
        for _ in 0..1000 {
            if self.clients.iter().all(|(id, _)| !self.engine.standing(*id).is_held) {
                return;
            }
            let next = self.engine.deadline().expect("who waits, waits for a time");
            self.now = self.now.max(next);
            self.engine.pass_time(self.now, &mut Silent);
            self.wake();
        }
        panic!("some wait for ever");
    }

    fn connect(&mut self) {
        let id = self.engine.connect_socket(&mut Silent);
        self.clients.push((id, Client::default()));
    }

    /// A domain is made and its ring connected; from then on it is a client.
    fn introduce(&mut self, number: u8) {
        let domid = Domid::new(number.into());
        let before = self.engine.ring(domid);
        if before.is_none() {
            self.guests.born += 1;
            let state = DomainState { unique_id: self.guests.born, ..DomainState::RUNNING };
            self.guests.states.insert(domid, state);
        }
        let payload = format!("{domid}\x001\x001\0");
        self.request(0, MessageType::Introduce.number(), 0, payload.as_bytes());
        self.notice_rings();
    }

    fn domain_changed(&mut self, number: u8) {
        let World { engine, guests, renewals, now, .. } = self;
        let mut outside = Outside { hypervisor: guests, daemon: renewals, now: *now };
        engine.domain_changed(Domid::new(number.into()), &mut outside);
        self.forget_renewed();
        self.notice_rings();
    }

    fn forget_renewed(&mut self) {
        for domid in self.renewals.0.drain(..) {
            let ring = self.engine.ring(domid);
            if let Some((_, client)) = self.clients.iter_mut().find(|(id, _)| Some(*id) == ring) {
                *client = Client::default();
            }
        }
    }

    /// Rings come and go as the engine decides.
    fn notice_rings(&mut self) {
        let rings: Vec<_> =
            (0..5).filter_map(|domid| self.engine.ring(Domid::new(domid))).collect();
        for ring in rings {
            if self.clients.iter().all(|(id, _)| *id != ring) && self.clients.len() < 16 {
                self.clients.push((ring, Client::default()));
            }
        }
    }

    fn request(&mut self, by: u8, kind: u32, transaction_id: u32, payload: &[u8]) {
        let payload = &payload[..payload.len().min(PAYLOAD_MAX)];
        self.next_id += 1;
        let header = Header {
            kind,
            request_id: self.next_id,
            transaction_id,
            length: u32::try_from(payload.len()).unwrap_or(0),
        };
        self.send(by, &[&header.encode()[..], payload].concat());
    }

    fn send(&mut self, by: u8, bytes: &[u8]) {
        let which = usize::from(by) % self.clients.len();
        let (id, client) = &mut self.clients[which];
        // As a daemon does: nothing is read of a client that does not read.
        if !self.engine.standing(*id).wants_input {
            return;
        }
        client.sent.extend_from_slice(bytes);
        while let Ok(Some((Message { header, .. }, used))) = decoder::first_message(&client.sent) {
            client.asked.push_back(header.request_id);
            client.sent.drain(..used);
        }
        let id = *id;
        self.turns(id, bytes);
    }

    fn turns(&mut self, id: ConnectionId, mut bytes: &[u8]) {
        let World { engine, guests, renewals, now, .. } = self;
        let mut outside = Outside { hypervisor: guests, daemon: renewals, now: *now };
        let mut last = Turn::More;
        for _ in 0..1000 {
            last = engine.turn(id, std::mem::take(&mut bytes), &mut outside);
            if last != Turn::More {
                break;
            }
        }
        assert_ne!(last, Turn::More, "a client's requests never end");
        self.forget_renewed();
        if last == Turn::Broken
            && let Some((_, client)) = self.clients.iter_mut().find(|(other, _)| *other == id)
        {
            client.gone = true;
        }
        self.notice_rings();
    }

    /// A client takes what waits for it, at most so much.
    fn take(&mut self, which: usize, amount: usize) {
        let (id, client) = &mut self.clients[which];
        let id = *id;
        let output = self.engine.output(id);
        let count = output.len().min(amount);
        client.received.extend_from_slice(&output[..count]);
        self.engine.sent(id, count);
        client.look();
        if count > 0 {
            self.turns(id, &[]);
        }
    }

    fn check(&mut self) {
        while let Some(id) = self.engine.next_outgoing() {
            // Whoever has something to send is somebody we know, or is gone.
            let known = self.clients.iter().any(|(client, _)| *client == id);
            assert!(known || self.engine.output(id).is_empty());
        }
        for (id, _) in &self.clients {
            assert!(self.engine.output(*id).len() <= READY_MAX);
        }
    }

    /// Everybody takes everything; then nothing is owed, and the accounts agree.
    fn finish(&mut self) {
        // Who takes something can go on asking, and wait again.
        for _ in 0..self.clients.len() {
            self.let_all_go_on();
            for which in 0..self.clients.len() {
                self.take(which, usize::MAX);
                self.wake();
            }
        }
        self.let_all_go_on();
        for which in 0..self.clients.len() {
            let (id, _) = self.clients[which];
            while !self.engine.output(id).is_empty() {
                self.take(which, usize::MAX);
            }
            let alive = self.is_alive(id);
            let (_, client) = &self.clients[which];
            if alive && !client.gone {
                assert!(client.received.is_empty(), "half a message");
                assert!(client.asked.is_empty(), "requests without a reply: {:?}", client.asked);
            }
        }
        let id = self.engine.connect_socket(&mut Silent);
        let mut check = Vec::new();
        assert!(message::encode(&mut check, MessageType::Control, 1, 0, &[b"check\0"]));
        self.turns(id, &check);
        assert!(self.engine.output(id).ends_with(b"OK\0"), "the accounts are wrong");
        assert!(!self.engine.dump().is_empty());
    }

    /// Sockets live until they are closed; a ring as long as the engine knows it.
    fn is_alive(&self, id: ConnectionId) -> bool {
        let ring = (0..5).any(|domid| self.engine.ring(Domid::new(domid)) == Some(id));
        ring || self.engine.standing(id).wants_input
    }
}

impl Client {
    /// Looks at what came: replies in order of the requests, events as they are.
    fn look(&mut self) {
        loop {
            let Message { header, payload } = match decoder::first_message(&self.received) {
                Ok(Some((message, _))) => message,
                Ok(None) => return,
                Err(oversized) => panic!("{oversized}"),
            };
            if header.kind == MessageType::WatchEvent.number() {
                assert_eq!((header.request_id, header.transaction_id), (0, 0));
                assert_eq!(payload.iter().filter(|&&byte| byte == 0).count(), 2);
                assert_eq!(payload.last(), Some(&0));
            } else {
                assert_eq!(self.asked.pop_front(), Some(header.request_id));
            }
            let used = Header::SIZE + payload.len();
            self.received.drain(..used);
        }
    }
}
