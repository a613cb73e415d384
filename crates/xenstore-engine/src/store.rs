//! The store: nodes with values and permissions, and what may be done with them.
//!
//! The same operations act on the committed store and on a transaction's private
//! copy of it; a copy is a few pointers.

use std::fmt::Write;

use xenstore_tree::{Names, Node, ROOT, Subtree, Tree, names};
use xenstore_wire::{Access, Domid, Errno, Name, PAYLOAD_MAX, Path, Permission, Special};

use crate::acl::{Acl, Caller, Entry, Right};
use crate::charges::{charge_all, charge_of, entries_cost, signed};
use crate::charges::{check_memory, check_new_sizes, check_nodes, check_size};
use crate::context::{Clock, Context};
use crate::estates::Change;
use crate::grant::Grant;
use crate::listing::child_list;
use crate::node::{NodeData, Value};
use crate::operation::{Effect, Operation, Reply};
use crate::quota::{Charge, Ledger};
use crate::refusal::Refusal;
use crate::way::Way;

/// The nodes, and beside them the special names with their permissions.
#[derive(Clone, Debug)]
pub struct Store {
    nodes: Tree<NodeData>,
    specials: Tree<NodeData>,
}

type Outcome<T> = Result<T, Refusal>;

/// Bytes of memory that a copy of a node takes, with its part of its directory's.
const NODE_COPY: usize = 320;

impl Store {
    /// What every store has from the start, all of it `owner`'s: a root, `/tool/xenstored`,
    /// which says what serves the host, and the two special names. Every domain may watch
    /// for the death of others; for their arrival only `owner` may.
    pub fn new(owner: Domid, served_by: &str, clock: &mut Clock, ledger: &mut Ledger) -> Self {
        let private = Acl::owned_by(owner, Access::None);
        let anybody = Entry { permission: Permission::new(Access::Read, Domid::ANY), stale: false };
        let release = Acl::new(Permission::new(Access::None, owner), vec![anybody]);
        let node = |acl: &Acl, value| NodeData { acl: acl.clone(), value };
        let mut nodes = Tree::new(node(&private, Value::EMPTY), clock.tick());
        let mut specials = nodes.clone();
        let mut add = |tree: &mut Tree<NodeData>, above: &[&str], name, data| {
            // The places above are there and the name is free: nothing can fail.
            let _ = tree.insert(above.iter().copied(), name, data, clock.tick());
        };
        let served_by = Value::new(served_by.as_bytes());
        add(&mut nodes, &[], "tool", node(&private, Value::EMPTY));
        add(&mut nodes, &["tool"], "xenstored", node(&private, served_by));
        add(&mut specials, &[], Special::INTRODUCE_DOMAIN, node(&private, Value::EMPTY));
        add(&mut specials, &[], Special::RELEASE_DOMAIN, node(&release, Value::EMPTY));
        let store = Self { nodes, specials };
        *ledger = store.recount();
        store
    }

    /// All there is in it, for whoever takes it apart.
    pub fn into_parts(self) -> [Subtree<NodeData>; 2] {
        [self.nodes.into(), self.specials.into()]
    }

    /// Whether both are the same version of the store: two comparisons.
    pub fn same(&self, other: &Self) -> bool {
        self.nodes.same(&other.nodes) && self.specials.same(&other.specials)
    }

    /// The node or special name there, whoever asks.
    pub fn get(&self, name: &Name<'_>) -> Option<&Node<NodeData>> {
        self.tree(name).get(names(name))
    }

    /// The root of all nodes.
    pub fn root(&self) -> &Node<NodeData> {
        self.nodes.root()
    }

    /// Where a name leads.
    pub fn place<'s, 'n>(&'s self, name: &'n Name<'_>) -> Place<'s, 'n> {
        place(self.tree(name), names(name))
    }

