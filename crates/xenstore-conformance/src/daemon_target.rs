//! A running daemon as a target: its own process, reached through its socket.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use tempfile::TempDir;
use xenstore_wire::Decoder;

use crate::message::Message;
use crate::target::{Client, Heard, Target};

/// Longer than any answer takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the daemon's program is: what `RXENSTORED` says, or where a build of the
/// whole project puts it, next to the program that asks.
pub fn program() -> io::Result<PathBuf> {
    if let Some(named) = env::var_os("RXENSTORED") {
        return Ok(named.into());
    }
    let mut found = env::current_exe()?;
    found.pop();
    // Tests are one directory below the programs they belong to.
    if found.ends_with("deps") {
        found.pop();
    }
    found.push("rxenstored");
    if found.exists() {
        return Ok(found);
    }
    Err(io::Error::other(format!(
        "expected the daemon at {}: build it (cargo build -p rxenstored) or say where it is \
         (RXENSTORED=/path)",
        found.display()
    )))
}

/// A daemon without a hypervisor, with an empty store and directories of its own. It
/// ends with this value.
#[derive(Debug)]
pub struct DaemonTarget {
    child: Child,
    directory: TempDir,
    clients: Vec<Option<Line>>,
}

/// One connection, seen from the client's end.
#[derive(Debug)]
struct Line {
    stream: UnixStream,
    received: Decoder,
}

impl DaemonTarget {
    /// Starts a daemon and waits until it says that it serves.
    pub fn start(program: &Path) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = |name: &str| directory.path().join(name);
        let ready = UnixDatagram::bind(path("ready"))?;
        ready.set_read_timeout(Some(PATIENCE))?;
        let settings = format!(
            "pid-file = {}\nxenstored-log-file = {}\n",
            path("pid").display(),
            path("log").display()
        );
        fs::write(path("conf"), settings)?;
        let child = Command::new(program)
            .args(["--no-fork", "--no-domain-init", "--no-access-log", "--config-file"])
            .arg(path("conf"))
            .env("XENSTORED_RUNDIR", path("run"))
            .env("NOTIFY_SOCKET", path("ready"))
            .env_remove("XENSTORED_PATH")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        // Made first, so that a daemon that never gets ready ends with it.
        let target = Self { child, directory, clients: Vec::new() };
        let length = ready.recv(&mut [0; 64])?;
        if length == 0 {
            return Err(io::Error::other("the daemon is not ready"));
        }
        Ok(target)
    }

    fn line(&mut self, client: Client) -> io::Result<&mut Line> {
        let line = self.clients.get_mut(client.0).and_then(Option::as_mut);
        line.ok_or_else(|| io::Error::other(format!("{client:?} is not connected")))
    }
}

impl Drop for DaemonTarget {
    fn drop(&mut self) {
        // It may have ended by itself; a test that cares has failed by then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Target for DaemonTarget {
    fn connect(&mut self) -> io::Result<Client> {
        let stream = UnixStream::connect(self.directory.path().join("run/socket"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        self.clients.push(Some(Line { stream, received: Decoder::new() }));
        Ok(Client(self.clients.len() - 1))
    }

    fn disconnect(&mut self, client: Client) {
        if let Some(place) = self.clients.get_mut(client.0) {
            *place = None;
        }
    }

    fn send(&mut self, client: Client, bytes: &[u8]) -> io::Result<()> {
        match self.line(client)?.stream.write_all(bytes) {
            Err(error) if ended(&error) => Ok(()),
            result => result,
        }
    }

    fn hear(&mut self, client: Client) -> io::Result<Heard> {
        let Line { stream, received } = self.line(client)?;
        loop {
            if let Some(message) = received.next_message().map_err(io::Error::other)? {
                let payload = message.payload.to_vec();
                return Ok(Heard::Message(Message { header: message.header, payload }));
            }
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(Heard::Closed),
                Ok(length) => received.push(buffer.get(..length).unwrap_or_default()),
                Err(error) if ended(&error) => return Ok(Heard::Closed),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether an error says that the other side is gone.
fn ended(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
