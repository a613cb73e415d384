//! The store: a sorted map from names to nodes.
//!
//! Whoever needs a state of it to stay clones all of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::acl::{ANY, Acl, Entry, Permission};
use crate::path::{ABOVE_SPECIALS, is_special, last_piece, levels_below, parent};

/// What is at a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its value.
    pub value: String,
    /// Its permissions.
    pub acl: Acl,
    /// When it was created, relative to its siblings.
    pub created: u64,
    /// When it, or anything below it, was last touched.
    pub touched: u64,
}

/// All nodes, and the special names beside them.
#[derive(Clone, Debug)]
pub struct Store {
    /// What is where.
    pub nodes: BTreeMap<String, Node>,
    /// Counts what is done to this store and was done to those it came from.
    clock: u64,
}

impl Store {
    /// What every store has from the start.
    pub fn new() -> Self {
        let mut store = Self { nodes: BTreeMap::new(), clock: 0 };
        for name in ["/", "/tool", "/tool/xenstored", "@introduceDomain", "@releaseDomain"] {
            store.insert(name, "", Acl::private(0));
        }
        // Every domain may watch for the death of others.
        let anybody = Entry { permission: Permission { letter: 'r', domid: ANY }, stale: false };
        store.set_acl("@releaseDomain", Acl { others: vec![anybody], ..Acl::private(0) });
        store
    }

    /// Counts what was done to this store.
    pub fn clock(&self) -> u64 {
        self.clock
    }

    /// What is at a name.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// Whether something is there.
    pub fn has(&self, name: &str) -> bool {
        self.nodes.contains_key(name)
    }

    /// Creates a node, whoever asks.
    pub fn insert(&mut self, name: &str, value: &str, acl: Acl) {
        let created = self.clock + 1;
        let node = Node { value: value.to_owned(), acl, created, touched: created };
        self.nodes.insert(name.to_owned(), node);
        self.touch(name);
    }

    /// Removes a node and all below it, whoever asks.
    pub fn remove(&mut self, top: &str) {
        self.nodes.retain(|name, _| levels_below(name, top).is_none());
        self.touch(top);
    }

    /// Sets a value, whoever asks.
    pub fn set_value(&mut self, name: &str, value: &str) {
        if let Some(node) = self.nodes.get_mut(name) {
            value.clone_into(&mut node.value);
        }
        self.touch(name);
    }

    /// Sets a permission list, whoever asks.
    pub fn set_acl(&mut self, name: &str, acl: Acl) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.acl = acl;
        }
        self.touch(name);
    }

    /// A place is touched, and so is all above it.
    fn touch(&mut self, name: &str) {
        self.clock += 1;
        let mut place = Some(name);
        while let Some(touched) = place {
            if let Some(node) = self.nodes.get_mut(touched) {
                node.touched = self.clock;
            }
            place = parent(touched);
        }
    }

    /// Whether nobody touched what is at a name between two states of the same store.
    pub fn unchanged(&self, later: &Self, name: &str) -> bool {
        let mut place = name;
        while !(self.has(place) && later.has(place)) {
            match parent(place) {
                Some(above) => place = above,
                None => break,
            }
        }
        self.touched(place) == later.touched(place)
    }

    /// When a place, or anything below it, was last touched.
    fn touched(&self, place: &str) -> Option<u64> {
        if place == ABOVE_SPECIALS {
            return self.specials().iter().filter_map(|name| self.touched(name)).max();
        }
        self.get(place).map(|node| node.touched)
    }

    /// The deepest place there is on the way to `name`, itself included.
    pub fn nearest<'n>(&self, name: &'n str) -> &'n str {
        let mut nearest = name;
        while !self.has(nearest) {
            match parent(nearest) {
                Some(above) => nearest = above,
                None => break,
            }
        }
        nearest
    }

    /// The children of a node in creation order.
    pub fn children(&self, of: &str) -> Vec<&str> {
        let mut children: Vec<_> =
            self.nodes.iter().filter(|(name, _)| parent(name) == Some(of)).collect();
        children.sort_by_key(|(_, node)| node.created);
        children.into_iter().map(|(name, _)| name.as_str()).collect()
    }

    /// A node's children as clients list them: each name with a NUL.
    pub fn list(&self, of: &str) -> String {
        let names = self.children(of).into_iter().map(last_piece);
        names.flat_map(|name| [name, "\0"]).collect()
    }

    /// A node and all below it, each before what is below it.
    pub fn top_down(&self, top: &str) -> Vec<String> {
        let below = self.children(top).into_iter().flat_map(|child| self.top_down(child));
        [top.to_owned()].into_iter().chain(below).collect()
    }

    /// All that is below a node, each after what is below it.
    pub fn below(&self, top: &str) -> Vec<String> {
        let mut found = Vec::new();
        for child in self.children(top) {
            found.extend(self.below(child));
            found.push(child.to_owned());
        }
        found
    }

    /// The lists that decide who may know of a change at a name: its own and that of the
    /// place above it.
    pub fn acls_around(&self, name: &str) -> Vec<Acl> {
        let own = self.acl(name);
        own.into_iter().chain(parent(name).and_then(|parent| self.acl(parent))).collect()
    }

    /// The permissions of a place. What lies above the special names is no node, and the
    /// control domain's.
    pub fn acl(&self, place: &str) -> Option<Acl> {
        let above_specials = || (place == ABOVE_SPECIALS).then(|| Acl::private(0));
        self.get(place).map(|node| node.acl.clone()).or_else(above_specials)
    }

    /// The special names there are.
    pub fn specials(&self) -> Vec<String> {
        self.nodes.keys().filter(|name| is_special(name)).cloned().collect()
    }

    /// What a node counts against `node-size`.
    pub fn size(&self, name: &str) -> usize {
        self.get(name)
            .map_or(0, |node| 16 + 8 * node.acl.count() + node.value.len() + self.list(name).len())
    }

    /// How many nodes a domain owns.
    pub fn count_of(&self, domid: u16) -> usize {
        self.owned_by(domid).count()
    }

    fn owned_by(&self, domid: u16) -> impl Iterator<Item = (&String, &Node)> {
        self.nodes.iter().filter(move |(_, node)| node.acl.owner.domid == domid)
    }

    /// Everything as sorted lines, in the words of the engine's own dump.
    pub fn dump(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, node) in &self.nodes {
            let mut line = String::new();
            let value = node.value.escape_default();
            // Writing into a string cannot fail.
            let _ = write!(line, "{name} = \"{value}\" ({})", node.acl.texts().join(" "));
            lines.push(line);
        }
        lines.sort();
        lines
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}