    /// The nodes on the way to a name, the root first, as far as they exist.
    pub fn trace<'s, 'n>(
        &'s self,
        name: &'n Name<'_>,
    ) -> impl Iterator<Item = &'s Node<NodeData>> + use<'s, 'n> {
        self.tree(name).trace(names(name))
    }

    /// Whether what lies at `name` is the very same in both, that is, whether a
    /// request there has the same answer: the way down leads to a shared node.
    pub fn unchanged(&self, other: &Self, name: &Name<'_>) -> bool {
        self.shared(other, name).is_some()
    }

    /// How deep the first node lies on the way to `name` that both share with all below.
    pub fn shared(&self, other: &Self, name: &Name<'_>) -> Option<usize> {
        let ours = self.tree(name).trace(names(name));
        let theirs = other.tree(name).trace(names(name));
        ours.zip(theirs).position(|(ours, theirs)| xenstore_tree::same(ours, theirs))
    }

    /// The access lists that decide who may know of a change there: the node's and
    /// its parent's (XSA-115).
    pub fn acls(&self, name: &Name<'_>) -> impl Iterator<Item = Acl> {
        let wanted = names(name).count();
        // A name without a node still has the parent it would be created in.
        self.tree(name)
            .trace(names(name))
            .enumerate()
            .filter(move |&(depth, _)| depth + 1 >= wanted)
            .map(|(_, node)| node.value().acl.clone())
    }

    fn tree(&self, name: &Name<'_>) -> &Tree<NodeData> {
        match name {
            Name::Node(_) => &self.nodes,
            Name::Special(_) => &self.specials,
        }
    }

    fn tree_mut(&mut self, name: &Name<'_>) -> &mut Tree<NodeData> {
        match name {
            Name::Node(_) => &mut self.nodes,
            Name::Special(_) => &mut self.specials,
        }
    }

    /// Does one operation.
    pub fn execute(
        &mut self,
        operation: &Operation<'_>,
        cx: &mut Context<'_>,
    ) -> Outcome<(Reply, Effect)> {
        let read = |payload| Ok((Reply::Payload(payload), Effect::Nothing));
        match operation {
            Operation::Read(path) => {
                let node = self.lookup(names(path), &cx.caller, Right::Read)?;
                Ok((Reply::Value(node.value().value.clone()), Effect::Nothing))
            }
            Operation::Directory(path) => {
                let node = self.lookup(names(path), &cx.caller, Right::Read)?;
                read(child_list(node, PAYLOAD_MAX).ok_or(Errno::TooBig)?)
            }
            Operation::DirectoryPart(path, offset) => {
                let node = self.lookup(names(path), &cx.caller, Right::Read)?;
                read(cx.listing.part(path, node, *offset))
            }
            Operation::GetPerms(name) => {
                let node = find(self.tree(name), names(name), &cx.caller, Right::Read)?;
                let list = node.value().acl.encode();
                if list.len() > PAYLOAD_MAX {
                    return Err(Errno::TooBig.into());
                }
                read(list)
            }
            Operation::Write(path, value) => self.write(path, value, cx),
            Operation::Mkdir(path) => self.mkdir(path, cx),
            Operation::Rm(path) => self.rm(path, cx),
            Operation::SetPerms(name, grant) => self.set_perms(name, grant, cx),
        }
    }

    fn lookup(&self, path: Names<'_>, caller: &Caller, right: Right) -> Outcome<&Node<NodeData>> {
        find(&self.nodes, path, caller, right)
    }

    fn write(
        &mut self,
        path: &Path<'_>,
        value: &Value,
        cx: &mut Context<'_>,
    ) -> Outcome<(Reply, Effect)> {
        let generation = cx.clock.tick();
        let set = |data: &mut NodeData| data.value = value.clone();
        match self.nodes.update_if(
            names(path),
            generation,
            |node| charge_write(node, value, cx),
            set,
        ) {
            Some(written) => written.map(|()| (Reply::Done, Effect::Written)),
            None => self.create(path, value, cx),
        }
    }

    fn mkdir(&mut self, path: &Path<'_>, cx: &mut Context<'_>) -> Outcome<(Reply, Effect)> {
        match place(&self.nodes, names(path)) {
            Place::Found(node) => {
                permit(&node.value().acl, &cx.caller, Right::Write)?;
                Ok((Reply::Done, Effect::Nothing))
            }
            Place::Missing { .. } => self.create(path, &Value::EMPTY, cx),
        }
    }

    /// Creates a node that is missing, with all its missing ancestors. Everything is
    /// checked before anything is made: a refused creation leaves nothing (XSA-414,
    /// XSA-415).
    fn create(
        &mut self,
        path: &Path<'_>,
        value: &Value,
        cx: &mut Context<'_>,
    ) -> Outcome<(Reply, Effect)> {
        let Place::Missing { nearest, rest } = place(&self.nodes, names(path)) else {
            return Err(Errno::Exist.into());
        };
        permit(&nearest.value().acl, &cx.caller, Right::Write)?;
        let acl = nearest.value().acl.inherited_by(&cx.caller);
        let new: Vec<&[u8]> = rest.map(xenstore_tree::Name::as_bytes).collect();
        let Some((&first, _)) = new.split_first() else {
            return Err(Errno::Exist.into());
        };
        check_nodes(new.len(), cx)?;
        let list_length = nearest.value().acl.count();
        check_size(nearest, list_length, nearest.value().value.len(), first.len() + 1, cx)?;
        check_new_sizes(&new, acl.count(), value, cx)?;

        let above = path.as_bytes().len() - new.iter().map(|name| name.len() + 1).sum::<usize>();
        let mut length = above;
        let mut cost = Charge::default();
        for name in &new {
            length += name.len() + 1;
            cost += charge_of(&acl, &Value::EMPTY, length, name.len());
        }
        cost.bytes += signed(value.len());
        check_memory(acl.owner(), cost.bytes, cx)?;
        cx.ledger.note(acl.owner(), cost);
        let mut made = vec![NodeData { acl: acl.clone(), value: Value::EMPTY }; new.len()];
        if let Some(last) = made.last_mut() {
            last.value = value.clone();
        }
        let above = &nearest.value().acl;
        if acl.adds_to(above) {
            let depth = names(path).count() + 1 - new.len();
            let (place, acl, above) =
                (path.prefix(depth).into_owned(), acl.clone(), Some(above.clone()));
            cx.ledger.note_change(Change::Alike { place, acl, above, comes: true });
        }
        // Just found missing, and one value for each: this cannot fail.
        let _ = self.nodes.grow(names(path), made, cx.clock.tick());
        Ok((Reply::Done, Effect::Created))
    }

    fn rm(&mut self, path: &Path<'_>, cx: &mut Context<'_>) -> Outcome<(Reply, Effect)> {
        if path.is_root() {
            let errno = if cx.caller.privileged { Errno::Inval } else { Errno::Acces };
            return Err(errno.into());
        }
        match place(&self.nodes, names(path)) {
            Place::Found(node) => {
                permit(&node.value().acl, &cx.caller, Right::Write)?;
                let removed = self.remove(path, cx.ledger, cx.clock).ok_or(Errno::NoEnt)?;
                Ok((Reply::Done, Effect::Removed(removed)))
            }
            Place::Missing { nearest, rest } => {
                permit(&nearest.value().acl, &cx.caller, Right::Write)?;
                // libxl relies on this: removing what is not there is fine as long
                // as its parent is.
                match rest.count() {
                    1 => Ok((Reply::Done, Effect::Nothing)),
                    _ => Err(Errno::NoEnt.into()),
                }
            }
        }
    }

    /// Takes a subtree out, whoever asks, and credits its owners.
    pub fn remove(
        &mut self,
        path: &Path<'_>,
        ledger: &mut Ledger,
        clock: &mut Clock,
    ) -> Option<Subtree<NodeData>> {
        let removed = self.nodes.remove(names(path), clock.tick())?;
        let alike = charge_all(&removed, path, ledger, |charge| -charge);
        ledger.note_change(self.subtree_change(path, &removed, alike, false));
        Some(removed)
    }

    /// A subtree comes to a path, or goes; `alike` is whether it is known that none of its nodes
    /// concerns anybody whom its parent does not.
    fn subtree_change(
        &self,
        path: &Path<'_>,
        subtree: &Subtree<NodeData>,
        alike: bool,
        comes: bool,
    ) -> Change {
        let (place, above) = (path.clone().into_owned(), self.acl_above(path).cloned());
        if alike {
            return Change::Alike { place, acl: subtree.value().acl.clone(), above, comes };
        }
        Change::Subtree { place, subtree: subtree.clone(), above, comes }
    }

    /// The list of the node above a path.
    fn acl_above(&self, path: &Path<'_>) -> Option<&Acl> {
        let above = names(path).count().checked_sub(1)?;
        self.nodes.get(names(path).take(above)).map(|node| &node.value().acl)
    }

    fn set_perms(
        &mut self,
        name: &Name<'_>,
        grant: &Grant,
        cx: &mut Context<'_>,
    ) -> Outcome<(Reply, Effect)> {
        let acl = grant.acl(cx.domains)?;
        let node = find(self.tree(name), names(name), &cx.caller, Right::Own)?;
        let NodeData { acl: before, value } = node.value();
        let before = before.clone();
        // Giving a node away would be a way around the quota (XSA-352).
        if !cx.caller.privileged && acl.owner() != before.owner() {
            return Err(Errno::Perm.into());
        }
        check_size(node, acl.count(), value.len(), 0, cx)?;
        let cost = |acl: &Acl| entries_cost(acl.count(), name.as_bytes().len());
        check_memory(acl.owner(), cost(&acl) - cost(&before), cx)?;
        self.set_acl(name, acl, cx.ledger, cx.clock);
        Ok((Reply::Done, Effect::Permissions(before)))
    }

    /// Sets the permission list of a node there is, whoever asks, and charges who owns it
    /// then.
    pub fn set_acl(&mut self, name: &Name<'_>, acl: Acl, ledger: &mut Ledger, clock: &mut Clock) {
        if let Name::Node(path) = name
            && let Some(node) = self.nodes.subtree(names(path))
            // Most lists that are set concern the same domains as before.
            && (node.value().acl.adds_to(&acl) || acl.adds_to(&node.value().acl))
        {
            let (place, above) = (path.clone().into_owned(), self.acl_above(path).cloned());
            ledger.note_change(Change::Relisted { place, node, above, acl: acl.clone() });
        }
        let length = name.as_bytes().len();
        let own = names(name).last().map_or(0, |own| own.as_bytes().len());
        let mut book = |data: &NodeData, sign: fn(Charge) -> Charge| {
            let NodeData { acl, value } = data;
            ledger.note(acl.owner(), sign(charge_of(acl, value, length, own)));
        };
        self.tree_mut(name).update(names(name), clock.tick(), |data| {
            book(data, |charge| -charge);
            data.acl = acl;
            book(data, |charge| charge);
        });
    }

    /// Takes a dead domain out of the permission list at a place, and out of those below it as
    /// far down as they concern the domain without a gap. What it owned is `heir`'s; but if it
    /// is not to be kept, then nothing is done to nodes that it owned below the place, nor to
    /// what is below them. Returns the places of these.
    ///
    /// One pass, however deep: entries that name a domain may lie a thousand levels down.
    pub fn disinherit(
        &mut self,
        place: &Path<'_>,
        dead: Domid,
        heir: Domid,
        keep: bool,
        ledger: &mut Ledger,
        clock: &mut Clock,
    ) -> Vec<Path<'static>> {
        let Some(before) = self.nodes.subtree(names(place)) else {
            return Vec::new();
        };
        let mut left = Vec::new();
        let mut way = Way::from(place);
        let after = before.changed(clock.tick(), |depth, node| {
            let path = way.go(depth, node.name());
            let NodeData { acl, value } = node.value();
            if depth > 0 && !keep && acl.owner() == dead {
                left.extend(Path::absolute(path).map(Path::into_owned));
                return None;
            }
            let after = acl.after_death(dead, heir)?;
            let charge = |acl| charge_of(acl, value, path.len(), node.name().len());
            ledger.note(acl.owner(), -charge(acl));
            ledger.note(after.owner(), charge(&after));
            Some(NodeData { acl: after, value: value.clone() })
        });
        debug_assert!(after.is_some(), "nothing of domain {dead} at {place:?}");
        if let Some(after) = after {
            // It takes the place of what is there: that cannot fail.
            let _ = self.nodes.graft(names(place), after, clock.tick());
        }
        left
    }

    /// Sets the value of a node there is, whoever asks. All else that its owner is charged for
    /// stays as it is; to credit and charge it anew took a fifth of what grafting a WRITE takes.
    pub fn set_value(
        &mut self,
        name: &Name<'_>,
        value: &Value,
        ledger: &mut Ledger,
        clock: &mut Clock,
    ) {
        self.tree_mut(name).update(names(name), clock.tick(), |data| {
            let bytes = signed(value.len()) - signed(data.value.len());
            ledger.note(data.acl.owner(), Charge { nodes: 0, bytes });
            data.value = value.clone();
        });
    }

    /// Puts what `from` has at a path here, where there is nothing yet, as the last of its
    /// siblings, and charges its owners.
    pub fn put(&mut self, path: &Path<'_>, from: &Self, ledger: &mut Ledger, clock: &mut Clock) {
        let Some(subtree) = from.nodes.subtree(names(path)) else {
            return;
        };
        let alike = charge_all(&subtree, path, ledger, |charge| charge);
        ledger.note_change(self.subtree_change(path, &subtree, alike, true));
        let _ = self.nodes.graft(names(path), subtree.reborn(clock.tick()), clock.tick());
    }

    /// Bytes of the nodes that `newer` does not share: what is kept for this version alone.
    /// Costs what was changed between the two.
    pub fn unshared_bytes(&self, newer: &Self) -> u64 {
        let bytes = |node: &Node<NodeData>| {
            let NodeData { acl, value } = node.value();
            NODE_COPY + value.len() + node.name().len() + 8 * acl.count()
        };
        let nodes = xenstore_tree::unshared(self.nodes.root(), newer.nodes.root());
        nodes.map(|node| bytes(node) as u64).sum()
    }

    /// What every domain owns and where, counted anew: for checks.
    pub fn recount(&self) -> Ledger {
        let mut ledger = Ledger::default();
        if let Some(all) = self.nodes.subtree(ROOT) {
            ledger.note_change(self.subtree_change(&Path::root(), &all, false, true));
        }
        for (tree, prefix) in [(&self.nodes, "/"), (&self.specials, "")] {
            let mut walk = tree.root().top_down().under(prefix);
            while let Some((path, node)) = walk.step() {
                let NodeData { acl, value } = node.value();
                // What holds the special names together is no node.
                if !path.is_empty() {
                    ledger.note(acl.owner(), charge_of(acl, value, path.len(), node.name().len()));
                }
            }
        }
        ledger
    }

    /// All nodes as text: path, permissions and value of each.
    pub fn dump(&self) -> String {
        let mut text = String::new();
        for (tree, prefix) in [(&self.nodes, "/"), (&self.specials, "")] {
            let mut walk = tree.root().top_down().under(prefix);
            while let Some((path, node)) = walk.step() {
                if path.is_empty() {
                    continue;
                }
                let NodeData { acl, value } = node.value();
                let permissions = acl.encode().escape_ascii().to_string();
                let permissions = permissions.replace("\\x00", " ");
                let value = value.as_bytes().escape_ascii();
                let _ = writeln!(text, "{path} = \"{value}\" ({})", permissions.trim_end());
            }
        }
        text
    }

    /// The special names that have permissions, and those.
    pub fn specials(&self) -> impl Iterator<Item = (&[u8], &Acl)> {
        self.specials.root().children().map(|node| (node.name(), &node.value().acl))
    }
}

