//! Transactions are as if each had been alone, judged without a model of transactions.
//!
//! What is kept here is one store that is only ever changed by whole requests, one after
//! the other: those outside transactions when they are answered, those of a transaction
//! all at once when the engine says that it was committed. Nearly every value is written
//! once in a history, so a read says whose write it saw. Then
//!
//! * a transaction is always told how it was at one moment, and what it made of that since:
//!   the moment when it began, or, if it is protected, one after that;
//! * one that was committed was told what it would be told alone at its commit, and the
//!   store is what it would have made of it;
//! * one that was refused was told something that is not so any more, and is not protected
//!   from who made it so.

use std::collections::BTreeMap;

use xenstore_wire::{Errno, MessageType};

use crate::act::Act;
use crate::model::{Message, Model, Output};
use crate::moment::{Moment, Told};
use crate::operation::{Action, Answer};
use crate::request::{Asked, Request};
use crate::transaction::Room;
use crate::world::World;

/// The store an engine's should be the same as, and its open transactions.
#[derive(Default)]
pub struct Isolation {
    /// A model that never hears of a transaction or a watch.
    serial: Model,
    open: BTreeMap<(usize, u32), Open>,
    /// How often what permissions and limits mean changed.
    upheavals: u64,
    /// How transactions ended.
    pub ends: Ends,
}

/// How transactions ended.
#[derive(Clone, Copy, Default, Debug)]
pub struct Ends {
    /// Committed, and nobody had changed anything meanwhile.
    pub alone: u64,
    /// Committed, and others had changed other places.
    pub apart: u64,
    /// Committed, and others had been at the same places, but not so that it mattered.
    pub together: u64,
    /// Committed, and what permissions or limits mean had changed.
    pub upheaved: u64,
    /// Committed with nothing changed.
    pub unchanged: u64,
    /// `EAGAIN`.
    pub refused: u64,
    /// Committed under protection.
    pub protected: u64,
    /// Of these, those that cannot have begun when they began.
    pub moved: u64,
    /// `EAGAIN` under protection, by the own connection or somebody above it.
    pub excused: u64,
}

impl Ends {
    /// None yet.
    pub const NONE: Self = Self {
        alone: 0,
        apart: 0,
        together: 0,
        upheaved: 0,
        unchanged: 0,
        refused: 0,
        protected: 0,
        moved: 0,
        excused: 0,
    };

    /// Adds those of another history.
    pub fn add(&mut self, more: &Self) {
        self.alone += more.alone;
        self.apart += more.apart;
        self.together += more.together;
        self.upheaved += more.upheaved;
        self.unchanged += more.unchanged;
        self.refused += more.refused;
        self.protected += more.protected;
        self.moved += more.moved;
        self.excused += more.excused;
    }
}

/// A transaction, as its client knows it.
struct Open {
    /// When it may have begun, as far as its answers say.
    moments: Vec<Moment>,
    log: Vec<Told>,
    room: Room,
    /// How often things were upheaved when it began, and what version there was.
    upheavals: u64,
    version: u64,
    /// Somebody changed something against whom it is not protected.
    excused: bool,
}

impl Isolation {
    /// Beside an engine to which nothing happened yet.
    pub fn new(keep_orphans: bool) -> Self {
        Self { serial: Model::new(keep_orphans), ..Self::default() }
    }

    /// The store as it is, as far as it can be told without transactions.
    pub fn serial(&self) -> &Model {
        &self.serial
    }

    /// Whether a transaction can have changed anything.
    pub fn changes_anything(&self, client: usize, transaction: u32) -> bool {
        let open = self.open.get(&(client, transaction));
        open.is_some_and(|open| open.moments.iter().any(|moment| moment.changed))
    }

