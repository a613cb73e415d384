//! Plays a scenario of guests to a daemon and writes down what comes of it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use xenstore_host::ring::{Field, Lane};
use xenstore_wire::text::{decimal, split_string};
use xenstore_wire::{Domid, Features, Header, MessageType};

use super::heard::{answer, canonical, event, kept, messages};
use super::recording::{Action, Ask, Deed, Lanes, Outcome, Ring, Scenario, Step, TOOLSTACK, Who};
use super::world::World;
use crate::message::Request;
use crate::recording::{Answer, Transaction};
use crate::replay::{NO_TRANSACTION, replace};
use crate::target::Heard;

/// Plays a scenario to a daemon of its own: one outcome for each step.
pub fn play(program: &Path, scenario: &Scenario) -> io::Result<Vec<Outcome>> {
    let about = |number: u32, error: io::Error| {
        io::Error::new(error.kind(), format!("{} step {number}: {error}", scenario.name))
    };
    let world = World::start(program, &scenario.options).map_err(|error| about(0, error))?;
    let mut replay = Replay { world, transactions: HashMap::new(), last_request: 0 };
    for domid in &scenario.exist {
        replay.world.create(*domid).map_err(|error| about(0, error))?;
    }
    // What the daemon does at its start is no step's.
    replay.world.settle()?;
    let steps = scenario.steps.iter();
    steps.map(|step| replay.step(step).map_err(|error| about(step.number, error))).collect()
}

struct Replay {
    world: World,
    transactions: HashMap<(Who, String), u32>,
    last_request: u32,
}

/// The words of a guest's page that the daemon changes now and then.
type Words = [u32; 3];

impl Replay {
    fn step(&mut self, step: &Step) -> io::Result<Outcome> {
        let recorded = step.c.as_ref().or(step.oxenstored.as_ref());
        if let Action::Introduce { domid, new, preset, .. } = &step.action {
            if *new {
                self.world.create(*domid)?;
            }
            for (field, value) in preset {
                self.world.guest(*domid)?.page().set_field(*field, *value);
            }
        }
        let before: BTreeMap<_, _> = self.words();
        let indices: BTreeMap<_, _> = self.indices();
        let mut outcome = Outcome::default();
        match &step.action {
            Action::Introduce { payload, .. } => {
                let ask = Ask {
                    who: TOOLSTACK,
                    kind: MessageType::Introduce.number(),
                    transaction: Transaction::Number(0),
                    payload: payload.clone(),
                };
                self.ask(&ask, recorded, &mut outcome)?;
            }
            Action::Ask(ask) => self.ask(ask, recorded, &mut outcome)?,
            Action::AskOften { ask, start, count } => {
                self.ask_often(ask, *start, *count, &mut outcome)?;
            }
            Action::State { domid, new, state, told } => {
                if *new {
                    self.world.host.renumber(*domid)?;
                }
                self.world.host.set_state(*domid, *state)?;
                if *told {
                    self.world.host.raise()?;
                }
                self.world.settle()?;
            }
            Action::Ring { guest, deeds } => {
                for deed in deeds {
                    self.deed(*guest, deed)?;
                }
                self.world.settle()?;
                let heard = self.world.take_heard(Who::Guest(*guest));
                outcome.messages = messages(heard)?;
                outcome.unsent = self.world.guest(*guest)?.unsent();
            }
            Action::Open(who) => self.world.open(*who)?,
            Action::Close(who) => {
                self.world.close(*who);
                self.world.settle()?;
            }
        }
        if let Some(Who::Guest(domid)) = acts(&step.action) {
            outcome.partial = self.world.guest(domid)?.partial();
        }
        self.overhear(&mut outcome)?;
        self.look_at_rings(step, recorded, &before, &indices, &mut outcome)?;
        Ok(outcome)
    }

