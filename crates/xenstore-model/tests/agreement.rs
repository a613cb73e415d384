//! The engine and the model say the same to every client, whatever happens.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use xenstore_model::acl::Permission;
use xenstore_model::act::Act;
use xenstore_model::generate::STEWARD;
use xenstore_model::history::{Judge, Plan};
use xenstore_model::holds;
use xenstore_model::model::{Message, Model, Output};
use xenstore_model::operation::Action;
use xenstore_model::path::canonical;
use xenstore_model::request::{Asked, Command, Request};
use xenstore_model::world::{Client, World};
use xenstore_wire::MessageType;

#[test]
fn the_engine_agrees_with_the_model() {
    let plan = Plan { seed: 1, histories: 150, steps: 800 }.or_as_asked();
    plan.run::<Pair>();
    let coverage = COVERAGE.lock().unwrap();
    for ((kind, answer), count) in coverage.iter() {
        println!("{kind:<22} {answer:<8} {count}");
    }
    if plan.histories >= 100 {
        for &kind in MessageType::ALL.iter().filter(|kind| kind.is_request()) {
            assert!(coverage.contains_key(&(kind.name(), "granted".to_owned())), "{kind} granted");
        }
        for kind in HELD {
            assert!(coverage.contains_key(&(kind.name(), "held".to_owned())), "{kind} held");
        }
    }
}

/// What can have to wait.
const HELD: [MessageType; 7] = [
    MessageType::Write,
    MessageType::Mkdir,
    MessageType::Rm,
    MessageType::SetPerms,
    MessageType::TransactionStart,
    MessageType::TransactionEnd,
    MessageType::Release,
];

/// Random histories hardly ever come by here: a read that only the transaction's own
/// removal made fail, of a node that nobody else touched. Which failure it is depends on
/// the permissions further up, and those are others' to change.
#[test]
fn a_read_below_an_own_removal_is_asked_again() {
    let node = |client, transaction, path: &str, action| {
        Act::Ask(client, transaction, Request::Node(path.to_owned(), action))
    };
    let allow = |letter| Action::SetPerms(vec![Permission { letter, domid: 0 }]);
    let (steward, guest) = (STEWARD, STEWARD + 1);
    let acts = [
        Act::Connect,
        Act::Create(1),
        Act::Ask(steward, 0, Request::Introduce(1, 1)),
        node(steward, 0, "/", allow('b')),
        node(steward, 0, "/a/b", Action::Mkdir),
        Act::Ask(guest, 0, Request::Start),
        node(guest, 1, "/a", Action::Rm),
        node(guest, 1, "/a/b", Action::Read),
        node(steward, 0, "/a", Action::Write("changed".to_owned())),
        node(steward, 0, "/", allow('w')),
    ];
    let mut pair = Pair::new(false);
    for act in &acts {
        pair.judge(act).unwrap();
    }
    let end = pair.step(&Act::Ask(guest, 1, Request::End(true))).unwrap();
    assert_eq!(end[&guest], [refused(1, "EAGAIN")]);
}

/// Nor by here: nobody disturbed what a guest made in a transaction, but by its end it owns
/// as much as it may, or may own less.
#[test]
fn what_a_guest_may_own_counts_at_its_commit() {
    let (steward, guest) = (STEWARD, STEWARD + 1);
    let limit = |nodes| Act::Ask(steward, 0, Request::SetQuota(None, "nodes".to_owned(), nodes));
    let make = |client, transaction, path: &str| {
        Act::Ask(client, transaction, Request::Node(path.to_owned(), Action::Mkdir))
    };
    let open = Action::SetPerms(vec![Permission { letter: 'b', domid: 0 }]);
    let before = [
        Act::Connect,
        limit(3),
        make(steward, 0, "/s"),
        Act::Ask(steward, 0, Request::Node("/s".to_owned(), open)),
        Act::Create(1),
        Act::Ask(steward, 0, Request::Introduce(1, 1)),
        make(guest, 0, "/s/a"),
        Act::Ask(guest, 0, Request::Start),
        make(guest, 1, "/s/a/b"),
    ];
    for meanwhile in [vec![make(guest, 0, "/s/c"), make(guest, 0, "/s/d")], vec![limit(1)]] {
        let mut pair = Pair::new(false);
        for act in before.iter().chain(&meanwhile) {
            pair.judge(act).unwrap();
        }
        let end = pair.step(&Act::Ask(guest, 1, Request::End(true))).unwrap();
        assert_eq!(end[&guest], [refused(1, "EAGAIN")]);
    }
}

