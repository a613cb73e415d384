//! Guests that write anything anywhere into their pages, at any time, beside one that is
//! good:
//!
//! * the good one is answered rightly after each thing that the others do;
//! * when all of them are gone nothing is left of them: no account, no node, no port;
//! * the accounts are what a recount gives (`CONTROL check`).
//!
//! The daemon is the whole one, its event loop in a thread of this process, on a simulated
//! host. So the pages change between any two accesses of it, too.

#![no_main]

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use rxenstored::config::{Config, Environment};
use rxenstored::{daemon, options};
use xenstore_client::{Client, Store};
use xenstore_guests::{Guest, Host};
use xenstore_host::ring::{Field, Lane};
use xenstore_wire::{Access, Domid, MessageType, Permission, Permissions};

/// What happens next. Numbers are taken modulo what there is.
#[derive(Arbitrary, Debug)]
enum Act {
    /// A toolstack makes a domain, or begins its ring anew.
    Boot(u8),
    /// It stops, is released, or dies; the daemon may not be told at once.
    End(u8, u8, bool),
    /// The stub domain and its target.
    Target(u8, u8),
    /// A request that has the form of one.
    Request { by: u8, kind: u8, transaction: u8, path: u8, rest: Vec<u8> },
    /// Bytes of no form, sent as a driver sends them.
    Bytes(u8, Vec<u8>),
    /// Anything, written into the page.
    Scribble(u8, Scribble),
    /// The same over and over, while the daemon looks at it.
    Race(u8, Vec<Scribble>),
    /// The guest fires its event channel.
    Fire(u8),
    /// It takes so much of what it is sent.
    Take(u8, u16),
}

/// Something done to a page.
#[derive(Arbitrary, Debug)]
enum Scribble {
    /// A word is set.
    Set(u8, u32),
    /// A word is changed a little.
    Add(u8, i16),
    /// A lane is full of one byte.
    Fill(bool, u8),
    /// Bytes are put into a lane, if its indices allow it.
    Put(bool, Vec<u8>),
    /// Bytes are put into a lane where the last were.
    PutAgain(Vec<u8>),
    /// Both lanes are empty.
    Restart,
}

const WORDS: [Field; 8] = [
    Field::RequestConsumer,
    Field::RequestProducer,
    Field::ResponseConsumer,
    Field::ResponseProducer,
    Field::Connection,
    Field::Error,
    Field::Features,
    Field::EventChannel,
];

impl Scribble {
    fn to(&self, guest: &Guest) {
        let page = guest.page();
        let lane = |requests| if requests { Lane::Requests } else { Lane::Responses };
        let word = |which: u8| WORDS[usize::from(which) % WORDS.len()];
        match self {
            Self::Set(which, value) => page.set_field(word(*which), *value),
            Self::Add(which, difference) => {
                let word = word(*which);
                page.set_field(word, page.field(word).wrapping_add_signed((*difference).into()));
            }
            Self::Fill(requests, byte) => page.fill(lane(*requests), *byte),
            Self::Put(requests, bytes) => {
                let _ = page.put(lane(*requests), bytes);
            }
            Self::PutAgain(bytes) => {
                let at = page.field(Field::RequestProducer);
                page.set_field(Field::RequestProducer, at.wrapping_sub(bytes.len() as u32));
                let _ = page.put(Lane::Requests, bytes);
            }
            Self::Restart => page.restart(),
        }
    }
}

/// The domains that misbehave are the first; this one does not.
const BAD: u16 = 4;
const GOOD: Domid = Domid::new(9);

struct World {
    host: Host,
    toolstack: Client,
    good: Guest,
    bad: Vec<Option<Guest>>,
    /// Which of them there were since the last time all was cleaned up.
    were_there: [bool; BAD as usize],
    round: u32,
}

static WORLD: OnceLock<Mutex<World>> = OnceLock::new();

fuzz_target!(|acts: Vec<Act>| {
    let world = WORLD.get_or_init(|| Mutex::new(World::new()));
    let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
    for act in acts.iter().take(100) {
        world.act(act);
        world.good_guest_is_served();
    }
    world.clean_up();
});

/// Starts a daemon in this process.
fn start(directory: &Path) {
    let host = format!("sim:{}", directory.display());
    let arguments = ["rxenstored", "--no-fork", "--no-access-log", "--log-level", "null"];
    let more = ["--config-file", "/dev/null", "--host", &host];
    let options = options::parse(arguments.iter().chain(&more).map(Into::into)).expect("options");
    let environment = Environment { rundir: Some(directory.into()), ..Environment::default() };
    let config = Config::load(&options, environment).expect("a configuration");
    thread::spawn(move || daemon::run(&config).expect("a daemon that runs"));
}

