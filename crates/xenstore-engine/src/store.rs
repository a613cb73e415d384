//! The store: nodes with values and permissions, and what may be done with them.
//!
//! The same operations act on the committed store and on a transaction's private
//! copy of it; a copy is two pointers.

use std::fmt::Write;

use xenstore_tree::{Node, Subtree, Tree};
use xenstore_wire::path::Components;
use xenstore_wire::{Access, Domid, Errno, Name, PAYLOAD_MAX, Path, Permission, Permissions};
use xenstore_wire::{Special, text};

use crate::acl::{Acl, Caller, Right};
use crate::domains::Domains;
use crate::quota::{Charge, Ledger, Quota};
use crate::value::Value;
use xenstore_host::Hypervisor;

/// What every node holds.
#[derive(Clone, Debug)]
pub struct NodeData {
    pub acl: Acl,
    pub value: Value,
}

/// A request that reads or changes the store: what a transaction consists of.
#[derive(Clone, Debug)]
pub enum Operation {
    Read(Path),
    Directory(Path),
    DirectoryPart(Path, usize),
    GetPerms(Name),
    Write(Path, Value),
    Mkdir(Path),
    Rm(Path),
    SetPerms(Name, Permissions),
}

impl Operation {
    /// Whether it cannot change anything.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Self::Read(_) | Self::Directory(_) | Self::DirectoryPart(..) | Self::GetPerms(_)
        )
    }

    /// What it acts on.
    pub fn name(&self) -> Name {
        match self {
            Self::Read(path)
            | Self::Directory(path)
            | Self::DirectoryPart(path, _)
            | Self::Write(path, _)
            | Self::Mkdir(path)
            | Self::Rm(path) => Name::Node(path.clone()),
            Self::GetPerms(name) | Self::SetPerms(name, _) => name.clone(),
        }
    }
}

/// The answer to a request that was granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// `OK`: it was done.
    Done,
    /// A value, shared with the node it was read from.
    Value(Value),
    /// Any other payload.
    Payload(Vec<u8>),
}

/// A domain asked for more than it may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overrun {
    pub domid: Domid,
    pub quota: Quota,
    /// What it would have had.
    pub wanted: u64,
    pub limit: u32,
}

/// Why an operation was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// For this reason.
    Errno(Errno),
    /// Because of a quota.
    Quota(Overrun),
}