    /// Judges what an act led to in a world.
    pub fn judge(&mut self, act: &Act, output: &Output, world: &mut World) -> Result<(), String> {
        let before = self.serial.version();
        self.serial.happen(act, world);
        self.note_upheaval(before);
        let mut replies = output.values().flatten().filter_map(reply);
        for asked in world.answered.clone() {
            let told = replies.next();
            self.follow(&asked, told, world).map_err(|wrong| format!("{asked:?}: {wrong}"))?;
            self.serial.waits_no_more(asked.client);
        }
        if let Some(asked) = &world.put_off {
            let before = self.serial.version();
            self.serial.put_off(asked, &mut world.machine);
            self.note_upheaval(before);
        }
        let clients = &world.clients;
        self.open.retain(|&(client, number), _| clients[client].standing.has(number));
        let (engine, serial) = (world.dump(), self.serial.store().dump());
        if engine == serial { Ok(()) } else { Err(format!("{engine:#?}\nis not\n{serial:#?}")) }
    }

    /// What changed since is not protected from.
    fn note_upheaval(&mut self, version: u64) {
        if self.serial.version() != version {
            self.upheavals += 1;
            self.open.values_mut().for_each(|open| open.excused = true);
        }
    }

    /// A client changed something: so it can be the reason why its own transactions fail,
    /// and those that stand below it.
    fn note_change(&mut self, by: usize, version: u64) {
        if self.serial.version() != version {
            let privileged = |client| self.serial.caller(client).privileged;
            for (&(client, _), open) in &mut self.open {
                open.excused |= client == by || (privileged(by) && !privileged(client));
            }
        }
    }

    fn follow(
        &mut self,
        asked: &Asked,
        told: Option<Answer>,
        world: &mut World,
    ) -> Result<(), String> {
        let Asked { client, transaction, ref request, .. } = *asked;
        let before = self.serial.version();
        match (request, told) {
            (Request::Start, Some(Ok(number))) => {
                let number = number.trim_end_matches('\0').parse().map_err(|_| "no number")?;
                let open = Open::begin(&self.serial, self.upheavals);
                self.open.insert((client, number), open);
            }
            (Request::End(commit), Some(told)) => {
                if let Some(open) = self.open.remove(&(client, transaction)).filter(|_| *commit) {
                    self.end(asked, &open, &told, world)?;
                    self.note_change(client, before);
                }
            }
            (Request::Node(path, action), told) => self.node(asked, path, action, told, world)?,
            (Request::ResetWatches, Some(Ok(_))) => {
                self.open.retain(|&(other, _), _| other != client);
            }
            (
                Request::Start
                | Request::End(_)
                | Request::ResetWatches
                | Request::Watch(..)
                | Request::Unwatch(..),
                _,
            ) => {}
            // A transaction matters to none of the others, but it has to be there.
            _ if transaction != 0 && !self.open.contains_key(&(client, transaction)) => {}
            (request, _) => {
                // What it does to domains it does to the serial store too.
                self.serial.answer(&Asked { transaction: 0, ..asked.clone() }, &mut world.machine);
                match request {
                    Request::Release(_) => self.note_release(client, before),
                    _ => self.note_upheaval(before),
                }
            }
        }
        Ok(())
    }

    /// Nobody is released while that could disturb a transaction which is protected from it.
    fn note_release(&mut self, by: usize, version: u64) {
        self.note_change(by, version);
        self.upheavals += 1;
    }

    fn node(
        &mut self,
        asked: &Asked,
        path: &str,
        action: &Action,
        told: Option<Answer>,
        world: &mut World,
    ) -> Result<(), String> {
        let Asked { client, transaction, protected, .. } = *asked;
        let before = self.serial.version();
        if transaction != 0 && !self.open.contains_key(&(client, transaction)) {
            return Ok(());
        }
        let operation = self.serial.prepare(client, path, action, &mut world.machine);
        self.note_upheaval(before);
        let before = self.serial.version();
        let told = match (operation, told) {
            (Ok(operation), Some(answer)) => Told { operation, answer },
            (Err(refused), told) if told.is_none() || told == Some(Err(refused)) => return Ok(()),
            (operation, told) => return Err(format!("told {told:?} of {operation:?}")),
        };
        if transaction == 0 {
            told.check(&self.serial.perform(client, &told.operation))?;
            self.note_change(client, before);
            return Ok(());
        }
        match self.open.get_mut(&(client, transaction)) {
            Some(open) => open.node(client, told, protected, &self.serial),
            None => Ok(()),
        }
    }

