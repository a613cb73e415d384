//! The three ways to commit, each by itself, on random transactions among others.
//!
//! Replay is the definition: a transaction goes through if it would get the same answers
//! now. The other two have to come to the same store, with the same accounts.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use xenstore_host::{ConnectError, DomainState, Hypervisor};
use xenstore_wire::{Domid, Features, Name, Path, Permissions};

use super::*;
use crate::acl::Caller;
use crate::context::Clock;
use crate::domains::Domains;
use crate::grant::Grant;
use crate::listing::Listing;
use crate::node::Value;
use crate::quota::{Ledger, Limits, Quota};
use crate::store::Store;

struct AllRun;

impl Hypervisor for AllRun {
    fn domain(&mut self, _: Domid) -> Option<DomainState> {
        Some(DomainState::RUNNING)
    }

    fn connect(&mut self, _: Domid, _: u32, _: Features) -> Result<(), ConnectError> {
        Ok(())
    }

    fn disconnect(&mut self, _: Domid) {}
}

/// A store with all that an operation needs beside it.
struct World {
    domains: Domains,
    clock: Clock,
    listing: Listing,
    store: Store,
}

const DOM0: Caller =
    Caller { domid: Domid::DOM0, privileged: true, target: None, features: Features::ALL };
const GUEST: Caller = Caller { domid: Domid::new(5), privileged: false, ..DOM0 };

/// What is done, where, with which value or list.
type Step = (u8, usize, u8);

const PATHS: [&str; 10] =
    ["/a", "/a/x", "/a/x/1", "/a/y", "/b", "/b/x", "/b/x/1/2", "/b/y", "/c/d", "/"];
const LISTS: [&str; 4] = ["n0", "b0", "n5", "r0 b5"];

impl World {
    /// One in which the guest may make nodes anywhere, but only so many, of such a size.
    fn new(nodes: u32, size: u32) -> Self {
        let mut limits = Limits::default();
        limits.set(Quota::Nodes, nodes);
        limits.set(Quota::NodeSize, size);
        let (mut clock, mut ledger) = (Clock::default(), Ledger::default());
        let store = Store::new(Domid::DOM0, "", &mut clock, &mut ledger);
        let mut domains = Domains::new(Domid::DOM0, limits);
        domains.acquaint(GUEST.domid, &mut AllRun);
        domains.book(&mut ledger);
        let mut world = Self { domains, clock, listing: Listing::default(), store };
        world.outside(DOM0, (12, PATHS.len() - 1, 1));
        world
    }

    fn operation(&mut self, (kind, place, what): Step) -> Operation<'static> {
        let path = Path::absolute(PATHS[place]).unwrap();
        let list = LISTS[usize::from(what) % LISTS.len()].split(' ').map(str::as_bytes);
        let list = Permissions::parse(list).unwrap().unwrap();
        match kind {
            0 | 1 => Operation::Read(path),
            2 => Operation::Directory(path),
            3 => Operation::DirectoryPart(path, 0),
            4 => Operation::GetPerms(Name::Node(path)),
            5..=8 => Operation::Write(path, Value::new(&vec![b'v'; usize::from(what)])),
            9 => Operation::Mkdir(path),
            10 | 11 => Operation::Rm(path),
            _ => {
                let grant = Grant::bind(&list, &GUEST, None, &mut self.domains, &mut AllRun);
                Operation::SetPerms(Name::Node(path), grant)
            }
        }
    }

    /// Has something done with a context of its own account.
    fn with<R>(
        &mut self,
        caller: Caller,
        act: impl FnOnce(&mut Store, &mut Context<'_>) -> R,
    ) -> (R, Ledger) {
        let Self { domains, clock, listing, store } = self;
        let mut ledger = Ledger::default();
        let mut cx = Context { caller, epoch: 0, domains, ledger: &mut ledger, clock, listing };
        let result = act(store, &mut cx);
        (result, ledger)
    }

    fn outside(&mut self, caller: Caller, step: Step) {
        let operation = self.operation(step);
        let (_, mut ledger) = self.with(caller, |store, cx| store.execute(&operation, cx).is_ok());
        self.domains.book(&mut ledger);
    }

    /// A transaction of these steps.
    fn transaction(&mut self, caller: Caller, steps: &[Step]) -> Transaction {
        let mut open = Transaction::begin(&self.store, 0, Duration::ZERO);
        for &step in steps {
            let operation = self.operation(step);
            let _ = self.with(caller, |_, cx| {
                let room = open.check_size(&operation, 0, cx).unwrap();
                open.execute(operation, room, cx)
            });
        }
        open
    }

    /// Where everybody's nodes are counted anew, the accounts agree.
    fn accounts_agree(&self) -> bool {
        let counted = self.store.recount();
        [DOM0.domid, GUEST.domid].iter().all(|&domid| {
            let owned = i64::try_from(self.domains.usage(domid, Quota::Nodes)).unwrap();
            let bytes = i64::try_from(self.domains.usage(domid, Quota::Memory)).unwrap();
            (counted.of(domid).nodes, counted.of(domid).bytes) == (owned, bytes)
        })
    }
}

