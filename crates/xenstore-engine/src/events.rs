//! Who is told of a change.

use std::cell::OnceCell;
use std::collections::HashSet;

use xenstore_tree::Node;
use xenstore_wire::{Domid, Name, Special};

use crate::acl::{Acl, Right};
use crate::commit::Committed;
use crate::engine::{Engine, find, put_out};
use crate::ids::{ConnectionId, WatchId};
use crate::node::NodeData;
use crate::operation::Effect;
use crate::outbox::{Event, Outbox};
use crate::outside::{Daemon, Incident};

/// What happened to a domain, as watches of special names are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DomainEvent {
    /// Its ring was connected.
    Introduced,
    /// It stopped running.
    ShutDown,
    /// It is gone, or its ring was released.
    Released,
}

impl Engine {
    /// Tells of a change made outside any transaction.
    pub(crate) fn tell_change(
        &mut self,
        name: &Name<'_>,
        effect: &Effect,
        daemon: &mut dyn Daemon,
    ) {
        let before = match effect {
            Effect::Nothing => return,
            Effect::Written | Effect::Created => None,
            // The permissions of a special name are not what it is watched for.
            Effect::Permissions(_) if matches!(name, Name::Special(_)) => return,
            Effect::Permissions(before) => Some(before),
            Effect::Removed(subtree) => {
                self.tell_removed(name, subtree, &mut HashSet::new(), daemon);
                Some(&subtree.value().acl)
            }
        };
        let acls: OnceCell<Vec<Acl>> = OnceCell::new();
        let concerned = self.watches.concerned(name, |connection| {
            // Most changes are watched by nobody.
            let acls = acls.get_or_init(|| self.store.acls(name).chain(before.cloned()).collect());
            self.may_know(connection, acls)
        });
        for watch in concerned {
            self.send(watch, name, daemon);
        }
    }

    /// Tells of a transaction's changes, each changed place once.
    pub(crate) fn tell_commit(&mut self, committed: &Committed, daemon: &mut dyn Daemon) {
        let before = &committed.before;
        // Only a removal can tell a watch of a path that another change tells it of too.
        let removes = committed.changes.iter().any(|change| change.removed);
        let mut told = HashSet::new();
        for change in &committed.changes {
            let name = &change.name;
            if matches!(name, Name::Special(_)) {
                continue;
            }
            let seen: OnceCell<Vec<Acl>> = OnceCell::new();
            let concerned = self.watches.concerned(name, |connection| {
                let seen =
                    seen.get_or_init(|| before.acls(name).chain(self.store.acls(name)).collect());
                self.may_know(connection, seen)
            });
            if concerned.is_empty() && !change.removed {
                continue;
            }
            let old = before.get(name);
            if old.is_none() && self.store.get(name).is_none() {
                // Made and removed inside: nothing changed for anybody else.
                continue;
            }
            if let (true, Some(old)) = (change.removed, old) {
                self.tell_removed(name, old, &mut told, daemon);
            }
            for watch in concerned {
                if !removes || told.insert((watch, name.clone())) {
                    self.send(watch, name, daemon);
                }
            }
        }
    }

    /// Tells the watches on nodes below `name` that these went with the subtree there,
    /// each unless it was told before.
    fn tell_removed(
        &mut self,
        name: &Name<'_>,
        subtree: &Node<NodeData>,
        told: &mut HashSet<(WatchId, Name<'static>)>,
        daemon: &mut dyn Daemon,
    ) {
        let Name::Node(path) = name else {
            return;
        };
        for below in self.watches.below(path, subtree) {
            // Something else may be there by now, made by the same transaction.
            let mut acls: Vec<Acl> = self.store.acls(&below.name).collect();
            acls.extend([below.node, below.parent].map(|node| node.value().acl.clone()));
            let may_know = |connection| self.may_know(connection, &acls);
            for watch in self.watches.exactly(&below.name, may_know) {
                if told.insert((watch, below.name.clone())) {
                    self.send(watch, &below.name, daemon);
                }
            }
        }
    }

    /// Tells of a domain. Watches without depth get the plain name, those with a depth
    /// and those of the full name get the name with the domid.
    pub(crate) fn tell_domain(
        &mut self,
        event: DomainEvent,
        domid: Domid,
        daemon: &mut dyn Daemon,
    ) {
        let plain = match event {
            DomainEvent::Introduced => Special::INTRODUCE_DOMAIN,
            DomainEvent::ShutDown | DomainEvent::Released => Special::RELEASE_DOMAIN,
        };
        let full = format!("{plain}/{domid}");
        let (Ok(plain), Ok(full)) =
            (Special::parse(plain.as_bytes()), Special::parse(full.as_bytes()))
        else {
            return;
        };
        let (plain, full) = (Name::Special(plain), Name::Special(full));
        let root = self.store.root().value().acl.clone();
        let acls: Vec<_> = self.store.acls(&plain).chain([root]).collect();
        let may_know = |connection| self.may_know(connection, &acls);
        let mut coarse = self.watches.exactly(&plain, may_know);
        coarse.retain(|id| self.watches.get(*id).is_some_and(|watch| watch.depth.is_none()));
        let mut precise = self.watches.concerned(&full, may_know);
        precise.retain(|id| {
            self.watches.get(*id).is_some_and(|watch| watch.depth.is_some() || watch.name == full)
        });
        let mut rounds = [(plain, coarse), (full, precise)];
        if event == DomainEvent::ShutDown {
            rounds.reverse();
        }
        for (name, watches) in rounds {
            for watch in watches {
                self.send(watch, &name, daemon);
            }
        }
    }

    /// The first event of a new watch: whatever is there or not, the client is told
    /// its own path back.
    pub(crate) fn greet(&mut self, id: WatchId, daemon: &mut dyn Daemon) {
        if let Some(watch) = self.watches.get(id) {
            let name = watch.name.clone();
            self.send(id, &name, daemon);
        }
    }

    /// Whether a client may know of a change: it could read the node or its parent, before or
    /// after (XSA-115).
    fn may_know(&self, id: ConnectionId, acls: &[Acl]) -> bool {
        self.connection(id).is_some_and(|connection| {
            acls.iter().any(|acl| acl.allows(&connection.caller, Right::Read))
        })
    }

    fn send(&mut self, id: WatchId, name: &Name<'_>, daemon: &mut dyn Daemon) {
        self.effort += 1;
        let Some(watch) = self.watches.get(id) else {
            return;
        };
        let event = Event {
            watch: id,
            path: watch.spell(name),
            watched: watch.spell(&watch.name),
            token: &watch.token,
            counted: matches!(name, Name::Special(_)),
        };
        let to = watch.connection;
        let Some(connection) = find(&mut self.connections, to) else {
            return;
        };
        let room = self.domains.room(&connection.caller);
        let put = |outbox: &mut Outbox| outbox.event(event, room);
        if !put_out(connection, to, &mut self.spares, &mut self.outgoing, put) {
            return;
        }
        let Event { path, token, .. } = event;
        self.observe(to, 0, daemon, || Incident::Event { path, token });
        self.charge_buffers(to);
    }
}