    fn ask(
        &mut self,
        ask: &Ask,
        recorded: Option<&Outcome>,
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        let marks = self.send(ask, &ask.payload)?;
        self.world.settle()?;
        let mut events = Vec::new();
        outcome.answer = Answer::Silence;
        for heard in self.world.take_heard(ask.who) {
            let message = match heard {
                Heard::Message(message) => message,
                Heard::Closed => {
                    outcome.answer = Answer::Closed;
                    continue;
                }
            };
            if message.is_event() {
                events.push(event(&message)?);
            } else if outcome.answer == Answer::Silence {
                let Header { request_id, transaction_id, .. } = message.header;
                outcome.late = (request_id, transaction_id) != marks;
                outcome.before = events.len();
                outcome.answer = answer(ask.kind, &message)?;
            } else {
                outcome.others.entry(ask.who).or_default().push(kept(message));
            }
        }
        if !events.is_empty() {
            outcome.events.insert(ask.who, events);
        }
        if let Answer::Granted(payload) = &mut outcome.answer {
            *payload = canonical(ask.kind, payload);
            self.name_transaction(ask, recorded, payload);
        }
        Ok(())
    }

    fn ask_often(
        &mut self,
        ask: &Ask,
        start: u32,
        count: u32,
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        let mut events = Vec::new();
        for number in start..start + count {
            let payload = replace(&ask.payload, b"{i}", number.to_string().as_bytes());
            self.send(ask, &payload)?;
            self.world.settle_or_answer(ask.who)?;
            let mut said = Answer::Silence;
            for heard in self.world.take_heard(ask.who) {
                match heard {
                    Heard::Message(message) if message.is_event() => events.push(event(&message)?),
                    Heard::Message(message) => said = answer(ask.kind, &message)?,
                    Heard::Closed => said = Answer::Closed,
                }
            }
            if ask.kind == MessageType::TransactionStart.number()
                && let Answer::Granted(id) = &mut said
            {
                self.note_transaction(ask.who, format!("b{number}"), id);
                *id = b"<id>\0".to_vec();
            }
            match outcome.answers.last_mut() {
                Some((last, times)) if *last == said => *times += 1,
                _ => outcome.answers.push((said, 1)),
            }
        }
        self.world.settle()?;
        for heard in self.world.take_heard(ask.who) {
            if let Heard::Message(message) = heard {
                events.push(event(&message)?);
            }
        }
        // Each watch says at once that it is set, which recordings leave out.
        if ask.kind != MessageType::Watch.number() && !events.is_empty() {
            outcome.events.insert(ask.who, events);
        }
        Ok(())
    }

    fn deed(&mut self, guest: Domid, deed: &Deed) -> io::Result<()> {
        match deed {
            Deed::Requests(asks) => {
                let mut bytes = Vec::new();
                for ask in asks {
                    bytes.extend(self.encode(ask, &ask.payload).encode());
                }
                self.send_all(guest, &bytes)?;
            }
            Deed::Bytes(bytes) => self.send_all(guest, bytes)?,
            Deed::Put(bytes) => {
                let page = self.world.guest(guest)?.page();
                page.put(Lane::Requests, bytes).map_err(io::Error::other)?;
            }
            Deed::Set(field, value) => self.world.guest(guest)?.page().set_field(*field, *value),
            Deed::Add(field, value) => {
                let page = self.world.guest(guest)?.page();
                page.set_field(*field, page.field(*field).wrapping_add(*value));
            }
            Deed::Fill(lane, byte) => self.world.guest(guest)?.page().fill(*lane, *byte),
            Deed::Read(limit) => self.world.read(guest, *limit)?,
            Deed::Notify => self.world.guest(guest)?.fire()?,
            Deed::Hold => self.world.drain(guest, false)?,
            Deed::Drain => self.world.drain(guest, true)?,
            Deed::Forget => self.world.guest(guest)?.forget(),
            Deed::Settle => self.world.settle()?,
        }
        Ok(())
    }

    /// Sends bytes, waiting for room as long as the daemon makes some.
    fn send_all(&mut self, guest: Domid, bytes: &[u8]) -> io::Result<()> {
        self.world.send(Who::Guest(guest), bytes)?;
        if self.world.guest(guest)?.unsent() > 0 {
            self.world.settle()?;
        }
        Ok(())
    }

    /// Sends a request; its id and its transaction's, which come back with the reply.
    fn send(&mut self, ask: &Ask, payload: &[u8]) -> io::Result<(u32, u32)> {
        let request = self.encode(ask, payload);
        let marks = (request.request_id, request.transaction_id);
        let bytes = request.encode();
        self.world.send(ask.who, &bytes)?;
        Ok(marks)
    }

