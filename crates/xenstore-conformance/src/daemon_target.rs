//! A running daemon as a target: its own process, reached through its socket.

use std::io;
use std::path::Path;

use crate::daemon_process::DaemonProcess;
use crate::line::Line;
use crate::target::{Client, Heard, Target};

/// A daemon without a hypervisor, with an empty store and directories of its own. It
/// ends with this value.
#[derive(Debug)]
pub struct DaemonTarget {
    daemon: DaemonProcess,
    clients: Vec<Option<Line>>,
}

impl DaemonTarget {
    /// Starts a daemon and waits until it says that it serves.
    pub fn start(program: &Path) -> io::Result<Self> {
        Ok(Self { daemon: DaemonProcess::start(program)?, clients: Vec::new() })
    }

    fn line(&mut self, client: Client) -> io::Result<&mut Line> {
        let line = self.clients.get_mut(client.0).and_then(Option::as_mut);
        line.ok_or_else(|| io::Error::other(format!("{client:?} is not connected")))
    }
}

impl Target for DaemonTarget {
    fn connect(&mut self) -> io::Result<Client> {
        self.clients.push(Some(Line::to(&self.daemon.socket())?));
        Ok(Client(self.clients.len() - 1))
    }

    fn disconnect(&mut self, client: Client) {
        if let Some(place) = self.clients.get_mut(client.0) {
            *place = None;
        }
    }

    fn send(&mut self, client: Client, bytes: &[u8]) -> io::Result<()> {
        self.line(client)?.send(bytes)
    }

    fn hear(&mut self, client: Client) -> io::Result<Heard> {
        self.line(client)?.hear()
    }
}
