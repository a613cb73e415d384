//! What happens next: a random act, likely to make sense and now and then not.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use crate::acl::{ANY, Permission};
use crate::act::{Act, BAD_PORT};
use crate::opening::{TIGHT, opening};
use crate::operation::Action;
use crate::path::parent;
use crate::random::Random;
use crate::request::{Command, Request};
use crate::world::World;

/// The client that does what a history needs in order to be interesting: a socket.
pub const STEWARD: usize = 0;

/// Domains have numbers below this, or reserved ones.
pub const DOMIDS: u16 = 6;

/// Makes acts up.
#[derive(Debug)]
pub struct Generator {
    random: Random,
    /// What nodes are called.
    names: Vec<String>,
    /// What is decided already.
    planned: VecDeque<Act>,
    values: u64,
    /// Who asked last, and in which transaction.
    last: (usize, u32),
    /// The node somebody asked for last.
    last_path: String,
    /// Watches somebody asked for: whose, where, which token.
    watches: Vec<(usize, String, String)>,
}

impl Generator {
    /// A generator whose acts the seed determines.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        // Lists of long names take several parts, and their paths break limits.
        let long = random.chance(15);
        let stems = if long { &["a", "b", "c", "d", "e", "f", "g"][..] } else { &["a", "b", "cc"] };
        let tail = if long { long_tail() } else { String::new() };
        let names = stems.iter().map(|stem| format!("{stem}{tail}")).collect();
        let planned = opening(&mut random, long);
        Self {
            random,
            names,
            planned,
            values: 0,
            last: (STEWARD, 0),
            last_path: String::new(),
            watches: Vec::new(),
        }
    }

    /// Whether the nodes of the dead are kept in this history.
    pub fn keep_orphans(&mut self) -> bool {
        self.random.chance(10)
    }

    /// The next act in a world.
    pub fn next(&mut self, world: &World) -> Act {
        let planned = self.planned.pop_front().filter(|act| world.allows(act));
        planned.unwrap_or_else(|| match self.random.below(1000) {
            0..25 => self.domain(world),
            25..30 => self.socket(world),
            30..40 => self.pass(),
            _ if world.allows(&Act::Turn) && self.random.chance(60) => turn(&mut self.random),
            _ => self.ask(world),
        })
    }

    /// Time passes: mostly little, now and then more than anybody may wait, or have a
    /// transaction open.
    fn pass(&mut self) -> Act {
        let (least, most) = self.random.weighted(&[
            (60, (1, 20)),
            (25, (100, 500)),
            (10, (500, 5000)),
            (15, (300_000, 600_000)),
        ]);
        Act::Pass(Duration::from_millis(self.random.between(least, most).into()))
    }

    /// A domain comes, goes, or only seems to.
    fn domain(&mut self, world: &World) -> Act {
        let domid = self.domid();
        if domid == 0 {
            return Act::News(domid);
        }
        let told = self.random.chance(70);
        if !world.machine.has(domid) {
            let introduction = Act::Ask(STEWARD, 0, Request::Introduce(domid, 1));
            self.planned.extend(told.then_some(introduction));
            return Act::Create(domid);
        }
        self.planned.extend(told.then_some(Act::News(domid)));
        match self.random.below(6) {
            0 => Act::ShutDown(domid),
            1 => Act::Die(domid),
            2 | 3 => Act::Vanish(domid),
            4 => Act::Create(domid),
            _ => Act::News(domid),
        }
    }

    fn socket(&mut self, world: &World) -> Act {
        let sockets: Vec<usize> = (STEWARD + 1..world.clients.len())
            .filter(|&client| world.allows(&Act::Disconnect(client)))
            .collect();
        if sockets.len() > 1 && self.random.chance(50) {
            return Act::Disconnect(self.random.pick(&sockets));
        }
        Act::Connect
    }

    fn ask(&mut self, world: &World) -> Act {
        let Some(client) = self.client(world) else {
            // Everybody waits for somebody.
            return self.pass();
        };
        let standing = &world.clients[client].standing;
        let mut open = standing.open();
        let (transaction, request) = self.anything(client, &open, standing.is_owed());
        let first = Act::Send(client, transaction, request.clone());
        if !can_be_sent_ahead(world, client, &request)
            || !world.allows(&first)
            || !self.random.chance(15)
        {
            return Act::Ask(client, transaction, request);
        }
        // It knows which number its next transaction gets.
        let (mut next, mut last) = (standing.next(), request);
        let doubtful = standing.is_owed() || standing.is_protected();
        let mut ends = 0;
        for _ in 0..self.count_ahead(doubtful) {
            match last {
                Request::Start => {
                    open.push(next);
                    next += 1;
                }
                // When a protected transaction began can be in doubt, and with it whether it
                // changed anything: the store is looked at before more happens.
                Request::End(_) if doubtful || ends > 0 => break,
                Request::End(_) => ends += 1,
                _ => {}
            }
            let (transaction, request) = self.anything(client, &open, standing.is_owed());
            if can_be_sent_ahead(world, client, &request)
                && !matches!(request, Request::Introduce(..))
            {
                self.planned.push_back(Act::Send(client, transaction, request.clone()));
                last = request;
            }
        }
        first
    }

    /// How many more requests a client sends before it is answered: now and then more than are
    /// answered in a turn. Few, if each doubles the cases that are to be told apart.
    fn count_ahead(&mut self, doubtful: bool) -> usize {
        match self.random.below(100) {
            0..30 => 0,
            30..33 if !doubtful => self.random.below(39),
            _ => self.random.below(4),
        }
    }

    /// Something that a client with these transactions can ask for, and in which of them.
    fn anything(&mut self, client: usize, open: &[u32], owed: bool) -> (u32, Request) {
        let request = if owed && self.random.chance(30) {
            Request::Start
        } else {
            self.request(client, open.len())
        };
        let transaction = match request {
            Request::Start if self.random.chance(95) => 0,
            _ => self.transaction(client, open),
        };
        self.last = (client, transaction);
        (transaction, request)
    }

    /// Often the same one for a while, so that some transactions are left alone. `None` if
    /// nobody can ask.
    fn client(&mut self, world: &World) -> Option<usize> {
        let can_ask = |client: &usize| world.clients[*client].is_free();
        if can_ask(&self.last.0) && self.random.chance(60) {
            return Some(self.last.0);
        }
        let free: Vec<usize> = (0..world.clients.len()).filter(can_ask).collect();
        (!free.is_empty()).then(|| self.random.pick(&free))
    }

    fn transaction(&mut self, client: usize, open: &[u32]) -> u32 {
        if self.last.0 == client && open.contains(&self.last.1) && self.random.chance(70) {
            return self.last.1;
        }
        match self.random.below(100) {
            0 => self.random.between(1, 9),
            1..70 if !open.is_empty() => self.random.pick(open),
            _ => 0,
        }
    }

    fn request(&mut self, client: usize, open: usize) -> Request {
        let starting = if open < 3 { 60 } else { 5 };
        let ending = if open > 0 { 70 } else { 2 };
        let kind = self.random.weighted(&[
            (800, Kind::Node),
            (90, Kind::Watch),
            (45, Kind::Unwatch),
            (3, Kind::ResetWatches),
            (starting, Kind::Start),
            (ending, Kind::End),
            (40, Kind::Administration),
        ]);
        match kind {
            Kind::Node => self.node(),
            Kind::Watch => self.watch(client),
            Kind::Unwatch => self.unwatch(client),
            Kind::ResetWatches => Request::ResetWatches,
            Kind::Start => Request::Start,
            Kind::End => Request::End(self.random.chance(85)),
            Kind::Administration => self.administration(),
        }
    }

    fn node(&mut self) -> Request {
        let action = self.action();
        let of_names = matches!(action, Action::GetPerms | Action::SetPerms(_));
        let special = self.random.chance(if of_names { 15 } else { 2 });
        Request::Node(if special { self.special() } else { self.path() }, action)
    }

    fn watch(&mut self, client: usize) -> Request {
        let depth = self.random.chance(33).then(|| self.random.below(3));
        let path = if self.random.chance(25) { self.special() } else { self.path() };
        let token = self.random.pick(&["", "t", "u"]).to_owned();
        self.watches.push((client, path.clone(), token.clone()));
        Request::Watch(path, token, depth)
    }

    fn unwatch(&mut self, client: usize) -> Request {
        let own = self.watches.iter().position(|watch| watch.0 == client);
        match own.filter(|_| self.random.chance(90)) {
            Some(at) => {
                let (_, path, token) = self.watches.remove(at);
                Request::Unwatch(path, token)
            }
            None => Request::Unwatch(self.path(), "t".to_owned()),
        }
    }

    fn action(&mut self) -> Action {
        type Make = fn(&mut Generator) -> Action;
        let make = self.random.weighted::<Make>(&[
            (15, |_| Action::Read),
            (10, |_| Action::Directory),
            (7, |g| Action::DirectoryPart(g.random.below(6) * g.random.below(6) * 117)),
            (5, |_| Action::GetPerms),
            (25, |g| Action::Write(g.value())),
            (10, |_| Action::Mkdir),
            (13, |_| Action::Rm),
            (15, |g| Action::SetPerms(g.permissions())),
        ]);
        make(self)
    }

    fn administration(&mut self) -> Request {
        type Make = fn(&mut Generator) -> Request;
        let make = self.random.weighted::<Make>(&[
            (10, |g| Request::Introduce(g.domid(), g.random.pick(&[0, 1, 2, 3, BAD_PORT]))),
            (5, |g| Request::Release(g.domid())),
            (6, |g| Request::Resume(g.domid())),
            (14, |g| Request::SetTarget(g.domid(), g.domid())),
            (3, |g| Request::GetDomainPath(g.domid())),
            (3, |g| Request::IsIntroduced(g.any_domid())),
            (5, |g| Request::GetFeature(g.random.chance(60).then(|| g.any_domid()))),
            (5, |g| Request::SetFeature(g.domid(), g.random.between(0, 16))),
            (1, |_| Request::QuotaNames),
            (5, |g| Request::GetQuota(g.random.chance(60).then(|| g.domid()), g.quota().0)),
            (8, Self::limit),
            (4, |g| Request::Control(g.command())),
        ]);
        make(self)
    }

    fn limit(&mut self) -> Request {
        let (quota, limit) = self.quota();
        Request::SetQuota(self.random.chance(60).then(|| self.domid()), quota, limit)
    }

    fn command(&mut self) -> Command {
        let domid = self.any_domid();
        let reset = self.random.chance(20);
        self.random.pick(&[
            Command::Check,
            Command::Account(domid),
            Command::Peaks { reset },
            Command::Unknown,
        ])
    }

    fn quota(&mut self) -> (String, u32) {
        if self.random.chance(5) {
            return ("crowns".to_owned(), 1);
        }
        let (name, least, most) = self.random.pick(&TIGHT);
        (name.to_owned(), if self.random.chance(10) { 0 } else { self.random.between(least, most) })
    }

    /// Often one near the last: what happens there is what others care for.
    fn path(&mut self) -> String {
        let last = mem::take(&mut self.last_path);
        self.last_path = match self.random.below(100) {
            0..8 if !last.is_empty() => last,
            8..16 if last.len() > 1 => parent(&last).unwrap_or("/").to_owned(),
            16..24 if (2..LONGEST).contains(&last.len()) => last + &self.levels(1),
            _ => self.any_path(),
        };
        self.last_path.clone()
    }

    fn any_path(&mut self) -> String {
        match self.random.below(100) {
            0..3 => self.random.pick(&["", "/a//b", "/a/", "/a b", "//", "@a/"]).to_owned(),
            3..15 => {
                let (home, levels) = (self.domid(), self.random.below(3));
                format!("/local/domain/{home}{}", self.levels(levels))
            }
            15..30 => {
                let levels = self.random.between(1, 2);
                self.levels(levels as usize)[1..].to_owned()
            }
            30..36 => "/".to_owned(),
            _ => {
                let levels = self.random.weighted(&[(3, 1), (4, 2), (3, 3)]);
                self.levels(levels)
            }
        }
    }

    fn levels(&mut self, count: usize) -> String {
        (0..count).map(|_| "/".to_owned() + &self.random.pick(&self.names)).collect()
    }

    fn special(&mut self) -> String {
        let name = self.random.pick(&["@releaseDomain", "@introduceDomain"]);
        match self.random.below(10) {
            0 => "@nobody".to_owned(),
            1..4 => format!("{name}/{}", self.domid()),
            _ => name.to_owned(),
        }
    }

    /// Mostly one that nobody wrote before, so that who reads it says whom it read from.
    fn value(&mut self) -> String {
        match self.random.below(10) {
            0 => String::new(),
            1 => "v".repeat(self.random.below(90)),
            2 => "same".to_owned(),
            _ => {
                self.values += 1;
                format!("v{}", self.values)
            }
        }
    }

    fn permissions(&mut self) -> Vec<Permission> {
        let count = self.random.between(1, 4);
        let permission = |_| {
            let domid = if self.random.chance(6) { ANY } else { self.domid() };
            Permission { letter: self.random.pick(&['n', 'r', 'w', 'b', 'b']), domid }
        };
        (0..count).map(permission).collect()
    }

    fn domid(&mut self) -> u16 {
        self.random.pick(&[0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5])
    }

    fn any_domid(&mut self) -> u16 {
        if self.random.chance(10) { self.random.pick(&[32752, ANY]) } else { self.domid() }
    }
}

/// A turn of whoever is first in line, now and then when not all it sent has arrived.
pub fn turn(random: &mut Random) -> Act {
    if random.chance(15) { Act::TurnWith(random.below(60)) } else { Act::Turn }
}

/// Whether a request can be sent before others are answered. A guest can be found to be dead while
/// permissions are set, and nobody is told whether what it sent behind was carried out.
fn can_be_sent_ahead(world: &World, client: usize, request: &Request) -> bool {
    world.clients[client].is_privileged()
        || !matches!(request, Request::Node(_, Action::SetPerms(_)))
}

#[derive(Clone, Copy)]
enum Kind {
    Node,
    Watch,
    Unwatch,
    ResetWatches,
    Start,
    End,
    Administration,
}

/// Paths are not made longer than this and one name more: past what a path may have,
/// but less than a message.
const LONGEST: usize = 3000;

/// What makes a name long.
pub fn long_tail() -> String {
    "x".repeat(700)
}
