//! The event loop: waits for file descriptors and serves what is ready.
//!
//! A round has four steps. Whoever has sent something gets in line. Everybody in line gets one
//! turn, a bounded share, for which its socket or ring is read once; who has
//! more left waits for the next round, so nobody gets a second turn while another has work
//! waiting. What the turns produced is written, one system call a connection, and guests are
//! told that their rings moved: after all turns, once, or if there are few, after each. Then the
//! logs are flushed.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;
use thiserror::Error;
use xenstore_engine::{ConnectionId, Engine, Outside, Standing, Turn};
use xenstore_host::{ConnectError, Rings};
use xenstore_wire::Domid;

use crate::access_log::AccessLog;
use crate::alarm::Alarm;
use crate::clients::{Clients, Offer, Progress, Written};
use crate::config::Config;
use crate::door::Door;
use crate::engine_time::EngineTime;
use crate::guests::Guests;
use crate::line::Line;
use crate::logging::Logging;
use crate::services::Services;
use crate::signals::{Signal, Signals};
use crate::socket::Listener;
use crate::thrift::Thrift;

mod domains;

use domains::Changed;

/// Events taken from the kernel at a time. It hands out ready descriptors in turn, so
/// a bound here is fair.
const EVENTS: usize = 256;

/// How long the daemon looks out for the next request before it sleeps, while clients wait
/// for the one whose request it is: to be woken takes longer than most requests. 64 clients
/// whose transactions all conflict commit four times as often with it.
const ALERT: Duration = Duration::from_micros(50);

/// How long after rings moved it is certain whether their guests went on without a word. It is
/// looked after once to four times that.
const SETTLING: Duration = Duration::from_millis(1);

/// The most turns in a round for each to be followed by writing what it produced. Else few
/// clients and the daemon may fall into step, all of them waiting while it works and it while
/// they do: 8 got two fifths fewer answers. Of many clients somebody always goes on, and 64 get a
/// tenth more if turns and writing are kept apart, since each then finds the caches warm.
const FEW: usize = 8;

/// Clients let in at a time, so that a storm of them does not keep others waiting.
const ACCEPTS: usize = 64;

/// What the process hands to its event loop. Dropping it removes the socket.
#[derive(Debug)]
pub struct Resources {
    /// The rings of the host's domains, if any are served.
    pub rings: Option<Rings>,
    /// Where clients connect; none with `--disable-socket`.
    pub listener: Option<Listener>,
    /// How many files the process may have open, `None` for no limit.
    pub open_files: Option<u64>,
    /// What the outside asks of the process.
    pub signals: Signals,
    /// Where requests are noted.
    pub access_log: Option<AccessLog>,
    /// The daemon's log, to be opened anew on SIGHUP.
    pub logging: Logging,
}

/// Why the event loop cannot go on.
#[derive(Debug, Error)]
pub enum EventLoopError {
    /// It cannot wait for events.
    #[error("expected to wait for events")]
    Wait(#[source] io::Error),
    /// The ring of its own domain cannot be served.
    #[error("expected to serve the ring of this domain")]
    OwnRing(#[from] ConnectError),
}

/// What a ready file descriptor belongs to, as a number that epoll keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Signals,
    Listener,
    /// The event channels of all guests.
    Guests,
    Alarm,
    Thrift,
    /// The client in this slot.
    Client(usize),
}

impl Token {
    fn data(self) -> u64 {
        match self {
            Self::Signals => 0,
            Self::Listener => 1,
            Self::Guests => 2,
            Self::Alarm => 3,
            Self::Thrift => 4,
            Self::Client(slot) => slot as u64 + 5,
        }
    }

