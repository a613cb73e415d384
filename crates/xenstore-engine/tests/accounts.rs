//! Whatever domains do, and whenever they die: what they are charged for and where their nodes
//! are is what a recount finds.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test stops there")]

mod support;

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use support::{Host, T};
use xenstore_engine::{ConnectionId, Settings, Turn};
use xenstore_wire::Domid;

/// Domains that come and go, and who they are.
const DOMIDS: [u16; 4] = [3, 4, 5, 6];

/// Places that are above and below each other.
const PLACES: [&str; 9] =
    ["/", "/a", "/a/b", "/a/b/c", "/a/b/d", "/a/e/f", "/g/h", "/g", "@releaseDomain"];

/// xorshift: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 1).unwrap() % limit
    }

    fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// An owner and up to four entries: of domains that are there, are not, or cannot be.
    fn permissions(&mut self, owner: u16) -> String {
        let mut list = format!("{}{owner}\0", self.pick(&["n", "r", "w", "b"]));
        for _ in 0..self.below(5) {
            let domid = [0, 3, 4, 5, 6, 9, 32757][self.below(7)];
            write!(list, "{}{domid}\0", self.pick(&["n", "r", "w", "b"])).unwrap();
        }
        list
    }

    fn request(&mut self, domid: u16) -> (T, String) {
        let place = self.pick(&PLACES);
        let owner = if domid == 0 || self.below(9) == 0 { DOMIDS[self.below(4)] } else { domid };
        let value = "v".repeat(self.below(60) * self.below(10));
        match self.below(12) {
            0..=2 => (T::SetPerms, format!("{place}\0{}", self.permissions(owner))),
            3..=5 => (T::Write, format!("{place}\0{value}")),
            6 => (T::Mkdir, format!("{place}\0")),
            7 => (T::Rm, format!("{place}\0")),
            8 => (T::Read, format!("{place}\0")),
            9 => (T::Directory, format!("{place}\0")),
            10 => (T::Watch, format!("{place}\0{}\0", self.below(8))),
            _ => (T::Unwatch, format!("{place}\0{}\0", self.below(8))),
        }
    }
}

/// Somebody who asks: a domain, or the toolstack as domain 0.
struct Client {
    domid: u16,
    id: ConnectionId,
    transactions: Vec<u32>,
}

