//! What can be tested: anything that takes connections and answers on them.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use xenstore_engine::{ConnectionId, Engine, Outside, Settings, Silent, Turn};
use xenstore_host::NoHypervisor;

use crate::message::Message;

/// How long a daemon may take for one answer before a test calls it stuck.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon, or what stands for one.
pub trait Target {
    /// A new connection to it.
    fn connect(&self) -> Box<dyn Link>;
}

/// A connection to a daemon.
pub trait Link {
    /// Sends bytes.
    fn send(&mut self, bytes: &[u8]);

    /// The next message; `None` if the daemon closed the connection.
    fn receive(&mut self) -> Option<Message>;
}

/// A daemon behind a socket.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
}

impl Socket {
    /// The daemon that listens at `path`.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl Target for Socket {
    fn connect(&self) -> Box<dyn Link> {
        Box::new(SocketLink::open(&self.path).expect("a daemon takes connections"))
    }
}

/// A connection to a daemon's socket.
#[derive(Debug)]
pub struct SocketLink {
    stream: UnixStream,
    received: Vec<u8>,
}

impl SocketLink {
    /// Connects to the socket at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// The socket itself.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }
}

impl Link for SocketLink {
    fn send(&mut self, bytes: &[u8]) {
        // A daemon that closed the connection is found out by what comes back.
        match self.stream.write_all(bytes) {
            Err(error) if !is_hangup(&error) => panic!("cannot send: {error}"),
            _ => {}
        }
    }

    fn receive(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = Message::take_from(&mut self.received) {
                return Some(message);
            }
            let mut chunk = [0; 16384];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(error) if is_hangup(&error) => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("no answer in {PATIENCE:?}: {error}"),
            }
        }
    }
}

fn is_hangup(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

/// The engine without a daemon around it: the fastest target there is.
#[derive(Clone, Debug)]
pub struct InProcess {
    world: Rc<RefCell<World>>,
}

#[derive(Debug)]
struct World {
    engine: Engine,
    now: Duration,
}

impl Default for InProcess {
    fn default() -> Self {
        let world = World { engine: Engine::new(&Settings::default()), now: Duration::ZERO };
        Self { world: Rc::new(RefCell::new(world)) }
    }
}

impl Target for InProcess {
    fn connect(&self) -> Box<dyn Link> {
        let id = self.world.borrow_mut().engine.connect_socket(&mut Silent);
        Box::new(EngineLink { world: self.world.clone(), id, received: Vec::new(), open: true })
    }
}

struct EngineLink {
    world: Rc<RefCell<World>>,
    id: ConnectionId,
    received: Vec<u8>,
    open: bool,
}

impl Link for EngineLink {
    fn send(&mut self, bytes: &[u8]) {
        let World { engine, now } = &mut *self.world.borrow_mut();
        let mut unread = bytes;
        loop {
            let (mut hypervisor, mut daemon) = (NoHypervisor, Silent);
            let mut outside =
                Outside { hypervisor: &mut hypervisor, daemon: &mut daemon, now: *now };
            match engine.turn(self.id, mem::take(&mut unread), &mut outside) {
                Turn::More => {}
                Turn::Broken => {
                    self.open = false;
                    break;
                }
                // Nobody else asks for anything before this is answered, so whoever holds
                // it back is silent until its time is up.
                Turn::Idle if engine.standing(self.id).is_held => {
                    *now = engine.deadline().expect("who waits, waits for a time");
                    engine.pass_time(*now, &mut Silent);
                }
                Turn::Idle => break,
            }
        }
        // The list of those with output is for a daemon's loop; here each looks itself.
        while engine.next_outgoing().is_some() {}
    }

    fn receive(&mut self) -> Option<Message> {
        let engine = &mut self.world.borrow_mut().engine;
        loop {
            let output = engine.output(self.id).to_vec();
            if output.is_empty() {
                break;
            }
            engine.sent(self.id, output.len());
            self.received.extend(output);
        }
        let message = Message::take_from(&mut self.received);
        assert!(message.is_some() || !self.open, "the engine owes an answer");
        message
    }
}

impl Drop for EngineLink {
    fn drop(&mut self) {
        self.world.borrow_mut().engine.disconnect(self.id, &mut Silent);
    }
}
