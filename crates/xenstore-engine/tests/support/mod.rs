//! An engine with clients that speak to it, without anything in between.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops there")]

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use xenstore_engine::{ConnectionId, Daemon, Engine, Outside, Settings, Turn};
use xenstore_host::{ConnectError, DomainState, Hypervisor};
use xenstore_wire::{Decoder, Domid, Features, message};

pub use xenstore_wire::MessageType as T;

/// A port that cannot be bound.
pub const BAD_PORT: u32 = 13;

/// A hypervisor whose domains a test makes and kills.
#[derive(Default)]
pub struct Domains(pub BTreeMap<u16, DomainState>, pub LetGo);

/// The domains whose rings the engine let go of, in that order.
pub type LetGo = Vec<u16>;

impl Hypervisor for Domains {
    fn domain(&mut self, domid: Domid) -> Option<DomainState> {
        self.0.get(&domid.get()).copied()
    }

    fn connect(&mut self, domid: Domid, port: u32, _: Features) -> Result<(), ConnectError> {
        if port == BAD_PORT {
            let source = io::ErrorKind::InvalidInput.into();
            return Err(ConnectError::EventChannel { domid, port, source });
        }
        self.domain(domid).map(|_| ()).ok_or(ConnectError::NoSuchDomain(domid))
    }

    fn disconnect(&mut self, domid: Domid) {
        self.1.push(domid.get());
    }
}

/// Remembers what the engine reported.
#[derive(Default)]
pub struct Log {
    pub refused: Vec<(u16, &'static str, u64, u32)>,
    /// Who was held back by whom.
    pub held_back: Vec<(u16, u16)>,
    /// Whose protection took too long.
    pub protection_expired: Vec<u16>,
    /// Whose transaction was open for too long.
    pub transaction_expired: Vec<u16>,
    /// Whose transaction had to let go of its version of the store.
    pub cast_off: Vec<u16>,
    /// Why rings were not connected.
    pub not_connected: Vec<String>,
}

impl Daemon for Log {
    fn not_connected(&mut self, why: &ConnectError) {
        self.not_connected.push(why.to_string());
    }

    fn limit_refused(&mut self, domid: Domid, what: &'static str, wanted: u64, limit: u32) {
        self.refused.push((domid.get(), what, wanted, limit));
    }

    fn held_back(&mut self, held: Domid, holder: Domid) {
        self.held_back.push((held.get(), holder.get()));
    }

    fn protection_expired(&mut self, holder: Domid) {
        self.protection_expired.push(holder.get());
    }

    fn transaction_cast_off(&mut self, domid: Domid) {
        self.cast_off.push(domid.get());
    }

    fn transaction_expired(&mut self, domid: Domid) {
        self.transaction_expired.push(domid.get());
    }
}

/// The host of a test.
pub struct Host {
    pub engine: Engine,
    pub domains: Domains,
    pub log: Log,
    pub now: Duration,
    inboxes: BTreeMap<ConnectionId, Vec<Seen>>,
    next_id: u64,
}

/// A message from the engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    Reply(String),
    Event(String, String),
}

impl Host {
    pub fn new() -> Self {
        Self::with(&Settings::default())
    }

    pub fn with(settings: &Settings) -> Self {
        Self {
            engine: Engine::new(settings),
            domains: Domains::default(),
            log: Log::default(),
            now: Duration::ZERO,
            inboxes: BTreeMap::new(),
            next_id: 1,
        }
    }

    /// A privileged client on the socket.
    pub fn socket(&mut self) -> ConnectionId {
        self.engine.connect_socket(&mut self.log)
    }

    /// Creates a domain and introduces it; its ring.
    pub fn guest(&mut self, domid: u16) -> ConnectionId {
        self.create(domid);
        let tool = self.socket();
        assert_eq!(self.ask(tool, T::Introduce, format!("{domid}\x001\x007\x00")), "OK");
        self.engine.disconnect(tool, &mut self.log);
        self.engine.ring(Domid::new(domid)).expect("introduced")
    }

