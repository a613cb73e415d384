//! What waits to be sent to one client, bounded whatever the client does.
//!
//! Replies and events go out in the order they came. As long as the client keeps
//! up they are bytes in one buffer. When it leaves some lying, three things bound what is
//! kept for it:
//!
//! * its requests are not read any more, so there are no new replies; a domain's quota says
//!   how many may be outstanding (XSA-326);
//! * an event that waits already is not queued again (XSA-349);
//! * past [`BACKLOG_LIMIT`], or what its domain may still have of memory, a watch gets one
//!   more event, for the watched path itself, which stands for all that follow. So the fact
//!   that something changed is never lost, and what is kept is bounded by the number of
//!   watches, which were charged for it when they were registered.

use std::collections::{HashSet, VecDeque};
use std::mem;

use xenstore_wire::message::{begin, encode};
use xenstore_wire::{Header, MessageType, PAYLOAD_MAX};

use crate::ids::WatchId;
use crate::spares::weight;

/// Bytes a client may lag behind before its requests wait and its events are sorted
/// out. Some sixteen of the largest messages.
const READY_LIMIT: usize = 64 * 1024;

/// Bytes kept of events one by one for a client that lags; beyond, they collapse.
const BACKLOG_LIMIT: usize = 512 * 1024;

/// Bytes that a waiting message takes beside its own: its place in the queue and in the
/// table of twins, and what the allocator adds to each piece.
const WAITING_OVERHEAD: usize = 256;

/// An event on its way to one watch.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The watch.
    pub watch: WatchId,
    /// The path that changed, as the client is told.
    pub path: &'a [u8],
    /// The watched path, as the client is told.
    pub watched: &'a [u8],
    /// The client's mark.
    pub token: &'a [u8],
    /// Whether each event counts by itself: special events say how often.
    pub counted: bool,
}

/// The queue of one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Encoded messages; the first `sent` bytes are gone already.
    ready: Vec<u8>,
    sent: usize,
    /// Where in `ready` the first message begins that is not sent whole.
    begun: usize,
    /// How many replies from there on.
    replies: usize,
    /// How many replies may be unsent before further requests wait; 0 for any number.
    most_replies: usize,
    /// How much of `ready` the client was offered before; what of that is not sent it
    /// did not take.
    offered: usize,
    /// What waits for room in `ready`.
    backlog: VecDeque<Waiting>,
    backlog_bytes: usize,
    /// How many replies there are in the backlog.
    waiting_replies: usize,
    /// The events in the backlog, to recognize twins.
    twins: HashSet<(WatchId, Box<[u8]>)>,
    /// Watches with an event in the backlog that stands for all further ones.
    collapsed: HashSet<WatchId>,
}

#[derive(Debug)]
struct Waiting {
    message: Vec<u8>,
    event: Option<(WatchId, Kind)>,
}

#[derive(Debug)]
enum Kind {
    Single(Box<[u8]>),
    Counted,
    Collapsed,
}

impl Waiting {
    /// Bytes it takes in all. The path of a single event is kept twice.
    fn weight(&self) -> usize {
        let paths = match &self.event {
            Some((_, Kind::Single(path))) => 2 * path.len(),
            _ => 0,
        };
        WAITING_OVERHEAD + self.message.len() + paths
    }
}

