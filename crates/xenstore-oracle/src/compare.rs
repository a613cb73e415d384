//! Two outcomes of one request, laid side by side.

use xenstore_wire::MessageType;

use crate::session::{Event, Outcome, Reply};
use crate::step::{CONNECTIONS, Step};

/// One way in which the outcomes of a request differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Aspect {
    /// What the sender was answered.
    Reply,
    /// Whether the sender's events came before the reply; they are the same.
    Order,
    /// The events of this connection.
    Events(usize),
}

/// How two outcomes differ.
pub fn differences(step: &Step, ours: &Outcome, theirs: &Outcome) -> Vec<Aspect> {
    let mut found = Vec::new();
    if normal(step, &ours.reply) != normal(step, &theirs.reply) {
        found.push(Aspect::Reply);
    }
    let events =
        (0..CONNECTIONS).filter(|&connection| ours.events[connection] != theirs.events[connection]);
    let events: Vec<_> = events.map(Aspect::Events).collect();
    if events.is_empty() && ours.before_reply != theirs.before_reply {
        found.push(Aspect::Order);
    }
    found.extend(events);
    found
}

/// A reply without the numbers that each daemon hands out as it likes.
fn normal(step: &Step, reply: &Reply) -> Reply {
    match (step.message_type(), reply) {
        (Some(MessageType::TransactionStart), Reply::Granted(id)) => {
            let digits = id.strip_suffix(b"\0").is_some_and(|id| id.iter().all(u8::is_ascii_digit));
            if digits { Reply::Granted(b"an id".to_vec()) } else { reply.clone() }
        }
        (Some(MessageType::DirectoryPart), Reply::Granted(payload)) => {
            let end = payload.iter().position(|&byte| byte == 0);
            Reply::Granted(payload[end.unwrap_or(0)..].to_vec())
        }
        _ => reply.clone(),
    }
}

/// The same events in an order of no meaning.
pub fn sorted(events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    events.sort();
    events
}

/// The same, each once.
pub fn distinct(events: &[Event]) -> Vec<Event> {
    let mut events = sorted(events);
    events.dedup();
    events
}

/// The events of `more` that are not in `fewer`.
pub fn surplus(more: &[Event], fewer: &[Event]) -> Vec<Event> {
    let mut fewer = fewer.to_vec();
    let mut left = Vec::new();
    for event in more {
        match fewer.iter().position(|other| other == event) {
            Some(at) => drop(fewer.remove(at)),
            None => left.push(event.clone()),
        }
    }
    left
}
