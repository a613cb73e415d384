//! Plays a recorded scenario to a target and writes down what comes of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use xenstore_wire::MessageType;
use xenstore_wire::text::{decimal, split_string};

use crate::canonical::Canonical;
use crate::message::{Message, Request};
use crate::recording::{Action, Answer, Ask, Event, Outcome, Scenario, Step, Transaction, When};
use crate::target::{Client, Heard, Target, flush};

/// What is sent for a transaction whose start was refused.
pub(crate) const NO_TRANSACTION: u32 = 99_999;

/// A scenario being played.
pub struct Replay<'a> {
    target: &'a mut dyn Target,
    /// What `<DIR>` stands for.
    directory: String,
    clients: BTreeMap<char, Client>,
    /// Clients that cannot be asked whether something waits for them: they do not
    /// read, are in the middle of a request, or have been cut off.
    deaf: BTreeSet<char>,
    transactions: HashMap<String, u32>,
    canonical: Canonical,
    last_request: u32,
}

impl<'a> Replay<'a> {
    /// A play on a fresh target; files that a script mentions are in `directory`.
    pub fn new(target: &'a mut dyn Target, directory: &str) -> Self {
        Self {
            target,
            directory: directory.to_owned(),
            clients: BTreeMap::new(),
            deaf: BTreeSet::new(),
            transactions: HashMap::new(),
            canonical: Canonical::default(),
            last_request: 0,
        }
    }

    /// Plays all of it: one outcome per step.
    pub fn play(mut self, scenario: &Scenario) -> io::Result<Vec<Outcome>> {
        let about = |step: &Step, error: io::Error| {
            let place = format!("{} step {}", scenario.name, step.number);
            io::Error::new(error.kind(), format!("{place}: {error}"))
        };
        scenario
            .steps
            .iter()
            .map(|step| self.step(step).map_err(|error| about(step, error)))
            .collect()
    }

    fn step(&mut self, step: &Step) -> io::Result<Outcome> {
        let mut outcome = Outcome::default();
        match &step.action {
            Action::Ask(ask) => self.ask(ask, &step.outcome, &mut outcome)?,
            Action::Open(name) => {
                self.client(*name)?;
            }
            Action::Close(name) => {
                if let Some(client) = self.clients.remove(name) {
                    self.target.disconnect(client);
                }
            }
            Action::Pause(name) => {
                self.client(*name)?;
                self.deaf.insert(*name);
            }
            Action::Resume(name) => {
                self.deaf.remove(name);
                for event in self.waiting(*name, When::Unasked)? {
                    let token = String::from_utf8_lossy(&event.token).into_owned();
                    *outcome.counts.entry(token).or_default() += 1;
                }
            }
            Action::Domain(change) => {
                if !self.target.domain(*change) {
                    return Err(io::Error::other("there is no hypervisor to command"));
                }
            }
        }
        for name in self.clients.keys().copied().collect::<Vec<_>>() {
            let events = self.waiting(name, When::Unasked)?;
            if !events.is_empty() {
                outcome.events.insert(name, events);
            }
        }
        Ok(outcome)
    }

    fn client(&mut self, name: char) -> io::Result<Client> {
        if let Some(&client) = self.clients.get(&name) {
            return Ok(client);
        }
        let client = self.target.connect()?;
        self.clients.insert(name, client);
        Ok(client)
    }

    fn ask(&mut self, ask: &Ask, recorded: &Outcome, outcome: &mut Outcome) -> io::Result<()> {
        let mut events = Vec::new();
        for round in 0..ask.repeat.unwrap_or(1) {
            let payload = match ask.repeat {
                Some(_) => replace(&ask.payload, b"{i}", round.to_string().as_bytes()),
                None => ask.payload.clone(),
            };
            let payload = replace(&payload, b"<DIR>", self.directory.as_bytes());
            let before = std::mem::take(&mut outcome.answer);
            outcome.answer = self.ask_once(ask, &payload, &mut events)?;
            if round > 0 && !same_kind(&before, &outcome.answer) {
                return Err(io::Error::other(format!(
                    "round {round}: {:?} after {before:?}",
                    outcome.answer
                )));
            }
        }
        events.extend(self.waiting(ask.client, When::After)?);
        if let Answer::Granted(payload) = &mut outcome.answer {
            *payload = self.canonical.payload(ask.kind, &ask.payload, payload);
            self.name_transaction(ask, recorded, payload);
        }
        if ask.repeat.is_some() {
            if let Ok(count @ 1..) = u32::try_from(events.len()) {
                outcome.counts.insert(ask.client.to_string(), count);
            }
        } else if !events.is_empty() {
            outcome.events.insert(ask.client, events);
        }
        Ok(())
    }