/// Nor by here: a client on a ring has that ring connected anew, and what it sent behind that is
/// forgotten, whether it arrived in the same turn or not.
#[test]
fn what_comes_behind_a_renewal_is_forgotten() {
    let (steward, ring) = (STEWARD, STEWARD + 1);
    let introduction = Request::Introduce(0, 1);
    let write = |value: &str| {
        let action = Action::Write(value.to_owned());
        Act::Send(ring, 0, Request::Node("/a".to_owned(), action))
    };
    for turn in [Act::Turn, Act::TurnWith(30)] {
        let acts = [
            Act::Connect,
            Act::Ask(steward, 0, introduction.clone()),
            Act::Send(ring, 0, introduction.clone()),
            write("1"),
            write("2"),
            turn,
        ];
        let mut pair = Pair::new(false);
        for act in &acts {
            pair.judge(act).unwrap();
        }
        let read = Act::Ask(ring, 0, Request::Node("/a".to_owned(), Action::Read));
        assert_eq!(pair.step(&read).unwrap()[&ring], [refused(0, "ENOENT")]);
    }
}

fn refused(transaction: u32, errno: &str) -> Message {
    Message::Reply { kind: MessageType::Error, transaction, payload: format!("{errno}\0") }
}

/// How often which request was answered how, in all histories.
static COVERAGE: Mutex<Coverage> = Mutex::new(Coverage::new());

