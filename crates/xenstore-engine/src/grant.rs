//! A permission list on its way from a client to a node.
//!
//! A list names domains by number, and numbers are reused. What a client means is the
//! domain that has the number when it asks. So each entry is bound to that very domain
//! at once, and whenever the list takes effect (for a transaction that may be later)
//! an entry whose domain is gone, or never was, grants nothing: whoever has the number
//! by then is somebody else (XSA-322, XSA-417).

use xenstore_host::Hypervisor;
use xenstore_wire::{Domid, Errno, Features, Permission, Permissions};

use crate::acl::{Acl, Caller, Entry};
use crate::domains::{Domains, Identity};

/// A permission list, each entry bound to the domain it meant.
#[derive(Clone, Debug)]
pub struct Grant {
    owner: (Permission, Holder),
    others: Vec<(Permission, Holder)>,
}

/// Whom an entry means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Holder {
    /// No domain had the number.
    Nobody,
    /// Every domain.
    Everybody,
    /// The domain of this identity.
    Domain(Identity),
}

impl Grant {
    /// Binds a list as `caller` sent it: now, or when no later domain than `known` was known.
    pub fn bind(
        permissions: &Permissions,
        caller: &Caller,
        known: Option<Identity>,
        domains: &mut Domains,
        hypervisor: &mut dyn Hypervisor,
    ) -> Self {
        let mut bound = |permission: Permission| {
            let holder = match permission.domid {
                // Only who knows of "every domain" can mean it.
                Domid::ANY if caller.features.contains(Features::DOMID_ANY) => Holder::Everybody,
                Domid::ANY => Holder::Nobody,
                domid => domains
                    .acquaint(domid, hypervisor)
                    .filter(|domain| known.is_none_or(|known| domain.identity <= known))
                    .map_or(Holder::Nobody, |domain| Holder::Domain(domain.identity)),
            };
            (permission, holder)
        };
        Self {
            owner: bound(permissions.owner),
            others: permissions.others.iter().copied().map(bound).collect(),
        }
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        size_of_val(self.others.as_slice())
    }

    /// The list as it takes effect now: entries of domains that are not there are stale.
    /// An owner that is not there is refused.
    pub fn acl(&self, domains: &Domains) -> Result<Acl, Errno> {
        let is_there = |&(permission, holder): &(Permission, Holder)| match holder {
            Holder::Nobody => false,
            Holder::Everybody => true,
            Holder::Domain(identity) => {
                domains.get(permission.domid).is_some_and(|domain| domain.identity == identity)
            }
        };
        if !is_there(&self.owner) {
            return Err(Errno::NoEnt);
        }
        let others = self.others.iter();
        let entries = others.map(|entry| Entry { permission: entry.0, stale: !is_there(entry) });
        Ok(Acl::new(self.owner.0, entries.collect()))
    }
}