impl Refusal {
    /// What the client is told.
    pub fn errno(self) -> Errno {
        match self {
            Self::Errno(errno) => errno,
            Self::Quota(_) => Errno::NoSpc,
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// What an operation did, as far as watches care.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// A value was set or a node created.
    Written,
    /// This subtree is gone.
    Removed(Subtree<NodeData>),
    /// The permissions are others; before, they were these.
    Permissions(Acl),
}

/// What an operation needs to know beside the store.
pub struct Context<'a> {
    pub caller: Caller,
    pub domains: &'a mut Domains,
    pub hypervisor: &'a mut dyn Hypervisor,
    /// Charges not yet booked: this request's, or its transaction's so far.
    pub ledger: &'a mut Ledger,
    pub clock: &'a mut Clock,
    pub listing: &'a mut Listing,
}

/// Hands out generations: numbers that are never used twice.
#[derive(Debug, Default)]
pub struct Clock(u64);

impl Clock {
    pub fn tick(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// The child list last asked for in parts. Creation order costs a sort; a client
/// that fetches a long list part by part pays for it once.
#[derive(Debug, Default)]
pub struct Listing {
    of: Option<(Path, u64)>,
    names: Vec<u8>,
}

/// The nodes, and beside them the special names with their permissions.
#[derive(Clone, Debug)]
pub struct Store {
    nodes: Tree<NodeData>,
    specials: Tree<NodeData>,
}

type Outcome<T> = Result<T, Refusal>;

impl Store {
    /// What every store has from the start, all of it `owner`'s: a root, `/tool/xenstored`,
    /// which says what serves the host, and the two special names. Every domain may watch
    /// for the death of others; for their arrival only `owner` may.
    pub fn new(owner: Domid, served_by: &str, clock: &mut Clock, ledger: &mut Ledger) -> Self {
        let private = Acl::owned_by(owner, Access::None);
        let anybody = Permissions {
            owner: Permission::new(Access::None, owner),
            others: vec![Permission::new(Access::Read, Domid::ANY)],
        };
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
        let release = Acl::new(&anybody, |_| true);
        add(&mut specials, &[], Special::RELEASE_DOMAIN, node(&release, Value::EMPTY));
        let store = Self { nodes, specials };
        *ledger = store.recount();
        store
    }

    /// Whether both are the same version of the store: two comparisons.
    pub fn same(&self, other: &Self) -> bool {
        self.nodes.same(&other.nodes) && self.specials.same(&other.specials)
    }

    /// The node or special name there, whoever asks.
    pub fn get(&self, name: &Name) -> Option<&Node<NodeData>> {
        self.tree(name).get(name.components())
    }

    /// The root of all nodes.
    pub fn root(&self) -> &Node<NodeData> {
        self.nodes.root()
    }

    /// Whether what lies at `name` is the very same in both, that is, whether a
    /// request there has the same answer: the way down leads to a shared node.
    pub fn unchanged(&self, other: &Self, name: &Name) -> bool {
        let ours = self.tree(name).trace(name.components());
        let theirs = other.tree(name).trace(name.components());
        ours.zip(theirs).any(|(ours, theirs)| xenstore_tree::same(ours, theirs))
    }

    /// The access lists that decide who may know of a change there: the node's and
    /// its parent's (XSA-115).
    pub fn acls(&self, name: &Name) -> impl Iterator<Item = Acl> {
        let wanted = name.components().count();
        // A name without a node still has the parent it would be created in.
        self.tree(name)
            .trace(name.components())
            .enumerate()
            .filter(move |&(depth, _)| depth + 1 >= wanted)
            .map(|(_, node)| node.value().acl.clone())
    }

    fn tree(&self, name: &Name) -> &Tree<NodeData> {
        match name {
            Name::Node(_) => &self.nodes,
            Name::Special(_) => &self.specials,
        }
    }

    /// Does one operation.
    pub fn execute(
        &mut self,
        operation: &Operation,
        cx: &mut Context<'_>,
    ) -> Outcome<(Reply, Effect)> {
        let read = |payload| Ok((Reply::Payload(payload), Effect::Nothing));
        match operation {
            Operation::Read(path) => {
                let node = self.lookup(path.components(), &cx.caller, Right::Read)?;
                Ok((Reply::Value(node.value().value.clone()), Effect::Nothing))
            }
            Operation::Directory(path) => {
                let node = self.lookup(path.components(), &cx.caller, Right::Read)?;
                read(child_list(node, PAYLOAD_MAX).ok_or(Errno::TooBig)?)
            }
            Operation::DirectoryPart(path, offset) => {
                let node = self.lookup(path.components(), &cx.caller, Right::Read)?;
                read(cx.listing.part(path, node, *offset))
            }
            Operation::GetPerms(name) => {
                let node = find(self.tree(name), name.components(), &cx.caller, Right::Read)?;
                let list = node.value().acl.encode();
                if list.len() > PAYLOAD_MAX {
                    return Err(Errno::TooBig.into());
                }
                read(list)
            }
            Operation::Write(path, value) => self.write(path, value, cx),
            Operation::Mkdir(path) => self.mkdir(path, cx),
            Operation::Rm(path) => self.rm(path, cx),
            Operation::SetPerms(name, permissions) => self.set_perms(name, permissions, cx),
        }
    }

    fn lookup(
        &self,
        path: Components<'_>,
        caller: &Caller,
        right: Right,
    ) -> Outcome<&Node<NodeData>> {
        find(&self.nodes, path, caller, right)
    }

    fn write(
        &mut self,
        path: &Path,
        value: &Value,
        cx: &mut Context<'_>,
    ) -> Outcome<(Reply, Effect)> {
        match place(&self.nodes, path.components()) {
            Place::Found(node) => {
                let NodeData { acl, value: old } = node.value();
                permit(acl, &cx.caller, Right::Write)?;
                check_size(node, acl.count(), value.len(), 0, cx)?;
                let bytes = signed(value.len()) - signed(old.len());
                cx.ledger.note(acl.owner(), Charge { nodes: 0, bytes });
                let generation = cx.clock.tick();
                self.nodes.update(path.components(), generation, |data| data.value = value.clone());
            }
            Place::Missing { .. } => self.create(path, value, cx)?,
        }
        Ok((Reply::Done, Effect::Written))
    }

    fn mkdir(&mut self, path: &Path, cx: &mut Context<'_>) -> Outcome<(Reply, Effect)> {
        if let Place::Found(node) = place(&self.nodes, path.components()) {
            permit(&node.value().acl, &cx.caller, Right::Write)?;
            return Ok((Reply::Done, Effect::Nothing));
        }
        self.create(path, &Value::EMPTY, cx)?;
        Ok((Reply::Done, Effect::Written))
    }

    /// Creates a node that is missing, with all its missing ancestors. Everything is
    /// checked before anything is made: a refused creation leaves nothing (XSA-414,
    /// XSA-415).
    fn create(&mut self, path: &Path, value: &Value, cx: &mut Context<'_>) -> Outcome<()> {
        let Place::Missing { nearest, rest } = place(&self.nodes, path.components()) else {
            return Err(Errno::Exist.into());
        };
        permit(&nearest.value().acl, &cx.caller, Right::Write)?;
        let acl = nearest.value().acl.inherited_by(&cx.caller);
        let names: Vec<&str> = rest.collect();
        let Some((&first, _)) = names.split_first() else {
            return Err(Errno::Exist.into());
        };
        check_nodes(names.len(), cx)?;
        let list_length = nearest.value().acl.count();
        check_size(nearest, list_length, nearest.value().value.len(), first.len() + 1, cx)?;
        check_new_sizes(&names, acl.count(), value, cx)?;

        let above = path.as_str().len() - names.iter().map(|name| name.len() + 1).sum::<usize>();
        let mut length = above;
        let mut made = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            length += name.len() + 1;
            let value = if index + 1 == names.len() { value.clone() } else { Value::EMPTY };
            cx.ledger.note(acl.owner(), charge_of(&acl, &value, length, name));
            made.push(NodeData { acl: acl.clone(), value });
        }
        // Just found missing, and one value for each: this cannot fail.
        let _ = self.nodes.grow(path.components(), made, cx.clock.tick());
        Ok(())
    }

    fn rm(&mut self, path: &Path, cx: &mut Context<'_>) -> Outcome<(Reply, Effect)> {
        if path.is_root() {
            let errno = if cx.caller.privileged { Errno::Inval } else { Errno::Acces };
            return Err(errno.into());
        }
        match place(&self.nodes, path.components()) {
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
        path: &Path,
        ledger: &mut Ledger,
        clock: &mut Clock,
    ) -> Option<Subtree<NodeData>> {
        let removed = self.nodes.remove(path.components(), clock.tick())?;
        credit(&removed, path, ledger);
        Some(removed)
    }

    fn set_perms(
        &mut self,
        name: &Name,
        permissions: &Permissions,
        cx: &mut Context<'_>,
    ) -> Outcome<(Reply, Effect)> {
        let acl = live_acl(permissions, cx)?;
        let node = find(self.tree(name), name.components(), &cx.caller, Right::Own)?;
        let NodeData { acl: before, value } = node.value();
        let before = before.clone();
        // Giving a node away would be a way around the quota (XSA-352).
        if !cx.caller.privileged && acl.owner() != before.owner() {
            return Err(Errno::Perm.into());
        }
        let (length, own) = (name.as_str().len(), node.name());
        cx.ledger.note(before.owner(), -charge_of(&before, value, length, own));
        cx.ledger.note(acl.owner(), charge_of(&acl, value, length, own));
        self.set_acl(name, acl, cx.clock);
        Ok((Reply::Done, Effect::Permissions(before)))
    }

    /// Sets a permission list, whoever asks and whatever it costs.
    pub fn set_acl(&mut self, name: &Name, acl: Acl, clock: &mut Clock) {
        let tree = match name {
            Name::Node(_) => &mut self.nodes,
            Name::Special(_) => &mut self.specials,
        };
        tree.update(name.components(), clock.tick(), |data| data.acl = acl);
    }

    /// Shortens a permission list because a domain in it died.
    pub fn revoke(&mut self, name: &Name, acl: Acl, ledger: &mut Ledger, clock: &mut Clock) {
        let (Some(before), owner) = (self.charge(name), acl.owner()) else {
            return;
        };
        self.set_acl(name, acl, clock);
        if let Some(after) = self.charge(name) {
            ledger.note(owner, -before);
            ledger.note(owner, after);
        }
    }

    /// What the node there costs its owner.
    pub fn charge(&self, name: &Name) -> Option<Charge> {
        let node = self.get(name)?;
        let NodeData { acl, value } = node.value();
        Some(charge_of(acl, value, name.as_str().len(), node.name()))
    }

    /// What every domain owns, counted anew: for checks.
    pub fn recount(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for (tree, prefix) in [(&self.nodes, "/"), (&self.specials, "")] {
            let mut walk = tree.root().top_down().under(prefix);
            while let Some((path, node)) = walk.step() {
                let NodeData { acl, value } = node.value();
                // What holds the special names together is no node.
                if !path.is_empty() {
                    ledger.note(acl.owner(), charge_of(acl, value, path.len(), node.name()));
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
    pub fn specials(&self) -> impl Iterator<Item = (&str, &Acl)> {
        self.specials.root().children().map(|node| (node.name(), &node.value().acl))
    }
}

/// Who is asked about a permission list before it is set: how long it may be, and
/// which of the domains it names exist. A dead owner is refused, other unknown
/// domains get entries that grant nothing.
pub fn live_acl(permissions: &Permissions, cx: &mut Context<'_>) -> Outcome<Acl> {
    let count = u64::try_from(permissions.count()).unwrap_or(u64::MAX);
    cx.domains.check(&cx.caller, Quota::NodePermissions, count)?;
    let features = cx.caller.features;
    let mut is_live = |domid| match domid {
        // Only who knows of "every domain" can mean it.
        Domid::ANY => features.contains(xenstore_wire::Features::DOMID_ANY),
        _ => cx.domains.knows(domid, cx.hypervisor),
    };
    if !is_live(permissions.owner.domid) {
        return Err(Errno::NoEnt.into());
    }
    Ok(Acl::new(permissions, is_live))
}

/// Where a path leads.
enum Place<'t, 'p> {
    /// To a node.
    Found(&'t Node<NodeData>),
    /// Beyond the last node on the way, by these names.
    Missing { nearest: &'t Node<NodeData>, rest: Components<'p> },
}

fn place<'t, 'p>(tree: &'t Tree<NodeData>, mut path: Components<'p>) -> Place<'t, 'p> {
    let mut nearest = tree.root();
    loop {
        let rest = path.clone();
        let Some(name) = path.next() else {
            return Place::Found(nearest);
        };
        match nearest.child(name) {
            Some(child) => nearest = child,
            None => return Place::Missing { nearest, rest },
        }
    }
}

/// The node there, if the caller has the right. Who could not have read the nearest
/// ancestor of a missing node is not told that it is missing.
fn find<'t>(
    tree: &'t Tree<NodeData>,
    path: Components<'_>,
    caller: &Caller,
    right: Right,
) -> Outcome<&'t Node<NodeData>> {
    match place(tree, path) {
        Place::Found(node) => permit(&node.value().acl, caller, right).map(|()| node),
        Place::Missing { nearest, .. } => {
            permit(&nearest.value().acl, caller, right)?;
            Err(Errno::NoEnt.into())
        }
    }
}

fn permit(acl: &Acl, caller: &Caller, right: Right) -> Outcome<()> {
    if acl.allows(caller, right) { Ok(()) } else { Err(Errno::Acces.into()) }
}

/// The names of a node's children, each with a NUL, in creation order; `None` if
/// they are longer than `limit`, found out without looking at more than fit.
fn child_list(node: &Node<NodeData>, limit: usize) -> Option<Vec<u8>> {
    let mut length = 0;
    for child in node.children() {
        length += child.name().len() + 1;
        if length > limit {
            return None;
        }
    }
    let mut list = Vec::with_capacity(length);
    for child in node.children_in_creation_order() {
        list.extend_from_slice(child.name().as_bytes());
        list.push(0);
    }
    Some(list)
}

impl Listing {
    /// The payload of a `DIRECTORY_PART` reply: the node's generation and a NUL, then
    /// names from `offset` on as they fit; after the last one comes an empty name.
    fn part(&mut self, path: &Path, node: &Node<NodeData>, offset: usize) -> Vec<u8> {
        let generation = node.generation();
        if !self.of.as_ref().is_some_and(|(of, at)| of == path && *at == generation) {
            self.names = child_list(node, usize::MAX).unwrap_or_default();
            self.of = Some((path.clone(), generation));
        }
        let mut part = format!("{generation}\0").into_bytes();
        let rest = self.names.get(offset..).unwrap_or_default();
        let room = PAYLOAD_MAX - part.len() - 1;
        let mut taken = 0;
        for name in text::strings(rest) {
            if taken + name.len() >= room {
                break;
            }
            taken += name.len() + 1;
        }
        part.extend_from_slice(rest.get(..taken).unwrap_or_default());
        if taken == rest.len() {
            part.push(0);
            *self = Self::default();
        }
        part
    }
}

/// Whether the caller may own so many nodes more. The transaction's own removals and
/// creations count (XSA-421).
fn check_nodes(more: usize, cx: &Context<'_>) -> Outcome<()> {
    let owned = cx.domains.usage(cx.caller.domid, Quota::Nodes);
    let pending = cx.ledger.of(cx.caller.domid).nodes.saturating_add(signed(more));
    cx.domains.check(&cx.caller, Quota::Nodes, owned.saturating_add_signed(pending))
}

/// Whether a node of the caller's may become so large.
fn check_size(
    node: &Node<NodeData>,
    entries: usize,
    value: usize,
    more: usize,
    cx: &Context<'_>,
) -> Outcome<()> {
    if cx.caller.privileged {
        return Ok(());
    }
    let limit = cx.domains.limit(cx.caller.domid, Quota::NodeSize) as usize;
    let mut size = NODE_HEADER + ENTRY * entries + value + more;
    for child in node.children() {
        // Every child counts at least two bytes: this looks at no more than the limit.
        if limit == 0 || size > limit {
            break;
        }
        size += child.name().len() + 1;
    }
    cx.domains.check(&cx.caller, Quota::NodeSize, size as u64)
}

/// The same for nodes about to be created, each but the last the parent of the next.
fn check_new_sizes(names: &[&str], entries: usize, value: &Value, cx: &Context<'_>) -> Outcome<()> {
    let children = names.iter().skip(1).map(|name| name.len() + 1);
    let largest = children.chain([value.len()]).max().unwrap_or(0);
    let size = NODE_HEADER + ENTRY * entries + largest;
    cx.domains.check(&cx.caller, Quota::NodeSize, size as u64)
}

/// Bytes a node counts beside what it holds, as toolstacks know from the C daemon.
const NODE_HEADER: usize = 16;
/// Bytes an entry of its permission list counts.
const ENTRY: usize = 8;

/// What a node costs its owner: itself, its path, and its name in its parent's list.
fn charge_of(acl: &Acl, value: &Value, path_length: usize, name: &str) -> Charge {
    let bytes = NODE_HEADER + ENTRY * acl.count() + value.len() + path_length + name.len() + 1;
    Charge { nodes: 1, bytes: signed(bytes) }
}

/// Gives the owners of a removed subtree back what its nodes cost them.
fn credit(removed: &Subtree<NodeData>, path: &Path, ledger: &mut Ledger) {
    let mut refund = |node: &Node<NodeData>, length: usize| {
        let NodeData { acl, value } = node.value();
        ledger.note(acl.owner(), -charge_of(acl, value, length, node.name()));
    };
    let mut lengths = vec![path.as_str().len()];
    refund(removed, path.as_str().len());
    for (depth, node) in removed.descendants() {
        lengths.truncate(depth);
        let length = lengths.last().copied().unwrap_or(0) + 1 + node.name().len();
        lengths.push(length);
        refund(node, length);
    }
}

/// Sizes are bounded by messages of 4096 bytes and by memory: they fit.
fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
