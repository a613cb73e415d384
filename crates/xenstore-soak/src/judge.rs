//! Whether clients are told what the model says.
//!
//! The model takes requests one after the other. When several clients have one unanswered,
//! nobody knows which the daemon took first; nor is it said when it moves a protected
//! transaction to the store as it is now. So there are as many *candidates* as there are
//! histories that explain all that was told so far, mostly one. A reply or an event that no
//! candidate explains is a disagreement.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use xenstore_model::accounts::current_lines;
use xenstore_model::act::{Act, Machine};
use xenstore_model::model::{Message, Model};
use xenstore_model::request::{Asked, Request};
use xenstore_wire::MessageType;

use crate::failure::Failure;
use crate::feed::{Event, Feed, Heard};

/// How late an event may be.
const PATIENCE: Duration = Duration::from_secs(20);

/// The first client of every model hears of all domains that come and go. It is the same for
/// all models, so what it is told is only counted.
pub const HERALD: usize = 0;

/// What a client was told to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The request's type, or `Error`.
    pub kind: MessageType,
    /// Its transaction.
    pub transaction: u32,
    /// The payload.
    pub payload: String,
}

impl Reply {
    /// As far as the model has an opinion of it: it has no generations, and does not count
    /// bytes.
    fn known(self) -> Self {
        if self.kind != MessageType::DirectoryPart {
            return self.without_peaks();
        }
        let names = self.payload.split_once('\0').map(|(_generation, names)| names);
        let payload = names.unwrap_or(&self.payload).to_owned();
        Self { payload, ..self }
    }

    /// What a domain had at most is not asked here.
    fn without_peaks(self) -> Self {
        if self.kind != MessageType::Control {
            return self;
        }
        Self { payload: current_lines(&self.payload), ..self }
    }
}

/// A request that was not answered yet.
#[derive(Clone, Debug)]
struct Pending {
    number: u64,
    asked: Asked,
    since: Instant,
}

/// One history that explains everything.
#[derive(Clone, Debug)]
struct Candidate {
    model: Model,
    /// Requests that came to their turn in it and were not seen answered yet.
    done: BTreeMap<u64, Reply>,
    feeds: BTreeMap<usize, Feed>,
    /// What the herald was told, and how often.
    announced: BTreeMap<String, u64>,
}

impl Candidate {
    /// The model's answer. Nobody is answered who died of the question.
    fn answer(&mut self, pending: &Pending, machine: &mut Machine, now: Instant) -> Option<Reply> {
        self.model.answer(&pending.asked, machine);
        self.collect(pending.asked.client, pending.since, now)
    }

    /// Sorts what the model sent: the reply to `asker` is handed out.
    fn collect(&mut self, asker: usize, caused: Instant, now: Instant) -> Option<Reply> {
        let mut reply = None;
        for (client, messages) in self.model.take_output() {
            for message in messages {
                match message {
                    Message::Reply { kind, transaction, payload } if client == asker => {
                        reply = Some(Reply { kind, transaction, payload }.without_peaks());
                    }
                    Message::Reply { .. } => {}
                    Message::Event { path, .. } if client == HERALD => {
                        *self.announced.entry(path).or_default() += 1;
                    }
                    Message::Event { path, token } => {
                        let feed = self.feeds.entry(client).or_default();
                        feed.expect(Event { path, token }, caused, now);
                    }
                }
            }
        }
        let model = &self.model;
        self.feeds.retain(|&client, _| model.is_alive(client));
        reply
    }
}

/// A part of the store that nobody else touches, as it has to be.
#[derive(Debug)]
pub struct Judge {
    machine: Machine,
    candidates: Vec<Candidate>,
    /// In the order they were sent.
    pending: Vec<Pending>,
    /// Events that came while requests were under way.
    heard: Vec<(usize, Heard)>,
    last_number: u64,
}

impl Judge {
    /// Of a store nobody used yet.
    pub fn new() -> Self {
        let candidate = Candidate {
            model: Model::new(false),
            done: BTreeMap::new(),
            feeds: BTreeMap::new(),
            announced: BTreeMap::new(),
        };
        Self {
            machine: Machine::new(),
            candidates: vec![candidate],
            pending: Vec::new(),
            heard: Vec::new(),
            last_number: 0,
        }
    }

    /// One of the models that explain everything; the only one, if nothing is under way.
    pub fn model(&self) -> &Model {
        &self.candidates[0].model
    }

