//! A moment at which a transaction may have begun.

use std::rc::Rc;

use crate::model::Model;
use crate::operation::{Answer, Behalf, Effect, Operation};
use crate::store::Store;

/// A request and what its client was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// The request.
    pub operation: Operation,
    /// The answer.
    pub answer: Answer,
}

impl Told {
    /// Whether that is what it should have been.
    pub fn check(&self, expected: &Answer) -> Result<(), String> {
        let Self { operation, answer } = self;
        if answer == expected {
            Ok(())
        } else {
            Err(format!("{operation:?}: told {answer:?}, not {expected:?}"))
        }
    }
}

/// How everything was then, and what a transaction made of it since.
#[derive(Clone)]
pub struct Moment {
    /// Everything.
    pub began: Rc<Model>,
    /// The store that the transaction sees.
    pub store: Store,
    /// Whether it changed anything.
    pub changed: bool,
}

impl Moment {
    /// Now, for a transaction that begins.
    pub fn new(now: &Model) -> Self {
        Self { began: Rc::new(now.clone()), store: now.store().clone(), changed: false }
    }

    /// Now, for one of which all requests come at once; what would be answered otherwise.
    pub fn replay(now: &Model, client: usize, log: &[Told]) -> Result<Self, String> {
        let mut moment = Self::new(now);
        log.iter().try_for_each(|told| moment.ask(client, told, now)).map(|()| moment)
    }

    /// Something more is asked, when everything is as it is `now`: whether it is answered
    /// as it would be, had the transaction begun at this moment.
    pub fn ask(&mut self, client: usize, told: &Told, now: &Model) -> Result<(), String> {
        let caller = now.caller(client);
        let owned = |model: &Model| {
            i64::try_from(model.store().count_of(caller.domid)).expect("nobody owns so much")
        };
        let elsewhere = owned(now) - owned(&self.began);
        let behalf = Behalf { caller, domains: now.domains(), elsewhere };
        let (answer, effect) = self.store.execute(&told.operation, &behalf);
        self.changed |= effect != Effect::Nothing;
        told.check(&answer)
    }
}
