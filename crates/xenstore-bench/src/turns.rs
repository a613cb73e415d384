//! Loads of which each turn is like the one before, whoever is faster: everybody asks, and then
//! everybody waits for all replies. What a daemon does in so many turns can be counted, and is
//! the same each time.

use std::fmt::Debug;

use xenstore_guests::Host;
use xenstore_oracle::daemon::Daemon;
use xenstore_wire::MessageType;

use crate::conversation::Conversation;
use crate::failure::Failure;
use crate::guest_load::{Ask, GuestLoad, Player};
use crate::world::World;

/// A node of each client or guest, and what it holds.
const NODE: &str = "device/vif/0/state";
const VALUE: &[u8] = b"sixteen letters.";

/// Children of a directory that is listed.
const CHILDREN: u32 = 8;

/// Nodes that a transaction reads and writes: with its start and its end, 12 messages.
const NODES_OF_TRANSACTION: u32 = 5;

/// Watches of a connection that is told.
const WATCHES: u32 = 64;

/// Something that happens in turns.
pub trait Turns: Debug {
    /// Has everybody ask, and waits until all is answered.
    fn turn(&mut self) -> Result<(), Failure>;
}

/// What is done in turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// So many clients ask this, each with so many on their way at a time.
    Clients(Question, u32, u32),
    /// A client does a transaction of 12 messages, one after the other.
    Transaction,
    /// A client writes to a node that so many others watch, each many times.
    Events(u32),
    /// So many guests read a node of their own.
    GuestsRead(u16),
    /// So many guests write to a node of their own.
    GuestsWrite(u16),
}

/// What a client asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// A node's value.
    Read,
    /// That a node has another value.
    Write,
    /// The names of 8 children.
    Directory,
    /// That there is a node, and then that there is none.
    MkdirAndRm,
}

impl Load {
    /// Whether there are guests on rings.
    pub fn has_guests(self) -> bool {
        matches!(self, Self::GuestsRead(_) | Self::GuestsWrite(_))
    }

    /// How many of what is counted a turn has: requests, transactions or events.
    pub fn per_turn(self) -> u32 {
        match self {
            Self::Clients(_, clients, depth) => clients * depth,
            Self::Transaction => 1,
            Self::Events(watchers) => watchers * WATCHES,
            Self::GuestsRead(guests) | Self::GuestsWrite(guests) => guests.into(),
        }
    }

    /// Connects everybody to a daemon that was just started, and makes what is asked for.
    pub fn set_up(self, daemon: &Daemon) -> Result<Box<dyn Turns>, Failure> {
        let guests = |guests, ask| -> Result<Box<dyn Turns>, Failure> {
            let mut world = World::of(daemon)?;
            let guests = world.grow(guests, &[NODE.to_owned()])?;
            let players = guests.into_iter().map(|guest| Player::new(guest, ask)).collect();
            Ok(Box::new(Guests { host: world.host, players }))
        };
        match self {
            Self::Clients(question, clients, depth) => {
                Ok(Box::new(Chorus::of(daemon, question, clients, depth)?))
            }
            Self::Transaction => Ok(Box::new(Transaction::of(daemon)?)),
            Self::Events(watchers) => Ok(Box::new(Events::of(daemon, watchers)?)),
            Self::GuestsRead(count) => guests(count, Ask::Read(NODE)),
            Self::GuestsWrite(count) => guests(count, Ask::Write(NODE)),
        }
    }
}

/// Clients that all ask, before any of them listens.
#[derive(Debug)]
struct Chorus {
    clients: Vec<(Conversation, Vec<Lot>)>,
    /// Which lot is next.
    position: usize,
}

/// Requests that are sent in one go.
type Lot = Vec<(MessageType, Vec<u8>)>;

impl Chorus {
    fn of(daemon: &Daemon, question: Question, clients: u32, depth: u32) -> Result<Self, Failure> {
        let client = |number| {
            let mut conversation = Conversation::connect(daemon.socket())?;
            let home = format!("/local/domain/{number}");
            let children = (0..CHILDREN).map(|child| format!("{home}/device/{child}"));
            conversation.fill(children.chain([format!("{home}/{NODE}")]), VALUE)?;
            let lots = question.requests(&home);
            let lots = lots.into_iter().map(|request| vec![request; depth as usize]).collect();
            Ok((conversation, lots))
        };
        let clients = (1..=clients).map(client).collect::<Result<_, Failure>>()?;
        Ok(Self { clients, position: 0 })
    }
}

