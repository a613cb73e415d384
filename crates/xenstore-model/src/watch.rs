//! Watches, and who is told of a change: all of them are looked at, every time.

use std::collections::BTreeSet;

use crate::acl::{Acl, Right};
use crate::model::{Message, Model};
use crate::path::{home_of, is_special, levels_below};
use crate::store::Store;
use crate::transaction::Change;

/// A registered watch.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Watch {
    /// Later ones have greater numbers.
    pub number: u64,
    /// Whose it is.
    pub client: usize,
    /// What is watched.
    pub name: String,
    /// The domain whose home the client spelled it relative to.
    pub relative_to: Option<u16>,
    /// The client's mark.
    pub token: String,
    /// How many levels below count; `None` for all.
    pub depth: Option<usize>,
}

impl Watch {
    fn concerns(&self, name: &str) -> bool {
        let levels = levels_below(name, &self.name);
        levels.is_some_and(|levels| self.depth.is_none_or(|depth| levels <= depth))
    }

    /// A name as the client is told it.
    fn spell(&self, name: &str) -> String {
        let home = self.relative_to.map(|home| home_of(home) + "/");
        home.and_then(|home| name.strip_prefix(&home)).unwrap_or(name).to_owned()
    }
}

/// What happened to a domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DomainEvent {
    /// It was introduced.
    Introduced,
    /// It stopped running.
    ShutDown,
    /// It is gone.
    Released,
}

impl Model {
    /// Tells of changes that took effect at once; before them the store was `before`.
    pub(crate) fn tell_changes(&mut self, before: &Store, changes: Vec<Change>) {
        let changes = last_of_each(changes);
        // Nothing can be told twice without a removal.
        let removes = changes.iter().any(|change| change.removed);
        let mut told = BTreeSet::new();
        for Change { name, removed } in changes {
            let is_change = before.has(&name) || self.store.has(&name);
            if is_special(&name) || !is_change {
                continue;
            }
            if removed {
                for below in before.below(&name) {
                    let exact = |watch: &Watch| watch.name == below;
                    for watch in self.watches_that(exact) {
                        if told.insert((watch.number, below.clone())) {
                            self.tell_change(&watch, &below, before);
                        }
                    }
                }
            }
            for watch in self.watches_that(|watch| watch.concerns(&name)) {
                if told.insert((watch.number, name.clone())) || !removes {
                    self.tell_change(&watch, &name, before);
                }
            }
        }
    }

    /// Who could read the node or its parent, before or after, may know.
    fn tell_change(&mut self, watch: &Watch, name: &str, before: &Store) {
        let acls = [before.acls_around(name), self.store.acls_around(name)].concat();
        self.tell(watch, name, &acls);
    }

    fn tell(&mut self, watch: &Watch, name: &str, acls: &[Acl]) {
        let caller = self.caller(watch.client);
        if acls.iter().any(|acl| acl.allows(&caller, Right::Read)) {
            self.send_event(watch, name);
        }
    }

    /// The first event of a watch is for its own path, whatever is there.
    pub(crate) fn send_event(&mut self, watch: &Watch, name: &str) {
        let message = Message::Event { path: watch.spell(name), token: watch.token.clone() };
        self.send(watch.client, message);
    }

    /// Tells of a domain: watches without depth the plain name, those with a depth and
    /// those of the full name the name with the number.
    pub(crate) fn tell_domain(&mut self, event: DomainEvent, domid: u16) {
        let plain = match event {
            DomainEvent::Introduced => "@introduceDomain",
            DomainEvent::ShutDown | DomainEvent::Released => "@releaseDomain",
        };
        let full = format!("{plain}/{domid}");
        let coarse = self.watches_that(|watch| watch.name == plain && watch.depth.is_none());
        let precise = self.watches_that(|watch| {
            watch.concerns(&full) && (watch.depth.is_some() || watch.name == full)
        });
        let mut rounds = [(plain, coarse), (&full, precise)];
        if event == DomainEvent::ShutDown {
            rounds.reverse();
        }
        let acls = [self.store.acls_around(plain), self.store.acls_around("/")].concat();
        for (name, watches) in rounds {
            for watch in watches {
                self.tell(&watch, name, &acls);
            }
        }
    }

    fn watches_that(&self, concerned: impl Fn(&Watch) -> bool) -> Vec<Watch> {
        self.watches.iter().filter(|watch| concerned(watch)).cloned().collect()
    }
}

/// Each place once, in the order of the last change there; that something was removed
/// there in between is kept.
fn last_of_each(changes: Vec<Change>) -> Vec<Change> {
    let mut kept: Vec<Change> = Vec::new();
    for mut change in changes {
        if let Some(at) = kept.iter().position(|earlier| earlier.name == change.name) {
            change.removed |= kept.remove(at).removed;
        }
        kept.push(change);
    }
    kept
}
