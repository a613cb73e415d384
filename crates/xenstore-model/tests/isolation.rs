//! Transactions are as if each had been alone; see [`xenstore_model::isolation`].

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::sync::Mutex;

use xenstore_model::acl::Permission;
use xenstore_model::act::Act;
use xenstore_model::history::{Judge, Plan};
use xenstore_model::isolation::{Ends, Isolation};
use xenstore_model::operation::Action;
use xenstore_model::request::Request;
use xenstore_model::world::World;

#[test]
fn transactions_are_as_if_each_had_been_alone() {
    let plan = Plan { seed: 1, histories: 150, steps: 800 }.or_as_asked();
    plan.run::<Pair>();
    let ends = *ENDS.lock().unwrap();
    println!("{ends:?}");
    if plan.histories >= 100 {
        let Ends { alone, apart, together, upheaved, unchanged, refused, protected, moved, .. } =
            ends;
        // Few are moved: nearly all that one could notice is held back.
        let ways = [alone, apart, together, upheaved, unchanged, refused, protected];
        assert!(ways.iter().all(|&count| count > 20) && moved > 0);
    }
}

static ENDS: Mutex<Ends> = Mutex::new(Ends::NONE);

/// An engine and its judge.
struct Pair {
    world: World,
    isolation: Isolation,
}

impl Judge for Pair {
    fn new(keep_orphans: bool) -> Self {
        let (world, isolation) = (World::new(keep_orphans), Isolation::new(keep_orphans));
        Self { world, isolation }
    }

    fn world(&self) -> &World {
        &self.world
    }

    fn judge(&mut self, act: &Act) -> Result<(), String> {
        let output = self.world.apply(act);
        self.isolation.judge(act, &output, &mut self.world)
    }

    fn finish(self) {
        ENDS.lock().unwrap().add(&self.isolation.ends);
    }
}

/// Random histories hardly ever come by here: what a guest may make depends on the room
/// that others leave in the place above.
#[test]
fn room_among_siblings_is_protected() {
    let node = |client, transaction, path: &str, action| {
        Act::Ask(client, transaction, Request::Node(path.to_owned(), action))
    };
    let (steward, victim, rival) = (0, 1, 2);
    let open = Action::SetPerms(vec![Permission { letter: 'b', domid: 0 }]);
    let mut acts = vec![
        Act::Connect,
        // Three names of one letter.
        Act::Ask(steward, 0, Request::SetQuota(None, "node-size".to_owned(), 30)),
        node(steward, 0, "/s", Action::Mkdir),
        node(steward, 0, "/s", open),
        Act::Create(1),
        Act::Create(2),
        Act::Ask(steward, 0, Request::Introduce(1, 1)),
        Act::Ask(steward, 0, Request::Introduce(2, 1)),
        node(rival, 0, "/s/a", Action::Mkdir),
        node(rival, 0, "/s/b", Action::Mkdir),
    ];
    for transaction in 1..4 {
        acts.extend([
            Act::Ask(victim, 0, Request::Start),
            node(victim, transaction, "/s/v", Action::Mkdir),
            node(rival, 0, "/s/c", Action::Mkdir),
            Act::Ask(victim, transaction, Request::End(true)),
            Act::Turn,
            node(rival, 0, "/s/c", Action::Rm),
        ]);
    }
    let mut pair = Pair::new(false);
    for act in &acts {
        if pair.world.allows(act) {
            pair.judge(act).unwrap();
        }
    }
    assert_eq!(pair.isolation.ends.protected, 1);
}

/// What one protected transaction was told says nothing of how it was when another of the
/// same client began.
#[test]
fn two_protected_transactions_of_a_client_do_not_mix() {
    let (victim, rival) = (0, 1);
    let ask = |client, transaction, request| Act::Ask(client, transaction, request);
    let node = |client, transaction, path: &str, action| {
        ask(client, transaction, Request::Node(path.to_owned(), action))
    };
    let write = |client, transaction, path, value: &str| {
        node(client, transaction, path, Action::Write(value.to_owned()))
    };
    let acts = [
        Act::Connect,
        Act::Connect,
        write(rival, 0, "/x", "0"),
        // Two are lost.
        ask(victim, 0, Request::Start),
        ask(victim, 0, Request::Start),
        node(victim, 1, "/x", Action::Read),
        node(victim, 2, "/x", Action::Read),
        write(victim, 1, "/own", "1"),
        write(victim, 2, "/own", "2"),
        write(rival, 0, "/x", "1"),
        ask(victim, 1, Request::End(true)),
        ask(victim, 2, Request::End(true)),
        // Two are protected.
        ask(victim, 0, Request::Start),
        ask(victim, 0, Request::Start),
        write(rival, 0, "/a", "new"),
        write(victim, 4, "/a/b", "below"),
        node(victim, 3, "/a", Action::Read),
        write(victim, 3, "/own", "3"),
        ask(victim, 3, Request::End(true)),
    ];
    let mut pair = Pair::new(false);
    for act in &acts {
        pair.judge(act).unwrap();
    }
    assert_eq!(pair.isolation.ends.protected, 1);
}
