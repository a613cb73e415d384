//! Who may do what with a node.
//!
//! One decision for every request, event and node, the root included (XSA-353).

use triomphe::Arc;
use xenstore_wire::{Access, Domid, Features, Permission};

/// Who asks: what the decisions need to know of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The domain.
    pub domid: Domid,
    /// Whether it may do everything: the control domain and every socket.
    pub privileged: bool,
    /// A domain whose rights it has beside its own (`SET_TARGET`).
    pub target: Option<Domid>,
    /// What its side of the protocol can do.
    pub features: Features,
}

impl Caller {
    fn is(&self, domid: Domid) -> bool {
        domid == self.domid || Some(domid) == self.target
    }
}

/// What a request needs to be allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Right {
    /// See value, children or permissions.
    Read,
    /// Change the value, create or remove.
    Write,
    /// Change the permissions.
    Own,
}

/// The permission list of a node. O(1) to clone, shared by all nodes that
/// inherited it.
///
/// An entry is *stale* if the domain it names did not exist when it was set. It is
/// shown to whoever asks but grants nothing, ever: a domain that is created later
/// with that number is somebody else (XSA-322, XSA-417). Entries of domains that
/// die are removed, so a live entry always means the domain that runs now.
#[derive(Clone, Debug)]
pub struct Acl(Arc<List>);

impl PartialEq for Acl {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct List {
    owner: Permission,
    others: Vec<Entry>,
}

/// What one domain that is not the owner may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Who, and what.
    pub permission: Permission,
    /// It names a domain that is not there: it grants nothing.
    pub stale: bool,
}

impl Acl {
    /// A list.
    pub fn new(owner: Permission, others: Vec<Entry>) -> Self {
        Self(Arc::new(List { owner, others }))
    }

    /// The list with an owner and nobody else.
    pub fn owned_by(owner: Domid, others: Access) -> Self {
        Self::new(Permission::new(others, owner), Vec::new())
    }

    /// The owner: who is charged for the node.
    pub fn owner(&self) -> Domid {
        self.0.owner.domid
    }

    /// Number of entries, the owner's included.
    pub fn count(&self) -> usize {
        1 + self.0.others.len()
    }

    /// The list of a node that `creator` makes below a node with this list: a copy,
    /// owned by the creator unless it is privileged. The letter stays.
    pub fn inherited_by(&self, creator: &Caller) -> Self {
        if creator.privileged {
            return self.clone();
        }
        self.with_owner(creator.domid)
    }

    /// The same list with another owner.
    pub fn with_owner(&self, owner: Domid) -> Self {
        if self.owner() == owner {
            return self.clone();
        }
        let owner = Permission::new(self.0.owner.access, owner);
        Self::new(owner, self.0.others.clone())
    }

    /// The list without the entries of a domain that died; `None` if it has none. The owner
    /// is not an entry in this sense, and a stale entry never was the domain's.
    pub fn without(&self, dead: Domid) -> Option<Self> {
        let is_its = |entry: &Entry| !entry.stale && entry.permission.domid == dead;
        if !self.0.others.iter().any(is_its) {
            return None;
        }
        let mut list = List::clone(&self.0);
        list.others.retain(|entry| !is_its(entry));
        Some(Self(Arc::new(list)))
    }

    /// What is left of the list when a domain dies: its entries go, and what it owned is
    /// `heir`'s. `None` if it does not concern the domain.
    pub fn after_death(&self, dead: Domid, heir: Domid) -> Option<Self> {
        let left = self.without(dead);
        if self.owner() != dead {
            return left;
        }
        Some(left.as_ref().unwrap_or(self).with_owner(heir))
    }

    /// The domains that own the node or have a live entry.
    pub fn concerned(&self) -> impl Iterator<Item = Domid> {
        let live = self.0.others.iter().filter(|entry| !entry.stale);
        let named = live.map(|entry| entry.permission.domid).filter(|&domid| domid.is_real());
        std::iter::once(self.owner()).chain(named)
    }

    /// Whether a domain owns the node or has a live entry.
    pub fn concerns(&self, domid: Domid) -> bool {
        self.concerned().any(|concerned| concerned == domid)
    }

