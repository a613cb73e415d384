//! Recorded conversations: what was asked, and all that came of it.
//!
//! The form is JSON lines, described in `vectors/README.md`. Reading it back knows
//! nothing of the protocol beyond the names of requests.

pub(crate) mod json;

use std::collections::BTreeMap;

pub use json::{Malformed, parse};

/// A script and its outcome, played on a fresh daemon with an empty store.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// `topic/what`.
    pub name: String,
    /// In order.
    pub steps: Vec<Step>,
}

impl Scenario {
    /// Whether it needs a hypervisor that does as the script says.
    pub fn commands_domains(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::Domain(_)))
    }
}

/// One step of a scenario.
#[derive(Clone, Debug)]
pub struct Step {
    /// From 1; numbers of steps that could not be recorded are left out.
    pub number: u32,
    /// What was done.
    pub action: Action,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a step does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// A client asks.
    Ask(Ask),
    /// A client connects. Those that ask connect by themselves.
    Open(char),
    /// A client hangs up.
    Close(char),
    /// A client reads nothing from here on.
    Pause(char),
    /// A client reads all that waited.
    Resume(char),
    /// The hypervisor does something.
    Domain(crate::target::DomainChange),
}

/// One request, or many of a kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Who asks.
    pub client: char,
    /// The number of the request's type.
    pub kind: u32,
    /// Inside what transaction.
    pub transaction: Transaction,
    /// What the header claims, if not the payload's true length.
    pub length: Option<u32>,
    /// With `{i}` to be replaced if the request is repeated.
    pub payload: Vec<u8>,
    /// How often, one after the other; `None` is once.
    pub repeat: Option<u32>,
}

/// How a script names a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Transaction {
    /// By its number; 0 is none.
    Number(u32),
    /// By the name its start was given.
    Name(String),
}

/// What came of a step.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// What the one who asked was told; of many, the last.
    pub answer: Answer,
    /// Who was told of what, in order.
    pub events: BTreeMap<char, Vec<Event>>,
    /// How many events there were, where they are many: per client for repeated
    /// requests, per token for a client that resumes.
    pub counts: BTreeMap<String, u32>,
}

/// The answer to a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Answer {
    /// Nobody asked.
    #[default]
    Nothing,
    /// It was granted, with this payload.
    Granted(Vec<u8>),
    /// It was refused, with this name.
    Refused(String),
    /// None, since the request is not complete.
    Silence,
    /// The connection was ended.
    Closed,
}

/// An event and when it came.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Event {
    /// The path, or what was told in its place.
    pub path: Vec<u8>,
    /// The mark.
    pub token: Vec<u8>,
    /// Where between the request's beginning and the next one's.
    pub when: When,
}

/// When an event came, seen from the client that was told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum When {
    /// It had asked, and not been answered yet.
    Before,
    /// It had asked and been answered.
    After,
    /// It had not asked.
    Unasked,
}