impl Outbox {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.backlog.is_empty()
    }

    /// Whether the client lags: its requests are to wait.
    pub fn is_congested(&self) -> bool {
        !self.backlog.is_empty()
            || self.ready.len() - self.sent > READY_LIMIT
            || (self.most_replies > 0 && self.replies >= self.most_replies)
    }

    /// Sets how many replies may be unsent before further requests wait; 0 for any number.
    pub fn set_most_replies(&mut self, most: usize) {
        self.most_replies = most;
    }

    /// How many replies are not sent whole.
    pub fn unsent_replies(&self) -> usize {
        self.replies + self.waiting_replies
    }

    /// Bytes of memory it takes.
    pub fn weight(&self) -> usize {
        weight(self.ready.capacity(), self.ready.len()) + self.backlog_bytes
    }

    /// Whether the client left something lying that it could have taken: its events are
    /// to be sorted out.
    fn is_behind(&self) -> bool {
        self.is_congested() || self.offered > self.sent
    }

    /// Takes note that the client is about to be offered all there is.
    pub fn offer(&mut self) {
        self.offered = self.ready.len();
    }

    /// The bytes to be sent next.
    pub fn bytes(&self) -> &[u8] {
        self.ready.get(self.sent..).unwrap_or_default()
    }

    /// Takes note that so many of [`bytes`](Self::bytes) were sent.
    pub fn consume(&mut self, count: usize) {
        self.sent += count;
        if self.sent < self.ready.len() {
            self.pass_messages();
            // Somebody who always leaves a little lying must not make it grow.
            if self.begun >= READY_LIMIT {
                self.ready.drain(..self.begun);
                self.offered = self.offered.saturating_sub(self.begun);
                self.sent -= self.begun;
                self.begun = 0;
            }
            return;
        }
        self.ready.clear();
        (self.sent, self.offered, self.begun, self.replies) = (0, 0, 0, 0);
        // Mostly nothing waited: there are no tables to be given back.
        if self.backlog.capacity() == 0 {
            return;
        }
        while self.ready.len() <= READY_LIMIT
            && let Some(waiting) = self.backlog.pop_front()
        {
            self.admit(&waiting);
        }
        if self.backlog.is_empty() {
            self.backlog = VecDeque::new();
            self.twins = HashSet::new();
            self.collapsed = HashSet::new();
        }
    }

    /// Whether a buffer is to be lent before something is queued.
    pub fn is_without_buffer(&self) -> bool {
        self.ready.capacity() == 0
    }

    /// Has it use an empty buffer that has room already, if it is without.
    pub fn lend(&mut self, buffer: Vec<u8>) {
        if self.is_without_buffer() {
            self.ready = buffer;
        }
    }

    /// Takes its buffer away once everything is sent: an idle connection holds no memory. One
    /// without room until then.
    pub fn reclaim(&mut self) -> Vec<u8> {
        if self.ready.is_empty() { mem::take(&mut self.ready) } else { Vec::new() }
    }

    /// Goes past the messages that are sent whole.
    fn pass_messages(&mut self) {
        let rest = |outbox: &Self| outbox.ready.get(outbox.begun..).and_then(Header::decode);
        while let Some(header) = rest(self) {
            let end = self.begun + Header::SIZE + header.length as usize;
            if end > self.sent {
                return;
            }
            self.begun = end;
            self.replies -= usize::from(header.kind != MessageType::WatchEvent.number());
        }
    }

    fn admit(&mut self, waiting: &Waiting) {
        self.backlog_bytes -= waiting.weight();
        self.ready.extend_from_slice(&waiting.message);
        match &waiting.event {
            Some((watch, Kind::Single(path))) => {
                self.twins.remove(&(*watch, path.clone()));
            }
            Some((watch, Kind::Collapsed)) => {
                self.collapsed.remove(watch);
            }
            Some((_, Kind::Counted)) => {}
            None => {
                self.waiting_replies -= 1;
                self.replies += 1;
            }
        }
    }

    /// Queues a reply. `false`, and nothing queued, if it is too long for a message.
    #[must_use]
    pub fn reply(
        &mut self,
        kind: MessageType,
        request_id: u32,
        transaction_id: u32,
        payload: &[u8],
    ) -> bool {
        let encode = |out: &mut Vec<u8>| {
            let begun = begin(out, kind, request_id, transaction_id, payload.len());
            if begun {
                out.extend_from_slice(payload);
            }
            begun
        };
        if self.backlog.is_empty() {
            let done = encode(&mut self.ready);
            self.replies += usize::from(done);
            return done;
        }
        let mut message = Vec::new();
        let done = encode(&mut message);
        if done {
            self.waiting_replies += 1;
            self.wait(message, None);
        }
        done
    }

    /// Queues an event; `false` if one that waits already stands for it.
    ///
    /// An event too long for a message becomes one for the watched path, which fits
    /// because it came in one: the client still learns that something changed (XSA-324).
    ///
    /// `room` is how many bytes more its client may have waiting.
    pub fn event(&mut self, event: Event<'_>, room: usize) -> bool {
        let fits = event.path.len() + event.token.len() + 2 <= PAYLOAD_MAX;
        let path = if fits { event.path } else { event.watched };
        if !self.is_behind() {
            encode_event(&mut self.ready, path, event.token);
            return true;
        }
        let watch = event.watch;
        let room = room.min(BACKLOG_LIMIT.saturating_sub(self.backlog_bytes));
        let weight = WAITING_OVERHEAD + Header::SIZE + 3 * path.len() + event.token.len() + 2;
        let (path, kind) = if weight > room {
            if !self.collapsed.insert(watch) {
                return false;
            }
            (event.watched, Kind::Collapsed)
        } else if event.counted {
            (path, Kind::Counted)
        } else if self.collapsed.contains(&watch) {
            return false;
        } else if self.twins.insert((watch, path.into())) {
            (path, Kind::Single(path.into()))
        } else {
            return false;
        };
        let mut message = Vec::new();
        encode_event(&mut message, path, event.token);
        self.wait(message, Some((watch, kind)));
        true
    }

    fn wait(&mut self, message: Vec<u8>, event: Option<(WatchId, Kind)>) {
        let waiting = Waiting { message, event };
        self.backlog_bytes += waiting.weight();
        self.backlog.push_back(waiting);
    }
}

