//! The event channels of this domain.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use xenstore_wire::Domid;

use crate::machine::Port;
use crate::xen::devices::EventDevice;

/// The virtual interrupt that fires when a domain changed its state (`VIRQ_DOM_EXC`).
const STATE_CHANGED: u32 = 3;

/// Bytes of ports that the kernel gives at a time: a page.
const BYTES_AT_A_TIME: usize = 4096;

/// The channels that are bound.
#[derive(Debug)]
pub struct EventChannels {
    device: EventDevice,
    bound: BTreeSet<Port>,
    /// Fires when a domain changed its state.
    news: Port,
}

impl EventChannels {
    /// Binds the news of all domains.
    ///
    /// # Errors
    ///
    /// `EEXIST`: another process has them, most likely another store daemon.
    pub fn new(device: EventDevice) -> io::Result<Self> {
        let news = Port(device.bind_virq(STATE_CHANGED)?);
        Ok(Self { device, bound: BTreeSet::from([news]), news })
    }

    pub const fn news(&self) -> Port {
        self.news
    }

    pub fn bind(&mut self, domid: Domid, remote: u32) -> io::Result<Port> {
        let port = Port(self.device.bind_interdomain(domid, remote)?);
        self.bound.insert(port);
        Ok(port)
    }

    pub fn unbind(&mut self, port: Port) {
        if self.bound.remove(&port) {
            // It is bound, so the kernel unbinds it.
            let _ = self.device.unbind(port.0);
        }
    }

    pub fn notify(&self, Port(port): Port) -> io::Result<()> {
        self.device.notify(port)
    }

    /// Appends the ports that fired.
    pub fn fired(&self, ports: &mut Vec<Port>) -> io::Result<()> {
        let mut buffer = [0; BYTES_AT_A_TIME];
        match self.device.read(&mut buffer) {
            Ok(bytes) => ports.extend(decode(bytes)),
            Err(Errno::AGAIN) => {}
            // The kernel remembers a port for each that is bound. One that fired and is bound
            // anew before it was read is remembered twice, so there may be too many. Then it
            // answers this for ever, until it is made to forget which: so each may have.
            Err(Errno::FBIG) => {
                self.device.reset()?;
                ports.extend(&self.bound);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Has ports reported again. The kernel takes no notice of one that need not be, or is
    /// not bound any more.
    pub fn unmask(&self, ports: &[Port]) -> io::Result<()> {
        let bytes: Vec<u8> = ports.iter().flat_map(|port| port.0.to_ne_bytes()).collect();
        self.device.write(&bytes)
    }
}

impl AsFd for EventChannels {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// The ports in what the kernel gave.
fn decode(bytes: &[u8]) -> impl Iterator<Item = Port> {
    let (ports, _) = bytes.as_chunks();
    ports.iter().map(|port| Port(u32::from_ne_bytes(*port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_of_the_kernel_names_several_ports() {
        let bytes = [7_u32.to_ne_bytes(), 0x0102_0304_u32.to_ne_bytes()].concat();
        let ports: Vec<_> = decode(&bytes).collect();
        assert_eq!(ports, [Port(7), Port(0x0102_0304)]);
        assert_eq!(decode(&[]).count(), 0);
    }
}