/// What happened before, a transaction, and what others do before its end; who does it.
#[derive(Clone, Debug)]
struct Case {
    limits: (u32, u32),
    before: Vec<(bool, Step)>,
    privileged: bool,
    inside: Vec<Step>,
    others: Vec<(bool, Step)>,
}

impl Case {
    fn random(runner: &mut TestRunner) -> Self {
        let step = || (0u8..14, 0..PATHS.len(), 0u8..40);
        let steps = |most| proptest::collection::vec((any::<bool>(), step()), 1..most);
        let inside = proptest::collection::vec(step(), 1..7);
        let all = ((0u32..8, 40u32..90), steps(16), any::<bool>(), inside, steps(4));
        let (limits, before, privileged, inside, others) = all.new_tree(runner).unwrap().current();
        Self { limits, before, privileged, inside, others }
    }

    /// The world just before the transaction's end, and the transaction.
    fn play(&self, with_others: bool) -> (World, Caller, Transaction) {
        let mut world = World::new(self.limits.0, self.limits.1);
        let who = |privileged| if privileged { DOM0 } else { GUEST };
        let caller = who(self.privileged);
        self.before.iter().for_each(|&(privileged, step)| world.outside(who(privileged), step));
        let open = world.transaction(caller, &self.inside);
        for &(privileged, step) in self.others.iter().filter(|_| with_others) {
            world.outside(who(privileged), step);
        }
        (world, caller, open)
    }
}

#[test]
fn what_is_grafted_is_what_would_be_done_again() {
    let mut runner = TestRunner::deterministic();
    let mut grafts = 0;
    for round in 0..30_000 {
        let case = Case::random(&mut runner);
        let (mut world, caller, open) = case.play(true);
        let current = world.store.clone();
        let (grafted, _) = world.with(caller, |_, cx| graft(&open, &current, cx));
        let Some((store, ledger)) = grafted else {
            continue;
        };
        grafts += usize::from(!open.changes.is_empty());
        let (replayed, _) = world.with(caller, |_, cx| open.replay(&current, cx));
        let replayed = replayed.unwrap_or_else(|| panic!("round {round}: {case:?} conflicts"));
        assert_eq!(store.dump(), replayed.work.dump(), "round {round}: {case:?}");
        for domid in [DOM0.domid, GUEST.domid] {
            assert_eq!(ledger.of(domid), replayed.ledger.of(domid), "round {round}: {case:?}");
        }
        let names = |changes: &[Changed]| {
            let name = |changed: &Changed| (changed.name.clone(), changed.removed);
            changes.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names(&open.changes), names(&replayed.changes), "round {round}: {case:?}");
    }
    assert!(grafts > 5_000, "only {grafts} of the transactions were grafted");
}

#[test]
fn what_is_installed_is_what_would_be_done_again() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..5_000 {
        let case = Case::random(&mut runner);
        let (mut world, caller, open) = case.play(false);
        let current = world.store.clone();
        let (replayed, _) = world.with(caller, |_, cx| open.replay(&current, cx));
        let replayed = replayed.unwrap_or_else(|| panic!("{case:?} conflicts with nobody"));
        let (committed, mut ledger) = world.with(caller, |store, cx| open.commit(store, cx));
        assert_eq!(committed.map_err(|_| ()).unwrap().way, Way::Install, "{case:?}");
        assert_eq!(world.store.dump(), replayed.work.dump(), "{case:?}");
        world.domains.book(&mut ledger);
        assert!(world.accounts_agree(), "{case:?}");
    }
}

/// A commit that has to be redone leaves exact accounts, or the store as it was.
#[test]
fn accounts_stay_exact_whichever_way() {
    let mut runner = TestRunner::deterministic();
    let mut ways = [0; 4];
    for _ in 0..20_000 {
        let case = Case::random(&mut runner);
        let (mut world, caller, open) = case.play(true);
        let before = world.store.clone();
        let (committed, mut ledger) = world.with(caller, |store, cx| open.commit(store, cx));
        if let Ok(committed) = committed {
            ways[committed.way as usize] += 1;
        } else {
            ways[3] += 1;
            assert!(world.store.same(&before), "{case:?}");
        }
        world.domains.book(&mut ledger);
        assert!(world.accounts_agree(), "{case:?}");
    }
    assert!(ways.iter().all(|&count| count > 500), "seldom tried: {ways:?}");
}