struct World {
    host: Host,
    random: Random,
    clients: Vec<Client>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed * 2 + 1);
        let settings = Settings {
            keep_orphans: random.below(4) == 0,
            old_versions: [2000, 1 << 30][random.below(2)],
            ..Settings::default()
        };
        let mut host = Host::with(&settings);
        let id = host.socket();
        host.chmod(id, "/", "b0");
        let clients = vec![Client { domid: 0, id, transactions: Vec::new() }];
        Self { host, random, clients }
    }

    fn step(&mut self) {
        let domid = DOMIDS[self.random.below(4)];
        match self.random.below(40) {
            0 => self.come(domid),
            1 => self.go(domid),
            2 => self.begin_anew(),
            3 => self.set_something(domid),
            4 => self.host.sleep(Duration::from_millis(100)),
            5..=8 => self.end(),
            9..=12 => self.begin(),
            13..=16 => self.take_some(),
            _ => self.ask(),
        }
    }

    fn come(&mut self, domid: u16) {
        if self.host.engine.ring(Domid::new(domid)).is_none() {
            let id = self.host.guest(domid);
            self.clients.push(Client { domid, id, transactions: Vec::new() });
        }
    }

    /// Killed, or released, or its number is another's before anybody is told.
    fn go(&mut self, domid: u16) {
        match self.random.below(3) {
            0 => self.host.kill(domid),
            1 => self.order(T::Release, &format!("{domid}\0")),
            _ => self.host.create(domid),
        }
        let engine = &self.host.engine;
        self.clients.retain(|it| it.domid == 0 || engine.standing(it.id).ring.is_some());
    }

    fn begin_anew(&mut self) {
        let at = self.random.below(self.clients.len());
        let client = &mut self.clients[at];
        if client.domid != 0 {
            client.transactions.clear();
            if self.random.below(2) == 0 {
                self.host.engine.cut_off(client.id, &mut self.host.log);
            }
            self.host.engine.renew(client.id, &mut self.host.log);
        }
    }

    fn set_something(&mut self, domid: u16) {
        match self.random.below(3) {
            0 => {
                let other = DOMIDS[self.random.below(4)];
                self.order(T::SetTarget, &format!("{domid}\0{other}\0"));
            }
            1 => {
                let limit = [0, 1000, 5000, 20_000][self.random.below(4)];
                self.order(T::SetQuota, &format!("{domid}\0memory\0{limit}\0"));
            }
            _ => {
                let limit = [0, 1, 20][self.random.below(3)];
                self.order(T::SetQuota, &format!("{domid}\0outstanding\0{limit}\0"));
            }
        }
    }

    /// The toolstack wants something, which may have to wait, and may be refused.
    fn order(&mut self, kind: T, payload: &str) {
        let tool = self.host.socket();
        self.host.send(tool, kind, 0, payload.as_bytes());
        self.host.turn(tool);
        self.host.sleep(Duration::from_secs(u64::from(self.host.engine.standing(tool).is_held)));
        self.host.engine.disconnect(tool, &mut self.host.log);
        self.settle();
    }

    /// Asks and gives a turn; replies and events are left lying.
    fn ask(&mut self) {
        let at = self.random.below(self.clients.len());
        let Client { domid, id, ref transactions } = self.clients[at];
        let inside = !transactions.is_empty() && self.random.below(2) == 0;
        let t = if inside { transactions[self.random.below(transactions.len())] } else { 0 };
        let (kind, payload) = self.random.request(domid);
        self.host.send(id, kind, t, payload.as_bytes());
        self.host.turn(id);
        self.settle();
    }

    fn begin(&mut self) {
        let at = self.random.below(self.clients.len());
        let id = self.clients[at].id;
        self.take_all(id);
        self.host.send(id, T::TransactionStart, 0, b"\0");
        self.host.turn(id);
        if let Some(number) = self.host.reply(id).and_then(|reply| reply.parse().ok()) {
            self.clients[at].transactions.push(number);
        }
        self.settle();
    }

    fn end(&mut self) {
        let at = self.random.below(self.clients.len());
        let count = self.clients[at].transactions.len();
        if count > 0 {
            let place = self.random.below(count);
            let t = self.clients[at].transactions.swap_remove(place);
            let payload = if self.random.below(5) == 0 { b"F\0" } else { b"T\0" };
            let id = self.clients[at].id;
            self.host.send(id, T::TransactionEnd, t, payload);
            self.host.turn(id);
            self.settle();
        }
    }

    /// What was taken in part cannot be understood: all of it is thrown away.
    fn take_all(&mut self, id: ConnectionId) {
        loop {
            let all = self.host.engine.output(id).len();
            self.host.engine.sent(id, all);
            if self.host.turn(id) == Turn::Idle && self.host.engine.output(id).is_empty() {
                return;
            }
        }
    }

    fn take_some(&mut self) {
        let at = self.random.below(self.clients.len());
        let id = self.clients[at].id;
        let all = self.host.engine.output(id).len();
        let count = self.random.below(all + 1);
        self.host.engine.sent(id, count);
        self.host.turn(id);
        self.settle();
    }

    fn settle(&mut self) {
        self.host.settle();
        while let Some(id) = self.host.engine.next_outgoing() {
            assert!(id.slot() < 1000);
        }
    }

    fn account(&mut self, domid: u16, quota: &str) -> Option<u64> {
        let tool = self.host.socket();
        let text = self.host.ask(tool, T::Control, format!("quota\0{domid}\0"));
        self.host.engine.disconnect(tool, &mut self.host.log);
        let line = text.lines().find(|line| line.split([' ', ':']).next() == Some(quota))?;
        line.split(':').nth(1)?.split_whitespace().next()?.parse().ok()
    }
}

#[test]
fn accounts_and_estates_are_what_a_recount_finds() {
    let seeds = std::env::var("ACCOUNTS_SEEDS").map_or(60, |seeds| seeds.parse().unwrap());
    let first = std::env::var("ACCOUNTS_FIRST").map_or(0, |seed| seed.parse().unwrap());
    for seed in first..first + seeds {
        let mut world = World::new(seed);
        let told = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..400 {
                world.step();
                world.host.check();
            }
            // Who has nothing open and nothing waiting is charged for nothing but nodes.
            for at in 0..world.clients.len() {
                let Client { domid, id, .. } = world.clients[at];
                if world.host.engine.standing(id).ring.is_some() {
                    world.host.engine.renew(id, &mut world.host.log);
                    for quota in ["watches", "transactions", "outstanding"] {
                        assert_eq!(world.account(domid, quota), Some(0), "{quota} of {domid}");
                    }
                }
            }
            world.host.check();
            for domid in DOMIDS {
                world.host.kill(domid);
                world.host.check();
            }
        }));
        assert!(told.is_ok(), "ACCOUNTS_FIRST={seed} ACCOUNTS_SEEDS=1");
    }
}
