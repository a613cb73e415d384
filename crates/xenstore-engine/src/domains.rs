//! What the store knows of each domain.

use std::collections::BTreeMap;

use xenstore_host::{DomainState, Hypervisor};
use xenstore_wire::{Domid, DomidMap, Features};

use crate::acl::Caller;
use crate::estates::Estates;
use crate::ids::ConnectionId;
use crate::quota::{Charge, Ledger, Limits, Quota, Usage};
use crate::refusal::{Overrun, Refusal};

/// Tells a domain's record from all others there ever were, whatever their domids. Later
/// ones are greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Identity(u64);

/// A domain that the store has had to do with: it was introduced, or a permission
/// list named it while the hypervisor knew it.
#[derive(Debug, Default)]
pub struct Domain {
    /// Which it is.
    pub identity: Identity,
    /// The hypervisor's name for this very domain, against reuse of its domid.
    pub unique_id: u64,
    /// Whether its ring was connected by `INTRODUCE` and not released since.
    pub introduced: bool,
    /// Its ring, while it has one that works.
    pub connection: Option<ConnectionId>,
    /// What its connection can do; all unless `SET_FEATURE` said otherwise.
    pub features: Option<Features>,
    /// Whose rights it has beside its own.
    pub target: Option<Domid>,
    /// Who has its rights beside their own.
    pub helpers: Vec<Domid>,
    /// Whether its shutdown was reported since it last ran.
    pub shutdown_reported: bool,
    /// Whether it has more memory than it is to have without anybody taking note.
    pub noted: bool,
    /// Limits of its own, where it has some.
    pub limits: BTreeMap<Quota, u32>,
    /// What it has.
    pub usage: Usage,
}

/// All domains the store knows.
#[derive(Debug)]
pub struct Domains {
    /// The control domain, which has no limits.
    privileged: Domid,
    records: DomidMap<Domain>,
    last_identity: Identity,
    /// The limits of domains that have none of their own.
    pub defaults: Limits,
    /// The most any domain ever had, dead ones included.
    peak: Usage,
    /// Where their nodes are.
    pub estates: Estates,
}

impl Domains {
    /// None but `privileged`, the domain all sockets belong to.
    pub fn new(privileged: Domid, defaults: Limits) -> Self {
        let mut records = DomidMap::new();
        records.insert(privileged, Domain { introduced: true, ..Domain::default() });
        Self {
            privileged,
            records,
            last_identity: Identity::default(),
            defaults,
            peak: Usage::default(),
            estates: Estates::except(privileged),
        }
    }

    /// The record of a domain.
    pub fn get(&self, domid: Domid) -> Option<&Domain> {
        self.records.get(domid)
    }

    /// The record of a domain, to be changed.
    pub fn get_mut(&mut self, domid: Domid) -> Option<&mut Domain> {
        self.records.get_mut(domid)
    }

    /// The record of a domain, made if the hypervisor knows the domain.
    pub fn acquaint(
        &mut self,
        domid: Domid,
        hypervisor: &mut dyn Hypervisor,
    ) -> Option<&mut Domain> {
        // No domain has a reserved number, and some mean a question of another kind to
        // the hypervisor.
        if !domid.is_real() {
            return None;
        }
        if self.records.get(domid).is_none() {
            let DomainState { unique_id, dead, .. } = hypervisor.domain(domid)?;
            if dead {
                return None;
            }
            self.last_identity.0 += 1;
            let identity = self.last_identity;
            self.records.insert(domid, Domain { identity, unique_id, ..Domain::default() });
        }
        self.records.get_mut(domid)
    }

    /// Gives a domain the rights of another, in place of those it was given before. Both
    /// have to be known.
    pub fn set_target(&mut self, domid: Domid, target: Domid) {
        self.drop_target(domid);
        if let Some(record) = self.records.get_mut(domid) {
            record.target = Some(target);
        }
        if let Some(record) = self.records.get_mut(target) {
            record.helpers.push(domid);
        }
    }