impl Question {
    /// Asked one after the other, by a client with this home.
    fn requests(self, home: &str) -> Lot {
        let node = format!("{home}/{NODE}");
        let of = |kind, path: &str, value: &[u8]| (kind, [path.as_bytes(), b"\0", value].concat());
        match self {
            Self::Read => vec![of(MessageType::Read, &node, b"")],
            // Another value each time: one that is there already might cost less.
            Self::Write => vec![
                of(MessageType::Write, &node, VALUE),
                of(MessageType::Write, &node, b"other sixteen..."),
            ],
            Self::Directory => vec![of(MessageType::Directory, &format!("{home}/device"), b"")],
            Self::MkdirAndRm => {
                let node = format!("{home}/device/new");
                vec![of(MessageType::Mkdir, &node, b""), of(MessageType::Rm, &node, b"")]
            }
        }
    }
}

impl Turns for Chorus {
    fn turn(&mut self) -> Result<(), Failure> {
        let at = |lots: &[Lot]| self.position.checked_rem(lots.len());
        for (client, lots) in &mut self.clients {
            if let Some(lot) = at(lots).and_then(|index| lots.get(index)) {
                client.begin_all(lot)?;
            }
        }
        for (client, lots) in &mut self.clients {
            let lot = at(lots).and_then(|index| lots.get(index));
            for (kind, _) in lot.into_iter().flatten() {
                client.reply(*kind)?;
            }
        }
        self.position += 1;
        Ok(())
    }
}

#[derive(Debug)]
struct Transaction {
    client: Conversation,
    nodes: Vec<String>,
}

impl Transaction {
    fn of(daemon: &Daemon) -> Result<Self, Failure> {
        let mut client = Conversation::connect(daemon.socket())?;
        let node = |node| format!("/local/domain/1/device/vif/0/{node}");
        let nodes: Vec<_> = (0..NODES_OF_TRANSACTION).map(node).collect();
        client.fill(nodes.clone(), VALUE)?;
        Ok(Self { client, nodes })
    }
}

impl Turns for Transaction {
    fn turn(&mut self) -> Result<(), Failure> {
        let id = self.client.start()?;
        for node in &self.nodes {
            self.client.read(id, node)?;
        }
        for node in &self.nodes {
            self.client.write(id, node, VALUE)?;
        }
        self.client.ask(MessageType::TransactionEnd, id, &[b"T\0"]).map(drop)
    }
}

#[derive(Debug)]
struct Events {
    writer: Conversation,
    watchers: Vec<Conversation>,
}

/// What all watch.
const WATCHED: &str = "/local/domain/1/device";

impl Events {
    fn of(daemon: &Daemon, watchers: u32) -> Result<Self, Failure> {
        let mut writer = Conversation::connect(daemon.socket())?;
        writer.write(0, WATCHED, VALUE)?;
        let watcher = |_| {
            let mut watcher = Conversation::connect(daemon.socket())?;
            let watch = |token| (MessageType::Watch, format!("{WATCHED}\0{token}\0").into_bytes());
            watcher.ask_all((0..WATCHES).map(watch))?;
            // Each watch is told once at its beginning.
            watcher.hear(WATCHES.into())?;
            Ok(watcher)
        };
        let watchers = (0..watchers).map(watcher).collect::<Result<_, Failure>>()?;
        Ok(Self { writer, watchers })
    }
}

impl Turns for Events {
    fn turn(&mut self) -> Result<(), Failure> {
        self.writer.write(0, WATCHED, VALUE)?;
        self.watchers.iter_mut().try_for_each(|watcher| watcher.hear(WATCHES.into()))
    }
}

#[derive(Debug)]
struct Guests {
    host: Host,
    players: Vec<Player>,
}

impl Turns for Guests {
    fn turn(&mut self) -> Result<(), Failure> {
        GuestLoad::new(&mut self.host, &mut self.players).turn()
    }
}