    /// Whether no request is under way.
    pub fn is_quiet(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many histories explain what was told.
    pub fn candidates(&self) -> usize {
        self.candidates.len()
    }

    /// A client comes over the socket; its number.
    pub fn connect(&mut self) -> usize {
        let numbers = self.candidates.iter_mut().map(|candidate| candidate.model.connect(0, true));
        numbers.last().unwrap_or_default()
    }

    /// A client of the socket goes.
    pub fn disconnect(&mut self, client: usize) {
        self.forget(client);
        self.candidates.iter_mut().for_each(|candidate| candidate.model.disconnect(client));
    }

    /// A guest begins its ring anew.
    pub fn reconnect(&mut self, client: usize) {
        self.forget(client);
        self.candidates.iter_mut().for_each(|candidate| candidate.model.reconnect(client));
    }

    /// What a client is due does not matter any more.
    pub fn forget(&mut self, client: usize) {
        self.candidates.iter_mut().for_each(|candidate| drop(candidate.feeds.remove(&client)));
        self.heard.retain(|(whose, _)| *whose != client);
    }

    /// Something happens to a domain, and the store is told.
    pub fn happen(&mut self, act: &Act, domid: u16, now: Instant) {
        self.machine.apply(act);
        for candidate in &mut self.candidates {
            candidate.model.domain_changed(domid, &mut self.machine);
            let nobody = usize::MAX;
            candidate.collect(nobody, now, now);
        }
        let model = &self.candidates[0].model;
        self.heard.retain(|&(client, _)| model.is_alive(client));
    }

    /// The hypervisor makes a domain; the store is not told.
    pub fn create(&mut self, domid: u16) {
        self.machine.apply(&Act::Create(domid));
    }

    /// Only the model is asked; what it answers.
    pub fn teach(&mut self, asked: &Asked) -> Option<Reply> {
        let now = Instant::now();
        let Self { candidates, machine, .. } = self;
        let answers = candidates.iter_mut().map(|candidate| {
            candidate.model.answer(asked, machine);
            candidate.collect(asked.client, now, now)
        });
        answers.last().flatten()
    }

    /// Of several histories only those go on whose model fits what was found, if any does;
    /// whether any does.
    pub fn narrow(&mut self, mut fits: impl FnMut(&Model) -> bool) -> bool {
        let fitting: Vec<bool> = self.candidates.iter().map(|it| fits(&it.model)).collect();
        let any = fitting.contains(&true);
        let mut left = fitting.into_iter();
        self.candidates.retain(|_| !any || left.next().unwrap_or(true));
        any
    }

    /// What the herald is to be told of this village, and how often.
    pub fn announced(&self) -> &BTreeMap<String, u64> {
        &self.candidates[0].announced
    }

    /// A client sent a request.
    pub fn ask(&mut self, asked: Asked, now: Instant) {
        // Whom a toolstack resumes runs again.
        self.machine.apply(&Act::Ask(asked.client, asked.transaction, asked.request.clone()));
        self.last_number += 1;
        self.pending.push(Pending { number: self.last_number, asked, since: now });
    }

    /// A client takes what it asked with it into its death. Perhaps the first of it was done.
    pub fn abandon(&mut self, client: usize, now: Instant) {
        let is_its = |pending: &mut Pending| pending.asked.client == client;
        let its: Vec<_> = self.pending.extract_if(.., is_its).collect();
        for mut candidate in std::mem::take(&mut self.candidates) {
            for pending in &its {
                if candidate.done.remove(&pending.number).is_none() {
                    self.candidates.push(candidate.clone());
                    candidate.answer(pending, &mut self.machine, now);
                }
            }
            self.candidates.push(candidate);
        }
    }

    /// A client was answered its oldest request.
    pub fn hear_reply(
        &mut self,
        client: usize,
        reply: Reply,
        now: Instant,
    ) -> Result<Asked, Failure> {
        let reply = reply.known();
        let place = self.pending.iter().position(|pending| pending.asked.client == client);
        let Some(place) = place else {
            return Err(Failure::Disagreement(format!("client {client} asked nothing: {reply:?}")));
        };
        let number = self.pending[place].number;
        let mut told = BTreeSet::new();
        let mut left = Vec::new();
        for candidate in std::mem::take(&mut self.candidates) {
            for (said, candidate) in self.explain(candidate, number, now) {
                if said.as_ref() == Some(&reply) {
                    left.push(candidate);
                } else {
                    told.insert(format!("{said:?}"));
                }
            }
        }
        let pending = self.pending.remove(place);
        if left.is_empty() {
            let what = format!("{:?}\ndaemon {reply:?}\nmodel  {told:?}", pending.asked);
            return Err(Failure::Disagreement(what));
        }
        self.candidates = left;
        self.thin_out();
        Ok(pending.asked)
    }

    /// All ways in which a request can come to its turn, each with what it is answered.
    fn explain(
        &mut self,
        candidate: Candidate,
        number: u64,
        now: Instant,
    ) -> Vec<(Option<Reply>, Candidate)> {
        let Self { pending, machine, .. } = self;
        let mut explained = Vec::new();
        let mut open = vec![candidate];
        while let Some(mut candidate) = open.pop() {
            if let Some(reply) = candidate.done.remove(&number) {
                explained.push((Some(reply), candidate));
                continue;
            }
            let mut seen = BTreeSet::new();
            let waits = |pending: &&Pending| !candidate.done.contains_key(&pending.number);
            // Of each client the oldest.
            let next: Vec<_> =
                pending.iter().filter(waits).filter(|it| seen.insert(it.asked.client)).collect();
            let only = next.len() == 1;
            let mut candidate = Some(candidate);
            for pending in next {
                let before = if only { candidate.take() } else { candidate.clone() };
                let Some(mut before) = before else { continue };
                let moved = before.model.moved(&pending.asked, machine);
                let moved = moved.map(|model| Candidate { model, ..before.clone() });
                let reply = before.answer(pending, machine, now);
                let mut ways = vec![(reply, before)];
                if let Some(mut moved) = moved {
                    ways.push((moved.answer(pending, machine, now), moved));
                }
                for (reply, mut after) in ways {
                    if pending.number == number {
                        explained.push((reply, after));
                    } else if let Some(reply) = reply {
                        after.done.insert(pending.number, reply);
                        open.push(after);
                    }
                }
            }
        }
        explained
    }

    /// A client was told of a change.
    pub fn hear_event(&mut self, client: usize, heard: Heard) {
        self.heard.push((client, heard));
    }

    /// Compares the events that came with those that were due; to be called when nothing
    /// is under way.
    pub fn compare_events(&mut self, now: Instant) -> Result<(), Failure> {
        if self.heard.is_empty() {
            return self.check_late(now);
        }
        let heard = std::mem::take(&mut self.heard);
        let mut unexplained = Vec::new();
        let mut left = Vec::new();
        for mut candidate in std::mem::take(&mut self.candidates) {
            let not_due = |(client, heard): &&(usize, Heard)| {
                let feed = candidate.feeds.entry(*client).or_default();
                !feed.hear(heard)
            };
            match heard.iter().find(not_due) {
                Some(wrong) => unexplained.push(format!("{wrong:?} for {:?}", candidate.feeds)),
                None => left.push(candidate),
            }
        }
        if left.is_empty() {
            let what = format!("events that should not come: {}", unexplained.join("\nor "));
            return Err(Failure::Disagreement(what));
        }
        self.candidates = left;
        self.thin_out();
        self.check_late(now)
    }

    /// A client could not take anything until now.
    pub fn excuse(&mut self, client: usize, now: Instant) {
        let feeds = self.candidates.iter_mut().filter_map(|it| it.feeds.get_mut(&client));
        feeds.for_each(|feed| feed.excuse(now));
    }

    /// Histories go on in which nobody waits for an event for too long.
    fn check_late(&mut self, now: Instant) -> Result<(), Failure> {
        let late = |candidate: &Candidate| {
            let mut feeds = candidate.feeds.iter();
            feeds.find_map(|(&client, feed)| Some((client, feed.overdue(now, PATIENCE)?.clone())))
        };
        let missing: Vec<_> = self.candidates.iter().map(late).collect();
        if let Some(Some((client, event))) = missing.iter().min() {
            let what = format!("client {client} was not told of {event:?}");
            return Err(Failure::Disagreement(what));
        }
        let mut missing = missing.into_iter();
        self.candidates.retain(|_| missing.next().flatten().is_none());
        Ok(())
    }

    /// Whether a client was told all it is due.
    pub fn is_told(&self, client: usize) -> bool {
        let complete =
            |candidate: &Candidate| candidate.feeds.get(&client).is_none_or(Feed::is_complete);
        self.heard.is_empty() && self.candidates.iter().all(complete)
    }

    /// Of candidates that nobody can tell apart one is enough: everybody was told the same,
    /// is due the same, and will see the same.
    fn thin_out(&mut self) {
        if self.candidates.len() < 2 {
            return;
        }
        let mut known = BTreeSet::new();
        self.candidates.retain(|Candidate { model, done, feeds, .. }| {
            let due: Vec<_> = feeds.iter().map(|(&client, feed)| (client, feed.due())).collect();
            let done = format!("{done:?}");
            known.insert((done, due, model.visible()))
        });
    }
}

impl Default for Judge {
    fn default() -> Self {
        Self::new()
    }
}

/// What is asked of a node.
pub fn node(path: &str, action: xenstore_model::operation::Action) -> Request {
    Request::Node(path.to_owned(), action)
}
