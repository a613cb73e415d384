//! What Xen is asked about domains, and how it answers (`public/domctl.h`).
//!
//! A *domctl* is a hypercall with one structure: a command, the version of the interface, a
//! domid, and from byte 16 on what the command says. Xen writes its answer over it.

use rustix::io::Errno;
use xenstore_wire::Domid;

use crate::hypervisor::DomainState;

/// Bytes of `struct xen_domctl`.
pub const SIZE: usize = 144;

/// Where the domid is, in the question and in the answer.
const DOMID: usize = 8;
/// Where what belongs to the command begins.
const BODY: usize = 16;

/// A question about a domain. Neither kind holds an address: Xen answers in the structure
/// itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// What is asked.
    pub command: Command,
    /// Of which domain.
    pub domid: Domid,
}

/// What is asked of a domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// `XEN_DOMCTL_get_domain_state`: the same in every Xen that has it (since 4.21). Of
    /// [`Domid::INVALID`] it tells the next domain that changed.
    State,
    /// `XEN_DOMCTL_getdomaininfo`, of a Xen whose domctl has this version.
    Info {
        /// `XEN_DOMCTL_INTERFACE_VERSION`; another one than Xen's is refused with `EACCES`.
        version: u32,
    },
}

impl Question {
    /// The structure as Xen reads it.
    pub fn encode(self) -> [u8; SIZE] {
        let (command, version) = match self.command {
            Command::State => (90_u32, 0),
            Command::Info { version } => (5, version),
        };
        let mut bytes = [0; SIZE];
        put(&mut bytes, 0, command.to_ne_bytes());
        put(&mut bytes, 4, version.to_ne_bytes());
        put(&mut bytes, DOMID, self.domid.get().to_ne_bytes());
        bytes
    }
}

/// The structure as Xen left it.
#[derive(Debug)]
pub struct Answer(pub [u8; SIZE]);

impl Answer {
    /// To `State` of no domain in particular: which one it is about.
    pub fn changed(&self) -> Domid {
        Domid::new(u16::from_ne_bytes(self.get(DOMID)))
    }

    /// To `State`: what the domain is; `None` if it is no more.
    pub fn state(&self) -> Option<DomainState> {
        /// `XEN_DOMCTL_GETDOMSTATE_STATE_*`; 4 is "dying".
        const EXISTS: u16 = 1;
        const SHUTDOWN: u16 = 2;
        const DEAD: u16 = 8;

        let state = u16::from_ne_bytes(self.get(BODY));
        (state & EXISTS != 0).then(|| DomainState {
            unique_id: u64::from_ne_bytes(self.get(BODY + 8)),
            shutdown: state & SHUTDOWN != 0,
            dead: state & DEAD != 0,
        })
    }

    /// To `Info`: what the domain is; `None` if the answer is about another one. Up to Xen
    /// 4.17 a question about no domain is answered for the next that there is.
    ///
    /// There is no telling a dying domain from a dead one, so dying counts as dead.
    pub fn info(&self, domid: Domid) -> Option<DomainState> {
        /// `XEN_DOMINF_*`.
        const DYING: u32 = 1;
        const SHUTDOWN: u32 = 4;

        let about = Domid::new(u16::from_ne_bytes(self.get(BODY)));
        let flags = u32::from_ne_bytes(self.get(BODY + 4));
        (about == domid).then_some(DomainState {
            unique_id: 0,
            shutdown: flags & SHUTDOWN != 0,
            dead: flags & DYING != 0,
        })
    }

    fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        let found = self.0.get(at..).and_then(|bytes| bytes.first_chunk());
        *found.unwrap_or(&[0; N])
    }
}

/// Whom to ask.
pub trait Domctl {
    /// Asks.
    ///
    /// # Errors
    ///
    /// `EACCES`: not in this version. `ESRCH`: no such domain. `ENOENT`: no domain changed.
    fn ask(&mut self, question: Question) -> Result<Answer, Errno>;
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..).and_then(|bytes| bytes.first_chunk_mut()) {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of which only these bytes are not 0.
    fn answer(parts: &[(usize, &[u8])]) -> Answer {
        let mut bytes = [0; SIZE];
        for (at, part) in parts {
            bytes[*at..*at + part.len()].copy_from_slice(part);
        }
        Answer(bytes)
    }

    #[test]
    fn a_question_is_laid_out_as_xen_reads_it() {
        let command = Command::Info { version: 0x15 };
        let bytes = Question { command, domid: Domid::new(0x0102) }.encode();
        assert_eq!(bytes[..10], [5, 0, 0, 0, 0x15, 0, 0, 0, 2, 1]);
        assert_eq!(bytes[10..], [0; 134]);
        let bytes = Question { command: Command::State, domid: Domid::INVALID }.encode();
        assert_eq!(bytes[..10], [90, 0, 0, 0, 0, 0, 0, 0, 0xf4, 0x7f]);
        assert_eq!(bytes[10..], [0; 134]);
    }

    #[test]
    fn a_state_is_read_bit_by_bit() {
        let state = |bits: u8| answer(&[(16, &[bits]), (24, &[7, 0, 0, 0, 0, 0, 0, 1])]).state();
        let unique_id = 0x0100_0000_0000_0007;
        let running = DomainState { unique_id, ..DomainState::RUNNING };
        assert_eq!(state(0), None);
        assert_eq!(state(1), Some(running));
        assert_eq!(state(1 | 2), Some(DomainState { shutdown: true, ..running }));
        // Dying is not dead: what it did may still have to be cleaned up by its toolstack.
        assert_eq!(state(1 | 4), Some(running));
        assert_eq!(state(1 | 4 | 8), Some(DomainState { dead: true, ..running }));
        assert_eq!(answer(&[(8, &[3, 1])]).changed(), Domid::new(0x0103));
    }

    #[test]
    fn without_the_state_a_dying_domain_is_a_dead_one() {
        let info = |flags: u8| answer(&[(16, &[9, 0]), (20, &[flags])]).info(Domid::new(9));
        let running = DomainState::RUNNING;
        // Paused, blocked, running, debugged: nothing the store cares about.
        assert_eq!(info(0x02 | 0x08 | 0x10 | 0x20 | 0x40), Some(running));
        assert_eq!(info(0x04), Some(DomainState { shutdown: true, ..running }));
        assert_eq!(info(0x01), Some(DomainState { dead: true, ..running }));
    }

    #[test]
    fn an_answer_about_another_domain_is_none() {
        assert_eq!(answer(&[(16, &[9, 0])]).info(Domid::new(8)), None);
    }
}