type Coverage = BTreeMap<(&'static str, String), u64>;

/// Both, side by side.
struct Pair {
    world: World,
    /// The model; more than one while it is not known whether the engine moved a protected
    /// transaction to the store as it is now, which it may.
    models: Vec<Model>,
    /// How each node was in each of its generations.
    generations: BTreeMap<(String, String), String>,
    coverage: Coverage,
}

impl Judge for Pair {
    fn new(keep_orphans: bool) -> Self {
        Self {
            world: World::new(keep_orphans),
            models: vec![Model::new(keep_orphans)],
            generations: BTreeMap::new(),
            coverage: Coverage::new(),
        }
    }

    fn world(&self) -> &World {
        &self.world
    }

    fn judge(&mut self, act: &Act) -> Result<(), String> {
        let output = self.step(act)?;
        self.compare_stores()?;
        self.count(&output);
        holds::check(&self.world, &self.models[0], |client, transaction| {
            self.models.iter().any(|model| model.changes_anything(client, transaction))
        })?;
        self.check_generation()?;
        self.compare_lists()?;
        self.compare_accounts()
    }

    fn finish(self) {
        let mut sum = COVERAGE.lock().unwrap();
        for (answered, count) in self.coverage {
            *sum.entry(answered).or_default() += count;
        }
    }
}

impl Pair {
    /// Lets an act happen to both; what they sent, if it was the same.
    fn step(&mut self, act: &Act) -> Result<Output, String> {
        let engine = self.world.apply(act);
        let mut outputs = Vec::new();
        for model in self.follow(act) {
            let (mut model, world) = (model, &self.world);
            let output = model.take_output();
            let is_alive = |client: usize| model.is_alive(client) == world.clients[client].alive;
            if output == engine && (0..world.clients.len()).all(is_alive) {
                self.models.push(model);
            }
            outputs.push(output);
        }
        if self.models.is_empty() {
            return Err(format!("{act:?}\nengine {engine:?}\nmodel  {outputs:?}"));
        }
        Ok(engine)
    }

    /// What the models become by an act that happened in the world.
    fn follow(&mut self, act: &Act) -> Vec<Model> {
        let Self { world, models, .. } = self;
        let mut models = std::mem::take(models);
        for model in &mut models {
            model.happen(act, world);
        }
        for asked in &world.answered {
            let machine = &mut world.machine;
            let moved: Vec<Model> =
                models.iter().filter_map(|model| model.moved(asked, machine)).collect();
            models.extend(moved);
            for model in &mut models {
                model.answer(asked, machine);
            }
        }
        if let Some(asked) = &world.put_off {
            for model in &mut models {
                model.put_off(asked, &mut world.machine);
            }
        }
        models
    }

    fn compare_stores(&mut self) -> Result<(), String> {
        let engine = self.world.dump();
        let last = self.models[0].store().dump();
        // Of those in which all transactions began at the same moments, one is enough.
        let mut known = BTreeSet::new();
        self.models.retain(|model| model.store().dump() == engine && known.insert(model.moments()));
        if self.models.is_empty() {
            Err(format!("stores: {}", diff(&engine, &last)))
        } else {
            Ok(())
        }
    }

    /// What both say is below what after a commit, in which order.
    fn compare_lists(&mut self) -> Result<(), String> {
        let commits = |asked: &Asked| matches!(asked.request, Request::End(true));
        let committed = self.world.answered.iter().any(commits);
        if !committed || !self.world.clients.get(STEWARD).is_some_and(Client::is_free) {
            return Ok(());
        }
        for name in self.models[0].store().top_down("/") {
            self.step(&Act::Ask(STEWARD, 0, Request::Node(name, Action::Directory)))?;
        }
        Ok(())
    }

    /// What both say every domain has, and whether the engine's own recount agrees.
    fn compare_accounts(&mut self) -> Result<(), String> {
        if !self.world.clients.get(STEWARD).is_some_and(Client::is_free) {
            return Ok(());
        }
        let domids: Vec<u16> = self.models[0].domains().records.keys().copied().collect();
        let accounts = domids.into_iter().map(Command::Account);
        for command in accounts.chain([Command::Check]) {
            self.step(&Act::Ask(STEWARD, 0, Request::Control(command)))?;
        }
        Ok(())
    }

    /// Of the same generation, a node is the same.
    fn check_generation(&mut self) -> Result<(), String> {
        let ([asked], [model]) = (self.world.answered.as_slice(), self.models.as_slice()) else {
            return Ok(());
        };
        let Asked { client, transaction, ref request, .. } = *asked;
        let Request::Node(path, Action::DirectoryPart(_)) = request else {
            return Ok(());
        };
        let name = canonical(path, self.world.clients[client].domid);
        let (Some(generation), Some(name)) = (self.world.generation.clone(), name) else {
            return Ok(());
        };
        let store = model.store_in(client, transaction);
        let node = store.get(&name).map(|node| (&node.value, &node.acl));
        let now = format!("{node:?}, {:?}", store.list(&name));
        let before = self.generations.entry((name, generation)).or_insert_with(|| now.clone());
        if *before == now {
            Ok(())
        } else {
            Err(format!("{asked:?}\nbefore {before}\nnow    {now}"))
        }
    }

    fn count(&mut self, output: &Output) {
        let mut answered = self.world.answered.iter();
        for message in output.values().flatten() {
            let (what, how) = match message {
                Message::Event { .. } => (MessageType::WatchEvent, "sent"),
                Message::Reply { kind, payload, .. } => {
                    let asked = answered.next().unwrap();
                    let refused = *kind == MessageType::Error;
                    let how = if refused { payload.trim_end_matches('\0') } else { "granted" };
                    (asked.request.kind(), how)
                }
            };
            *self.coverage.entry((what.name(), how.to_owned())).or_default() += 1;
        }
        if let Some(asked) = &self.world.put_off {
            let what = asked.request.kind().name();
            *self.coverage.entry((what, "held".to_owned())).or_default() += 1;
        }
    }
}

/// The lines that only one of two has.
fn diff(engine: &[String], model: &[String]) -> String {
    let only = |these: &[String], those: &[String]| {
        let lines = these.iter().filter(|line| !those.contains(line)).cloned();
        lines.collect::<Vec<_>>().join("; ")
    };
    format!("engine has {}, model has {}", only(engine, model), only(model, engine))
}
