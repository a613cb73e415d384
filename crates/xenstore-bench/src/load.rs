//! The load: many clients on sockets of their own, served by one thread.
//!
//! Most clients wait for a reply before they ask again, as most real ones do; others have
//! several requests on their way. Such a client reads what there is in one go, and sends as
//! many requests as were answered in one go. With one thread, no buffers to speak of and one
//! system call each to receive and to send, the load takes less of the machine than the daemon
//! it is put on, so what is measured is the daemon. How much the load did take is among the
//! figures.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use xenstore_wire::{Decoder, Message, MessageType};

use crate::failure::Failure;

/// Events taken from the kernel at a time.
const EVENTS: usize = 256;

/// Bytes read at a time; replies and events are far smaller.
const CHUNK: usize = 16384;

/// What a client does. It has a connection, and up to [`depth`](Self::depth) requests on
/// their way.
pub trait Client {
    /// Appends the next request to `out`. `false`: there is nothing more to ask.
    fn ask(&mut self, now: Instant, out: &mut Vec<u8>) -> bool;

    /// Takes the reply to the oldest request on its way.
    fn answered(&mut self, reply: Message<'_>, now: Instant) -> Result<(), Failure>;

    /// Takes an event of one of its watches.
    fn told(&mut self, _event: Message<'_>, _now: Instant) {}

    /// How many requests it has on their way at a time.
    fn depth(&self) -> usize {
        1
    }
}

/// What became of a load.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// From the first request to the last reply.
    pub elapsed: Duration,
    /// When it was over.
    pub end: Instant,
    /// Whether time was up before all clients had nothing more to ask.
    pub cut_short: bool,
}

/// A client on its connection.
#[derive(Debug)]
struct Link<C> {
    /// Its place among all, by which the kernel names it.
    slot: usize,
    stream: UnixStream,
    decoder: Decoder,
    /// Bytes to send; empty but while a request does not fit into the socket.
    out: Vec<u8>,
    /// Whether the kernel was asked to say when the socket takes more.
    held_up: bool,
    /// Requests that were not answered yet.
    in_flight: usize,
    client: C,
}

/// Clients that are connected, and wait for nothing.
#[derive(Debug)]
pub struct Load<C> {
    epoll: OwnedFd,
    links: Vec<Link<C>>,
}

impl<C: Client> Load<C> {
    /// Connects every client to the daemon at `socket`.
    pub fn connect(socket: &Path, clients: Vec<C>) -> Result<Self, Failure> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io::Error::from)?;
        let mut links = Vec::with_capacity(clients.len());
        for (slot, client) in clients.into_iter().enumerate() {
            let stream = UnixStream::connect(socket)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, data(slot), EventFlags::IN).map_err(io::Error::from)?;
            let (decoder, out) = (Decoder::new(), Vec::new());
            links.push(Link { slot, stream, decoder, out, held_up: false, in_flight: 0, client });
        }
        Ok(Self { epoll, links })
    }

    /// The clients.
    pub fn clients_mut(&mut self) -> impl Iterator<Item = &mut C> {
        self.links.iter_mut().map(|link| &mut link.client)
    }

    /// The clients, with what they know, once their connections are closed.
    pub fn into_clients(self) -> impl Iterator<Item = C> {
        self.links.into_iter().map(|link| link.client)
    }

    /// Lets all of them ask until none has anything more to ask, or time is up. Once that cut
    /// it short there are requests on their way, and another run is no use.
    pub fn run(&mut self, bound: Duration) -> Result<Finished, Failure> {
        let begun = Instant::now();
        let mut busy = 0;
        for link in &mut self.links {
            link.ask(&self.epoll, Instant::now())?;
            busy += usize::from(link.is_busy());
        }
        let mut events = Vec::with_capacity(EVENTS);
        let mut chunk = [0; CHUNK];
        while busy > 0
            && let Some(left) = bound.checked_sub(begun.elapsed())
        {
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            for event in events.drain(..) {
                let slot = usize::try_from(event.data.u64()).map_err(io::Error::other)?;
                let Some(link) = self.links.get_mut(slot) else { continue };
                let flags = event.flags;
                if flags.contains(EventFlags::OUT) {
                    link.send(&self.epoll)?;
                }
                // Whatever else there is to say, reading finds it out.
                if flags != EventFlags::OUT {
                    let was_busy = link.is_busy();
                    link.serve(&self.epoll, &mut chunk)?;
                    busy -= usize::from(was_busy && !link.is_busy());
                }
            }
        }
        let end = Instant::now();
        Ok(Finished { elapsed: end - begun, end, cut_short: busy > 0 })
    }
}

impl<C: Client> Link<C> {
    fn is_busy(&self) -> bool {
        self.in_flight > 0
    }

    /// Takes what has come, and asks again for what was answered.
    fn serve(&mut self, epoll: &OwnedFd, chunk: &mut [u8]) -> Result<(), Failure> {
        let count = match self.stream.read(chunk) {
            Ok(0) => return Err(Failure::Closed),
            Ok(count) => count,
            Err(error) if is_for_later(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let now = Instant::now();
        self.decoder.push(chunk.get(..count).unwrap_or_default());
        let mut answered = false;
        while let Some(message) = self.decoder.next_message()? {
            if message.header.kind == MessageType::WatchEvent.number() {
                self.client.told(message, now);
            } else {
                self.client.answered(message, now)?;
                self.in_flight = self.in_flight.saturating_sub(1);
                answered = true;
            }
        }
        if answered { self.ask(epoll, now) } else { Ok(()) }
    }

    /// Asks for as much as the client may have on its way.
    fn ask(&mut self, epoll: &OwnedFd, now: Instant) -> Result<(), Failure> {
        let before = self.in_flight;
        while self.in_flight < self.client.depth() && self.client.ask(now, &mut self.out) {
            self.in_flight += 1;
        }
        if self.in_flight > before { self.send(epoll) } else { Ok(()) }
    }

    /// Sends what the socket takes, and has the kernel say when it takes the rest.
    fn send(&mut self, epoll: &OwnedFd) -> Result<(), Failure> {
        match self.stream.write(&self.out) {
            Ok(sent) => drop(self.out.drain(..sent)),
            Err(error) if is_for_later(&error) => {}
            Err(error) => return Err(error.into()),
        }
        let held_up = !self.out.is_empty();
        if held_up != self.held_up {
            self.held_up = held_up;
            let flags = if held_up { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(epoll, &self.stream, data(self.slot), flags).map_err(io::Error::from)?;
        }
        Ok(())
    }
}

fn data(slot: usize) -> EventData {
    EventData::new_u64(slot as u64)
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
