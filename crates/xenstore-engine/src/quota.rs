//! How much a domain may have, and how much it has.

use std::fmt;

use xenstore_wire::Domid;

use crate::estates::Change;

macro_rules! quotas {
    ($($variant:ident $name:literal $default:literal $meaning:literal)*) => {
        /// Something a domain may only have so much of.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Quota {
            $(#[doc = $meaning] $variant,)*
        }

        impl Quota {
            /// Every quota, in the order `GET_QUOTA` lists them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name toolstacks use.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it limits, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),* }
            }

            /// The limit where nobody set another.
            pub const fn default_limit(self) -> u32 {
                match self { $(Self::$variant => $default),* }
            }
        }
    };
}

quotas! {
    Nodes "nodes" 1000 "nodes a domain may own"
    Watches "watches" 128 "watches a domain may have registered"
    Outstanding "outstanding" 20 "replies a domain may leave unread before its requests wait"
    Memory "memory" 2_621_440 "bytes of store memory a domain may use (hard limit)"
    SoftMemory "soft-memory" 2_097_152 "bytes of store memory after which to warn"
    Transactions "transactions" 10 "transactions a domain may have open"
    TransactionNodes "transaction-nodes" 1024 "nodes a transaction may touch"
    NodePermissions "node-permissions" 5 "entries a node's permission list may have"
    PathMax "path-max" 2048 "bytes a path may have, its domain's home left out"
    NodeSize "node-size" 2048 "bytes a node may have: value, permissions, names of children"
}

impl Quota {
    /// The quota of that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|quota| quota.name().as_bytes() == name)
    }

    /// Those with a hard limit: what `CONTROL quota` shows and sets.
    pub fn hard() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|&quota| quota != Self::SoftMemory)
    }

    /// Whether a limit of this quota allows so much. Limits are inclusive, 0 is none.
    pub fn allows(self, limit: u32, amount: u64) -> bool {
        limit == 0 || amount <= u64::from(limit)
    }

    const fn slot(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One number per quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct PerQuota<T>([T; Quota::ALL.len()]);

impl<T: Copy + Default> PerQuota<T> {
    fn get(&self, quota: Quota) -> T {
        self.0.get(quota.slot()).copied().unwrap_or_default()
    }

    fn set(&mut self, quota: Quota, number: T) {
        if let Some(slot) = self.0.get_mut(quota.slot()) {
            *slot = number;
        }
    }
}

/// The limits of a domain, or those that new domains start with. They are
/// inclusive: a limit of N allows N. 0 is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits(PerQuota<u32>);

impl Default for Limits {
    fn default() -> Self {
        let mut limits = PerQuota([0; Quota::ALL.len()]);
        for &quota in Quota::ALL {
            limits.set(quota, quota.default_limit());
        }
        Self(limits)
    }
}

impl Limits {
    /// A limit.
    pub fn get(&self, quota: Quota) -> u32 {
        self.0.get(quota)
    }

    /// Sets a limit.
    pub fn set(&mut self, quota: Quota, limit: u32) {
        self.0.set(quota, limit);
    }
}

/// How much a domain has of each quota, and the most it ever had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    now: PerQuota<u64>,
    most: PerQuota<u64>,
}

impl Default for Usage {
    fn default() -> Self {
        let none = PerQuota([0; Quota::ALL.len()]);
        Self { now: none, most: none }
    }
}

impl Usage {
    /// What the domain has now.
    pub fn now(&self, quota: Quota) -> u64 {
        self.now.get(quota)
    }

    /// The most it ever had.
    pub fn most(&self, quota: Quota) -> u64 {
        self.most.get(quota)
    }

    /// Forgets the maxima.
    pub fn reset_most(&mut self) {
        self.most = self.now;
    }

    /// Makes the maxima at least those of another domain.
    pub fn raise(&mut self, other: &Self) {
        for &quota in Quota::ALL {
            self.most.set(quota, other.most(quota).max(self.most(quota)));
        }
    }

