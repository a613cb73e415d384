//! Hostile clients at the highest rate against one whose transactions are to get through.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use xenstore_engine::Settings;
use xenstore_wire::Errno;

use crate::acl::Permission;
use crate::act::Act;
use crate::isolation::reply;
use crate::operation::{Action, Answer};
use crate::random::Random;
use crate::request::Request;
use crate::world::World;

/// What the hostile do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Pattern {
    /// They write one value again and again.
    OneValue,
    /// They write values that nobody wrote before.
    NewValues,
    /// They do that in short transactions.
    ShortTransactions,
    /// They make and remove siblings of the places that are listed.
    Siblings,
    /// They set permissions.
    Permissions,
    /// They remove the place above and make it again.
    Removal,
}

impl Pattern {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::OneValue,
        Self::NewValues,
        Self::ShortTransactions,
        Self::Siblings,
        Self::Permissions,
        Self::Removal,
    ];
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OneValue => "the same value again",
            Self::NewValues => "new values",
            Self::ShortTransactions => "short transactions",
            Self::Siblings => "siblings made and removed",
            Self::Permissions => "permissions set",
            Self::Removal => "removal of the place above",
        })
    }
}

/// Who has to do with whom, and how.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Contest {
    /// Whether the victim is a guest; else a toolstack on the socket.
    pub guest: bool,
    /// Whether the hostile are guests.
    pub hostile_guests: bool,
    /// What they do.
    pub pattern: Pattern,
    /// How many they are.
    pub hostile: usize,
    /// Requests in each of the victim's transactions.
    pub requests: usize,
    /// Whether the victim goes elsewhere in each try.
    pub wanders: bool,
}

/// What came of it.
#[derive(Clone, Copy, Default, Debug)]
pub struct Outcome {
    /// Transactions that committed.
    pub committed: usize,
    /// Transactions.
    pub wanted: usize,
    /// The most tries that one of them took.
    pub tries: usize,
    /// The longest that a request of the hostile had to wait.
    pub held: Duration,
}

/// Tries after which the victim gives up.
const MOST_TRIES: usize = 5;

/// Rounds of the hostile after which nobody believes any more that the victim is answered:
/// ten seconds.
const MOST_ROUNDS: usize = 100_000;

/// How long one of the victim's requests takes.
const PACE: Duration = Duration::from_micros(100);

impl Contest {
    /// Lets it happen.
    pub fn run(self) -> Outcome {
        let mut arena = Arena::new(self);
        let wanted = if self.requests < 1000 { 3 } else { 1 };
        let mut outcome = Outcome { wanted, ..Outcome::default() };
        while outcome.committed < outcome.wanted && outcome.tries < MOST_TRIES {
            let mut tries = 1;
            while !arena.attempt() && tries < MOST_TRIES {
                tries += 1;
            }
            outcome.tries = tries.max(outcome.tries);
            outcome.committed += usize::from(tries < MOST_TRIES);
        }
        Outcome { held: arena.longest, ..outcome }
    }

    /// Requests of the hostile between two of the victim, all of them together.
    fn rate(self) -> usize {
        // Odd, so that what they make and unmake in turns is another each time.
        if self.hostile == 1 { 5 } else { 9 }
    }
}

/// A host on which it happens.
struct Arena {
    contest: Contest,
    world: World,
    random: Random,
    victim: usize,
    hostile: Vec<Hostile>,
    /// Whose turn it is to be hostile.
    next: usize,
    /// Tries so far.
    attempts: usize,
    /// Places the victim has asked about in this try, and the next.
    places: Vec<String>,
    /// Since when whose request waits, and the longest that any did.
    waiting: BTreeMap<usize, Duration>,
    longest: Duration,
}

/// A hostile client.
struct Hostile {
    client: usize,
    domid: u16,
    /// Requests it made.
    count: usize,
    transaction: u32,
}

impl Arena {
    fn new(contest: Contest) -> Self {
        let mut arena = Self {
            contest,
            world: World::with(&Settings::default()),
            random: Random::new(1),
            victim: 0,
            hostile: Vec::new(),
            next: 0,
            attempts: 0,
            places: Vec::new(),
            waiting: BTreeMap::new(),
            longest: Duration::ZERO,
        };
        arena.act(&Act::Connect);
        for quota in ["nodes", "node-size"] {
            arena.ask(STEWARD, 0, Request::SetQuota(None, quota.to_owned(), 0));
        }
        for path in ["/own", "/shared"] {
            arena.ask(STEWARD, 0, node(path, Action::Mkdir));
            arena.ask(STEWARD, 0, node(path, open_to(0)));
        }
        arena.victim = arena.client(contest.guest, 1);
        for domid in (2..).take(contest.hostile) {
            let client = arena.client(contest.hostile_guests, domid);
            let domid = if contest.hostile_guests { domid } else { 0 };
            arena.hostile.push(Hostile { client, domid, count: 0, transaction: 0 });
        }
        // Somebody hostile has been everywhere before.
        for number in 0..=contest.requests {
            let Hostile { client, domid, .. } = arena.hostile[number % contest.hostile];
            let path = shared(number, 0);
            arena.ask(client, 0, node(&path, Action::Write("same".to_owned())));
            arena.ask(client, 0, node(&path, open_to(domid)));
        }
        arena
    }

    fn client(&mut self, guest: bool, domid: u16) -> usize {
        if guest {
            self.act(&Act::Create(domid));
            self.ask(STEWARD, 0, Request::Introduce(domid, 1));
        } else {
            self.act(&Act::Connect);
        }
        self.world.clients.len() - 1
    }