    fn ask_once(
        &mut self,
        ask: &Ask,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> io::Result<Answer> {
        let client = self.client(ask.client)?;
        let transaction_id = match &ask.transaction {
            Transaction::Number(number) => *number,
            Transaction::Name(name) => {
                self.transactions.get(name).copied().unwrap_or(NO_TRANSACTION)
            }
        };
        self.last_request += 1;
        let request = Request {
            kind: ask.kind,
            request_id: self.last_request,
            transaction_id,
            length: ask.length,
            payload,
        };
        self.target.send(client, &request.encode())?;
        let incomplete = |claimed| claimed as usize > payload.len() && claimed <= 4096;
        if ask.length.is_some_and(incomplete) {
            self.deaf.insert(ask.client);
            return Ok(Answer::Silence);
        }
        loop {
            match self.target.hear(client)? {
                Heard::Closed => {
                    self.deaf.insert(ask.client);
                    return Ok(Answer::Closed);
                }
                Heard::Message(message) if message.is_event() => {
                    events.push(event(&message, When::Before)?);
                }
                Heard::Message(reply) => return answer(&request, reply),
            }
        }
    }

    /// Events on their way to a client.
    fn waiting(&mut self, name: char, when: When) -> io::Result<Vec<Event>> {
        let client = self.clients.get(&name).filter(|_| !self.deaf.contains(&name));
        let Some(&client) = client else {
            return Ok(Vec::new());
        };
        let (messages, open) = flush(self.target, client)?;
        if !open {
            return Err(io::Error::other(format!("the connection of {name} was ended")));
        }
        messages.iter().map(|message| event(message, when)).collect()
    }

    /// A start that the recording gives a name gets that name.
    fn name_transaction(&mut self, ask: &Ask, recorded: &Outcome, payload: &mut Vec<u8>) {
        let Answer::Granted(symbol) = &recorded.answer else { return };
        let name = symbol.strip_prefix(b"<").and_then(|rest| rest.strip_suffix(b">\0"));
        let starts = ask.kind == MessageType::TransactionStart.number();
        if let (true, Some(name), Some((digits, []))) = (starts, name, split_string(payload))
            && let Ok(number @ 1..) = decimal(digits)
        {
            self.transactions.insert(String::from_utf8_lossy(name).into_owned(), number);
            payload.clone_from(symbol);
        }
    }
}

fn answer(request: &Request<'_>, reply: Message) -> io::Result<Answer> {
    let header = reply.header;
    let marks = (header.request_id, header.transaction_id);
    if marks != (request.request_id, request.transaction_id) {
        return Err(io::Error::other(format!("a reply to something else: {header:?}")));
    }
    if header.kind == request.kind && request.kind != MessageType::Error.number() {
        return Ok(Answer::Granted(reply.payload));
    }
    match split_string(&reply.payload) {
        Some((name, [])) if header.kind == MessageType::Error.number() => {
            Ok(Answer::Refused(String::from_utf8_lossy(name).into_owned()))
        }
        _ => Err(io::Error::other(format!("neither a reply nor an error: {reply:?}"))),
    }
}

fn event(message: &Message, when: When) -> io::Result<Event> {
    let odd = || io::Error::other(format!("expected an event, found {message:?}"));
    let header = message.header;
    if !message.is_event() || header.request_id != 0 || header.transaction_id != 0 {
        return Err(odd());
    }
    let (path, rest) = split_string(&message.payload).ok_or_else(odd)?;
    let Some((token, [])) = split_string(rest) else { return Err(odd()) };
    Ok(Event { path: path.to_vec(), token: token.to_vec(), when })
}

fn same_kind(a: &Answer, b: &Answer) -> bool {
    match (a, b) {
        (Answer::Granted(_), Answer::Granted(_)) => true,
        _ => a == b,
    }
}

pub(crate) fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        let (before, found) = rest.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(to);
        rest = found.get(from.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}
