//! What the engine asks of a hypervisor.

use std::io;

use thiserror::Error;
use xenstore_wire::{Domid, Features};

/// What the hypervisor knows of a domain that exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DomainState {
    /// Tells this domain from an earlier holder of the same domid, for as long as
    /// the host runs. 0 where the hypervisor does not say.
    pub unique_id: u64,
    /// It stopped: powered off, rebooting, suspended or crashed, and still in memory.
    pub shutdown: bool,
    /// Nothing of it will ever run again.
    pub dead: bool,
}

impl DomainState {
    /// An ordinary domain at work.
    pub const RUNNING: Self = Self { unique_id: 0, shutdown: false, dead: false };
}

/// Why a domain's ring could not be connected.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The hypervisor has no such domain.
    #[error("there is no domain {0}")]
    NoSuchDomain(Domid),
    /// Its ring page could not be mapped.
    #[error("the ring page of domain {domid} cannot be mapped")]
    Ring {
        /// The domain.
        domid: Domid,
        /// What the kernel said.
        source: io::Error,
    },
    /// Its event channel could not be bound. A ring that was connected before has none now.
    #[error("event channel {port} of domain {domid} cannot be bound")]
    EventChannel {
        /// The domain.
        domid: Domid,
        /// Its end of the channel.
        port: u32,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A hypervisor, as far as the engine needs it.
pub trait Hypervisor {
    /// The state of a domain; `None` if there is no such domain.
    fn domain(&mut self, domid: Domid) -> Option<DomainState>;

    /// Maps the ring of a domain, binds its event channel and offers it these features;
    /// for a domain that is connected already, binds the new channel in place of the old,
    /// and what it was offered stays.
    /// Either way the ring is empty after it, and the guest is told that it is connected.
    ///
    /// A port in the page of a ring that was not connected takes the place of `port`
    /// (`xenstore-ring.txt`).
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]. A ring that was not connected before is not after it; one that was
    /// stays so, without an event channel.
    fn connect(&mut self, domid: Domid, port: u32, features: Features) -> Result<(), ConnectError>;

    /// Unmaps the ring of a domain and gives its event channel back. Nothing
    /// happens if it was not connected.
    fn disconnect(&mut self, domid: Domid);
}

/// The hypervisor of a machine without one.
///
/// Every domid that a domain can have counts as a running domain, so that a store
/// can be filled, tried and tested anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHypervisor;

impl Hypervisor for NoHypervisor {
    fn domain(&mut self, domid: Domid) -> Option<DomainState> {
        domid.is_real().then_some(DomainState::RUNNING)
    }

    fn connect(&mut self, domid: Domid, _: u32, _: Features) -> Result<(), ConnectError> {
        self.domain(domid).map(|_| ()).ok_or(ConnectError::NoSuchDomain(domid))
    }

    fn disconnect(&mut self, _domid: Domid) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_hypervisor_every_possible_domain_runs() {
        let all = Features::ALL;
        assert_eq!(NoHypervisor.domain(Domid::new(7)), Some(DomainState::RUNNING));
        assert_eq!(NoHypervisor.domain(Domid::SELF), None);
        assert!(NoHypervisor.connect(Domid::new(7), 1, all).is_ok());
        assert!(NoHypervisor.connect(Domid::ANY, 1, all).is_err());
    }
}
