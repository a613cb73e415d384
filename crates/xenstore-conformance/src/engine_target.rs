//! The engine itself as a target: no daemon, no sockets, a hypervisor that does as told.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use xenstore_engine::{ConnectionId, Daemon, Engine, Outside, Settings, Standing, Turn};
use xenstore_host::ring::LANE_SIZE;
use xenstore_host::{ConnectError, DomainState, Hypervisor, NoHypervisor};
use xenstore_wire::{Decoder, Domid, Features, MessageType};

use crate::message::{Message, Request};
use crate::target::{Client, DomainChange, Heard, Target};

/// Bytes that are read of a socket at a time.
const SOCKET_READ: usize = 16 * 1024;

/// An engine and the world around it.
#[derive(Debug)]
pub struct EngineTarget {
    engine: Engine,
    world: World,
    daemon: FileDaemon,
    now: Duration,
    clients: Vec<Option<Line>>,
}

/// What is under the engine.
#[derive(Debug)]
enum World {
    Scripted(ScriptedHypervisor),
    Nothing(NoHypervisor),
}

impl World {
    fn hypervisor(&mut self) -> &mut dyn Hypervisor {
        match self {
            Self::Scripted(hypervisor) => hypervisor,
            Self::Nothing(hypervisor) => hypervisor,
        }
    }
}

/// One connection, seen from the client's end.
#[derive(Debug)]
struct Line {
    id: ConnectionId,
    /// What it sent and the engine did not read yet.
    unread: Vec<u8>,
    received: Decoder,
    broken: bool,
}

impl EngineTarget {
    /// A fresh store with default settings on a scripted hypervisor. Domain 0 is
    /// introduced, as a daemon does at its start.
    pub fn new() -> io::Result<Self> {
        let mut target = Self::on(World::Scripted(ScriptedHypervisor::default()));
        target.introduce(Domid::DOM0)?;
        Ok(target)
    }

    /// A fresh store with default settings where there is no hypervisor: every domain
    /// exists and none is introduced.
    pub fn without_hypervisor() -> Self {
        Self::on(World::Nothing(NoHypervisor))
    }

    fn on(world: World) -> Self {
        Self {
            engine: Engine::new(&Settings::default()),
            world,
            daemon: FileDaemon::default(),
            now: Duration::ZERO,
            clients: Vec::new(),
        }
    }

    /// The client at the other end of a domain's ring, which was introduced.
    pub fn ring(&mut self, domid: Domid) -> io::Result<Client> {
        let id = self.engine.ring(domid);
        let id = id.ok_or_else(|| io::Error::other(format!("domain {domid} has no ring")))?;
        let known =
            self.clients.iter().position(|line| line.as_ref().is_some_and(|line| line.id == id));
        Ok(known.map_or_else(|| self.add(id), Client))
    }

    /// Connects a domain's ring, on behalf of a toolstack that comes and goes.
    fn introduce(&mut self, domid: Domid) -> io::Result<()> {
        let toolstack = self.connect()?;
        let payload = format!("{domid}\01\01\0");
        let request = Request {
            kind: MessageType::Introduce.number(),
            request_id: 0,
            transaction_id: 0,
            length: None,
            payload: payload.as_bytes(),
        };
        self.send(toolstack, &request.encode())?;
        let heard = self.hear(toolstack)?;
        self.disconnect(toolstack);
        match heard {
            Heard::Message(reply) if reply.payload == b"OK\0" => Ok(()),
            other => Err(io::Error::other(format!("domain {domid} not introduced: {other:?}"))),
        }
    }

    fn line(&mut self, client: Client) -> io::Result<&mut Line> {
        let line = self.clients.get_mut(client.0).and_then(Option::as_mut);
        line.ok_or_else(|| io::Error::other(format!("{client:?} is not connected")))
    }

    fn add(&mut self, id: ConnectionId) -> Client {
        let line = Line { id, unread: Vec::new(), received: Decoder::new(), broken: false };
        self.clients.push(Some(line));
        Client(self.clients.len() - 1)
    }

    /// Lets the engine answer all that a client sent.
    fn run(&mut self, client: Client) -> io::Result<()> {
        let id = self.line(client)?.id;
        loop {
            let bytes = self.read(client)?;
            let mut outside = Outside {
                hypervisor: self.world.hypervisor(),
                daemon: &mut self.daemon,
                now: self.now,
            };
            let turn = self.engine.turn(id, &bytes, &mut outside);
            // As the daemon does after a turn: everybody with output is offered it. Who
            // is not read here does not take it.
            while self.engine.next_outgoing().is_some() {}
            let moved = self.take_output(client)?;
            match turn {
                Turn::Broken => {
                    self.line(client)?.broken = true;
                    return Ok(());
                }
                // Nobody else speaks before this is answered, so whoever holds it back is
                // silent until its time is up.
                Turn::Idle if self.engine.standing(id).is_held => {
                    self.now = self.engine.deadline().unwrap_or(self.now).max(self.now);
                    self.engine.pass_time(self.now, &mut self.daemon);
                }
                // There may be more to read, and a reply that was taken may have made room for
                // another turn.
                Turn::Idle if !moved && bytes.is_empty() => return Ok(()),
                Turn::Idle | Turn::More => {}
            }
        }
    }