fn encode_event(out: &mut Vec<u8>, path: &[u8], token: &[u8]) {
    let parts = [path, b"\0", token, b"\0"];
    let fits = encode(out, MessageType::WatchEvent, 0, 0, &parts);
    debug_assert!(fits, "a watch and its token came in one message");
}

#[cfg(test)]
mod tests {
    use xenstore_wire::Decoder;

    use super::*;

    fn event(path: &str) -> Event<'_> {
        Event {
            watch: WatchId { serial: 1, slot: 0 },
            path: path.as_bytes(),
            watched: b"/w",
            token: b"t",
            counted: false,
        }
    }

    fn congested() -> Outbox {
        let mut outbox = Outbox::default();
        while !outbox.is_congested() {
            assert!(outbox.reply(MessageType::Read, 0, 0, &[0; 4096]));
        }
        outbox
    }

    /// All that comes out, as (type, payload up to its NUL).
    fn drain(outbox: &mut Outbox) -> Vec<(u32, String)> {
        drain_into(outbox, Decoder::new())
    }

    fn drain_into(outbox: &mut Outbox, mut decoder: Decoder) -> Vec<(u32, String)> {
        while !outbox.bytes().is_empty() {
            let count = outbox.bytes().len().min(1000);
            decoder.push(&outbox.bytes()[..count]);
            outbox.consume(count);
        }
        let mut messages = Vec::new();
        while let Some(message) = decoder.next_message().unwrap() {
            let text = message.payload.split(|&byte| byte == 0).next().unwrap();
            messages.push((message.header.kind, String::from_utf8_lossy(text).into_owned()));
        }
        messages
    }

    #[test]
    fn a_client_that_keeps_up_gets_every_event() {
        let mut outbox = Outbox::default();
        for _ in 0..3 {
            outbox.event(event("/w/a"), usize::MAX);
        }
        assert!(outbox.reply(MessageType::Write, 1, 0, b"OK\0"));
        let seen = drain(&mut outbox);
        assert_eq!(seen.len(), 4);
        assert_eq!(seen[3], (11, "OK".to_owned()));
        assert!(outbox.reclaim().is_empty() && outbox.is_without_buffer());
    }

    #[test]
    fn waiting_twins_are_dropped_and_order_is_kept() {
        let mut outbox = congested();
        let before = outbox.bytes().len() / 4112;
        for path in ["/w/a", "/w/b", "/w/a"] {
            outbox.event(event(path), usize::MAX);
        }
        assert!(outbox.reply(MessageType::Write, 1, 0, b"OK\0"));
        outbox.event(event("/w/b"), usize::MAX);
        let seen = drain(&mut outbox);
        let tail: Vec<_> = seen[before..].iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(tail, ["/w/a", "/w/b", "OK"]);
        assert!(!outbox.is_congested() && outbox.twins.is_empty());
    }

    /// One write that a slow client did not take whole is enough to know that it lags.
    #[test]
    fn twins_are_dropped_as_soon_as_a_client_leaves_something_lying() {
        let mut outbox = Outbox::default();
        outbox.event(event("/w/a"), usize::MAX);
        outbox.offer();
        outbox.consume(10);
        for path in ["/w/a", "/w/a", "/w/b"] {
            outbox.event(event(path), usize::MAX);
        }
        let seen = {
            let first = encode_bytes("/w/a")[..10].to_vec();
            let mut decoder = Decoder::new();
            decoder.push(&first);
            drain_into(&mut outbox, decoder)
        };
        let paths: Vec<_> = seen.iter().map(|(_, path)| path.as_str()).collect();
        assert_eq!(paths, ["/w/a", "/w/a", "/w/b"], "the half-sent one does not count");
    }

    fn encode_bytes(path: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_event(&mut bytes, path.as_bytes(), b"t");
        bytes
    }

    #[test]
    fn special_events_are_counted_one_by_one() {
        let mut outbox = congested();
        let before = outbox.bytes().len() / 4112;
        for _ in 0..3 {
            outbox.event(Event { counted: true, ..event("@releaseDomain") }, usize::MAX);
        }
        assert_eq!(drain(&mut outbox).len() - before, 3);
    }

    /// XSA-326: a client that never reads must not grow the daemon, and still learns
    /// in the end that something changed.
    #[test]
    fn past_the_limit_one_event_stands_for_all() {
        let mut outbox = congested();
        for counted in [false, true] {
            for number in 0..100_000 {
                outbox.event(Event { counted, ..event(&format!("/w/{number}")) }, usize::MAX);
            }
            assert!(outbox.backlog_bytes < BACKLOG_LIMIT + 4112);
            let seen = drain(&mut outbox);
            assert_eq!(seen.last().unwrap().1, "/w");
        }
        outbox.event(event("/w/again"), usize::MAX);
        assert_eq!(drain(&mut outbox), [(15, "/w/again".to_owned())]);
    }

    /// The same for one whose domain may have no more memory.
    #[test]
    fn without_room_one_event_stands_for_all() {
        let mut outbox = congested();
        let before = outbox.bytes().len() / 4112;
        outbox.event(event("/w/a"), 1000);
        for number in 0..100 {
            outbox.event(event(&format!("/w/{number}")), 0);
        }
        let seen = drain(&mut outbox);
        let tail: Vec<_> = seen[before..].iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(tail, ["/w/a", "/w"]);
    }

    /// XSA-326: a reply is outstanding until its last byte was taken.
    #[test]
    fn requests_wait_while_too_many_replies_are_unsent() {
        let mut outbox = Outbox::default();
        outbox.set_most_replies(2);
        assert!(outbox.reply(MessageType::Read, 0, 0, b"one"));
        assert!(!outbox.is_congested());
        assert!(outbox.reply(MessageType::Read, 0, 0, b"two"));
        outbox.consume(18);
        assert!(outbox.is_congested() && outbox.unsent_replies() == 2);
        outbox.consume(1);
        assert!(!outbox.is_congested() && outbox.unsent_replies() == 1);
        outbox.consume(19);
        outbox.reclaim();
        assert_eq!((outbox.unsent_replies(), outbox.weight()), (0, 0));
    }

    /// A client that reads, but always leaves a byte lying, is bounded too.
    #[test]
    fn what_was_sent_is_given_back() {
        let mut outbox = Outbox::default();
        for _ in 0..1000 {
            assert!(outbox.reply(MessageType::Read, 0, 0, &[0; 4096]));
            outbox.consume(outbox.bytes().len() - 1);
        }
        assert!(outbox.ready.len() < READY_LIMIT + 3 * 4112);
        assert_eq!(outbox.bytes().len(), 1);
    }

    #[test]
    fn an_event_too_long_for_a_message_names_the_watched_path() {
        let mut outbox = Outbox::default();
        let (path, token) = (format!("/w/{}", "a".repeat(2000)), vec![b't'; 3000]);
        outbox.event(Event { path: path.as_bytes(), token: &token, ..event("") }, usize::MAX);
        assert_eq!(drain(&mut outbox), [(15, "/w".to_owned())]);
    }

    #[test]
    fn a_reply_too_long_is_refused_in_either_state() {
        for mut outbox in [Outbox::default(), congested()] {
            let before = outbox.bytes().len();
            assert!(!outbox.reply(MessageType::Read, 0, 0, &[0; 4097]));
            assert_eq!(outbox.bytes().len(), before);
        }
    }
}
