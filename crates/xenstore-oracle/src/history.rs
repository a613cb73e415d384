//! What a sequence has done so far, as far as rules ask for it.

use std::collections::HashMap;

use xenstore_wire::request::Sender;
use xenstore_wire::{Domid, Features, MessageType, Name, Path, Request};

use crate::session::{Outcome, Reply};
use crate::step::{CONNECTIONS, Step, Transaction};

/// Watches and transactions open at a point of a sequence, by rxenstored's account.
#[derive(Clone, Debug, Default)]
pub struct History {
    open: HashMap<(usize, u8), Open>,
    /// The watches of each connection, in order of registration.
    pub watches: [Vec<(Name<'static>, Vec<u8>)>; CONNECTIONS],
}

/// An open transaction.
#[derive(Clone, Debug, Default)]
pub struct Open {
    /// Requests made in it and how they were answered.
    pub requests: Vec<(Access, Name<'static>, bool)>,
    /// What others changed since it began.
    pub outside: Vec<Name<'static>>,
    /// Whether it contains requests about domains.
    pub administers: bool,
}

/// How a request touches a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// It only looks.
    Read,
    /// It sets or creates.
    Set,
    /// It removes.
    Remove,
}

/// Reads a request as a socket's, if it is well formed.
pub fn parse(step: &Step) -> Option<Request<'_>> {
    let sender = Sender { home: Domid::DOM0, features: Features::ALL };
    Request::parse(step.message_type()?, &step.payload, sender).ok()
}

/// What a request acts on, if it acts on the store.
pub fn access(step: &Step) -> Option<(Access, Name<'static>)> {
    let (how, name) = match parse(step)? {
        Request::Read(path) | Request::Directory(path) | Request::DirectoryPart { path, .. } => {
            (Access::Read, Name::Node(path))
        }
        Request::GetPerms(name) => (Access::Read, name),
        Request::Write { path, .. } | Request::Mkdir(path) => (Access::Set, Name::Node(path)),
        Request::SetPerms { name, .. } => (Access::Set, name.ok()?),
        Request::Rm(path) => (Access::Remove, Name::Node(path)),
        _ => return None,
    };
    Some((how, name.into_owned()))
}

impl History {
    /// The transaction a request belongs to.
    pub fn transaction(&self, step: &Step) -> Option<&Open> {
        match step.transaction {
            Transaction::Slot(slot) => self.open.get(&(step.connection, slot)),
            Transaction::None | Transaction::Unknown => None,
        }
    }

    /// Takes note of a request and its outcome.
    pub fn note(&mut self, step: &Step, outcome: &Outcome) {
        let granted = matches!(outcome.reply, Reply::Granted(_));
        let key = match step.transaction {
            Transaction::Slot(slot) => Some((step.connection, slot)),
            Transaction::None | Transaction::Unknown => None,
        };
        if let Some((how, name)) = access(step) {
            if let Some(open) = key.and_then(|key| self.open.get_mut(&key)) {
                open.requests.push((how, name, granted));
            } else if granted && step.transaction == Transaction::None && how != Access::Read {
                self.changed_outside(&[name], None);
            }
            return;
        }
        if let Some(open) = key.and_then(|key| self.open.get_mut(&key)) {
            open.administers |= !step.is(MessageType::TransactionEnd);
        }
        if !granted {
            if step.is(MessageType::TransactionEnd) && step.payload == b"T\0" {
                self.open.retain(|&open, _| Some(open) != key);
            }
            return;
        }
        self.note_granted(step, key);
    }

    fn note_granted(&mut self, step: &Step, key: Option<(usize, u8)>) {
        let sender = step.connection;
        match parse(step) {
            Some(Request::Watch(watch, _)) => {
                self.watches[sender].push((watch.name.into_owned(), watch.token.to_vec()));
            }
            Some(Request::Unwatch(watch)) => {
                self.watches[sender]
                    .retain(|(name, token)| *name != watch.name || *token != watch.token);
            }
            Some(Request::ResetWatches) => {
                self.watches[sender].clear();
                self.open.retain(|&(connection, _), _| connection != sender);
            }
            Some(Request::TransactionStart) => {
                self.open.insert((sender, step.slot), Open::default());
            }
            Some(Request::TransactionEnd { commit }) => {
                let Some((key, ended)) = key.and_then(|key| Some((key, self.open.remove(&key)?)))
                else {
                    return;
                };
                if commit {
                    let changed = ended.requests.into_iter();
                    let changed = changed.filter(|(how, _, ok)| *ok && *how != Access::Read);
                    let names: Vec<_> = changed.map(|(_, name, _)| name).collect();
                    self.changed_outside(&names, Some(key));
                }
            }
            // A domain that goes takes nodes along, wherever they are.
            Some(Request::Release(_)) => {
                self.changed_outside(&[Name::Node(Path::root())], None);
            }
            _ => {}
        }
    }

    fn changed_outside(&mut self, names: &[Name<'static>], by: Option<(usize, u8)>) {
        for (&key, open) in &mut self.open {
            if Some(key) != by {
                open.outside.extend_from_slice(names);
            }
        }
    }
}

impl Open {
    /// Whether others changed something at, above, below or beside `name` since the
    /// transaction began.
    pub fn disturbed(&self, name: &Name<'_>) -> bool {
        self.outside.iter().any(|changed| neighbours(changed, name))
    }

    /// The same for anything the transaction has to do with.
    pub fn disturbed_anywhere(&self) -> bool {
        self.requests.iter().any(|(_, name, _)| self.disturbed(name))
    }

    /// Whether a change of its meets what others did at, above or below the same node.
    pub fn meets_changes(&self) -> bool {
        let mut changes = self.requests.iter().filter(|(how, ..)| *how != Access::Read);
        changes.any(|(_, name, _)| self.outside.iter().any(|changed| related(changed, name)))
    }

    /// Whether it removed something at, above or below `name`.
    pub fn removed_near(&self, name: &Name<'_>) -> bool {
        let removed = |how: &Access, ok: &bool| *ok && *how == Access::Remove;
        self.requests.iter().any(|(how, at, ok)| removed(how, ok) && related(at, name))
    }
}

/// Whether one name lies at or below the other.
pub fn related(one: &Name<'_>, other: &Name<'_>) -> bool {
    let mut pairs = one.components().zip(other.components());
    pairs.all(|(one, other)| one == other)
}

/// Whether both are related, or siblings: children of one node are part of that node.
fn neighbours(one: &Name<'_>, other: &Name<'_>) -> bool {
    let parent = |path: &Path<'_>, other| {
        path.split_last().is_some_and(|(parent, _)| related(&Name::Node(parent), other))
    };
    let beside = |name: &Name<'_>, other| matches!(name, Name::Node(path) if parent(path, other));
    related(one, other) || beside(one, other) || beside(other, one)
}
