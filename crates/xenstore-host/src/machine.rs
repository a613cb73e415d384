//! What is asked of a hypervisor and of the kernel above it.

use std::io;
use std::os::fd::BorrowedFd;

use xenstore_wire::Domid;

use crate::hypervisor::DomainState;
use crate::ring::RingPage;

/// This domain's end of an event channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Port(pub u32);

/// A host: event channels, rings, states of domains.
pub trait Machine {
    /// A file descriptor that is readable when an event channel fired.
    fn events(&self) -> BorrowedFd<'_>;

    /// Appends ports that fired to `ports`. A port that is in it is not reported again
    /// before it was [unmasked](Self::unmask), and then at once if it fired meanwhile.
    /// Costs one system call however many there are, up to some hundred.
    ///
    /// # Errors
    ///
    /// What fired cannot be found out any more.
    fn fired(&mut self, ports: &mut Vec<Port>) -> io::Result<()>;

    /// Has these ports reported again.
    ///
    /// # Errors
    ///
    /// Some are not reported again yet. To try all of them once more does no harm.
    fn unmask(&mut self, ports: &[Port]) -> io::Result<()>;

    /// Says on an event channel that the other end should look. If that is closed, nobody is
    /// told.
    ///
    /// # Errors
    ///
    /// The port is not bound, or the kernel refuses.
    fn notify(&mut self, port: Port) -> io::Result<()>;

    /// Binds an event channel to a domain's end of it.
    ///
    /// # Errors
    ///
    /// There is no such domain, or it has no such end that waits for this domain.
    fn bind(&mut self, domid: Domid, remote: u32) -> io::Result<Port>;

    /// Gives an event channel back.
    fn unbind(&mut self, port: Port);

    /// The port that fires when some domain changed its state.
    fn news(&self) -> Port;

    /// Maps a domain's ring. It is unmapped when dropped.
    ///
    /// # Errors
    ///
    /// There is no such domain, or it grants no ring.
    fn map(&mut self, domid: Domid) -> io::Result<RingPage>;

    /// The ring of this very domain's kernel, and its end of the event channel.
    ///
    /// # Errors
    ///
    /// The ring cannot be mapped.
    fn own_ring(&mut self) -> io::Result<(RingPage, u32)>;

    /// The state of a domain; `None` if there is no such domain.
    fn domain(&mut self, domid: Domid) -> Option<DomainState>;

    /// The domains that exist, for a daemon that starts after them.
    fn domains(&mut self) -> Vec<Domid>;

    /// The domains that changed since this was last asked, a bounded number of them: to be
    /// asked until there are none. `None` if the hypervisor does not say: any may have.
    fn changed(&mut self) -> Option<Vec<Domid>>;
}
