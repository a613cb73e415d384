//! The hypervisor itself, by the devices that Linux has for it.
//!
//! No library of Xen's takes part, since its own are made for one version of Xen each. What
//! is needed of Xen is little: event channels, one granted page per guest, and one question
//! about domains, which new versions of Xen promise not to change.
//!
//! | module | what |
//! |---|---|
//! | `devices` | the kernel's devices, call by call |
//! | `domctl` | what Xen is asked about domains, byte by byte |
//! | `domain_states` | the states of domains, in any version of Xen |
//! | `event_channels` | the event channels of this domain |
//! | `own_ring` | the ring of this domain's own kernel |
//! | `open_error` | why a host cannot be served |

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use xenstore_wire::Domid;

use crate::hypervisor::DomainState;
use crate::machine::{Machine, Port};
use crate::ring::RingPage;

mod devices;
mod domain_states;
mod domctl;
mod event_channels;
mod open_error;
mod own_ring;

use devices::{BUFFERS, EVENTS, GRANTS, HYPERCALLS};
use devices::{EventDevice, GrantDevice, HypercallBuffer, HypercallDevice, XenDomctl};
use domain_states::DomainStates;
use event_channels::EventChannels;
use own_ring::OwnRing;

pub use domain_states::{Interface, NoInterface};
pub use open_error::{Obstacle, OpenError};
pub use own_ring::OwnRingFiles;

/// The Xen host whose control domain this is.
///
/// A process at a time: only one can be told when domains die. When it is dropped, the
/// kernel closes its event channels and takes back its mappings; guests notice nothing but
/// that nobody answers, and another process can serve them again.
#[derive(Debug)]
pub struct Xen {
    events: EventChannels,
    /// Shared with the mappings, which are given back through it.
    grants: Arc<GrantDevice>,
    states: DomainStates<XenDomctl>,
    own_ring: OwnRing,
}

impl Xen {
    /// Opens the devices and finds out how this Xen is asked. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// All that is missing, or, if nothing is, what Xen refuses.
    pub fn open(files: &OwnRingFiles) -> Result<Self, OpenError> {
        let mut missing = Vec::new();
        let (evtchn, gntdev, privcmd, hypercall) = (
            Obstacle::keep(&mut missing, EVENTS, "module xen-evtchn", EventDevice::open()),
            Obstacle::keep(&mut missing, GRANTS, "module xen-gntdev", GrantDevice::open()),
            Obstacle::keep(&mut missing, HYPERCALLS, "module xen-privcmd", HypercallDevice::open()),
            Obstacle::keep(&mut missing, BUFFERS, "module xen-privcmd", HypercallBuffer::open()),
        );
        let own_ring = OwnRing::open(files, &mut missing);
        let (Some(evtchn), Some(grants), Some(device), Some(buffer), Some(own_ring)) =
            (evtchn, gntdev, privcmd, hypercall, own_ring)
        else {
            return Err(OpenError::from(missing));
        };
        // Before the states: a new Xen says which domains changed to whoever has this bound.
        let events = EventChannels::new(evtchn).map_err(Obstacle::no_news)?;
        let states = DomainStates::probe(XenDomctl::new(device, buffer));
        let states = states.map_err(Obstacle::from)?;
        Ok(Self { events, grants: Arc::new(grants), states, own_ring })
    }

    /// How this Xen is asked about domains.
    pub fn interface(&self) -> Interface {
        self.states.interface()
    }
}

impl Machine for Xen {
    fn events(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    fn fired(&mut self, ports: &mut Vec<Port>) -> io::Result<()> {
        self.events.fired(ports)
    }

    fn unmask(&mut self, ports: &[Port]) -> io::Result<()> {
        self.events.unmask(ports)
    }

    fn notify(&mut self, port: Port) -> io::Result<()> {
        self.events.notify(port)
    }

    fn bind(&mut self, domid: Domid, remote: u32) -> io::Result<Port> {
        self.events.bind(domid, remote)
    }

    fn unbind(&mut self, port: Port) {
        self.events.unbind(port);
    }

    fn news(&self) -> Port {
        self.events.news()
    }

    fn map(&mut self, domid: Domid) -> io::Result<RingPage> {
        let grants = Arc::clone(&self.grants);
        let index = grants.announce(domid)?;
        // It was announced and is withdrawn once, so this cannot fail.
        let withdraw = move || drop(grants.withdraw(index));
        match self.grants.map(index) {
            Ok(memory) => Ok(RingPage::new(memory).then(withdraw)),
            Err(error) => {
                withdraw();
                Err(error)
            }
        }
    }

    fn own_ring(&mut self) -> io::Result<(RingPage, u32)> {
        Ok((self.own_ring.map()?, self.own_ring.port))
    }

    fn domain(&mut self, domid: Domid) -> Option<DomainState> {
        self.states.domain(domid)
    }

    fn domains(&mut self) -> Vec<Domid> {
        self.states.domains()
    }

    fn changed(&mut self) -> Option<Vec<Domid>> {
        self.states.changed()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// On a machine without Xen that is the devices too. On one with Xen nothing is bound,
    /// since files are missing.
    #[test]
    fn everything_missing_is_named_at_once() {
        let files = OwnRingFiles { ring: "/nonexistent/kva".into(), port: "/dev/null".into() };
        let refused = Xen::open(&files).unwrap_err();
        let message = refused.to_string();
        let devices = [EVENTS, GRANTS, HYPERCALLS, BUFFERS].into_iter();
        let missing: Vec<_> = devices.filter(|path| !Path::new(path).exists()).collect();
        for path in missing.iter().chain(&["/nonexistent/kva", "/dev/null", "xenfs"]) {
            assert!(message.contains(path), "{path} is not in: {message}");
        }
        assert_eq!(refused.obstacles().len(), missing.len() + 2, "{message}");
        if missing.contains(&EVENTS) {
            assert!(message.contains("xen-evtchn"), "{message}");
        }
    }
}
