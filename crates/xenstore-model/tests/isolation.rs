//! Transactions are as if each had been alone, judged without a model of transactions.
//!
//! What is kept here is one store that is only ever changed by whole requests, one after
//! the other: those outside transactions when they come, those of a transaction all at
//! once when the engine says that it was committed. Nearly every value is written once
//! in a history, so a read says whose write it saw. Then
//!
//! * a committed transaction was told what it would be told alone at its commit, and the
//!   store is what it would have made of it;
//! * one that changed nothing was told how it was when it began;
//! * one that was refused was told something that is not so any more.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use xenstore_model::acl::Caller;
use xenstore_model::act::Act;
use xenstore_model::domains::Domains;
use xenstore_model::history::{Judge, Plan};
use xenstore_model::model::{Message, Model, Output};
use xenstore_model::operation::{Action, Answer, Behalf, Effect, Operation};
use xenstore_model::request::Request;
use xenstore_model::store::Store;
use xenstore_model::world::World;
use xenstore_wire::{Errno, MessageType};

#[test]
fn transactions_are_as_if_each_had_been_alone() {
    // A limit that sinks after a request was granted would refuse it if it came again.
    let plan = Plan { seed: 1, histories: 250, steps: 800, changes_limits: false };
    let plan = plan.or_as_asked();
    plan.run::<Isolation>();
    let ends = *ENDS.lock().unwrap();
    println!("{ends:?}");
    if plan.histories >= 100 {
        assert!(ends.alone > 0 && ends.among_others > 0 && ends.unchanged > 0 && ends.refused > 0);
    }
}

/// How transactions ended.
#[derive(Clone, Copy, Default, Debug)]
struct Ends {
    /// Committed, and nobody else had changed anything.
    alone: u64,
    /// Committed although somebody had.
    among_others: u64,
    /// Committed with nothing changed.
    unchanged: u64,
    /// `EAGAIN`.
    refused: u64,
}

static ENDS: Mutex<Ends> = Mutex::new(Ends { alone: 0, among_others: 0, unchanged: 0, refused: 0 });

/// An engine beside the store it should be the same as.
struct Isolation {
    world: World,
    /// A model that never hears of a transaction or a watch.
    serial: Model,
    open: BTreeMap<(usize, u32), Open>,
    ends: Ends,
}

/// A transaction, as its client knows it.
struct Open {
    /// Everybody's store when it began.
    began: Store,
    log: Vec<Entry>,
    changed: bool,
}

/// A request inside and what its client was told.
struct Entry {
    operation: Operation,
    told: Answer,
    /// Who the client was then, which domains there were, and how many nodes more its
    /// domain owned by then than when the transaction began.
    caller: Caller,
    domains: Domains,
    elsewhere: i64,
}

impl Judge for Isolation {
    fn new(keep_orphans: bool) -> Self {
        Self {
            world: World::new(keep_orphans),
            serial: Model::new(keep_orphans),
            open: BTreeMap::new(),
            ends: Ends::default(),
        }
    }

    fn world(&self) -> &World {
        &self.world
    }

    fn judge(&mut self, act: &Act) -> Result<(), String> {
        let output = self.world.apply(act);
        let Act::Ask(client, transaction, request) = act else {
            self.serial.apply(act, &mut self.world.machine);
            return self.compare();
        };
        let told = reply_to(*client, &output);
        self.follow(*client, *transaction, request, told)
            .map_err(|wrong| format!("{act:?}: {wrong}"))?;
        self.compare()
    }

    fn finish(self) {
        let mut sum = ENDS.lock().unwrap();
        sum.alone += self.ends.alone;
        sum.among_others += self.ends.among_others;
        sum.unchanged += self.ends.unchanged;
        sum.refused += self.ends.refused;
    }
}

impl Isolation {
    fn compare(&mut self) -> Result<(), String> {
        let (clients, open) = (&self.world.clients, &mut self.open);
        open.retain(|&(client, number), _| clients[client].open.contains(&number));
        let (engine, serial) = (self.world.dump(), self.serial.store().dump());
        if engine == serial { Ok(()) } else { Err(format!("{engine:#?}\nis not\n{serial:#?}")) }
    }

