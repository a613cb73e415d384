//! A host's access log, lived through again by the engine.

use std::collections::{BTreeMap, HashMap};
use std::io;

use xenstore_wire::text::{decimal, split_string};
use xenstore_wire::{Domid, MessageType};

use crate::access_log::{Deed, Event, Log, What, Who, named};
use crate::engine_target::EngineTarget;
use crate::message::{Message, Request};
use crate::target::{Client, DomainChange, Heard, Target, flush};

/// What came of a log's deeds with us.
#[derive(Debug, Default)]
pub struct Relived {
    /// For every request, by its line: the error it was refused with, if it was.
    pub refusals: BTreeMap<usize, Option<String>>,
    /// What each was told, by the deed that caused it.
    pub events: BTreeMap<Who, Vec<Batch>>,
}

/// Events that one deed caused for one client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// The deed's line.
    pub line: usize,
    /// In order.
    pub events: Vec<Event>,
}

/// Does all that a log tells of, in its order.
pub fn relive(log: &Log) -> io::Result<Relived> {
    let mut host = Host::new(log)?;
    for deed in &log.deeds {
        let about = |error: io::Error| io::Error::other(format!("line {}: {error}", deed.line));
        host.act(deed).map_err(about)?;
        host.hear_all(deed.line).map_err(about)?;
    }
    Ok(host.relived)
}

/// A host on which what a log tells of happens again.
#[derive(Debug)]
struct Host {
    target: EngineTarget,
    clients: BTreeMap<Who, Client>,
    /// The last line of each.
    last_deeds: BTreeMap<Who, usize>,
    /// Our ids of the log's transactions.
    transactions: HashMap<(Who, u32), u32>,
    last_request: u32,
    relived: Relived,
}

impl Host {
    /// The host before the log begins, with all domains the log knows to exist.
    fn new(log: &Log) -> io::Result<Self> {
        let mut target = EngineTarget::new()?;
        // A domain exists before the toolstack first names it in a permission list. The
        // log does not say when; from the start will do.
        let last_deeds: BTreeMap<_, _> =
            log.deeds.iter().map(|deed| (deed.who, deed.line)).collect();
        for who in last_deeds.keys() {
            if let Who::Domain(domid @ 1..) = *who {
                target.domain(DomainChange::Create(domid));
            }
        }
        let clients = BTreeMap::from([(Who::Domain(0), target.ring(Domid::DOM0)?)]);
        Ok(Self {
            target,
            clients,
            last_deeds,
            transactions: HashMap::new(),
            last_request: 0,
            relived: Relived::default(),
        })
    }

    /// Does one thing.
    fn act(&mut self, deed: &Deed) -> io::Result<()> {
        match (&deed.what, deed.who) {
            // A ring is there with the INTRODUCE that comes next, and only domains shut down.
            (What::Connect, Who::Domain(_)) | (What::ShutDown, Who::Socket(_)) => {}
            (What::ShutDown, Who::Domain(domid)) => {
                self.target.domain(DomainChange::ShutDown(domid));
            }
            (What::Connect, who) => {
                let client = self.target.connect()?;
                self.clients.insert(who, client);
            }
            (What::Disconnect, Who::Domain(domid)) => {
                self.clients.remove(&deed.who);
                self.target.domain(DomainChange::Destroy(domid));
                // Another domain will have the number.
                if self.last_deeds.get(&deed.who).is_some_and(|last| *last > deed.line) {
                    self.target.domain(DomainChange::Create(domid));
                }
            }
            (What::Disconnect, who) => {
                if let Some(client) = self.clients.remove(&who) {
                    self.target.disconnect(client);
                }
            }
            (What::Ask { kind, payload, transaction, .. }, who) => {
                let refused = self.ask(who, *kind, payload, *transaction, deed.line)?;
                self.relived.refusals.insert(deed.line, refused);
            }
        }
        Ok(())
    }

    /// Asks, and returns the error's name if the request was refused.
    fn ask(
        &mut self,
        who: Who,
        kind: MessageType,
        payload: &[u8],
        transaction: u32,
        line: usize,
    ) -> io::Result<Option<String>> {
        let client = self.client(who)?;
        let known = self.transactions.get(&(who, transaction)).copied();
        let transaction_id = match kind {
            MessageType::TransactionStart => 0,
            _ if transaction == 0 => 0,
            _ => known.ok_or_else(|| io::Error::other("the transaction was not started"))?,
        };
        self.last_request += 1;
        let request_id = self.last_request;
        let request =
            Request { kind: kind.number(), request_id, transaction_id, length: None, payload };
        self.target.send(client, &request.encode())?;
        let reply = loop {
            match self.target.hear(client)? {
                Heard::Message(event) if event.is_event() => self.note(who, line, &event)?,
                Heard::Message(reply) => break reply,
                Heard::Closed => return Err(io::Error::other("the connection was ended")),
            }
        };
        let text = split_string(&reply.payload).map(|(text, _)| text).unwrap_or_default();
        if reply.header.kind == MessageType::Error.number() {
            return Ok(Some(String::from_utf8_lossy(text).into_owned()));
        }
        // What is let go of while it is there, starts anew.
        if kind == MessageType::Release
            && let Some(released @ Who::Domain(domid)) = named(payload)
        {
            self.clients.remove(&released);
            self.target.domain(DomainChange::Run(domid));
        }
        if kind == MessageType::TransactionStart {
            let id = decimal(text).map_err(io::Error::other)?;
            self.transactions.insert((who, transaction), id);
        }
        Ok(None)
    }

    fn client(&mut self, who: Who) -> io::Result<Client> {
        match (self.clients.get(&who), who) {
            (Some(&client), _) => Ok(client),
            (None, Who::Domain(domid)) => {
                let client = self.target.ring(Domid::new(domid))?;
                self.clients.insert(who, client);
                Ok(client)
            }
            (None, Who::Socket(_)) => Err(io::Error::other(format!("{who} is not connected"))),
        }
    }

    /// Takes down what a deed caused.
    fn hear_all(&mut self, line: usize) -> io::Result<()> {
        let clients: Vec<_> = self.clients.iter().map(|(&who, &client)| (who, client)).collect();
        for (who, client) in clients {
            for event in flush(&mut self.target, client)?.0 {
                self.note(who, line, &event)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, who: Who, line: usize, message: &Message) -> io::Result<()> {
        let text = String::from_utf8(message.payload.clone()).map_err(io::Error::other)?;
        let parts: Vec<_> = text.split_terminator('\0').collect();
        let (true, [path, token]) = (message.is_event(), &parts[..]) else {
            return Err(io::Error::other(format!("expected an event, found {message:?}")));
        };
        let event = Event { path: (*path).to_owned(), token: (*token).to_owned() };
        let batches = self.relived.events.entry(who).or_default();
        match batches.last_mut() {
            Some(batch) if batch.line == line => batch.events.push(event),
            _ => batches.push(Batch { line, events: vec![event] }),
        }
        Ok(())
    }
}