    /// Adds to what the domain has; a negative amount takes away.
    pub fn add(&mut self, quota: Quota, amount: i64) {
        let now = self.now(quota);
        debug_assert!(now.checked_add_signed(amount).is_some(), "{quota}: {now} {amount:+}");
        let now = now.saturating_add_signed(amount);
        self.now.set(quota, now);
        self.most.set(quota, now.max(self.most(quota)));
    }
}

/// What a change does to one domain's account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Charge {
    /// Nodes owned.
    pub nodes: i64,
    /// Bytes of them.
    pub bytes: i64,
}

impl std::ops::AddAssign for Charge {
    fn add_assign(&mut self, other: Self) {
        self.nodes += other.nodes;
        self.bytes += other.bytes;
    }
}

impl std::ops::Neg for Charge {
    type Output = Self;

    fn neg(self) -> Self {
        Self { nodes: -self.nodes, bytes: -self.bytes }
    }
}

/// What a request, or a whole transaction, does to the accounts of the domains
/// whose nodes it changes, and to where those nodes are. It is booked when the change
/// takes effect.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    charges: Vec<(Domid, Charge)>,
    /// In order; not more than two for a request.
    changes: Vec<Change>,
}

impl Ledger {
    /// Notes a charge.
    pub fn note(&mut self, domid: Domid, charge: Charge) {
        // Most values are as long as the one before.
        if charge == Charge::default() {
            return;
        }
        let slot = match self.charges.binary_search_by_key(&domid, |&(domid, _)| domid) {
            Ok(slot) => slot,
            Err(slot) => {
                self.charges.insert(slot, (domid, Charge::default()));
                slot
            }
        };
        if let Some((_, sum)) = self.charges.get_mut(slot) {
            *sum += charge;
        }
    }

    /// What was noted for a domain.
    pub fn of(&self, domid: Domid) -> Charge {
        self.charges
            .binary_search_by_key(&domid, |&(domid, _)| domid)
            .ok()
            .and_then(|slot| self.charges.get(slot))
            .map_or_else(Charge::default, |&(_, charge)| charge)
    }

    /// What was noted for everybody.
    pub fn charged(&self) -> impl Iterator<Item = (Domid, Charge)> {
        self.charges.iter().copied()
    }

    /// Notes a change of where what concerns domains begins.
    pub fn note_change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Bytes that nodes have less of by what was noted.
    pub fn shrinkage(&self) -> usize {
        self.charges.iter().filter_map(|(_, it)| usize::try_from(-it.bytes).ok()).sum()
    }

    /// Takes the charges out.
    pub fn charges(&mut self) -> impl Iterator<Item = (Domid, Charge)> {
        self.charges.drain(..)
    }

    /// Takes the changes out, in order.
    pub fn changes(&mut self) -> impl Iterator<Item = Change> {
        self.changes.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for &quota in Quota::ALL {
            assert_eq!(Quota::from_name(quota.name().as_bytes()), Some(quota));
        }
        assert_eq!(Quota::from_name(b"permissions"), None);
        assert_eq!(Quota::hard().count(), 9);
    }

    #[test]
    fn limits_are_inclusive_and_zero_is_none() {
        assert!(Quota::Watches.allows(128, 128));
        assert!(!Quota::Watches.allows(128, 129));
        assert!(Quota::Watches.allows(0, u64::MAX));
    }

    #[test]
    fn usage_remembers_its_peak() {
        let mut usage = Usage::default();
        usage.add(Quota::Nodes, 5);
        usage.add(Quota::Nodes, -3);
        assert_eq!((usage.now(Quota::Nodes), usage.most(Quota::Nodes)), (2, 5));
        usage.reset_most();
        assert_eq!(usage.most(Quota::Nodes), 2);
    }

    #[test]
    fn a_ledger_sums_by_domain() {
        let mut ledger = Ledger::default();
        for (domid, nodes) in [(5, 1), (3, 2), (5, -4)] {
            ledger.note(Domid::new(domid), Charge { nodes, bytes: 10 });
        }
        assert_eq!(ledger.of(Domid::new(5)), Charge { nodes: -3, bytes: 20 });
        assert_eq!(ledger.of(Domid::new(4)), Charge::default());
        assert_eq!(ledger.charges().count(), 2);
    }
}
