//! The daemons that are measured, and which of them are here.
//!
//! Beside them stands the echo server, which is none: what it reaches is what sockets and
//! system calls leave to any daemon.

use std::path::Path;
use std::process::Command;

use clap::ValueEnum;
use xenstore_oracle::daemon::{DEBIAN_BIN, Daemon, PACKAGES, program_beside};

use crate::options::ECHO;

/// A daemon, or the echo server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Debug)]
pub enum Target {
    /// This project's.
    Rxenstored,
    /// Debian's xenstored, written in C.
    C,
    /// Debian's oxenstored.
    Oxenstored,
    /// No daemon: what only answers, and so the most that any daemon could reach
    Echo,
}

impl Target {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 4] = [Self::Rxenstored, Self::C, Self::Oxenstored, Self::Echo];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rxenstored => "rxenstored",
            Self::C => "C xenstored",
            Self::Oxenstored => "oxenstored",
            Self::Echo => "echo",
        }
    }

    /// Whether rxenstored is measured by it, as a daemon that could serve in its place.
    pub fn is_rival(self) -> bool {
        matches!(self, Self::C | Self::Oxenstored)
    }

    /// Starts one with an empty store; if it is to serve guests, on a simulated host of its
    /// own that has none yet. The echo server has neither.
    pub fn start(self, on_host: bool) -> Daemon {
        self.start_under(&[], on_host)
    }

    /// The same, run by another program that looks at it. The echo server is run by itself.
    pub fn start_under(self, runner: &[&str], on_host: bool) -> Daemon {
        match self {
            Self::Rxenstored => Daemon::rxenstored_under(runner, on_host),
            Self::C => Daemon::c_under(runner, on_host),
            Self::Oxenstored => Daemon::ocaml_under(runner, on_host),
            Self::Echo => {
                let mut command = Command::new(program_beside("xenstore-bench"));
                command.arg(format!("--{ECHO}"));
                Daemon::other("echo server", command)
            }
        }
    }

    /// The most guests it takes in within seconds, rather than minutes: what a guest costs the
    /// other daemons grows with their number.
    pub fn most_guests(self) -> u16 {
        match self {
            Self::C | Self::Oxenstored => 1_000,
            Self::Rxenstored | Self::Echo => 10_000,
        }
    }

    /// Why it cannot be measured here, if so.
    pub fn missing(self) -> Option<String> {
        let program = match self {
            Self::Rxenstored | Self::Echo => return None,
            Self::C => "xenstored",
            Self::Oxenstored => "oxenstored",
        };
        // Besides the daemon itself, what its simulated hypervisor is compiled with.
        let program = format!("{DEBIAN_BIN}/{program}");
        let needed = [&program, "/usr/include/xenctrl.h", "/usr/bin/cc"];
        if let Some(file) = needed.iter().find(|file| !Path::new(file).exists()) {
            return Some(format!("no {file}: apt-get install {PACKAGES}"));
        }
        let root = rustix::process::geteuid().is_root();
        (!root).then(|| "its mount namespace takes root".to_owned())
    }
}
