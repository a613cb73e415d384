//! The door: lets clients in while there is room for them.
//!
//! A client that cannot be let in stays in the queue of the listening socket, which
//! is readable as long as it does: to go on waiting for it would be a busy loop. So
//! the door is closed, which means that epoll does not watch the socket, until there
//! is a chance that the next client fits:
//!
//! * All places are taken: until a client leaves. There are fewer places than file
//!   descriptors, so that a log can be opened however many clients there are.
//! * The system is short of something: for a second, since what is short may come
//!   back without anybody leaving here.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};

use crate::rate_limit::RateLimit;
use crate::socket::Listener;

/// File descriptors not given to clients: about a dozen are the daemon's own for good,
/// the others are for files that are open for a moment.
const RESERVED: u64 = 24;

/// How long the door stays closed when the system is short of something.
const PAUSE: Duration = Duration::from_secs(1);

/// The listening socket and whether anybody is let in.
#[derive(Debug)]
pub struct Door {
    listener: Option<Listener>,
    /// What epoll is to say when somebody knocks.
    data: u64,
    places: usize,
    state: State,
    /// Complaints about no room (`None`) and about the system.
    complaints: RateLimit<Option<io::ErrorKind>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Until a client leaves.
    Full,
    /// Until then, or until a client leaves.
    Pausing(Instant),
}

impl Door {
    /// A closed door, to which [`Door::open`] is the key. Without a listener nobody
    /// will ever knock.
    pub fn new(listener: Option<Listener>, open_files: Option<u64>, data: u64) -> Self {
        let places = open_files.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVED).max(1));
        Self {
            listener,
            data,
            places: usize::try_from(places).unwrap_or(usize::MAX),
            state: State::Full,
            complaints: RateLimit::default(),
        }
    }

    /// Has epoll watch for clients.
    ///
    /// # Errors
    ///
    /// The system is short of memory.
    pub fn open(&mut self, epoll: &OwnedFd) -> io::Result<()> {
        if let Some(listener) = &self.listener {
            epoll::add(epoll, listener, EventData::new_u64(self.data), EventFlags::IN)?;
        }
        self.state = State::Open;
        Ok(())
    }

    /// The next client that waits, if it can be let in now; `clients` are in already.
    pub fn next(&mut self, epoll: &OwnedFd, clients: usize) -> Option<OwnedFd> {
        if self.state != State::Open {
            return None;
        }
        if clients >= self.places {
            self.complain(None, clients);
            self.close(epoll, State::Full);
            return None;
        }
        match self.listener.as_ref()?.accept() {
            Ok(client) => client,
            Err(error) => {
                self.complain(Some(&error), clients);
                self.close(epoll, State::Pausing(Instant::now() + PAUSE));
                None
            }
        }
    }

    /// Says that clients are not let in: at once, and then not once a client.
    pub fn complain(&mut self, error: Option<&io::Error>, clients: usize) {
        let kind = error.map(io::Error::kind);
        let Some(suppressed) = self.complaints.check(kind, Instant::now()) else {
            return;
        };
        if let Some(error) = error {
            tracing::warn!(%error, clients, suppressed, "client not let in");
        } else {
            tracing::warn!(clients, suppressed, "no room for more clients");
        }
    }

    fn close(&mut self, epoll: &OwnedFd, state: State) {
        if let Some(listener) = &self.listener
            && epoll::delete(epoll, listener).is_ok()
        {
            self.state = state;
        }
    }

    /// A client left: there may be room for another.
    pub fn client_left(&mut self, epoll: &OwnedFd) {
        if self.state != State::Open && self.open(epoll).is_err() {
            self.state = State::Pausing(Instant::now() + PAUSE);
        }
    }

    /// Opens the door after a pause; says how long it is still to last, if there is one.
    pub fn pause(&mut self, epoll: &OwnedFd) -> Option<Duration> {
        let State::Pausing(until) = self.state else {
            return None;
        };
        let left = until.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            return Some(left);
        }
        self.client_left(epoll);
        matches!(self.state, State::Pausing(_)).then_some(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::epoll::CreateFlags;
    use std::os::unix::net::UnixStream;

    fn knocks(epoll: &OwnedFd) -> bool {
        let mut events = Vec::with_capacity(4);
        let at_once = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        epoll::wait(epoll, rustix::buffer::spare_capacity(&mut events), Some(&at_once)).unwrap();
        !events.is_empty()
    }

    /// A process without a free file descriptor and without clients, none of whom
    /// could leave: the door once stayed open, and the loop spun on it.
    #[test]
    fn what_the_system_is_short_of_is_asked_for_again_after_a_pause() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = Listener::create(&path).unwrap();
        let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
        let mut door = Door::new(Some(listener), None, 7);
        door.open(&epoll).unwrap();
        assert_eq!(door.pause(&epoll), None);
        let _client = UnixStream::connect(&path).unwrap();
        assert!(knocks(&epoll));

        door.close(&epoll, State::Pausing(Instant::now() + PAUSE));
        assert!(!knocks(&epoll));
        assert!(door.pause(&epoll).is_some_and(|left| left <= PAUSE));
        assert!(door.next(&epoll, 0).is_none());

        door.state = State::Pausing(Instant::now());
        assert_eq!(door.pause(&epoll), None);
        assert!(knocks(&epoll));
        assert!(door.next(&epoll, 0).is_some());
    }

    #[test]
    fn there_are_fewer_places_than_file_descriptors() {
        let places = |open_files| Door::new(None, open_files, 0).places;
        assert_eq!(places(Some(1024)), 1000);
        assert_eq!(places(Some(10)), 1);
        assert_eq!(places(None), usize::MAX);
    }

    #[test]
    fn a_full_house_waits_for_somebody_to_leave() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = Listener::create(&path).unwrap();
        let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
        let mut door = Door::new(Some(listener), Some(RESERVED + 2), 7);
        door.open(&epoll).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        assert!(door.next(&epoll, 2).is_none());
        assert!(!knocks(&epoll));
        assert_eq!(door.pause(&epoll), None);
        door.client_left(&epoll);
        assert!(knocks(&epoll));
        assert!(door.next(&epoll, 1).is_some());
    }
}
