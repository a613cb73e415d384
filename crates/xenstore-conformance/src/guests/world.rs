//! A daemon's process on a simulated host, its guests and its toolstacks.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use xenstore_guests::{Guest, Host, MoveError};
use xenstore_host::ring::{Field, LANE_SIZE};
use xenstore_wire::{Domid, MessageType};

use super::recording::{TOOLSTACK, Who};
use crate::daemon_process::{DaemonProcess, PATIENCE};
use crate::line::Line;
use crate::message::{Message, Request};
use crate::target::Heard;

/// How often a witness is answered while nothing else moves before the daemon counts as
/// quiet. In each of its rounds the daemon serves everybody who has something to ask, and
/// between two answers to the witness there is at least one.
const STILL: u32 = 3;

/// The indices of a ring, in the order in which recordings name them.
const INDICES: [Field; 4] = [
    Field::RequestConsumer,
    Field::RequestProducer,
    Field::ResponseConsumer,
    Field::ResponseProducer,
];

/// Everything there is.
#[derive(Debug)]
pub struct World {
    daemon: DaemonProcess,
    /// The hypervisor.
    pub host: Host,
    guests: BTreeMap<Domid, Player>,
    toolstacks: BTreeMap<Who, Line>,
    /// Who asks only to see whether the daemon is quiet.
    witness: Line,
    /// What each was sent since this was last taken, in order.
    heard: BTreeMap<Who, Vec<Heard>>,
}

/// A guest and what it is up to.
#[derive(Debug)]
struct Player {
    guest: Guest,
    /// Whether it takes what arrives.
    drains: bool,
    /// Whether its event channel fired since this was last asked.
    notified: bool,
    /// The words of its page when they were last looked at.
    seen: [u32; 4],
}

impl World {
    /// Starts a daemon with further arguments on a host with nobody but domain 0.
    pub fn start(program: &Path, arguments: &[String]) -> io::Result<Self> {
        let daemon = DaemonProcess::start_on_host(program, arguments)?;
        let host = Host::open(&daemon.host())?;
        let witness = Line::to(&daemon.socket())?;
        let mut world = Self {
            daemon,
            host,
            guests: BTreeMap::new(),
            toolstacks: BTreeMap::new(),
            witness,
            heard: BTreeMap::new(),
        };
        world.open(TOOLSTACK)?;
        Ok(world)
    }

    /// A toolstack connects.
    pub fn open(&mut self, who: Who) -> io::Result<()> {
        self.toolstacks.insert(who, Line::to(&self.daemon.socket())?);
        Ok(())
    }

    /// A toolstack hangs up.
    pub fn close(&mut self, who: Who) {
        self.toolstacks.remove(&who);
    }

    /// A domain is created.
    pub fn create(&mut self, domid: Domid) -> io::Result<()> {
        let guest = self.host.create(domid)?;
        let player = Player { guest, drains: true, notified: false, seen: [0; 4] };
        self.guests.insert(domid, player);
        Ok(())
    }

    /// Those that were created.
    pub fn domids(&self) -> Vec<Domid> {
        self.guests.keys().copied().collect()
    }

    /// A guest that was created.
    pub fn guest(&mut self, domid: Domid) -> io::Result<&mut Guest> {
        self.player(domid).map(|player| &mut player.guest)
    }

    /// Says whether a guest takes what arrives.
    pub fn drain(&mut self, domid: Domid, drains: bool) -> io::Result<()> {
        self.player(domid)?.drains = drains;
        Ok(())
    }

    /// The indices of a guest's ring.
    pub fn indices(&self, domid: Domid) -> [u32; 4] {
        let page = self.guests.get(&domid).map(|player| player.guest.page());
        page.map_or([0; 4], |page| INDICES.map(|field| page.field(field)))
    }

    /// A word of a guest's page.
    pub fn field(&self, domid: Domid, field: Field) -> u32 {
        self.guests.get(&domid).map_or(0, |player| player.guest.page().field(field))
    }

    /// Whether the daemon fired a guest's event channel since this was last asked.
    pub fn take_notified(&mut self, domid: Domid) -> bool {
        self.guests.get_mut(&domid).is_some_and(|player| std::mem::take(&mut player.notified))
    }

    /// Sends a request or part of one.
    pub fn send(&mut self, who: Who, bytes: &[u8]) -> io::Result<()> {
        match who {
            Who::Guest(domid) => {
                let guest = self.guest(domid)?;
                guest.queue(bytes);
                moved(guest.push()).map(drop)
            }
            Who::Socket(_) => match self.toolstacks.get_mut(&who) {
                Some(line) => line.send(bytes),
                None => Err(io::Error::other(format!("{who} is not connected"))),
            },
        }
    }