    /// As much of what a client sent as the daemon reads for a turn.
    fn read(&mut self, client: Client) -> io::Result<Vec<u8>> {
        let id = self.line(client)?.id;
        let standing = self.engine.standing(id);
        let most = match standing {
            Standing { wants_input: false, .. } => 0,
            Standing { ring: Some(_), .. } => LANE_SIZE,
            Standing { ring: None, .. } => SOCKET_READ,
        };
        let unread = &mut self.line(client)?.unread;
        Ok(unread.drain(..most.min(unread.len())).collect())
    }

    /// Moves what the engine has for a client over to it. Whether there was anything.
    fn take_output(&mut self, client: Client) -> io::Result<bool> {
        let id = self.line(client)?.id;
        let mut moved = false;
        loop {
            let bytes = self.engine.output(id).to_vec();
            if bytes.is_empty() {
                return Ok(moved);
            }
            self.engine.sent(id, bytes.len());
            self.line(client)?.received.push(&bytes);
            moved = true;
        }
    }

    /// The daemon's reaction to the hypervisor's "some domain changed".
    fn scan_domains(&mut self) {
        for domid in self.engine.known_domains() {
            let mut outside = Outside {
                hypervisor: self.world.hypervisor(),
                daemon: &mut self.daemon,
                now: self.now,
            };
            self.engine.domain_changed(domid, &mut outside);
        }
    }
}

impl Target for EngineTarget {
    fn connect(&mut self) -> io::Result<Client> {
        let id = self.engine.connect_socket(&mut self.daemon);
        Ok(self.add(id))
    }

    fn disconnect(&mut self, client: Client) {
        if let Some(line) = self.clients.get_mut(client.0).and_then(Option::take) {
            self.engine.disconnect(line.id, &mut self.daemon);
        }
    }

    fn send(&mut self, client: Client, bytes: &[u8]) -> io::Result<()> {
        self.line(client)?.unread.extend_from_slice(bytes);
        self.run(client)
    }

    fn hear(&mut self, client: Client) -> io::Result<Heard> {
        self.take_output(client)?;
        let line = self.line(client)?;
        let next = line.received.next_message().map_err(io::Error::other)?;
        match next {
            Some(message) => Ok(Heard::Message(Message {
                header: message.header,
                payload: message.payload.to_vec(),
            })),
            None if line.broken => Ok(Heard::Closed),
            None => Err(io::Error::new(io::ErrorKind::TimedOut, "the engine has nothing to say")),
        }
    }

    fn domain(&mut self, change: DomainChange) -> bool {
        let World::Scripted(hypervisor) = &mut self.world else {
            return false;
        };
        hypervisor.change(change);
        if !matches!(change, DomainChange::Create(_) | DomainChange::Run(_)) {
            self.scan_domains();
        }
        true
    }
}

/// A hypervisor whose domains do what a test says.
#[derive(Debug, Default)]
pub struct ScriptedHypervisor {
    domains: BTreeMap<Domid, DomainState>,
    created: u64,
}

impl ScriptedHypervisor {
    /// Makes a change.
    pub fn change(&mut self, change: DomainChange) {
        match change {
            DomainChange::Create(domid) => {
                self.created += 1;
                let state = DomainState { unique_id: self.created, ..DomainState::RUNNING };
                self.domains.insert(Domid::new(domid), state);
            }
            // What is being torn down has stopped, and is dead only when it is gone.
            DomainChange::ShutDown(domid) | DomainChange::Dying(domid) => {
                if let Some(state) = self.domains.get_mut(&Domid::new(domid)) {
                    state.shutdown = true;
                }
            }
            DomainChange::Run(domid) => {
                if let Some(state) = self.domains.get_mut(&Domid::new(domid)) {
                    state.shutdown = false;
                }
            }
            DomainChange::Destroy(domid) => {
                self.domains.remove(&Domid::new(domid));
            }
            DomainChange::Nothing => {}
        }
    }
}

impl Hypervisor for ScriptedHypervisor {
    fn domain(&mut self, domid: Domid) -> Option<DomainState> {
        if domid == Domid::DOM0 {
            return Some(DomainState::RUNNING);
        }
        self.domains.get(&domid).copied()
    }

    fn connect(&mut self, domid: Domid, _: u32, _: Features) -> Result<(), ConnectError> {
        self.domain(domid).map(|_| ()).ok_or(ConnectError::NoSuchDomain(domid))
    }

    fn disconnect(&mut self, _domid: Domid) {}
}

/// As much of a daemon as `CONTROL` needs: files it may be told to write.
#[derive(Debug, Default)]
struct FileDaemon {
    log: Option<PathBuf>,
}

impl Daemon for FileDaemon {
    fn set_log_file(&mut self, file: &[u8]) {
        let file = PathBuf::from(String::from_utf8_lossy(file).into_owned());
        self.log = append(&file, "").then_some(file);
    }

    fn report_memory(&mut self, file: Option<&[u8]>, report: &str) -> bool {
        let named = file.map(|file| PathBuf::from(String::from_utf8_lossy(file).into_owned()));
        named.or_else(|| self.log.clone()).is_some_and(|file| append(&file, report))
    }
}

fn append(file: &PathBuf, text: &str) -> bool {
    let file = OpenOptions::new().create(true).append(true).open(file);
    file.and_then(|mut file| file.write_all(text.as_bytes())).is_ok()
}