    /// The hypervisor makes a domain, of another identity than any before.
    pub fn create(&mut self, domid: u16) {
        self.next_id += 1;
        let state = DomainState { unique_id: self.next_id, ..DomainState::RUNNING };
        self.domains.0.insert(domid, state);
    }

    /// The domain is gone, and the engine is told.
    pub fn kill(&mut self, domid: u16) {
        self.domains.0.remove(&domid);
        self.changed(domid);
    }

    pub fn changed(&mut self, domid: u16) {
        let mut outside =
            Outside { hypervisor: &mut self.domains, daemon: &mut self.log, now: self.now };
        self.engine.domain_changed(Domid::new(domid), &mut outside);
    }

    pub fn turn(&mut self, id: ConnectionId) -> Turn {
        self.turn_with(id, &[])
    }

    /// A turn for which bytes were read.
    pub fn turn_with(&mut self, id: ConnectionId, bytes: &[u8]) -> Turn {
        let mut outside =
            Outside { hypervisor: &mut self.domains, daemon: &mut self.log, now: self.now };
        self.engine.turn(id, bytes, &mut outside)
    }

    /// Lets time pass, but not beyond the engine's next deadline without telling it.
    pub fn sleep(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = self.engine.deadline().filter(|&deadline| deadline <= end);
            self.now = next.unwrap_or(end).max(self.now);
            if next.is_none() {
                return;
            }
            self.engine.pass_time(self.now, &mut self.log);
            self.settle();
        }
    }

    /// Gives turns to those who were woken until nobody is.
    pub fn settle(&mut self) {
        while let Some(id) = self.engine.next_ready() {
            self.turn(id);
        }
    }

    /// Sends a request that is held back: there is no reply yet.
    pub fn ask_in_vain(&mut self, id: ConnectionId, t: u32, kind: T, payload: &str) {
        self.turn_with(id, &encoded(kind, t, payload.as_bytes()));
        assert!(self.engine.standing(id).is_held, "{kind:?} {payload:?} is not held back");
        assert_eq!(self.reply(id), None);
    }

    /// The reply that came meanwhile.
    pub fn reply(&mut self, id: ConnectionId) -> Option<String> {
        self.settle();
        self.collect(id);
        let inbox = self.inboxes.entry(id).or_default();
        let at = inbox.iter().position(|seen| matches!(seen, Seen::Reply(_)))?;
        match inbox.remove(at) {
            Seen::Reply(reply) => Some(reply),
            Seen::Event(..) => None,
        }
    }

    /// Feeds a request without giving a turn.
    pub fn send(&mut self, id: ConnectionId, kind: T, transaction: u32, payload: &[u8]) {
        self.engine.receive(id, &encoded(kind, transaction, payload));
    }

    /// Takes what the engine has for a client.
    pub fn collect(&mut self, id: ConnectionId) {
        let mut decoder = Decoder::new();
        while !self.engine.output(id).is_empty() {
            let output = self.engine.output(id);
            decoder.push(output);
            let count = output.len();
            self.engine.sent(id, count);
        }
        while let Some(message) = decoder.next_message().unwrap() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let seen = if message.header.kind == T::WatchEvent.number() {
                let mut parts = message.payload.split(|&byte| byte == 0);
                let mut next = || text(parts.next().unwrap());
                Seen::Event(next(), next())
            } else {
                let payload = text(message.payload);
                Seen::Reply(payload.strip_suffix('\0').unwrap_or(&payload).to_owned())
            };
            self.inboxes.entry(id).or_default().push(seen);
        }
    }

    /// One request in a transaction and its reply; NULs inside stay.
    pub fn ask_in(
        &mut self,
        id: ConnectionId,
        t: u32,
        kind: T,
        payload: impl AsRef<[u8]>,
    ) -> String {
        self.turn_with(id, &encoded(kind, t, payload.as_ref()));
        self.reply(id).expect("a reply")
    }

    /// One request and its reply.
    pub fn ask(&mut self, id: ConnectionId, kind: T, payload: impl AsRef<[u8]>) -> String {
        self.ask_in(id, 0, kind, payload)
    }

    pub fn write(&mut self, id: ConnectionId, path: &str, value: &str) -> String {
        self.ask(id, T::Write, format!("{path}\0{value}"))
    }

    pub fn read(&mut self, id: ConnectionId, path: &str) -> String {
        self.ask(id, T::Read, format!("{path}\0"))
    }

    pub fn rm(&mut self, id: ConnectionId, path: &str) -> String {
        self.ask(id, T::Rm, format!("{path}\0"))
    }

    /// Sets permissions, given with blanks between.
    pub fn chmod(&mut self, id: ConnectionId, path: &str, permissions: &str) -> String {
        let permissions = permissions.replace(' ', "\0");
        self.ask(id, T::SetPerms, format!("{path}\0{permissions}\0"))
    }

    /// Permissions, with blanks between.
    pub fn permissions(&mut self, id: ConnectionId, path: &str) -> String {
        self.ask(id, T::GetPerms, format!("{path}\0")).replace('\0', " ")
    }

    /// Registers a watch and takes its first event.
    pub fn watch(&mut self, id: ConnectionId, path: &str, token: &str) {
        assert_eq!(self.ask(id, T::Watch, format!("{path}\0{token}\0")), "OK");
        let events = self.events(id);
        assert!(events.contains(&(path.to_owned(), token.to_owned())), "{events:?}");
    }

    /// Bytes of memory that a domain is charged.
    pub fn memory(&mut self, domid: u16) -> u64 {
        let tool = self.socket();
        let account = self.ask(tool, T::Control, format!("quota\0{domid}\0"));
        self.engine.disconnect(tool, &mut self.log);
        let line = account.lines().find(|line| line.starts_with("memory")).expect("an account");
        line.split_whitespace().nth(2).and_then(|bytes| bytes.parse().ok()).expect("a number")
    }

    pub fn begin(&mut self, id: ConnectionId) -> u32 {
        self.ask(id, T::TransactionStart, "\0").parse().expect("a transaction id")
    }

    pub fn commit(&mut self, id: ConnectionId, transaction: u32) -> String {
        self.ask_in(id, transaction, T::TransactionEnd, "T\0")
    }

    /// Reads `path` in a transaction while `rival` writes it, so that the commit fails.
    pub fn lose(&mut self, victim: ConnectionId, rival: ConnectionId, path: &str) {
        let t = self.begin(victim);
        self.ask_in(victim, t, T::Read, format!("{path}\0"));
        self.ask_in(victim, t, T::Write, format!("{path}\0mine"));
        let news = format!("{}x", self.read(rival, path));
        assert_eq!(self.write(rival, path, &news), "OK");
        assert_eq!(self.commit(victim, t), "EAGAIN");
    }

    /// Lets a client lose a transaction over `/x`, which is then "0x", and begins its next
    /// one, which is protected.
    pub fn protected(&mut self, victim: ConnectionId, rival: ConnectionId) -> u32 {
        self.write(rival, "/x", "0");
        self.lose(victim, rival, "/x");
        self.begin(victim)
    }

    /// The events a client got since last asked.
    pub fn events(&mut self, id: ConnectionId) -> Vec<(String, String)> {
        self.collect(id);
        let events = self.inboxes.remove(&id).unwrap_or_default().into_iter();
        events
            .map(|seen| match seen {
                Seen::Event(path, token) => (path, token),
                Seen::Reply(reply) => panic!("an unexpected reply: {reply}"),
            })
            .collect()
    }

    /// The paths of those events.
    pub fn paths(&mut self, id: ConnectionId) -> Vec<String> {
        self.events(id).into_iter().map(|(path, _)| path).collect()
    }

    /// Everything a client got, in order.
    pub fn all(&mut self, id: ConnectionId) -> Vec<Seen> {
        self.collect(id);
        self.inboxes.remove(&id).unwrap_or_default()
    }

    /// The engine's own check: the accounts agree with a recount.
    pub fn check(&mut self) {
        let tool = self.socket();
        assert_eq!(self.ask(tool, T::Control, "check\0"), "OK");
        self.engine.disconnect(tool, &mut self.log);
    }
}

/// A request as it is sent.
fn encoded(kind: T, transaction: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(message::encode(&mut bytes, kind, 7, transaction, &[payload]));
    bytes
}