    fn drop_target(&mut self, domid: Domid) {
        let target = self.records.get_mut(domid).and_then(|record| record.target.take());
        if let Some(record) = target.and_then(|target| self.records.get_mut(target)) {
            record.helpers.retain(|&helper| helper != domid);
        }
    }

    /// The domain that was the last to become known.
    pub fn latest(&self) -> Identity {
        self.last_identity
    }

    /// Forgets a domain and every link to it.
    pub fn forget(&mut self, domid: Domid) -> Option<Domain> {
        self.drop_target(domid);
        let forgotten = self.records.remove(domid)?;
        for helper in &forgotten.helpers {
            if let Some(record) = self.records.get_mut(*helper) {
                record.target = None;
            }
        }
        Some(forgotten)
    }

    /// Every domain known.
    pub fn iter(&self) -> impl Iterator<Item = (Domid, &Domain)> {
        self.records.iter()
    }

    /// A domain's limit.
    pub fn limit(&self, domid: Domid, quota: Quota) -> u32 {
        let own = self.get(domid).and_then(|domain| domain.limits.get(&quota));
        own.copied().unwrap_or_else(|| self.defaults.get(quota))
    }

    /// What a domain has.
    pub fn usage(&self, domid: Domid, quota: Quota) -> u64 {
        self.get(domid).map_or(0, |domain| domain.usage.now(quota))
    }

    /// Refuses what is more than the caller may have. Who is privileged may have
    /// everything.
    pub fn check(&self, caller: &Caller, quota: Quota, wanted: u64) -> Result<(), Refusal> {
        self.check_of(caller.domid, caller, quota, wanted)
    }

    /// Refuses what is more than a domain may have, if not the domain itself asks for it,
    /// but `caller`.
    pub fn check_of(
        &self,
        domid: Domid,
        caller: &Caller,
        quota: Quota,
        wanted: u64,
    ) -> Result<(), Refusal> {
        if caller.privileged || domid == self.privileged {
            return Ok(());
        }
        let limit = self.limit(domid, quota);
        if quota.allows(limit, wanted) {
            return Ok(());
        }
        Err(Refusal::Limit(Overrun { domid, what: quota.name(), wanted, limit }))
    }

    /// Bytes of memory that a domain may have more.
    pub fn room(&self, caller: &Caller) -> usize {
        match self.limit(caller.domid, Quota::Memory) {
            _ if caller.privileged => usize::MAX,
            0 => usize::MAX,
            limit => {
                let used = self.usage(caller.domid, Quota::Memory);
                usize::try_from(u64::from(limit).saturating_sub(used)).unwrap_or(usize::MAX)
            }
        }
    }

    /// Adds to what a domain has.
    pub fn charge(&mut self, domid: Domid, quota: Quota, amount: i64) {
        if let Some(domain) = self.records.get_mut(domid) {
            domain.usage.add(quota, amount);
        }
    }

    /// Books a change that took effect. Returns how much work that was, in nodes.
    pub fn book(&mut self, ledger: &mut Ledger) -> usize {
        for (domid, Charge { nodes, bytes }) in ledger.charges() {
            self.charge(domid, Quota::Nodes, nodes);
            self.charge(domid, Quota::Memory, bytes);
        }
        ledger.changes().map(|change| self.estates.apply(&change)).sum()
    }

    /// The most an unprivileged domain ever had of something.
    pub fn peak(&self, quota: Quota) -> u64 {
        self.iter()
            .filter(|&(domid, _)| domid != self.privileged)
            .map(|(_, domain)| domain.usage.most(quota))
            .fold(self.peak.most(quota), u64::max)
    }

    /// Keeps the maxima of a domain about to be forgotten.
    pub fn keep_peak(&mut self, usage: &Usage) {
        self.peak.raise(usage);
    }

    /// Begins the search for maxima anew.
    pub fn reset_peak(&mut self) {
        self.peak = Usage::default();
        for record in self.records.values_mut() {
            record.usage.reset_most();
        }
    }
}
