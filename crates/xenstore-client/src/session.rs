//! The client's side of a connection, without the connection.
//!
//! Bytes to send come out, bytes received go in. Replies are matched to requests by
//! id; watch events that arrive in between wait in a queue. Both clients of this
//! crate are loops around a [`Session`].

use std::collections::{HashMap, VecDeque};

use xenstore_wire::message::{Message, encode};
use xenstore_wire::{Decoder, Errno, Header, MessageType, text};

use crate::error::ProtocolError;

/// Something watched changed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Event {
    /// What changed: the node itself, which may lie below what is watched, spelled
    /// relative if the watch was; or a special name.
    pub path: String,
    /// The watch's token.
    pub token: Vec<u8>,
    /// What further strings the daemon sent. None do so today.
    pub more: Vec<Vec<u8>>,
}

/// A request in flight.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestId(u32);

/// What came back: a payload, or the refusal in the daemon's own word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// The request was done.
    Done(Vec<u8>),
    /// The request was refused.
    Refused {
        /// Why; [`Errno::Inval`] if the protocol does not know the name.
        errno: Errno,
        /// That unknown name.
        unlisted: Option<String>,
    },
}

/// The state of a connection: what was asked and not answered, what arrived and was
/// not taken.
///
/// Memory grows with the requests in flight and with the events nobody takes; a
/// client that sets watches has to look at its events now and then.
#[derive(Debug, Default)]
pub struct Session {
    decoder: Decoder,
    last_id: u32,
    in_flight: HashMap<u32, InFlight>,
    events: VecDeque<Event>,
}

#[derive(Debug)]
enum InFlight {
    /// Nothing came yet.
    Waiting(MessageType),
    /// Nothing came yet, and nobody will ask for it.
    Forgotten,
    /// It came and waits to be taken.
    Answered(Reply),
}

impl Session {
    /// A new connection's.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a request to `out`, to be sent as one piece (the kernel's device
    /// takes one message per write).
    ///
    /// `None`, with `out` unchanged, if `payload` is over the protocol's 4096 bytes.
    pub fn request(
        &mut self,
        kind: MessageType,
        transaction: u32,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<RequestId> {
        let id = self.free_id();
        if !encode(out, kind, id, transaction, &[payload]) {
            return None;
        }
        self.last_id = id;
        self.in_flight.insert(id, InFlight::Waiting(kind));
        Some(RequestId(id))
    }

    /// Takes bytes received, however they were split.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        self.decoder.push(bytes);
        while let Some(Message { header, payload }) = self.decoder.next_message()? {
            if header.kind == MessageType::WatchEvent.number() {
                self.events.push_back(event(payload)?);
            } else {
                answer(&mut self.in_flight, header, payload)?;
            }
        }
        Ok(())
    }

    /// The reply to a request, once it is there; each is handed out once.
    pub fn take_reply(&mut self, id: RequestId) -> Option<Reply> {
        match self.in_flight.remove(&id.0)? {
            InFlight::Answered(reply) => Some(reply),
            waiting => {
                self.in_flight.insert(id.0, waiting);
                None
            }
        }
    }

    /// Says that nobody will take the reply to a request: it is dropped when it comes.
    pub fn forget(&mut self, id: RequestId) {
        if let Some(InFlight::Waiting(_)) = self.in_flight.get(&id.0) {
            self.in_flight.insert(id.0, InFlight::Forgotten);
        } else {
            self.in_flight.remove(&id.0);
        }
    }

    /// The oldest event not taken yet.
    pub fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Requests whose replies have not come.
    pub fn unanswered(&self) -> usize {
        let waiting = |state: &&InFlight| !matches!(state, InFlight::Answered(_));
        self.in_flight.values().filter(waiting).count()
    }

    /// Events never carry an id, so 0 stays theirs; after four billion requests the
    /// numbers come round.
    fn free_id(&self) -> u32 {
        let mut id = self.last_id;
        loop {
            id = id.wrapping_add(1).max(1);
            if !self.in_flight.contains_key(&id) {
                return id;
            }
        }
    }
}

fn answer(
    in_flight: &mut HashMap<u32, InFlight>,
    header: Header,
    payload: &[u8],
) -> Result<(), ProtocolError> {
    let id = header.request_id;
    match in_flight.get(&id) {
        None | Some(InFlight::Answered(_)) => Err(ProtocolError::Unasked { request_id: id }),
        Some(InFlight::Forgotten) => {
            in_flight.remove(&id);
            Ok(())
        }
        Some(InFlight::Waiting(kind)) => {
            let reply = reply(*kind, header.kind, payload)?;
            in_flight.insert(id, InFlight::Answered(reply));
            Ok(())
        }
    }
}

