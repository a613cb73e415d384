//! A good client: what it has still to do, and what it waits for.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use xenstore_model::request::{Asked, Request};
use xenstore_model::standing::Standing;
use xenstore_wire::MessageType;

use crate::failure::Failure;
use crate::judge::{Judge, Reply};
use crate::line::Line;
use crate::tally::{Tally, Who};

/// Something to do that is no request, for the village to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// The hypervisor makes the domain.
    Create,
    /// The domain was introduced and begins to run.
    Boot,
    /// From now on everybody does what they usually do.
    Live,
    /// The domain stops running and stays in memory.
    Halt,
    /// It runs again, and the store is to be told next.
    Continue,
    /// The guest has its ring begun anew.
    Reconnect,
    /// The domain is to be introduced again, with a request; its ring begins anew.
    Reintroduce,
    /// It was introduced again, and goes on.
    Welcome,
    /// The guest does nothing any more.
    Retire,
    /// The domain is gone.
    Vanish,
    /// The domain is gone in the middle of what it asks.
    VanishAsking,
    /// The domain is gone and another one has its number.
    Replace,
    /// What became of the domain has to be told.
    Await,
    /// Nothing of the domain may be left in the daemon's hands.
    CheckGone,
    /// Every node of the domain is looked at.
    Audit,
    /// Time passes.
    Pause(Duration),
    /// The toolstack leaves, and the house is empty.
    Leave,
}

/// Something to do.
#[derive(Clone, Debug)]
pub enum Step {
    /// Ask, outside of transactions.
    Ask(Request),
    /// Ask all of these without waiting in between.
    Batch(Vec<Request>),
    /// All of this in a transaction, until it gets through.
    Transaction(Rc<Vec<Request>>, Tries),
    /// Ask, in the transaction that is open.
    Inside(Request),
    /// End the transaction that is open. If it is to be kept and is lost, this is what
    /// to do again.
    End(Option<(Rc<Vec<Request>>, Tries)>),
    /// Something else.
    Do(Deed),
}

/// How often a transaction was tried.
pub type Tries = u32;

impl Step {
    /// A transaction that is to get through.
    pub fn transaction(body: Vec<Request>) -> Self {
        Self::Transaction(Rc::new(body), 1)
    }
}

/// A good client with its connection.
#[derive(Debug)]
pub struct Actor {
    /// What the model calls it.
    pub client: usize,
    /// Its connection.
    pub line: Line,
    /// What it has to do.
    pub script: VecDeque<Step>,
    /// It does nothing at the moment.
    pub frozen: bool,
    /// It was told to look at its ring meanwhile.
    pub missed: bool,
    who: Who,
    /// Its open transaction.
    open: Option<u32>,
    /// Since when.
    open_since: Instant,
    standing: Standing,
    /// When it sent what was not answered yet.
    waiting: VecDeque<Instant>,
}

impl Actor {
    /// One that has just connected.
    pub fn new(who: Who, client: usize, line: Line) -> Self {
        Self {
            client,
            line,
            script: VecDeque::new(),
            frozen: false,
            missed: false,
            who,
            open: None,
            open_since: Instant::now(),
            standing: Standing::default(),
            waiting: VecDeque::new(),
        }
    }

    /// Whether it waits for an answer.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Since when it has been waiting for an answer.
    pub fn waits_since(&self) -> Option<Instant> {
        self.waiting.front().copied()
    }

    /// Whether it waits for its turn to begin a transaction, after it lost one.
    pub fn waits_for_turn(&self) -> bool {
        self.standing.is_owed()
    }

    /// Whether it has a transaction open.
    pub fn is_inside(&self) -> bool {
        self.open.is_some()
    }

    /// Whether its open transaction is protected.
    pub fn is_protected(&self) -> bool {
        self.standing.is_protected()
    }

    /// Its connection began anew: what it had open is gone.
    pub fn renew(&mut self) {
        self.standing = Standing::default();
        self.waiting.clear();
        if self.open.take().is_some() {
            self.script.clear();
        }
        if let Line::Ring(guest) = &mut self.line {
            guest.forget();
        }
    }

    /// Sends what comes next, if it is a request.
    pub fn send(&mut self, step: Step, judge: &mut Judge, now: Instant) -> Result<(), Failure> {
        match step {
            Step::Ask(request) => self.queue(0, request, judge, now)?,
            Step::Batch(requests) => {
                for request in requests {
                    self.queue(0, request, judge, now)?;
                }
            }
            Step::Transaction(body, tries) => {
                self.script.push_front(Step::End(Some((Rc::clone(&body), tries))));
                for request in body.iter().rev() {
                    self.script.push_front(Step::Inside(request.clone()));
                }
                self.queue(0, Request::Start, judge, now)?;
            }
            Step::Inside(request) => {
                let open = self.open.unwrap_or_default();
                self.queue(open, request, judge, now)?;
            }
            Step::End(again) => {
                let open = self.open.unwrap_or_default();
                self.queue(open, Request::End(again.is_some()), judge, now)?;
                self.script.push_front(Step::End(again));
            }
            Step::Do(_) => {}
        }
        self.line.flush()
    }

    fn queue(
        &mut self,
        transaction: u32,
        request: Request,
        judge: &mut Judge,
        now: Instant,
    ) -> Result<(), Failure> {
        self.line.queue(transaction, &request)?;
        let protected = self.standing.protects(transaction);
        judge.ask(Asked { client: self.client, transaction, request, protected }, now);
        self.waiting.push_back(now);
        Ok(())
    }

    /// Takes a reply.
    pub fn hear(
        &mut self,
        reply: Reply,
        judge: &mut Judge,
        tally: &mut Tally,
        now: Instant,
    ) -> Result<(), Failure> {
        let refused = reply.kind == MessageType::Error;
        let payload = reply.payload.clone();
        let asked = judge.hear_reply(self.client, reply, now)?;
        let turn = asked.request == Request::Start && self.standing.is_owed();
        if let Some(since) = self.waiting.pop_front() {
            tally.waited(self.who, turn, now.duration_since(since));
        }
        let error = refused.then(|| payload.trim_end_matches('\0'));
        tally.answered(self.who, asked.request.kind(), error);
        match asked.request {
            Request::Start if refused => self.give_up(),
            Request::Start => {
                let number = payload.trim_end_matches('\0').parse().unwrap_or_default();
                self.standing.begin(number, Duration::ZERO);
                self.open = Some(number);
                self.open_since = now;
            }
            Request::End(_) => {
                tally.was_open(self.who, now.duration_since(self.open_since));
                self.end(asked.transaction, error, tally);
            }
            Request::ResetWatches if !refused => {
                self.standing.reset();
                self.open = None;
            }
            _ => {}
        }
        Ok(())
    }

    /// There is no transaction, so nothing can be done in it.
    fn give_up(&mut self) {
        while let Some(Step::Inside(_) | Step::End(_)) = self.script.front() {
            self.script.pop_front();
        }
    }

    fn end(&mut self, transaction: u32, error: Option<&str>, tally: &mut Tally) {
        let lost = error == Some("EAGAIN");
        self.standing.end(transaction, lost);
        self.open = None;
        // It stayed in the script for this.
        let Some(Step::End(again)) = self.script.pop_front() else { return };
        let Some((body, tries)) = again else { return };
        if lost {
            self.script.push_front(Step::Transaction(body, tries + 1));
        } else {
            tally.got_through(self.who, tries);
        }
    }

    /// Puts steps before all others.
    pub fn prepend(&mut self, steps: Vec<Step>) {
        steps.into_iter().rev().for_each(|step| self.script.push_front(step));
    }
}
