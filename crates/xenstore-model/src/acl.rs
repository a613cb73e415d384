//! Who may do what with a node.

use std::fmt;

/// "Every domain", in permission lists.
pub const ANY: u16 = 32757;
/// All features a connection can have.
pub const ALL_FEATURES: u32 = 15;
/// The feature without which `WATCH` takes no depth.
pub const WATCH_DEPTH: u32 = 4;
/// The feature without which [`ANY`] means nobody.
pub const DOMID_ANY: u32 = 8;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The domain.
    pub domid: u16,
    /// Whether it may do everything.
    pub privileged: bool,
    /// A domain whose rights it has beside its own.
    pub target: Option<u16>,
    /// What its connection can do.
    pub features: u32,
}

impl Caller {
    fn is(&self, domid: u16) -> bool {
        domid == self.domid || Some(domid) == self.target || domid == ANY
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

/// A letter (`n`, `r`, `w`, `b`) and whom it is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// The letter.
    pub letter: char,
    /// The domain.
    pub domid: u16,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.letter, self.domid)
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What one domain that is not the owner may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Who, and what.
    pub permission: Permission,
    /// It named nobody when it was set: it grants nothing, for ever.
    pub stale: bool,
}

/// The permission list of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acl {
    /// The owner, and what everybody not listed may do.
    pub owner: Permission,
    /// What others may do.
    pub others: Vec<Entry>,
}

impl Acl {
    /// The list with an owner and nobody else.
    pub fn private(owner: u16) -> Self {
        Self { owner: Permission { letter: 'n', domid: owner }, others: Vec::new() }
    }

    /// Number of entries, the owner's included.
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// Whether `caller` has `right`: the owner has every right; else the first live entry
    /// that names the caller decides, and without one the owner's letter.
    pub fn allows(&self, caller: &Caller, right: Right) -> bool {
        if caller.privileged || caller.is(self.owner.domid) {
            return true;
        }
        let names_caller = |entry: &&Entry| !entry.stale && caller.is(entry.permission.domid);
        let decisive = self.others.iter().find(names_caller);
        let letter = decisive.map_or(self.owner, |entry| entry.permission).letter;
        match right {
            Right::Read => "rb".contains(letter),
            Right::Write => "wb".contains(letter),
            Right::Own => false,
        }
    }

    /// All entries as texts, the owner's first.
    pub fn texts(&self) -> Vec<String> {
        let others = self.others.iter().map(|entry| entry.permission);
        [self.owner].into_iter().chain(others).map(|permission| permission.to_string()).collect()
    }
}