    /// Whether it concerns somebody whom `above` does not.
    pub fn adds_to(&self, above: &Self) -> bool {
        self.concerned().any(|domid| !above.concerns(domid))
    }

    /// Whether both are the very same list in memory.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether `caller` has `right`.
    ///
    /// An owner has every right. Otherwise the first live entry that names the
    /// caller or its target decides, and without one the letter of the owner's
    /// entry. That is the order of the C daemon; it never grants more than it.
    pub fn allows(&self, caller: &Caller, right: Right) -> bool {
        let owner = self.0.owner;
        if caller.privileged || caller.is(owner.domid) || owner.domid == Domid::ANY {
            return true;
        }
        let names_caller = |entry: &&Entry| {
            let domid = entry.permission.domid;
            !entry.stale && (caller.is(domid) || domid == Domid::ANY)
        };
        let decisive = self.0.others.iter().find(names_caller);
        let access = decisive.map_or(owner.access, |entry| entry.permission.access);
        match right {
            Right::Read => access.can_read(),
            Right::Write => access.can_write(),
            Right::Own => false,
        }
    }

    /// The payload of a `GET_PERMS` reply.
    pub fn encode(&self) -> Vec<u8> {
        let others = self.0.others.iter().map(|entry| entry.permission);
        std::iter::once(self.0.owner)
            .chain(others)
            .flat_map(|permission| format!("{permission}\0").into_bytes())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str, stale: bool) -> Acl {
        let mut entries = text.split(' ').map(|text| Permission::parse(text.as_bytes()).unwrap());
        let owner = entries.next().unwrap();
        Acl::new(owner, entries.map(|permission| Entry { permission, stale }).collect())
    }

    fn acl(text: &str) -> Acl {
        list(text, false)
    }

    fn guest(domid: u16) -> Caller {
        Caller {
            domid: Domid::new(domid),
            privileged: false,
            target: None,
            features: Features::NONE,
        }
    }

    #[test]
    fn the_owner_may_everything_whatever_its_letter() {
        for right in [Right::Read, Right::Write, Right::Own] {
            assert!(acl("n5 n5").allows(&guest(5), right));
            assert!(!acl("n5").allows(&guest(6), right));
        }
        assert!(!acl("b5").allows(&guest(6), Right::Own));
    }

    #[test]
    fn the_first_entry_that_names_the_caller_decides() {
        assert!(acl("n0 r5 b5").allows(&guest(5), Right::Read));
        assert!(!acl("n0 r5 b5").allows(&guest(5), Right::Write));
        assert!(!acl("b0 n5").allows(&guest(5), Right::Read));
        assert!(acl("b0 n5").allows(&guest(6), Right::Write));
        assert!(acl("n0 r32757").allows(&guest(6), Right::Read));
    }

    #[test]
    fn a_target_lends_its_rights() {
        let stubdom = Caller { target: Some(Domid::new(5)), ..guest(6) };
        assert!(acl("n5").allows(&stubdom, Right::Own));
        assert!(acl("n0 w5").allows(&stubdom, Right::Write));
    }

    /// XSA-417: an entry for a domain that does not exist yet must not come alive.
    #[test]
    fn a_stale_entry_is_shown_but_grants_nothing() {
        let acl = list("n0 b5", true);
        assert!(!acl.allows(&guest(5), Right::Read));
        assert_eq!(acl.encode(), b"n0\0b5\0");
    }

    #[test]
    fn what_a_guest_creates_is_its_own() {
        assert_eq!(acl("r0 b5").inherited_by(&guest(5)).encode(), b"r5\0b5\0");
        let dom0 = Caller { privileged: true, ..guest(0) };
        assert_eq!(acl("r7 b5").inherited_by(&dom0).encode(), b"r7\0b5\0");
    }

    #[test]
    fn entries_of_the_dead_go() {
        assert_eq!(acl("n0 r5 b6 w5").without(Domid::new(5)).unwrap().encode(), b"n0\0b6\0");
        assert!(acl("n0 r5").without(Domid::DOM0).is_none());
    }
}
