//! A sequence on its way through one daemon: what each request led to.
//!
//! Nothing here waits for a time to pass. After each request a *fence*, a request
//! with a known answer, goes down every connection; what an event-sending daemon had
//! to say to a connection is there before its answer to the fence.

use xenstore_wire::MessageType;

use crate::message::Message;
use crate::step::{CONNECTIONS, Step, Transaction, UNKNOWN_TRANSACTION};
use crate::target::{Link, Target};

/// What a request was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// It was granted, with this payload.
    Granted(Vec<u8>),
    /// It was refused, with this name.
    Refused(String),
    /// Something no request is answered: another type.
    Odd(Message),
    /// Nothing, although later requests were answered.
    Missing,
    /// The connection was closed.
    Closed,
}

/// A watch event: the path and the token.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Event {
    /// What changed.
    pub path: String,
    /// The watch's mark.
    pub token: Vec<u8>,
}

/// What one request led to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// What its sender was answered.
    pub reply: Reply,
    /// The events each connection got.
    pub events: [Vec<Event>; CONNECTIONS],
    /// How many of the sender's came before the reply.
    pub before_reply: usize,
}

/// Three connections to one daemon.
pub struct Session {
    links: Vec<Box<dyn Link>>,
    /// What the daemon calls the transactions.
    transactions: [[u32; 2]; CONNECTIONS],
    fences: u32,
}

const REQUEST_ID: u32 = 1;
const FIRST_FENCE: u32 = 0x4000_0000;

impl Session {
    /// Opens the connections.
    pub fn new(target: &dyn Target) -> Self {
        Self {
            links: (0..CONNECTIONS).map(|_| target.connect()).collect(),
            transactions: [[UNKNOWN_TRANSACTION; 2]; CONNECTIONS],
            fences: FIRST_FENCE,
        }
    }

    /// Sends a request, without waiting.
    pub fn send(&mut self, step: &Step) {
        let transaction = match step.transaction {
            Transaction::None => 0,
            Transaction::Unknown => UNKNOWN_TRANSACTION,
            Transaction::Slot(slot) => self.transactions[step.connection][usize::from(slot)],
        };
        let request = Message::new(step.kind, REQUEST_ID, transaction, &step.payload);
        self.fences += 1;
        let bytes = [request.encode(), self.fence()].concat();
        self.links[step.connection].send(&bytes);
    }

    /// Takes what the sender of the request got, then asks the other connections.
    pub fn collect(&mut self, step: &Step) -> Outcome {
        let mut outcome =
            Outcome { reply: Reply::Missing, events: Default::default(), before_reply: 0 };
        let mut own = Vec::new();
        loop {
            let Some(message) = self.links[step.connection].receive() else {
                outcome.reply = Reply::Closed;
                break;
            };
            if message.is_event() {
                own.extend(event(&message));
            } else if message.header.request_id == self.fences {
                break;
            } else {
                outcome.before_reply = own.len();
                outcome.reply = reply(step, message);
            }
        }
        outcome.events[step.connection] = own;
        if let (Some(MessageType::TransactionStart), Reply::Granted(id)) =
            (step.message_type(), &outcome.reply)
        {
            self.transactions[step.connection][usize::from(step.slot)] = id_of(id);
        }
        let fence = self.fence();
        for other in others(step) {
            self.links[other].send(&fence);
        }
        outcome
    }

    /// Takes what the other connections got.
    pub fn collect_others(&mut self, step: &Step, outcome: &mut Outcome) {
        for other in others(step) {
            while let Some(message) = self.links[other].receive() {
                if message.is_event() {
                    outcome.events[other].extend(event(&message));
                } else if message.header.request_id == self.fences {
                    break;
                }
            }
        }
    }

    /// Does one request from start to end.
    pub fn perform(&mut self, step: &Step) -> Outcome {
        self.send(step);
        let mut outcome = self.collect(step);
        self.collect_others(step, &mut outcome);
        outcome
    }

    fn fence(&self) -> Vec<u8> {
        Message::new(MessageType::GetDomainPath.number(), self.fences, 0, b"0\0").encode()
    }
}

fn others(step: &Step) -> impl Iterator<Item = usize> + use<> {
    let sender = step.connection;
    (0..CONNECTIONS).filter(move |&connection| connection != sender)
}

fn reply(step: &Step, message: Message) -> Reply {
    if message.is_error() {
        let name = message.payload.strip_suffix(b"\0").unwrap_or(&message.payload);
        Reply::Refused(String::from_utf8_lossy(name).into_owned())
    } else if message.header.kind == step.kind {
        Reply::Granted(message.payload)
    } else {
        Reply::Odd(message)
    }
}

/// An event of other than two strings is shown as one with a telling path.
fn event(message: &Message) -> Option<Event> {
    let mut parts = message.payload.split(|&byte| byte == 0);
    let (path, token, end) = (parts.next()?, parts.next(), parts.next());
    let path = String::from_utf8_lossy(path).into_owned();
    Some(match (token, end, parts.next()) {
        (Some(token), Some([]), None) => Event { path, token: token.to_vec() },
        _ => Event { path: format!("malformed event for {path}"), token: Vec::new() },
    })
}

fn id_of(payload: &[u8]) -> u32 {
    let text = payload.strip_suffix(b"\0").and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(UNKNOWN_TRANSACTION)
}
