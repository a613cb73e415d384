//! The event loop: waits for file descriptors and serves what is ready.
//!
//! For now it knows the listening socket, whose connections it closes at once, and
//! signals. Connections, rings and the engine take their places here.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll;
use rustix::io::Errno;
use thiserror::Error;

use crate::access_log::{AccessLog, Incident, Observer, Origin};
use crate::config::Config;
use crate::logging::Logging;
use crate::signals::{Signal, Signals};
use crate::socket::Listener;

/// What the process hands to its event loop. Dropping it removes the socket.
#[derive(Debug)]
pub struct Resources {
    /// Where clients connect; none with `--disable-socket`.
    pub listener: Option<Listener>,
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
}

/// What a ready file descriptor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Signals,
    Listener,
}

const TOKENS: [Token; 2] = [Token::Signals, Token::Listener];

/// The event loop.
#[derive(Debug)]
pub struct EventLoop {
    epoll: OwnedFd,
    resources: Resources,
    accepted: u32,
}

impl EventLoop {
    /// Prepares everything that can fail; after it the daemon is as good as ready.
    ///
    /// # Errors
    ///
    /// The system has no more file descriptors or memory.
    pub fn new(_config: &Config, resources: Resources) -> Result<Self, EventLoopError> {
        let event_loop = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).map_err(wait_error)?,
            resources,
            accepted: 0,
        };
        event_loop.register(&event_loop.resources.signals, Token::Signals)?;
        if let Some(listener) = &event_loop.resources.listener {
            event_loop.register(listener, Token::Listener)?;
        }
        Ok(event_loop)
    }

    /// Serves until a signal asks to leave.
    ///
    /// # Errors
    ///
    /// It cannot wait for events any more.
    pub fn run(&mut self) -> Result<(), EventLoopError> {
        let mut events = Vec::with_capacity(64);
        let mut leave = false;
        while !leave {
            events.clear();
            let buffer = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, buffer, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(wait_error(error)),
            }
            for event in &events {
                let ready = event.data.u64();
                match TOKENS.into_iter().find(|token| *token as u64 == ready) {
                    Some(Token::Signals) => leave |= self.handle_signals(),
                    Some(Token::Listener) => self.accept(),
                    None => {}
                }
            }
            if let Some(log) = &mut self.resources.access_log {
                log.flush();
            }
        }
        Ok(())
    }

    fn register(&self, source: &impl AsFd, token: Token) -> Result<(), EventLoopError> {
        let data = epoll::EventData::new_u64(token as u64);
        epoll::add(&self.epoll, source, data, epoll::EventFlags::IN).map_err(wait_error)
    }

    /// Does what signals ask for; whether it is time to leave.
    fn handle_signals(&mut self) -> bool {
        let mut leave = false;
        for signal in self.resources.signals.take() {
            tracing::info!(?signal, "signal");
            match signal {
                Signal::ReopenLogs => {
                    self.resources.logging.reopen();
                    if let Some(log) = &mut self.resources.access_log {
                        log.reopen();
                    }
                }
                // The engine's dump goes to `Config::paths.debug_dump()`.
                Signal::DumpStore => tracing::warn!("there is no store to dump yet"),
                Signal::Terminate => leave = true,
            }
        }
        leave
    }

    fn accept(&mut self) {
        let Some(listener) = &self.resources.listener else {
            return;
        };
        match listener.accept() {
            Ok(None) => return,
            Ok(Some(connection)) => drop(connection),
            Err(error) => {
                tracing::warn!(%error, "connection cannot be accepted");
                return;
            }
        }
        self.accepted = self.accepted.wrapping_add(1);
        let origin =
            Origin { connection: self.accepted, domid: 0, is_socket: true, transaction: 0 };
        if let Some(log) = &mut self.resources.access_log {
            log.note(&origin, &Incident::Connected);
            log.note(&origin, &Incident::Disconnected);
        }
    }
}

fn wait_error(error: Errno) -> EventLoopError {
    EventLoopError::Wait(error.into())
}