    fn encode<'p>(&mut self, ask: &Ask, payload: &'p [u8]) -> Request<'p> {
        self.last_request += 1;
        let transaction_id = match &ask.transaction {
            Transaction::Number(number) => *number,
            Transaction::Name(name) => {
                let known = self.transactions.get(&(ask.who, name.clone()));
                known.copied().unwrap_or(NO_TRANSACTION)
            }
        };
        let request_id = self.last_request;
        Request { kind: ask.kind, request_id, transaction_id, length: None, payload }
    }

    /// What those were told who did nothing.
    fn overhear(&mut self, outcome: &mut Outcome) -> io::Result<()> {
        for who in self.world.who_heard() {
            for heard in self.world.take_heard(who) {
                match heard {
                    Heard::Closed => return Err(io::Error::other(format!("{who} was cut off"))),
                    Heard::Message(message) if message.is_event() => {
                        outcome.events.entry(who).or_default().push(event(&message)?);
                    }
                    Heard::Message(message) => {
                        outcome.others.entry(who).or_default().push(kept(message));
                    }
                }
            }
        }
        Ok(())
    }

    /// The rings that recordings look at: that of a guest that something was done to, and
    /// those in which a field changed.
    fn look_at_rings(
        &mut self,
        step: &Step,
        recorded: Option<&Outcome>,
        before: &BTreeMap<Domid, Words>,
        indices: &BTreeMap<Domid, [u32; 4]>,
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        let introduced = match step.action {
            Action::Introduce { domid, .. } => Some(domid),
            _ => None,
        };
        for (domid, words) in self.words() {
            let [features, connection, error] = words;
            let notified = self.world.take_notified(domid);
            let looked_at = recorded.and_then(|outcome| outcome.rings.get(&domid));
            let looked_into = looked_at.is_some_and(|ring| ring.lanes.is_some());
            if !looked_into && before.get(&domid).is_none_or(|before| *before == words) {
                continue;
            }
            let now = self.world.indices(domid);
            let earlier = indices.get(&domid).copied().unwrap_or_default();
            let mut moved = now;
            for (to, from) in moved.iter_mut().zip(earlier) {
                *to = to.wrapping_sub(from);
            }
            let port = match introduced {
                Some(introduced) if introduced == domid => self.world.host.bound_port(domid)?,
                _ => None,
            };
            let ring = Ring {
                features: (features != Features::ALL.bits()).then_some(features),
                connection,
                error,
                port,
                lanes: looked_into.then_some(Lanes { indices: now, moved, notified }),
            };
            outcome.rings.insert(domid, ring);
        }
        Ok(())
    }

    fn words(&self) -> BTreeMap<Domid, Words> {
        let words = |domid| {
            [Field::Features, Field::Connection, Field::Error]
                .map(|field| self.world.field(domid, field))
        };
        self.world.domids().into_iter().map(|domid| (domid, words(domid))).collect()
    }

    fn indices(&self) -> BTreeMap<Domid, [u32; 4]> {
        let domids = self.world.domids().into_iter();
        domids.map(|domid| (domid, self.world.indices(domid))).collect()
    }

    /// A start that the recording gives a name gets that name.
    fn name_transaction(&mut self, ask: &Ask, recorded: Option<&Outcome>, payload: &mut Vec<u8>) {
        if ask.kind != MessageType::TransactionStart.number() {
            return;
        }
        let Some(Answer::Granted(symbol)) = recorded.map(|outcome| &outcome.answer) else { return };
        let name = symbol.strip_prefix(b"<").and_then(|rest| rest.strip_suffix(b">\0"));
        if let Some(name) = name
            && self.note_transaction(ask.who, String::from_utf8_lossy(name).into_owned(), payload)
        {
            payload.clone_from(symbol);
        }
    }

    /// Keeps the id of a transaction that was started; `false` if it is none.
    fn note_transaction(&mut self, who: Who, name: String, reply: &[u8]) -> bool {
        let Some((digits, [])) = split_string(reply) else { return false };
        let Ok(number @ 1..) = decimal(digits) else { return false };
        self.transactions.insert((who, name), number);
        true
    }
}

/// Who does something in a step.
fn acts(action: &Action) -> Option<Who> {
    match action {
        Action::Ask(ask) | Action::AskOften { ask, .. } => Some(ask.who),
        Action::Ring { guest, .. } => Some(Who::Guest(*guest)),
        _ => None,
    }
}
