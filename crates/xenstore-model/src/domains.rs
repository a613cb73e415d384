//! What is known of domains, and what they may have.

use std::collections::BTreeMap;

use xenstore_host::Hypervisor;
use xenstore_wire::Domid;

use crate::acl::{ANY, Caller, DOMID_ANY};

/// The quotas with the limits that hold where nobody set others, in the order they are
/// listed.
pub const QUOTAS: [(&str, u32); 10] = [
    ("nodes", 1000),
    ("watches", 128),
    ("outstanding", 20),
    ("memory", 2_621_440),
    ("soft-memory", 2_097_152),
    ("transactions", 10),
    ("transaction-nodes", 1024),
    ("node-permissions", 5),
    ("path-max", 2048),
    ("node-size", 2048),
];

/// Whom an entry of a permission list means, decided when it comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// No domain had the number.
    Nobody,
    /// Every domain.
    Everybody,
    /// The domain of this identity.
    Domain(u64),
}

/// What is known of a domain.
#[derive(Clone, Default, Debug)]
pub struct Domain {
    /// Tells it from all others there ever were.
    pub identity: u64,
    /// The hypervisor's name for it.
    pub unique_id: u64,
    /// Whether it was introduced.
    pub introduced: bool,
    /// The client that is its ring.
    pub ring: Option<usize>,
    /// Its features, if they were set.
    pub features: Option<u32>,
    /// Whose rights it has beside its own.
    pub target: Option<u16>,
    /// Whether its shutdown was told.
    pub shutdown_reported: bool,
    /// Limits of its own.
    pub limits: BTreeMap<String, u32>,
    /// The most it had of everything.
    pub most: BTreeMap<&'static str, usize>,
}

/// All domains known.
#[derive(Clone, Debug)]
pub struct Domains {
    /// By number.
    pub records: BTreeMap<u16, Domain>,
    /// The limits of domains without their own.
    pub defaults: BTreeMap<String, u32>,
    /// The most any domain had that is not known any more.
    pub most_of_the_dead: BTreeMap<&'static str, usize>,
    last_identity: u64,
}

impl Domains {
    /// None but the control domain.
    pub fn new() -> Self {
        let dom0 = Domain { introduced: true, ..Domain::default() };
        Self {
            records: BTreeMap::from([(0, dom0)]),
            defaults: QUOTAS.iter().map(|&(name, limit)| (name.to_owned(), limit)).collect(),
            most_of_the_dead: BTreeMap::new(),
            last_identity: 0,
        }
    }

    /// The record of a domain, made if the hypervisor knows a living one.
    pub fn acquaint(&mut self, domid: u16, hypervisor: &mut dyn Hypervisor) -> Option<&mut Domain> {
        let number = Domid::new(domid);
        if !self.records.contains_key(&domid) && number.is_real() {
            let state = hypervisor.domain(number).filter(|state| !state.dead)?;
            self.last_identity += 1;
            let (identity, unique_id) = (self.last_identity, state.unique_id);
            self.records.insert(domid, Domain { identity, unique_id, ..Domain::default() });
        }
        self.records.get_mut(&domid)
    }

    /// The domain that was the last to become known.
    pub fn latest(&self) -> u64 {
        self.last_identity
    }

    /// Whom a number in a permission list means now.
    pub fn holder(
        &mut self,
        domid: u16,
        caller: &Caller,
        hypervisor: &mut dyn Hypervisor,
    ) -> Holder {
        if domid == ANY {
            // Only who knows of "every domain" can mean it.
            let knows = caller.features & DOMID_ANY != 0;
            return if knows { Holder::Everybody } else { Holder::Nobody };
        }
        let domain = self.acquaint(domid, hypervisor);
        domain.map_or(Holder::Nobody, |domain| Holder::Domain(domain.identity))
    }

    /// Whether whom an entry meant is there.
    pub fn is_there(&self, domid: u16, holder: Holder) -> bool {
        match holder {
            Holder::Nobody => false,
            Holder::Everybody => true,
            Holder::Domain(identity) => {
                self.records.get(&domid).is_some_and(|domain| domain.identity == identity)
            }
        }
    }

    /// The limit of a domain; `None` if there is no quota of that name.
    pub fn limit(&self, domid: u16, quota: &str) -> Option<u32> {
        let own = self.records.get(&domid).and_then(|domain| domain.limits.get(quota));
        own.or_else(|| self.defaults.get(quota)).copied()
    }

    /// Whether a caller may have so much: limits are inclusive, 0 is none, and who is
    /// privileged has none.
    pub fn permits(&self, caller: &Caller, quota: &str, wanted: usize) -> bool {
        let limit = self.limit(caller.domid, quota).unwrap_or(0);
        caller.privileged || limit == 0 || wanted <= limit as usize
    }

    /// Forgets a domain and all links to it; what it was.
    pub fn forget(&mut self, domid: u16) -> Option<Domain> {
        let domain = self.records.remove(&domid)?;
        for other in self.records.values_mut() {
            other.target = other.target.filter(|&target| target != domid);
        }
        for (&quota, &most) in &domain.most {
            let kept = self.most_of_the_dead.entry(quota).or_default();
            *kept = most.max(*kept);
        }
        Some(domain)
    }
}

impl Default for Domains {
    fn default() -> Self {
        Self::new()
    }
}
