//! What the engine asks of the program around it, and what it tells it.

use std::time::Duration;

use xenstore_host::{ConnectError, Hypervisor};
use xenstore_wire::{Domid, Errno, MessageType};

use crate::connection::Transport;

/// The world around the engine, lent to it for a turn.
pub struct Outside<'a> {
    /// The hypervisor.
    pub hypervisor: &'a mut dyn Hypervisor,
    /// The daemon.
    pub daemon: &'a mut dyn Daemon,
    /// The time since some fixed moment, never going back.
    pub now: Duration,
}

/// What only the program around the engine can do. Every method has a default that
/// does nothing, which is what most tests want.
pub trait Daemon {
    /// Writes a client's text to the log (`CONTROL print`).
    fn print(&mut self, text: &[u8]) {
        let _ = text;
    }

    /// Switches the trace to another file (`CONTROL logfile`). What goes wrong is the
    /// daemon's to log; the client is told nothing.
    fn set_log_file(&mut self, file: &[u8]) {
        let _ = file;
    }

    /// Appends a report on memory to a file, or to the trace if none is named
    /// (`CONTROL memreport`). `false` if it cannot be written.
    fn report_memory(&mut self, file: Option<&[u8]>, report: &str) -> bool {
        let _ = (file, report);
        false
    }

    /// Turns the trace on or off as a whole (`CONTROL log on|off`).
    fn set_tracing(&mut self, on: bool) {
        let _ = on;
    }

    /// Turns a part of the trace on or off (`CONTROL log`).
    fn set_trace(&mut self, switch: TraceSwitch, on: bool) {
        let _ = (switch, on);
    }

    /// A request was refused because a domain would have had more of something than it
    /// may: of a quota, by its name, or of what else is limited.
    fn limit_refused(&mut self, domid: Domid, what: &'static str, wanted: u64, limit: u32) {
        let _ = (domid, what, wanted, limit);
    }

    /// A domain has more memory than its soft limit (`over`), or not any more.
    fn soft_limit(&mut self, domid: Domid, used: u64, limit: u32, over: bool) {
        let _ = (domid, used, limit, over);
    }

    /// A request of `held` waits for the end of a transaction of `holder`, which failed
    /// before and must not fail again.
    fn held_back(&mut self, held: Domid, holder: Domid) {
        let _ = (held, holder);
    }

    /// A transaction of `holder` was protected for as long as can be and did not end.
    fn protection_expired(&mut self, holder: Domid) {
        let _ = holder;
    }

    /// A domain that was to be introduced has no ring that can be served.
    fn not_connected(&mut self, error: &ConnectError) {
        let _ = error;
    }

    /// A transaction was open for too long; it is gone.
    fn transaction_expired(&mut self, domid: Domid) {
        let _ = domid;
    }

    /// A transaction had to let go of the version of the store that it saw: too much is kept
    /// for open transactions of guests.
    fn transaction_cast_off(&mut self, domid: Domid) {
        let _ = domid;
    }

    /// Something happened that an access log records. Called only while
    /// [`observes`](Self::observes) says so.
    fn observe(&mut self, origin: &Origin, incident: &Incident<'_>) {
        let _ = (origin, incident);
    }

    /// Whether [`observe`](Self::observe) is to be called at all.
    fn observes(&self) -> bool {
        false
    }
}

/// A daemon that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Daemon for Silent {}

/// Parts of the trace that can be switched by `CONTROL log`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TraceSwitch {
    /// Connections, watches and transactions made and gone.
    Objects,
    /// Requests and replies.
    Io,
    /// Writes held back.
    WriteLimit,
    /// Accounts of domains.
    Accounting,
    /// Changes of nodes.
    Nodes,
}

impl TraceSwitch {
    /// Every switch, in the order they are listed.
    pub const ALL: &'static [Self] =
        &[Self::Objects, Self::Io, Self::WriteLimit, Self::Accounting, Self::Nodes];

    /// The name `CONTROL log` knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Objects => "obj",
            Self::Io => "io",
            Self::WriteLimit => "wrl",
            Self::Accounting => "acc",
            Self::Nodes => "tdb",
        }
    }
}

/// Where something that happened came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The client.
    pub transport: Transport,
    /// Its domain.
    pub domid: Domid,
    /// The transaction, 0 outside any.
    pub transaction: u32,
}

/// Something that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incident<'a> {
    /// A client came.
    Connected,
    /// A client went.
    Disconnected,
    /// A client asked for something.
    Request {
        /// What kind of thing; `None` for a type that does not exist.
        kind: Option<MessageType>,
        /// As it came.
        payload: &'a [u8],
    },
    /// A request was refused.
    Refused {
        /// What was asked; `None` for a type that does not exist.
        kind: Option<MessageType>,
        /// Why not.
        errno: Errno,
    },
    /// A client was told of a change.
    Event {
        /// What changed, as it was told.
        path: &'a [u8],
        /// Its mark.
        token: &'a [u8],
    },
    /// A transaction went through.
    Committed {
        /// Although others had changed the store meanwhile.
        merged: bool,
    },
    /// A transaction did not go through.
    Conflict,
}