    fn end(
        &mut self,
        asked: &Asked,
        open: &Open,
        told: &Answer,
        world: &World,
    ) -> Result<(), String> {
        let alone = Moment::replay(&self.serial, asked.client, &open.log);
        let unchanged = open.moments.iter().filter(|moment| !moment.changed).count();
        let certain = unchanged == open.moments.len();
        match (told, alone) {
            (Ok(_), _) if certain => self.ends.unchanged += 1,
            // The moment can be in doubt, and with it whether anything was changed then.
            (Ok(_), _) if unchanged > 0 && world.dump() == self.serial.store().dump() => {}
            (Ok(_), alone) => {
                let alone = alone?;
                self.count(asked, open);
                self.serial.install(alone.store);
            }
            (Err(Errno::Again), _) if certain => {
                return Err("refused, although it changed nothing".to_owned());
            }
            (Err(Errno::Again), Ok(_)) => {
                return Err("refused, and all its answers still hold".to_owned());
            }
            (Err(Errno::Again), Err(different)) if asked.protected && !open.excused => {
                return Err(format!("refused under protection: {different}"));
            }
            (Err(Errno::Again), Err(_)) => {
                self.ends.refused += 1;
                self.ends.excused += u64::from(asked.protected);
            }
            (Err(errno), _) => return Err(format!("the end: {errno:?}")),
        }
        Ok(())
    }

    fn count(&mut self, asked: &Asked, open: &Open) {
        let began = &open.moments[0].began;
        let is_apart =
            |told: &Told| began.store().unchanged(self.serial.store(), &told.operation.name);
        let Ends { alone, apart, together, upheaved, protected, moved, .. } = &mut self.ends;
        *protected += u64::from(asked.protected);
        *moved += u64::from(began.version() != open.version);
        *(if open.upheavals != self.upheavals {
            upheaved
        } else if began.version() == self.serial.version() {
            alone
        } else if open.log.iter().all(is_apart) {
            apart
        } else {
            together
        }) += 1;
    }
}

impl Open {
    fn begin(serial: &Model, upheavals: u64) -> Self {
        Self {
            moments: vec![Moment::new(serial)],
            log: Vec::new(),
            room: Room::default(),
            upheavals,
            version: serial.version(),
            excused: false,
        }
    }

    /// Something was asked inside; `serial` is how everything is now.
    fn node(
        &mut self,
        client: usize,
        told: Told,
        protected: bool,
        serial: &Model,
    ) -> Result<(), String> {
        // Who is protected may be told how it is now, if that fits what it was told before.
        let is_new =
            self.moments.last().is_none_or(|last| last.began.version() != serial.version());
        if protected && is_new {
            self.moments.extend(Moment::replay(serial, client, &self.log).ok());
        }
        let caller = serial.caller(client);
        if let Err(full) = self.room.take(&told.operation.name, caller, serial.domains()) {
            return told.check(&Err(full));
        }
        let mut wrong = Ok(());
        self.moments.retain_mut(|moment| {
            wrong = moment.ask(client, &told, serial);
            wrong.is_ok()
        });
        // A refusal for a quota says nothing of the store.
        if told.answer != Err(Errno::NoSpc) {
            self.log.push(told);
        }
        if self.moments.is_empty() { wrong } else { Ok(()) }
    }
}

/// What a client was told, if this is a reply.
pub(crate) fn reply(message: &Message) -> Option<Answer> {
    match message {
        Message::Reply { kind: MessageType::Error, payload, .. } => {
            let errno = Errno::from_name(payload.trim_end_matches('\0').as_bytes());
            Some(Err(errno.expect("an error has a name")))
        }
        Message::Reply { payload, .. } => Some(Ok(payload.clone())),
        Message::Event { .. } => None,
    }
}
