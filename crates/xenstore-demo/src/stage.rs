//! The daemon, and everybody who talks to it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use xenstore_conformance::access_log::{Deed, What, Who};
use xenstore_conformance::daemon_process::{DaemonProcess, PATIENCE};
use xenstore_guests::{AskError, Guest, Host};
use xenstore_wire::{Domid, MessageType};

use crate::cast::Actor;
use crate::failure::Failure;
use crate::programs::Programs;
use crate::recording;
use crate::transcript::{Answer, Transcript, spell_answer, spell_request};

/// A daemon on a simulated host, the host, and who is connected. It ends with this value.
#[derive(Debug)]
pub struct Stage {
    /// What is said is written there.
    pub transcript: Transcript,
    /// The hypervisor.
    pub host: Host,
    daemon: DaemonProcess,
    /// The tool.
    pub tool: PathBuf,
    actors: BTreeMap<Who, Actor>,
    /// Domains that exist and are not introduced.
    created: BTreeMap<u16, Guest>,
    /// The paths each was told of, until somebody asks.
    heard: BTreeMap<Who, Vec<String>>,
}

impl Stage {
    /// A host with a daemon and domain 0, on whose ring the kernel is.
    pub fn new(programs: &Programs, transcript: Transcript) -> Result<Self, Failure> {
        let daemon = DaemonProcess::start_on_host(&programs.daemon, &[])?;
        let host = Host::open(&daemon.host())?;
        let dom0 = Who::Domain(0);
        let kernel = Actor::on_ring(recording::name(dom0), host.guest(Domid::DOM0)?);
        Ok(Self {
            transcript,
            host,
            daemon,
            tool: programs.tool.clone(),
            actors: BTreeMap::from([(dom0, kernel)]),
            created: BTreeMap::new(),
            heard: BTreeMap::new(),
        })
    }

    /// The hypervisor makes a domain.
    pub fn create(&mut self, domid: u16) -> Result<(), Failure> {
        self.created.insert(domid, self.host.create(Domid::new(domid))?);
        Ok(self.transcript.remark(&format!("the hypervisor creates domain {domid}"))?)
    }

    /// A domain stops, and the daemon is told that some domain did.
    pub fn shut_down(&mut self, domid: u16) -> Result<(), Failure> {
        self.host.shut_down(Domid::new(domid))?;
        Ok(self.host.raise()?)
    }

    /// Does what the log tells of. If it is a request, what came back: success if the log
    /// has that, else the same error.
    pub fn act(&mut self, deed: &Deed) -> Result<Option<Answer>, Failure> {
        match (&deed.what, deed.who) {
            (What::Connect, Who::Domain(domid)) => self.introduced(domid)?,
            (What::Connect, who @ Who::Socket(_)) => self.connect(who)?,
            (What::Disconnect, Who::Domain(domid)) => self.remove(domid)?,
            (What::Disconnect, who @ Who::Socket(_)) => drop(self.actors.remove(&who)),
            (What::ShutDown, Who::Domain(domid)) => self.shut_down(domid)?,
            // No client is shut down.
            (What::ShutDown, Who::Socket(_)) => {}
            (What::Ask { kind, payload, transaction, refused }, who) => {
                let answer = self.ask(who, *kind, *transaction, payload)?;
                if answer.refusal() == refused.as_deref() {
                    return Ok(Some(answer));
                }
                let expected = refused.as_deref().unwrap_or("success");
                return Err(surprise(who, *kind, payload, expected, &answer));
            }
        }
        Ok(None)
    }

    /// A new client on the socket.
    pub fn connect(&mut self, who: Who) -> Result<(), Failure> {
        let actor = Actor::on_socket(recording::name(who), &self.daemon.socket())?;
        self.actors.insert(who, actor);
        Ok(())
    }

    /// Asks, and shows what was answered and who was told of it.
    pub fn ask(
        &mut self,
        who: Who,
        kind: MessageType,
        transaction: u32,
        payload: &[u8],
    ) -> Result<Answer, Failure> {
        let actor = self.actors.get_mut(&who).ok_or(Failure::Absent(who))?;
        let (answer, number) = actor.ask(&mut self.host, kind, transaction, payload)?;
        self.transcript.said(&actor.name, kind, payload, number, &answer)?;
        if may_be_told_of(kind) {
            self.listen()?;
        }
        Ok(answer)
    }

    /// Asks for something that is granted.
    pub fn get(
        &mut self,
        who: Who,
        kind: MessageType,
        transaction: u32,
        payload: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        match self.ask(who, kind, transaction, payload)? {
            Answer::Granted(reply) => Ok(reply),
            refused @ Answer::Refused(_) => Err(surprise(who, kind, payload, "success", &refused)),
        }
    }