/// Where a path leads.
pub enum Place<'t, 'p> {
    /// To a node.
    Found(&'t Node<NodeData>),
    /// Beyond the last node on the way, by these names.
    Missing { nearest: &'t Node<NodeData>, rest: Names<'p> },
}

fn place<'t, 'p>(tree: &'t Tree<NodeData>, mut path: Names<'p>) -> Place<'t, 'p> {
    let mut nearest = tree.root();
    while let Some(name) = path.next() {
        match nearest.child(name) {
            Some(child) => nearest = child,
            None => return Place::Missing { nearest, rest: path.put_back(name) },
        }
    }
    Place::Found(nearest)
}

/// Whether a node may get this value. Its owner is charged for it.
fn charge_write(node: &Node<NodeData>, value: &Value, cx: &mut Context<'_>) -> Outcome<()> {
    let NodeData { acl, value: old } = node.value();
    permit(acl, &cx.caller, Right::Write)?;
    check_size(node, acl.count(), value.len(), 0, cx)?;
    // Not by `set_value`: here it is known what stays the same.
    let bytes = signed(value.len()) - signed(old.len());
    check_memory(acl.owner(), bytes, cx)?;
    cx.ledger.note(acl.owner(), Charge { nodes: 0, bytes });
    Ok(())
}

/// The node there, if the caller has the right. Who could not have read the nearest
/// ancestor of a missing node is not told that it is missing.
fn find<'t>(
    tree: &'t Tree<NodeData>,
    path: Names<'_>,
    caller: &Caller,
    right: Right,
) -> Outcome<&'t Node<NodeData>> {
    match place(tree, path) {
        Place::Found(node) => permit(&node.value().acl, caller, right).map(|()| node),
        Place::Missing { nearest, .. } => {
            // Who may write where it would be could just as well create it and see.
            let right = if right == Right::Own { Right::Write } else { right };
            permit(&nearest.value().acl, caller, right)?;
            Err(Errno::NoEnt.into())
        }
    }
}

fn permit(acl: &Acl, caller: &Caller, right: Right) -> Outcome<()> {
    if acl.allows(caller, right) { Ok(()) } else { Err(Errno::Acces.into()) }
}