    /// A guest takes so many bytes at most, and the messages that are whole with them.
    pub fn read(&mut self, domid: Domid, limit: usize) -> io::Result<()> {
        for _ in 0..limit.div_ceil(LANE_SIZE) {
            moved(self.guest(domid)?.pull_at_most(limit))?;
        }
        self.hear_guest(domid)
    }

    /// What was sent to somebody since this was last asked.
    pub fn take_heard(&mut self, who: Who) -> Vec<Heard> {
        self.heard.remove(&who).unwrap_or_default()
    }

    /// Who was sent something.
    pub fn who_heard(&self) -> Vec<Who> {
        self.heard.keys().copied().collect()
    }

    /// Moves all that can be moved until the daemon is quiet.
    pub fn settle(&mut self) -> io::Result<()> {
        self.settle_until(|_| false)
    }

    /// Moves all that can be moved until the daemon is quiet or somebody was answered.
    pub fn settle_or_answer(&mut self, who: Who) -> io::Result<()> {
        let is_answer =
            |heard: &Heard| !matches!(heard, Heard::Message(message) if message.is_event());
        self.settle_until(|heard| {
            heard.get(&who).is_some_and(|messages| messages.iter().any(is_answer))
        })
    }

    fn settle_until(
        &mut self,
        enough: impl Fn(&BTreeMap<Who, Vec<Heard>>) -> bool,
    ) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut still = 0;
        while still < STILL && !enough(&self.heard) {
            self.ask_witness()?;
            still = if self.move_all()? { 0 } else { still + 1 };
            if Instant::now() > deadline {
                return Err(io::Error::other("expected the daemon to become quiet"));
            }
        }
        Ok(())
    }

    fn ask_witness(&mut self) -> io::Result<()> {
        let request = Request {
            kind: MessageType::GetDomainPath.number(),
            request_id: 0,
            transaction_id: 0,
            length: None,
            payload: b"0\0",
        };
        self.witness.send(&request.encode())?;
        match self.witness.hear()? {
            Heard::Message(_) => Ok(()),
            Heard::Closed => Err(io::Error::other("the daemon is gone")),
        }
    }

    /// Moves what can be moved; whether anything did, be it by the daemon.
    fn move_all(&mut self) -> io::Result<bool> {
        let mut any = false;
        for domid in self.host.wait(Some(Duration::ZERO))? {
            any = true;
            if let Some(player) = self.guests.get_mut(domid) {
                player.notified = true;
            }
        }
        for domid in self.domids() {
            let player = self.player(domid)?;
            any |= moved(player.guest.push())?;
            if player.drains {
                any |= moved(player.guest.pull())?;
            }
            let page = player.guest.page();
            let now = INDICES.map(|field| page.field(field));
            any |= std::mem::replace(&mut player.seen, now) != now;
            self.hear_guest(domid)?;
        }
        let mut ended = Vec::new();
        for (who, line) in &mut self.toolstacks {
            while let Some(heard) = line.overhear()? {
                any = true;
                let end = heard == Heard::Closed;
                self.heard.entry(*who).or_default().push(heard);
                if end {
                    ended.push(*who);
                    break;
                }
            }
        }
        for who in ended {
            self.close(who);
        }
        Ok(any)
    }

    /// Puts down the messages a guest took.
    fn hear_guest(&mut self, domid: Domid) -> io::Result<()> {
        let player = self.guests.get_mut(&domid);
        let player = player.ok_or_else(|| unknown(domid))?;
        // What cannot be a message counts as part of one that never becomes whole.
        while let Ok(Some(message)) = player.guest.next_message() {
            let payload = message.payload.to_vec();
            let message = Heard::Message(Message { header: message.header, payload });
            self.heard.entry(Who::Guest(domid)).or_default().push(message);
        }
        Ok(())
    }

    fn player(&mut self, domid: Domid) -> io::Result<&mut Player> {
        self.guests.get_mut(&domid).ok_or_else(|| unknown(domid))
    }
}

fn unknown(domid: Domid) -> io::Error {
    io::Error::other(format!("domain {domid} was not created"))
}

/// Whether bytes moved. Nothing does in a ring whose indices make no sense.
fn moved(result: Result<usize, MoveError>) -> io::Result<bool> {
    match result {
        Ok(count) => Ok(count > 0),
        Err(MoveError::Indices(_)) => Ok(false),
        Err(MoveError::EventChannel(error)) => Err(error),
    }
}