    /// One try of the victim: whether it committed.
    fn attempt(&mut self) -> bool {
        self.attempts += 1;
        self.places = vec![self.place(0)];
        let number = self.ask_among_others(0, Request::Start).expect("a transaction");
        let number = number.trim_end_matches('\0').parse().expect("a number");
        for at in 0..self.contest.requests {
            let place = self.place(at);
            self.places.push(self.place(at + 1));
            let request = match at % 4 {
                0 => node(&place, Action::Read),
                1 => node(&place, Action::GetPerms),
                2 => node(above(&place), Action::Directory),
                _ => node(&format!("/own/{at}"), Action::Write(format!("{}", self.attempts))),
            };
            // What it is told is what the others did; it goes on.
            let _ = self.ask_among_others(number, request);
        }
        match self.ask_among_others(number, Request::End(true)) {
            Ok(_) => true,
            Err(Errno::Again) => false,
            Err(errno) => panic!("the end: {errno:?}"),
        }
    }

    fn place(&self, at: usize) -> String {
        shared(at, if self.contest.wanders { self.attempts } else { 0 })
    }

    /// The victim asks and waits for the answer, and all the while the others go on.
    fn ask_among_others(&mut self, transaction: u32, request: Request) -> Answer {
        let mut answer = self.ask(self.victim, transaction, request);
        for _ in 0..MOST_ROUNDS {
            for _ in 0..self.contest.rate() {
                let told = self.attack();
                answer = answer.or(told);
            }
            let told = self.act(&Act::Pass(PACE));
            answer = answer.or(told);
            if let Some(answer) = answer {
                return answer;
            }
        }
        panic!("the victim waits for ever");
    }

    /// The next who is hostile asks for something, if it can; what the victim was told.
    fn attack(&mut self) -> Option<Answer> {
        self.next = (self.next + 1) % self.hostile.len();
        let Hostile { client, domid, count, transaction } = self.hostile[self.next];
        if !self.world.clients[client].is_free() {
            return None;
        }
        self.hostile[self.next].count += 1;
        // Mostly where the victim was last, or is next.
        let recent = self.random.below(4).min(self.places.len() - 1);
        let place = self.places[self.places.len() - 1 - recent].clone();
        let new = Action::Write(format!("{client}.{count}"));
        let turn = count % 2 == 0;
        let request = match self.contest.pattern {
            Pattern::OneValue => node(&place, Action::Write("same".to_owned())),
            Pattern::NewValues => node(&place, new),
            Pattern::ShortTransactions => match count % 4 {
                0 => Request::Start,
                1 => node(&place, Action::Read),
                2 => node(&place, new),
                _ => Request::End(true),
            },
            Pattern::Siblings => {
                let sibling = format!("{}/s{client}", above(&place));
                node(&sibling, if turn { Action::Mkdir } else { Action::Rm })
            }
            Pattern::Permissions if count % 4 == 3 => node(&place, Action::Mkdir),
            Pattern::Permissions => {
                let letter = if turn { 'n' } else { 'b' };
                node(&place, Action::SetPerms(vec![Permission { letter, domid }]))
            }
            Pattern::Removal => {
                if turn {
                    node(above(&place), Action::Rm)
                } else {
                    node(&place, new)
                }
            }
        };
        let inside = self.contest.pattern == Pattern::ShortTransactions && count % 4 != 0;
        self.ask(client, if inside { transaction } else { 0 }, request)
    }

    /// A client asks for something; what the victim was told meanwhile.
    fn ask(&mut self, client: usize, transaction: u32, request: Request) -> Option<Answer> {
        self.act(&Act::Ask(client, transaction, request))
    }

    /// Something happens, and what it leads to; what the victim was told.
    fn act(&mut self, act: &Act) -> Option<Answer> {
        let mut told = self.apply(act);
        while self.world.allows(&Act::Turn) {
            let then = self.apply(&Act::Turn);
            told = told.or(then);
        }
        told
    }

    fn apply(&mut self, act: &Act) -> Option<Answer> {
        let output = self.world.apply(act);
        if let Some(asked) = self.world.put_off.as_ref().filter(|it| it.client != self.victim) {
            self.waiting.entry(asked.client).or_insert(self.world.now);
        }
        let mut told = None;
        for (asked, answer) in self.world.answered.iter().zip(output.values().flatten()) {
            let answer = reply(answer);
            if let Some(since) = self.waiting.remove(&asked.client) {
                self.longest = self.longest.max(self.world.now.saturating_sub(since));
            }
            if asked.client == self.victim {
                told = answer;
            } else if let (Request::Start, Some(Ok(number))) = (&asked.request, answer) {
                let number = number.trim_end_matches('\0').parse().expect("a number");
                let its = self.hostile.iter_mut().find(|it| it.client == asked.client);
                its.expect("one of them").transaction = number;
            }
        }
        told
    }
}

/// The socket that sets everything up.
const STEWARD: usize = 0;

/// The `number`th place that all may use, or another one in each `version`.
fn shared(number: usize, version: usize) -> String {
    format!("/shared/{}/{number}.{version}", number / 40).replace('.', "-")
}

fn above(place: &str) -> &str {
    crate::path::parent(place).expect("a place in a place")
}

fn node(path: &str, action: Action) -> Request {
    Request::Node(path.to_owned(), action)
}

fn open_to(owner: u16) -> Action {
    Action::SetPerms(vec![Permission { letter: 'b', domid: owner }])
}