fn reply(expected: MessageType, found: u32, payload: &[u8]) -> Result<Reply, ProtocolError> {
    if found == expected.number() {
        return Ok(Reply::Done(payload.to_vec()));
    }
    if found != MessageType::Error.number() {
        return Err(ProtocolError::WrongType { expected, found });
    }
    let name = text::split_string(payload).map_or(payload, |(name, _)| name);
    Ok(match Errno::from_name(name) {
        Some(errno) => Reply::Refused { errno, unlisted: None },
        None => Reply::Refused {
            errno: Errno::Inval,
            unlisted: Some(String::from_utf8_lossy(name).into_owned()),
        },
    })
}

fn event(payload: &[u8]) -> Result<Event, ProtocolError> {
    let mut strings = text::strings(payload);
    let (Some(path), Some(token)) = (strings.next(), strings.next()) else {
        return Err(ProtocolError::Event(text::strings(payload).count()));
    };
    Ok(Event {
        path: String::from_utf8_lossy(path).into_owned(),
        token: token.to_vec(),
        more: strings.map(<[u8]>::to_vec).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: MessageType, id: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(encode(&mut out, kind, id, 0, &[payload]));
        out
    }

    fn ask(session: &mut Session, kind: MessageType) -> RequestId {
        session.request(kind, 0, b"/a\0", &mut Vec::new()).unwrap()
    }

    #[test]
    fn replies_find_their_requests_in_any_order_and_any_split() {
        let stream = [
            message(MessageType::WatchEvent, 0, b"/w\0t\0"),
            message(MessageType::Directory, 2, b"x\0"),
            message(MessageType::WatchEvent, 0, b"@releaseDomain\0\0"),
            message(MessageType::Error, 1, b"ENOENT\0"),
        ]
        .concat();
        for split in 0..=stream.len() {
            let mut session = Session::new();
            let read = ask(&mut session, MessageType::Read);
            let directory = ask(&mut session, MessageType::Directory);
            session.receive(&stream[..split]).unwrap();
            session.receive(&stream[split..]).unwrap();
            assert_eq!(session.unanswered(), 0);
            let refused = Reply::Refused { errno: Errno::NoEnt, unlisted: None };
            assert_eq!(session.take_reply(read), Some(refused));
            assert_eq!(session.take_reply(read), None);
            let done = Reply::Done(b"x\0".to_vec());
            assert_eq!(session.take_reply(directory), Some(done));
            assert_eq!(session.take_event().unwrap().path, "/w");
            let last = session.take_event().unwrap();
            assert_eq!((&*last.path, &*last.token), ("@releaseDomain", &b""[..]));
            assert_eq!(session.take_event(), None);
        }
    }

    #[test]
    fn what_the_protocol_forbids_is_said() {
        let mut session = Session::new();
        assert_eq!(
            session.receive(&message(MessageType::Read, 9, b"")),
            Err(ProtocolError::Unasked { request_id: 9 })
        );
        ask(&mut session, MessageType::Read);
        assert_eq!(
            session.receive(&message(MessageType::Rm, 1, b"OK\0")),
            Err(ProtocolError::WrongType { expected: MessageType::Read, found: 13 })
        );
        assert_eq!(
            session.receive(&message(MessageType::WatchEvent, 0, b"/a\0unterminated")),
            Err(ProtocolError::Event(1))
        );
    }

    #[test]
    fn a_forgotten_reply_is_dropped_when_it_comes() {
        let mut session = Session::new();
        let id = ask(&mut session, MessageType::Read);
        session.forget(id);
        session.receive(&message(MessageType::Read, 1, b"v")).unwrap();
        assert_eq!(session.take_reply(id), None);
        assert!(session.in_flight.is_empty());
    }

    #[test]
    fn a_name_outside_the_list_counts_as_einval() {
        let mut session = Session::new();
        let id = ask(&mut session, MessageType::Read);
        session.receive(&message(MessageType::Error, 1, b"EQUOTA\0")).unwrap();
        let refused = Reply::Refused { errno: Errno::Inval, unlisted: Some("EQUOTA".into()) };
        assert_eq!(session.take_reply(id), Some(refused));
    }

    #[test]
    fn ids_come_round_without_meeting_one_in_flight() {
        let mut session = Session::new();
        let first = ask(&mut session, MessageType::Read);
        session.last_id = u32::MAX;
        assert_eq!(first, RequestId(1));
        assert_eq!(ask(&mut session, MessageType::Read), RequestId(2));
    }
}
