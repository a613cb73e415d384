//! What was heard, in the form of recordings.

use std::io;

use xenstore_wire::MessageType;
use xenstore_wire::text::split_string;

use super::recording::{Event, Message};
use crate::message;
use crate::recording::Answer;
use crate::target::Heard;

/// What stands for the generation of a node in recordings.
const GENERATION: &[u8] = b"<gen>";

/// A reply as an answer to a request of this kind.
pub fn answer(kind: u32, message: &message::Message) -> io::Result<Answer> {
    let refusal = message.header.kind == MessageType::Error.number();
    match split_string(&message.payload) {
        Some((name, [])) if refusal => {
            Ok(Answer::Refused(String::from_utf8_lossy(name).into_owned()))
        }
        _ if message.header.kind == kind && !refusal => {
            Ok(Answer::Granted(message.payload.clone()))
        }
        _ => Err(io::Error::other(format!("neither a reply nor an error: {message:?}"))),
    }
}

/// An event's path and token.
pub fn event(message: &message::Message) -> io::Result<Event> {
    let odd = || io::Error::other(format!("expected an event, found {message:?}"));
    let header = message.header;
    if header.request_id != 0 || header.transaction_id != 0 {
        return Err(odd());
    }
    let (path, rest) = split_string(&message.payload).ok_or_else(odd)?;
    let Some((token, [])) = split_string(rest) else { return Err(odd()) };
    Ok(Event { path: path.to_vec(), token: token.to_vec() })
}

/// All that a guest was sent.
pub fn messages(heard: Vec<Heard>) -> io::Result<Vec<Message>> {
    let message = |heard| match heard {
        Heard::Message(message) => Ok(kept(message)),
        Heard::Closed => Err(io::Error::other("a ring has no end")),
    };
    heard.into_iter().map(message).collect()
}

/// A message without its marks.
pub fn kept(message: message::Message) -> Message {
    Message { kind: message.header.kind, payload: message.payload }
}

/// The payload of a reply in the form of recordings.
pub fn canonical(kind: u32, payload: &[u8]) -> Vec<u8> {
    match MessageType::from_number(kind) {
        Some(MessageType::DirectoryPart) => match split_string(payload) {
            Some((_, names)) => [GENERATION, b"\0", names].concat(),
            None => payload.to_vec(),
        },
        Some(MessageType::Control) => crate::canonical::control(payload),
        _ => payload.to_vec(),
    }
}
