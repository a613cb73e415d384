//! Recorded conversations of guests on their rings, with C xenstored and with oxenstored.
//!
//! The form is JSON lines, described in `vectors/README.md`.

use std::collections::BTreeMap;
use std::fmt;

use xenstore_host::ring::{Field, Lane};
use xenstore_wire::Domid;

use crate::recording::{Answer, Transaction};

/// A script and what came of it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// `topic/what`.
    pub name: String,
    /// Domains that exist from the start, not introduced.
    pub exist: Vec<Domid>,
    /// Arguments of the daemon.
    pub options: Vec<String>,
    /// In order.
    pub steps: Vec<Step>,
}

/// One step of a scenario.
#[derive(Clone, Debug)]
pub struct Step {
    /// From 1; numbers of steps that could not be recorded are left out.
    pub number: u32,
    /// What was done.
    pub action: Action,
    /// What came of it with C xenstored; `None` if it had died before.
    pub c: Option<Outcome>,
    /// What came of it with oxenstored; `None` if it was not asked the same.
    pub oxenstored: Option<Outcome>,
}

/// A connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Who {
    /// A toolstack on the socket, numbered from 1.
    Socket(u32),
    /// A domain on its ring.
    Guest(Domid),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(1) => f.write_str("S"),
            Self::Socket(number) => write!(f, "S{number}"),
            Self::Guest(domid) => write!(f, "g{domid}"),
        }
    }
}

/// The toolstack that introduces.
pub const TOOLSTACK: Who = Who::Socket(1);

/// What a step does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// The toolstack introduces a domain.
    Introduce {
        /// The domain that it is about.
        domid: Domid,
        /// Whether it is created first.
        new: bool,
        /// What is in its ring's page before.
        preset: Vec<(Field, u32)>,
        /// What INTRODUCE is asked with.
        payload: Vec<u8>,
    },
    /// Somebody asks.
    Ask(Ask),
    /// Somebody asks often, `{i}` in the payload being a number that counts up.
    AskOften {
        /// What.
        ask: Ask,
        /// The first number.
        start: u32,
        /// How often.
        count: u32,
    },
    /// A domain changes its state.
    State {
        /// The domain.
        domid: Domid,
        /// Whether it is another domain from now on.
        new: bool,
        /// Bits of [`xenstore_host::sim::State`].
        state: u32,
        /// Whether the daemon is told that something changed.
        told: bool,
    },
    /// A guest does things to its ring.
    Ring {
        /// The guest.
        guest: Domid,
        /// In order.
        deeds: Vec<Deed>,
    },
    /// A toolstack connects.
    Open(Who),
    /// A toolstack hangs up.
    Close(Who),
}

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Who asks.
    pub who: Who,
    /// The number of the request's type.
    pub kind: u32,
    /// Inside what transaction.
    pub transaction: Transaction,
    /// With what.
    pub payload: Vec<u8>,
}

/// Something a guest does to its ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// Sends requests, one after the other, as fast as there is room.
    Requests(Vec<Ask>),
    /// Sends bytes, as fast as there is room.
    Bytes(Vec<u8>),
    /// Puts bytes into the ring and tells nobody.
    Put(Vec<u8>),
    /// Writes a field.
    Set(Field, u32),
    /// Adds to a field.
    Add(Field, u32),
    /// Fills a lane's room with a byte.
    Fill(Lane, u8),
    /// Takes so many bytes at most.
    Read(usize),
    /// Fires its event channel.
    Notify,
    /// Takes nothing by itself from here on.
    Hold,
    /// Takes all that arrives from here on.
    Drain,
    /// Forgets what it was to send and half a message it was sent.
    Forget,
    /// Waits until the daemon is quiet.
    Settle,
}

/// What came of a step.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// What the one who asked was told.
    pub answer: Answer,
    /// Whether that was the answer to something before.
    pub late: bool,
    /// How many events it was sent before the answer.
    pub before: usize,
    /// The answers to one who asked often, equal ones in a row together.
    pub answers: Vec<(Answer, u32)>,
    /// Who was told of what, in order.
    pub events: BTreeMap<Who, Vec<Event>>,
    /// All a guest was sent in a step in which it worked on its ring.
    pub messages: Vec<Message>,
    /// What others were sent that were no events.
    pub others: BTreeMap<Who, Vec<Message>>,
    /// Bytes that found no room.
    pub unsent: usize,
    /// Bytes a guest took that are no whole message.
    pub partial: usize,
    /// What was in rings thereafter.
    pub rings: BTreeMap<Domid, Ring>,
}

/// An event.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Event {
    /// The path, or what was told in its place.
    pub path: Vec<u8>,
    /// The mark.
    pub token: Vec<u8>,
}

/// A message as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The number of its type.
    pub kind: u32,
    /// What it said.
    pub payload: Vec<u8>,
}

/// The words of a ring's page.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ring {
    /// The feature word, if it is not all that the daemon offers.
    pub features: Option<u32>,
    /// 0: connected.
    pub connection: u32,
    /// Why the daemon gave it up.
    pub error: u32,
    /// The guest's end of the event channel that an INTRODUCE bound.
    pub port: Option<u32>,
    /// Where that was looked at: what moved.
    pub lanes: Option<Lanes>,
}

/// What moved in a ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lanes {
    /// Requests' consumer and producer, responses' consumer and producer.
    pub indices: [u32; 4],
    /// By how much each went on in the step.
    pub moved: [u32; 4],
    /// Whether the daemon fired the guest's event channel.
    pub notified: bool,
}