    fn follow(
        &mut self,
        client: usize,
        transaction: u32,
        request: &Request,
        told: Option<Answer>,
    ) -> Result<(), String> {
        match (request, told) {
            (Request::Start, Some(Ok(number))) => {
                let number = number.trim_end_matches('\0').parse().unwrap();
                let began = self.serial.store().clone();
                self.open.insert((client, number), Open { began, log: vec![], changed: false });
                Ok(())
            }
            (Request::End(commit), Some(told)) => match self.open.remove(&(client, transaction)) {
                Some(open) if *commit => self.end(client, &open, &told),
                Some(_) | None => Ok(()),
            },
            (Request::Node(path, action), told) => {
                self.node(client, transaction, path, action, told)
            }
            (
                Request::Start
                | Request::End(_)
                | Request::ResetWatches
                | Request::Watch(..)
                | Request::Unwatch(..),
                _,
            ) => Ok(()),
            // What it does to domains it does to the serial store too.
            (request, told) => {
                let machine = &mut self.world.machine;
                // A transaction matters to none of them, but it has to be there.
                if told != Some(Err(Errno::NoEnt)) || transaction == 0 {
                    self.serial.answer(client, 0, request, machine);
                }
                Ok(())
            }
        }
    }

    fn node(
        &mut self,
        client: usize,
        transaction: u32,
        path: &str,
        action: &Action,
        told: Option<Answer>,
    ) -> Result<(), String> {
        if transaction != 0 && !self.open.contains_key(&(client, transaction)) {
            return Ok(());
        }
        let machine = &mut self.world.machine;
        let operation = self.serial.prepare(client, path, action, machine);
        let (operation, told) = match (operation, told) {
            (Ok(operation), Some(told)) => (operation, told),
            (Err(refused), told) if told.is_none() || told == Some(Err(refused)) => return Ok(()),
            (operation, told) => return Err(format!("told {told:?} of {operation:?}")),
        };
        if transaction == 0 {
            return same(&operation, &told, &self.serial.perform(client, &operation));
        }
        let (caller, domains) = (self.serial.caller(client), self.serial.domains().clone());
        if let Some(open) = self.open.get_mut(&(client, transaction)) {
            let owned = |store: &Store| i64::try_from(store.count_of(caller.domid)).unwrap();
            let elsewhere = owned(self.serial.store()) - owned(&open.began);
            open.log.push(Entry { operation, told, caller, domains, elsewhere });
            open.changed = open.replay().0;
        }
        Ok(())
    }

    fn end(&mut self, client: usize, open: &Open, told: &Answer) -> Result<(), String> {
        if !open.changed {
            self.ends.unchanged += 1;
            same_end(told, &Ok("OK\0".to_owned()))?;
            return open.replay().1;
        }
        let untouched = open.began.dump() == self.serial.store().dump();
        let mut alone = self.serial.clone();
        let differs = |entry: &Entry| {
            same(&entry.operation, &entry.told, &alone.perform(client, &entry.operation))
        };
        let different = open.log.iter().map(differs).find(Result::is_err);
        match (told, different) {
            (Ok(_), None) => {
                self.serial = alone;
                self.ends.alone += u64::from(untouched);
                self.ends.among_others += u64::from(!untouched);
                Ok(())
            }
            (Ok(_), Some(different)) => different,
            (Err(Errno::Again), Some(_)) => {
                self.ends.refused += 1;
                Ok(())
            }
            (told, _) => Err(format!("told {told:?}, and all its answers still hold")),
        }
    }
}

impl Open {
    /// Whether it changed anything by itself, and whether it was told how it was when it
    /// began and what it made of that since.
    fn replay(&self) -> (bool, Result<(), String>) {
        let mut store = self.began.clone();
        let mut changed = false;
        let mut verdict = Ok(());
        for Entry { operation, told, caller, domains, elsewhere } in &self.log {
            let behalf = Behalf { caller: *caller, domains, elsewhere: *elsewhere };
            let (answer, effect) = store.execute(operation, &behalf);
            changed |= effect != Effect::Nothing;
            if verdict.is_ok() {
                verdict = same(operation, told, &answer);
            }
        }
        (changed, verdict)
    }
}

fn same(operation: &Operation, told: &Answer, alone: &Answer) -> Result<(), String> {
    if told == alone { Ok(()) } else { Err(format!("{operation:?}: told {told:?}, not {alone:?}")) }
}

fn same_end(told: &Answer, expected: &Answer) -> Result<(), String> {
    if told == expected { Ok(()) } else { Err(format!("the end: {told:?}, not {expected:?}")) }
}

/// What a client was told, if it is still there to be told anything.
fn reply_to(client: usize, output: &Output) -> Option<Answer> {
    output.get(&client)?.iter().find_map(|message| match message {
        Message::Reply { kind: MessageType::Error, payload, .. } => {
            let errno = Errno::from_name(payload.trim_end_matches('\0').as_bytes());
            Some(Err(errno.unwrap()))
        }
        Message::Reply { payload, .. } => Some(Ok(payload.clone())),
        Message::Event { .. } => None,
    })
}