impl World {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("xenstore-fuzz-{}", std::process::id()));
        let host = Host::open(&directory).expect("a simulated host");
        start(&directory);
        let socket = directory.join("socket");
        let mut toolstack = loop {
            if let Ok(client) = Client::open_path(&socket) {
                break client;
            }
            thread::sleep(Duration::from_millis(1));
        };
        let mut host = host;
        let good = host.boot(GOOD, &mut toolstack).expect("a guest");
        // All that is needed of it is open.
        std::fs::remove_dir_all(&directory).expect("a directory of one's own");
        let bad = (0..BAD).map(|_| None).collect();
        let mut world =
            Self { host, toolstack, good, bad, were_there: [false; BAD as usize], round: 0 };
        world.make_home(GOOD);
        world
    }

    fn make_home(&mut self, domid: Domid) {
        let home = format!("/local/domain/{domid}");
        let owner = Permission::new(Access::None, domid);
        let its = Permissions { owner, others: Vec::new() };
        self.toolstack.mkdir(&home).expect("a home");
        self.toolstack.set_permissions(&home, &its).expect("a home of its own");
    }

    fn act(&mut self, act: &Act) {
        let domid = |which: &u8| Domid::new(u16::from(*which) % BAD + 1);
        match act {
            Act::Boot(which) => self.boot(domid(which)),
            Act::End(which, how, told) => self.end(domid(which), *how, *told),
            Act::Target(of, to) => {
                let _ = self.toolstack.set_target(domid(of), domid(to));
            }
            Act::Request { by, kind, transaction, path, rest } => {
                const PATHS: [&str; 6] = ["a\0", "a/b\0", "/\0", "/local/domain/9\0", "\0", "@x\0"];
                let path = PATHS[usize::from(*path) % PATHS.len()];
                let kind = MessageType::from_number(u32::from(*kind % 27));
                if let (Some(kind), Some(guest)) = (kind, self.guest(*by)) {
                    let rest = &rest[..rest.len().min(4000)];
                    let fits = guest.queue_request(
                        kind,
                        1,
                        (*transaction % 4).into(),
                        &[path.as_bytes(), rest],
                    );
                    assert!(fits);
                    let _ = guest.push();
                }
            }
            Act::Bytes(by, bytes) => {
                if let Some(guest) = self.guest(*by) {
                    guest.queue(bytes);
                    let _ = guest.push();
                }
            }
            Act::Scribble(by, scribble) => {
                if let Some(guest) = self.guest(*by) {
                    scribble.to(guest);
                }
            }
            Act::Race(by, scribbles) => {
                if let Some(guest) = self.guest(*by) {
                    for _ in 0..30 {
                        scribbles.iter().take(8).for_each(|scribble| scribble.to(guest));
                        guest.fire().expect("an event channel");
                    }
                }
            }
            Act::Fire(by) => {
                if let Some(guest) = self.guest(*by) {
                    guest.fire().expect("an event channel");
                }
            }
            Act::Take(by, count) => {
                if let Some(guest) = self.guest(*by) {
                    let _ = guest.pull_at_most((*count).into());
                    // What comes of it depends on what was scribbled over it.
                    while let Ok(Some(_)) = guest.next_message() {}
                }
            }
        }
    }

    fn guest(&mut self, which: u8) -> Option<&mut Guest> {
        self.bad[usize::from(which) % usize::from(BAD)].as_mut()
    }

    fn boot(&mut self, domid: Domid) {
        let place = usize::from(domid.get()) - 1;
        if self.bad[place].is_some() {
            self.toolstack.introduce(domid, 1, 5).expect("a domain introduced again");
            return;
        }
        self.were_there[place] = true;
        self.bad[place] = Some(self.host.create(domid).expect("a domain"));
        // The page may have named another port by now; the simulated host takes any.
        self.toolstack.introduce(domid, 1, 5).expect("a domain introduced");
        self.make_home(domid);
    }

    fn end(&mut self, domid: Domid, how: u8, told: bool) {
        match how % 3 {
            0 => self.host.shut_down(domid).expect("a domain"),
            1 => {
                let _ = self.toolstack.release(domid);
            }
            _ => {
                self.host.remove(domid).expect("a domain");
                self.bad[usize::from(domid.get()) - 1] = None;
            }
        }
        if told {
            self.host.raise().expect("an event channel");
        }
    }

    fn good_guest_is_served(&mut self) {
        self.round = self.round.wrapping_add(1);
        let value = self.round.to_string();
        let write = format!("data\0{value}");
        let done = self.host.ask(&mut self.good, MessageType::Write, 0, write.as_bytes());
        assert_eq!(done.expect("a reply"), b"OK\0");
        let read = self.host.ask(&mut self.good, MessageType::Read, 0, b"data\0");
        assert_eq!(read.expect("a reply"), value.as_bytes());
    }

    fn clean_up(&mut self) {
        for number in 1..=BAD {
            if !std::mem::take(&mut self.were_there[usize::from(number) - 1]) {
                continue;
            }
            let domid = Domid::new(number);
            self.host.remove(domid).expect("a domain");
            self.host.raise().expect("an event channel");
            while self.toolstack.is_introduced(domid).expect("a reply") {}
            let account = self.toolstack.control("quota", &[&number.to_string()]);
            assert!(account.is_err_and(|error| error.is_missing()), "an account of the dead");
            let home = self.toolstack.exists(&format!("/local/domain/{number}"));
            assert!(!home.expect("a reply"), "a node of the dead");
            assert_eq!(self.host.bound_port(domid).expect("a domid"), None);
            assert_eq!(self.host.maps(domid).expect("a domid"), 0);
        }
        self.bad.fill_with(|| None);
        assert_eq!(self.toolstack.control("check", &[]).expect("a reply"), "OK");
    }
}
