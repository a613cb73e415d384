//! The clients on the socket: their bytes in and out.
//!
//! Reading and writing never block and are bounded: a client is read in its turn, and only while
//! the engine wants its bytes, which it does not while replies wait to be taken.
//!
//! A client may close its sending half and go on reading, as a script does that pipes
//! requests into a socket. It stays until it has taken what it asked for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use xenstore_engine::{ConnectionId, Engine, Standing};

/// Bytes read from a client at a time: several of the largest messages.
const READ_SIZE: usize = 16 * 1024;

/// All clients, found by the engine's number for them.
#[derive(Debug)]
pub struct Clients {
    table: Vec<Option<Client>>,
    count: usize,
    scratch: Box<[u8]>,
}

#[derive(Debug)]
struct Client {
    id: ConnectionId,
    socket: OwnedFd,
    /// What epoll waits for, besides the end of the connection.
    interest: EventFlags,
    /// Whether it will send nothing more.
    ended: bool,
    /// Whether it is out of epoll for the time being.
    ignored: bool,
}

/// What came of reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress<'a> {
    /// The client has sent this.
    Sent(&'a [u8]),
    /// The connection goes on, if only until the client has taken what waits for it.
    Open,
    /// The client is gone.
    Gone,
}

/// Whom output is offered to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offer {
    /// Whoever it is for.
    Anyway,
    /// Not who took all it can before: to try is in vain until epoll says that it takes more.
    UnlessFull,
}

/// What came of writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// The connection goes on.
    Open,
    /// The client has taken all and sends nothing more.
    Over,
}

impl Default for Clients {
    fn default() -> Self {
        Self { table: Vec::new(), count: 0, scratch: vec![0; READ_SIZE].into() }
    }
}

impl Clients {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes a new client in and has epoll wait for it; `data` is what epoll is to say.
    pub fn add(
        &mut self,
        epoll: &OwnedFd,
        id: ConnectionId,
        socket: OwnedFd,
        data: u64,
    ) -> io::Result<()> {
        let interest = EventFlags::IN;
        epoll::add(epoll, &socket, epoll::EventData::new_u64(data), interest)?;
        if self.table.len() <= id.slot() {
            self.table.resize_with(id.slot() + 1, || None);
        }
        if let Some(place) = self.table.get_mut(id.slot()) {
            *place = Some(Client { id, socket, interest, ended: false, ignored: false });
            self.count += 1;
        }
        Ok(())
    }

    /// Hears no more of a client that is gone while a request of it waits: epoll would
    /// report it again and again. What it asked for before it went is still done.
    pub fn ignore(&mut self, epoll: &OwnedFd, id: ConnectionId) {
        if let Some(client) = self.get_mut(id) {
            client.ignored = true;
            // It is there: it just was heard of.
            let _ = epoll::delete(epoll, &client.socket);
        }
    }

    /// Hears of a client again whose request waits no more.
    pub fn listen_again(&mut self, epoll: &OwnedFd, id: ConnectionId, data: u64) -> io::Result<()> {
        if let Some(client) = self.get_mut(id).filter(|client| client.ignored) {
            client.ignored = false;
            client.interest = EventFlags::IN;
            epoll::add(epoll, &client.socket, epoll::EventData::new_u64(data), client.interest)?;
        }
        Ok(())
    }

    /// Lets go of a client. Closing its socket takes it out of epoll too.
    pub fn remove(&mut self, id: ConnectionId) {
        if self.get(id).is_some()
            && let Some(place) = self.table.get_mut(id.slot())
        {
            *place = None;
            self.count -= 1;
        }
    }

    fn get(&self, id: ConnectionId) -> Option<&Client> {
        self.table.get(id.slot())?.as_ref().filter(|client| client.id == id)
    }

    fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Client> {
        self.table.get_mut(id.slot())?.as_mut().filter(|client| client.id == id)
    }

    /// Reads once.
    pub fn read(&mut self, engine: &Engine, id: ConnectionId) -> Progress<'_> {
        let client = self.table.get_mut(id.slot()).and_then(Option::as_mut);
        let Some(client) = client.filter(|client| client.id == id) else {
            return Progress::Gone;
        };
        match rustix::io::read(&client.socket, &mut *self.scratch) {
            Ok(0) if engine.output(id).is_empty() => Progress::Gone,
            Ok(0) => {
                client.ended = true;
                Progress::Open
            }
            Ok(count) => Progress::Sent(self.scratch.get(..count).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => Progress::Open,
            Err(_) => Progress::Gone,
        }
    }

    /// Writes what waits for a client, as much as it takes.
    ///
    /// To a client that will take nothing any more its output is as good as sent: what
    /// it asked for before it went is still done, and reading then finds the end.
    ///
    /// `None` if it is nobody of these.
    pub fn write(&self, engine: &mut Engine, id: ConnectionId, offer: Offer) -> Option<Written> {
        let client = self.get(id)?;
        if offer == Offer::UnlessFull && client.interest.contains(EventFlags::OUT) {
            return Some(Written::Open);
        }
        let mut more = true;
        while more {
            let output = engine.output(id);
            let length = output.len();
            if length == 0 {
                break;
            }
            match rustix::net::send(client.socket.as_fd(), output, SendFlags::NOSIGNAL) {
                Ok(count) => more = engine.sent(id, count),
                Err(Errno::AGAIN) => return Some(Written::Open),
                Err(Errno::INTR) => {}
                Err(_gone) => more = engine.sent(id, length),
            }
        }
        Some(if client.ended { Written::Over } else { Written::Open })
    }

    /// Has epoll wait for what a client of this standing can do next. Costs a system call only
    /// when that changed.
    pub fn adjust_interest(
        &mut self,
        epoll: &OwnedFd,
        id: ConnectionId,
        standing: Standing,
        data: u64,
    ) -> io::Result<()> {
        let Some(client) = self.get_mut(id).filter(|client| !client.ignored) else {
            return Ok(());
        };
        let mut interest = EventFlags::empty();
        // Who is held back is not read meanwhile, and must not be reported again.
        let reads = !client.ended && !standing.lags && !standing.is_held;
        interest.set(EventFlags::IN, reads);
        interest.set(EventFlags::OUT, standing.has_output);
        if interest != client.interest {
            epoll::modify(epoll, &client.socket, epoll::EventData::new_u64(data), interest)?;
            client.interest = interest;
        }
        Ok(())
    }
}