    fn of(data: u64) -> Self {
        match data {
            0 => Self::Signals,
            1 => Self::Listener,
            2 => Self::Guests,
            3 => Self::Alarm,
            4 => Self::Thrift,
            slot => usize::try_from(slot - 5).map_or(Self::Client(usize::MAX), Self::Client),
        }
    }
}

/// The event loop.
#[derive(Debug)]
pub struct EventLoop {
    epoll: OwnedFd,
    engine: Engine,
    clients: Clients,
    guests: Guests,
    services: Services,
    door: Door,
    signals: Signals,
    logging: Logging,
    debug_dump: PathBuf,
    time: EngineTime,
    /// Connections with requests or something to be read, in the order of their turns.
    line: Line,
    /// Guests whose rings are to be looked at: they fired, or went on.
    look_at: Vec<Domid>,
    /// For when it is to be looked whether any went on without a word.
    alarm: Alarm,
    /// Domains of which something became that was not looked at yet.
    changed: Changed,
    thrift: Thrift,
    /// Whether the engine has more to free.
    unswept: bool,
    /// When this round began; known if it may be a round of guests. By its end, of a thousand of
    /// them, those that went on without a word would be looked at later, and be served less.
    began: Option<Instant>,
}

impl EventLoop {
    /// Prepares everything that can fail; after it the daemon is as good as ready.
    ///
    /// # Errors
    ///
    /// The system has no more file descriptors or memory.
    pub fn new(config: &Config, resources: Resources) -> Result<Self, EventLoopError> {
        let Resources { rings, listener, open_files, signals, access_log, logging } = resources;
        let mut event_loop = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).map_err(wait_error)?,
            engine: Engine::new(&config.engine_settings()),
            clients: Clients::default(),
            guests: Guests::new(rings),
            services: Services::new(access_log),
            door: Door::new(listener, open_files, Token::Listener.data()),
            signals,
            logging,
            debug_dump: config.paths.debug_dump(),
            time: EngineTime::default(),
            line: Line::default(),
            look_at: Vec::new(),
            alarm: Alarm::new().map_err(EventLoopError::Wait)?,
            changed: Changed::default(),
            thrift: Thrift::new().map_err(EventLoopError::Wait)?,
            unswept: false,
            began: None,
        };
        let watch = |file: BorrowedFd<'_>, token: Token| {
            let data = epoll::EventData::new_u64(token.data());
            epoll::add(&event_loop.epoll, file, data, EventFlags::IN).map_err(wait_error)
        };
        watch(event_loop.signals.as_fd(), Token::Signals)?;
        watch(event_loop.alarm.as_fd(), Token::Alarm)?;
        watch(event_loop.thrift.as_fd(), Token::Thrift)?;
        if let Some(events) = event_loop.guests.events() {
            watch(events, Token::Guests)?;
        }
        event_loop.connect_domains(config.engine_settings().privileged)?;
        event_loop.door.open(&event_loop.epoll).map_err(EventLoopError::Wait)?;
        Ok(event_loop)
    }

    /// Serves until a signal asks to leave.
    ///
    /// # Errors
    ///
    /// It cannot wait for events any more.
    pub fn run(&mut self) -> Result<(), EventLoopError> {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            self.wait(&mut events)?;
            if self.time.passes() {
                self.engine.pass_time(self.time.now(), &mut self.services);
            }
            for event in &events {
                match Token::of(event.data.u64()) {
                    Token::Signals => {
                        if self.handle_signals() {
                            return Ok(());
                        }
                    }
                    Token::Listener => self.accept(),
                    Token::Guests => self.guests_ready(),
                    Token::Alarm => self.alarm.hush(),
                    Token::Thrift => self.thrift.ring(),
                    Token::Client(slot) => self.client_ready(slot, event.flags),
                }
            }
            self.look_at_rings();
            self.look_at_changed();
            self.line_up_the_woken();
            self.give_turns();
            self.write_output();
            self.tell_guests();
            if self.guests.is_unsettled() && !self.alarm.is_set() {
                let began = self.began.unwrap_or_else(Instant::now);
                self.alarm.set(began, SETTLING).map_err(EventLoopError::Wait)?;
            }
            let unswept = self.engine.sweep();
            if mem::replace(&mut self.unswept, unswept) && !unswept {
                self.thrift.much_was_freed();
            }
            self.line_up_the_woken();
            self.services.flush();
        }
    }

    /// Waits for something to do; only looks if somebody is waiting for a turn already.
    fn wait(&mut self, events: &mut Vec<epoll::Event>) -> Result<(), EventLoopError> {
        let pause = self.door.pause(&self.epoll);
        let mut deadline = None;
        if self.engine.is_timeless() {
            self.time.stand_still();
        } else {
            self.time.served(Instant::now());
            deadline = self.engine.deadline().map(|at| at.saturating_sub(self.time.now()));
        }
        let nothing = self.line.is_empty()
            && self.look_at.is_empty()
            && self.changed.is_empty()
            && !self.unswept;
        let most = match (pause, deadline) {
            _ if !nothing || self.thrift.is_due() => Some(Duration::ZERO),
            (Some(pause), Some(deadline)) => Some(pause.min(deadline)),
            (pause, deadline) => pause.or(deadline),
        };
        let mut waited = Ok(());
        events.clear();
        if self.time.passes() && most != Some(Duration::ZERO) && self.engine.keeps_waiting() {
            let begun = Instant::now();
            while events.is_empty() && waited.is_ok() && begun.elapsed() < ALERT {
                waited = self.look(events, Some(Duration::ZERO));
            }
        }
        if events.is_empty() && waited.is_ok() {
            waited = self.look(events, most);
        }
        if self.time.passes() {
            self.time.waited(Instant::now());
        }
        self.began = (!nothing).then(Instant::now);
        if events.is_empty() && nothing {
            self.thrift.idle();
        }
        waited
    }

    fn look(
        &self,
        events: &mut Vec<epoll::Event>,
        most: Option<Duration>,
    ) -> Result<(), EventLoopError> {
        let timeout = most.and_then(|most| Timespec::try_from(most).ok());
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(wait_error(error)),
        }
    }

    /// Does what signals ask for; whether it is time to leave.
    fn handle_signals(&mut self) -> bool {
        let mut leave = false;
        for signal in self.signals.take() {
            tracing::info!(?signal, "signal");
            match signal {
                Signal::ReopenLogs => {
                    self.logging.reopen();
                    self.services.reopen();
                }
                Signal::DumpStore => self.dump_store(),
                Signal::Terminate => leave = true,
            }
        }
        leave
    }

    fn dump_store(&self) {
        let path = &self.debug_dump;
        let mut options = OpenOptions::new();
        // What guests wrote is not for everyone on the host to read.
        options.write(true).create(true).truncate(true).mode(0o600);
        match options.open(path).and_then(|mut file| file.write_all(self.engine.dump().as_bytes()))
        {
            Ok(()) => tracing::info!(?path, "store dumped"),
            Err(error) => tracing::warn!(?path, %error, "store cannot be dumped"),
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            match self.door.next(&self.epoll, self.clients.count()) {
                Some(socket) => self.let_in(socket),
                None => return,
            }
        }
    }

    fn let_in(&mut self, socket: OwnedFd) {
        let id = self.engine.connect_socket(&mut self.services);
        let data = Token::Client(id.slot()).data();
        if let Err(error) = self.clients.add(&self.epoll, id, socket, data) {
            self.door.complain(Some(&error), self.clients.count());
            self.engine.disconnect(id, &mut self.services);
        }
    }

    fn client_ready(&mut self, slot: usize, flags: EventFlags) {
        // At the end of a connection what waits for it goes first: a client that lags
        // is not read, not even to find out that it is gone.
        let over = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        if over || flags.contains(EventFlags::OUT) {
            let Some((id, standing)) = self.engine.in_slot(slot) else {
                return;
            };
            if over && standing.is_held {
                return self.clients.ignore(&self.epoll, id);
            }
            self.write(id, Offer::Anyway);
        }
        if over || flags.contains(EventFlags::IN) {
            self.line.join(slot);
        }
    }

    fn with_outside<R>(&mut self, act: impl FnOnce(&mut Engine, &mut Outside<'_>) -> R) -> R {
        let mut outside = Outside {
            hypervisor: self.guests.hypervisor(),
            daemon: &mut self.services,
            now: self.time.now(),
        };
        act(&mut self.engine, &mut outside)
    }

    /// Puts a connection in line for a turn if it has requests.
    fn wants_turn(&mut self, id: ConnectionId) {
        let standing = self.engine.standing(id);
        let has_requests = |domid| standing.wants_input && self.guests.has_requests(domid);
        if standing.is_ready || standing.ring.is_some_and(has_requests) {
            self.line.join(id.slot());
        }
    }

    /// After something was read or written: a turn if there are requests, and epoll waits for
    /// what the client can do next.
    #[inline]
    fn go_on(&mut self, id: ConnectionId) {
        let standing = self.engine.standing(id);
        if standing.is_ready {
            self.line.join(id.slot());
        }
        let data = Token::Client(id.slot()).data();
        if let Err(error) = self.clients.adjust_interest(&self.epoll, id, standing, data) {
            self.give_up(id, &error);
        }
    }

    /// Puts those in line who waited for somebody's transaction and need not any more.
    fn line_up_the_woken(&mut self) {
        while let Some(id) = self.engine.next_ready() {
            self.was_woken(id);
        }
    }

    /// Mostly nobody was.
    #[cold]
    fn was_woken(&mut self, id: ConnectionId) {
        let data = Token::Client(id.slot()).data();
        if let Err(error) = self.clients.listen_again(&self.epoll, id, data) {
            self.give_up(id, &error);
        }
        self.wants_turn(id);
    }

    /// One turn for everybody in line.
    fn give_turns(&mut self) {
        let at_once = self.line.len() <= FEW;
        for _ in 0..self.line.len() {
            let Some(slot) = self.line.take_first() else {
                return;
            };
            let Some((id, standing)) = self.engine.in_slot(slot) else {
                continue;
            };
            match standing.ring {
                Some(domid) => self.guest_turn(id, domid, standing),
                None => self.client_turn(id, standing),
            }
            if at_once {
                self.write_output();
                self.tell_guests();
            }
        }
    }

    /// A client's turn: reads what it sent, if the engine wants it, and has requests answered.
    fn client_turn(&mut self, id: ConnectionId, standing: Standing) {
        let mut bytes = &[][..];
        if standing.wants_input {
            match self.clients.read(&self.engine, id) {
                Progress::Sent(sent) => bytes = sent,
                Progress::Open => return self.go_on(id),
                Progress::Gone => return self.drop_client(id),
            }
        } else if !standing.is_ready {
            // It is not read meanwhile, and must not be reported again.
            return self.go_on(id);
        }
        let mut outside = Outside {
            hypervisor: self.guests.hypervisor(),
            daemon: &mut self.services,
            now: self.time.now(),
        };
        match self.engine.turn(id, bytes, &mut outside) {
            Turn::Idle => {}
            Turn::More => self.wants_turn(id),
            Turn::Broken => {
                tracing::info!(connection = id.slot(), "connection broke the protocol");
                // What was answered before still goes out, if it is taken at once.
                let _ = self.clients.write(&mut self.engine, id, Offer::Anyway);
                self.drop_client(id);
            }
        }
    }

    fn write_output(&mut self) {
        while let Some(id) = self.engine.next_outgoing() {
            self.write(id, Offer::UnlessFull);
        }
    }

    /// Tells guests that their rings moved.
    fn tell_guests(&mut self) {
        if self.guests.are_to_be_told() {
            self.guests.flush(&mut self.look_at, &mut self.services);
        }
    }

    /// Writes what a client or guest takes. With that out of the way its requests may go on.
    fn write(&mut self, id: ConnectionId, offer: Offer) {
        match self.clients.write(&mut self.engine, id, offer) {
            Some(Written::Open) => self.go_on(id),
            Some(Written::Over) => self.drop_client(id),
            None => {
                if let Some(domid) = self.engine.standing(id).ring {
                    self.guests.write(&mut self.engine, id, domid, &mut self.services);
                    self.wants_turn(id);
                }
            }
        }
    }

    #[cold]
    fn give_up(&mut self, id: ConnectionId, error: &io::Error) {
        tracing::warn!(%error, "client cannot be waited for");
        self.drop_client(id);
    }

    fn drop_client(&mut self, id: ConnectionId) {
        self.clients.remove(id);
        self.engine.disconnect(id, &mut self.services);
        self.thrift.much_was_freed();
        self.door.client_left(&self.epoll);
    }
}

fn wait_error(error: Errno) -> EventLoopError {
    EventLoopError::Wait(error.into())
}