    /// Reads a node that has this value.
    pub fn read(&mut self, who: Who, path: &str, value: &str) -> Result<(), Failure> {
        let payload = format!("{path}\0").into_bytes();
        let found = self.get(who, MessageType::Read, 0, &payload)?;
        if found == value.as_bytes() {
            return Ok(());
        }
        let found = Answer::Granted(found);
        Err(surprise(who, MessageType::Read, &payload, value, &found))
    }

    /// Writes a node, in a transaction unless it is 0.
    pub fn write(
        &mut self,
        who: Who,
        transaction: u32,
        path: &str,
        value: &str,
    ) -> Result<(), Failure> {
        let payload = format!("{path}\0{value}");
        self.get(who, MessageType::Write, transaction, payload.as_bytes()).map(|_| ())
    }

    /// Has all events that are on their way arrive.
    pub fn listen(&mut self) -> Result<bool, Failure> {
        let mut any = false;
        for (&who, actor) in &mut self.actors {
            for (path, token) in actor.events(&mut self.host)? {
                any = true;
                self.transcript.told(&actor.name, &path, &token)?;
                self.heard.entry(who).or_default().push(path);
            }
        }
        Ok(any)
    }

    /// What each was told of since it was last asked.
    pub fn heard(&mut self, who: Who) -> Vec<String> {
        self.heard.remove(&who).unwrap_or_default()
    }

    /// Somebody was told of a path since it was last asked, or is so soon.
    pub fn hears(&mut self, who: Who, path: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = self.heard(who);
        while !heard.iter().any(|told| told == path) {
            if Instant::now() > deadline {
                return Err(Failure::Event {
                    who: recording::name(who),
                    path: path.to_owned(),
                    heard,
                });
            }
            // What the hypervisor told the daemon may come after what is asked meanwhile.
            if !self.listen()? {
                std::thread::sleep(Duration::from_millis(1));
            }
            heard.extend(self.heard(who));
        }
        Ok(())
    }

    /// A guest sends a part of a message, or none of it, and nothing more ever.
    pub fn cut_short(&mut self, who: Who, part: &[u8]) -> Result<(), Failure> {
        let actor = self.actors.remove(&who).ok_or(Failure::Absent(who))?;
        let mut guest = actor.into_guest().ok_or(Failure::Absent(who))?;
        guest.queue(part);
        guest.push().map_err(AskError::from)?;
        Ok(())
    }

    /// Runs the tool, and shows what it prints.
    pub fn run(&mut self, arguments: &[&str]) -> Result<String, Failure> {
        let output = self.output(arguments)?;
        self.transcript.ran(&format!("xenstore {}", arguments.join(" ")), &output)?;
        Ok(output)
    }

    /// Runs the tool; what it prints.
    pub fn output(&self, arguments: &[&str]) -> Result<String, Failure> {
        let socket = self.daemon.socket();
        let output =
            Command::new(&self.tool).arg("--socket").arg(socket).args(arguments).output()?;
        let found = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(found);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        let command = format!("xenstore {}", arguments.join(" "));
        Err(Failure::Tool { command, found: found + complaint.trim_end() })
    }

    /// Where clients connect.
    pub fn socket(&self) -> PathBuf {
        self.daemon.socket()
    }

    fn introduced(&mut self, domid: u16) -> Result<(), Failure> {
        let who = Who::Domain(domid);
        let guest = self.created.remove(&domid).ok_or(Failure::Absent(who))?;
        self.actors.insert(who, Actor::on_ring(recording::name(who), guest));
        Ok(())
    }

    /// The hypervisor has done with a domain.
    fn remove(&mut self, domid: u16) -> Result<(), Failure> {
        self.actors.remove(&Who::Domain(domid));
        self.transcript.remark(&format!("the hypervisor has done with domain {domid}"))?;
        self.host.remove(Domid::new(domid))?;
        self.host.raise()?;
        self.hears(recording::CONSOLE_DAEMON, "@releaseDomain")
    }
}

/// What there is to say if something else came out than is due.
pub fn surprise(
    who: Who,
    kind: MessageType,
    payload: &[u8],
    expected: &str,
    found: &Answer,
) -> Failure {
    Failure::Answer {
        who: recording::name(who),
        request: spell_request(kind, payload),
        expected: expected.to_owned(),
        found: spell_answer(kind, found),
    }
}

/// Whether somebody may be told of such a request. The others need not be asked after it.
fn may_be_told_of(kind: MessageType) -> bool {
    use MessageType as T;
    matches!(
        kind,
        T::Write | T::Mkdir | T::Rm | T::SetPerms | T::Watch | T::TransactionEnd | T::Introduce
    )
}
