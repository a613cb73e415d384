//! The states of domains, by whichever interface this Xen has.

use std::fmt;
use std::ops::RangeInclusive;

use rustix::io::Errno;
use thiserror::Error;
use xenstore_wire::{Domid, DomidMap};

use crate::hypervisor::DomainState;
use crate::xen::domctl::{Command, Domctl, Question};

/// The versions that Xen's domctl may have: from that of 4.17 to some that are still to come.
/// The stable question is tried before, so the later ones matter only where a policy forbids
/// it.
const VERSIONS: RangeInclusive<u32> = 0x15..=0x1f;

/// How many changed domains are told at a time.
const CHANGES_AT_A_TIME: usize = 256;

/// How Xen is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interface(Command);

/// Xen answers no question about domain 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "expected Xen to tell the state of domain 0, found get_domain_state refused ({state}), \
     and getdomaininfo in versions {:#x} to {:#x} ({info})", VERSIONS.start(), VERSIONS.end()
)]
pub struct NoInterface {
    /// The refusal of the stable question.
    pub state: Errno,
    /// The last refusal of the older one.
    pub info: Errno,
}

/// Tells the states of domains.
#[derive(Debug)]
pub struct DomainStates<D> {
    domctl: D,
    interface: Interface,
    /// What was last told of each domain.
    told: DomidMap<DomainState>,
}

impl<D: Domctl> DomainStates<D> {
    /// Finds out how this Xen is asked.
    pub fn probe(mut domctl: D) -> Result<Self, NoInterface> {
        let mut ask = |command| domctl.ask(Question { command, domid: Domid::DOM0 });
        let state = match ask(Command::State) {
            Ok(answer) if answer.state().is_some() => {
                return Ok(Self::new(domctl, Command::State));
            }
            Ok(_) => Errno::BADMSG,
            Err(refused) => refused,
        };
        let mut info = Errno::ACCESS;
        for version in VERSIONS {
            let command = Command::Info { version };
            match ask(command).map(|answer| answer.info(Domid::DOM0)) {
                // Domain 0 is there and not dying: the answer is where it is looked for.
                Ok(Some(DomainState { dead: false, .. })) => {
                    return Ok(Self::new(domctl, command));
                }
                Ok(_) => info = Errno::BADMSG,
                // Nothing new: only the right version is answered.
                Err(Errno::ACCESS) => {}
                Err(refused) => info = refused,
            }
        }
        Err(NoInterface { state, info })
    }

    fn new(domctl: D, command: Command) -> Self {
        Self { domctl, interface: Interface(command), told: DomidMap::new() }
    }

    /// How Xen is asked.
    pub const fn interface(&self) -> Interface {
        self.interface
    }

    /// The state of a domain. One that Xen's policy does not let this domain ask about is
    /// not there for it.
    ///
    /// Only "no such domain" means that a domain is gone. Any other refusal (Xen can be short
    /// of memory) leaves it as it was last told: a store that took it for a death would take
    /// a running host apart.
    pub fn domain(&mut self, domid: Domid) -> Option<DomainState> {
        // The others mean something of their own, `INVALID` "the next that changed".
        if !domid.is_real() {
            return None;
        }
        let Interface(command) = self.interface;
        let state = match (self.domctl.ask(Question { command, domid }), command) {
            (Ok(answer), Command::State) => answer.state(),
            (Ok(answer), Command::Info { .. }) => answer.info(domid),
            (Err(Errno::SRCH | Errno::NOENT), _) => None,
            (Err(_), _) => return self.told.get(domid).copied(),
        };
        match state {
            Some(state) => self.told.insert(domid, state),
            None => self.told.remove(domid),
        };
        state
    }

    /// The domains there are. Asks about each possible one: 32,752 hypercalls.
    pub fn domains(&mut self) -> Vec<Domid> {
        let possible = (0..Domid::FIRST_RESERVED.get()).map(Domid::new);
        possible.filter(|domid| self.domain(*domid).is_some()).collect()
    }

    /// The domains that changed, a bounded number of them; `None` if Xen does not say.
    ///
    /// Only the domain that bound `VIRQ_DOM_EXC` is told.
    pub fn changed(&mut self) -> Option<Vec<Domid>> {
        let Interface(command @ Command::State) = self.interface else {
            return None;
        };
        let mut changed = Vec::new();
        while changed.len() < CHANGES_AT_A_TIME {
            match self.domctl.ask(Question { command, domid: Domid::INVALID }) {
                Ok(answer) => changed.push(answer.changed()),
                Err(Errno::NOENT) => break,
                // It should have told. What it did tell is lost to it, so any may have.
                Err(_) => return None,
            }
        }
        Some(changed)
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Command::State => f.write_str("get_domain_state"),
            Command::Info { version } => write!(f, "getdomaininfo, version {version:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::xen::domctl::Answer;

    /// Domains as Xen keeps them, asked as Xen is asked.
    #[derive(Default)]
    struct FakeXen {
        /// Whether it has the stable question.
        stable: bool,
        /// The version of its domctl.
        version: u32,
        /// Whether a question about no domain is answered for the next.
        leaps: bool,
        /// State bits and flags of each.
        domains: BTreeMap<u16, (u16, u32)>,
        changed: BTreeSet<u16>,
        /// Whether it has no memory for an answer just now.
        short: bool,
        asked: usize,
    }

    impl Domctl for FakeXen {
        fn ask(&mut self, question: Question) -> Result<Answer, Errno> {
            self.asked += 1;
            if self.short {
                return Err(Errno::NOMEM);
            }
            let mut bytes = question.encode();
            let mut domid = question.domid.get();
            match question.command {
                Command::State if !self.stable => return Err(Errno::ACCESS),
                Command::State => {
                    if question.domid == Domid::INVALID {
                        domid = self.changed.pop_first().ok_or(Errno::NOENT)?;
                    } else if !self.domains.contains_key(&domid) {
                        return Err(Errno::SRCH);
                    }
                    let (state, _) = self.domains.get(&domid).copied().unwrap_or_default();
                    bytes[16..18].copy_from_slice(&state.to_ne_bytes());
                    bytes[24..32].copy_from_slice(&(1000 + u64::from(domid)).to_ne_bytes());
                }
                Command::Info { version } if version != self.version => return Err(Errno::ACCESS),
                Command::Info { .. } => {
                    let found = self.domains.range(domid..).next();
                    let (&found, &(_, flags)) = found.ok_or(Errno::SRCH)?;
                    if found != domid && !self.leaps {
                        return Err(Errno::SRCH);
                    }
                    domid = found;
                    bytes[16..18].copy_from_slice(&domid.to_ne_bytes());
                    bytes[20..24].copy_from_slice(&flags.to_ne_bytes());
                }
            }
            bytes[8..10].copy_from_slice(&domid.to_ne_bytes());
            Ok(Answer(bytes))
        }
    }

    /// Domains 0, 3 and 32751; 3 is dying.
    fn xen(version: u32) -> FakeXen {
        let domains = BTreeMap::from([(0, (1, 0)), (3, (1 | 4, 1)), (0x7fef, (1, 8))]);
        FakeXen { version, domains, ..FakeXen::default() }
    }

    fn numbers(domids: &[Domid]) -> Vec<u16> {
        domids.iter().map(|domid| domid.get()).collect()
    }

    #[test]
    fn a_xen_of_any_version_is_found_out() {
        for version in VERSIONS {
            let states = DomainStates::probe(xen(version)).unwrap();
            assert_eq!(states.interface(), Interface(Command::Info { version }));
        }
        let new = DomainStates::probe(FakeXen { stable: true, ..xen(0x99) }).unwrap();
        assert_eq!(new.interface(), Interface(Command::State));
        assert_eq!(new.domctl.asked, 1);
    }

    #[test]
    fn a_xen_that_answers_nothing_is_refused_with_what_it_said() {
        let refused = DomainStates::probe(xen(0x99)).err().unwrap();
        assert_eq!(refused, NoInterface { state: Errno::ACCESS, info: Errno::ACCESS });
        let message = refused.to_string();
        assert!(message.contains("0x15 to 0x1f"), "{message}");
    }

    /// A layout this code does not know may come with any version.
    #[test]
    fn a_domain_0_that_is_dying_means_that_the_answer_was_not_understood() {
        let mut strange = xen(0x1f);
        strange.domains.insert(0, (1, 1));
        let refused = DomainStates::probe(strange).err().unwrap();
        assert_eq!(refused.info, Errno::BADMSG);
    }

    #[test]
    fn domains_are_told_apart_from_gaps() {
        let old = || FakeXen { leaps: true, ..xen(0x15) };
        for fake in [old(), xen(0x16), FakeXen { stable: true, ..xen(0) }] {
            let mut states = DomainStates::probe(fake).unwrap();
            assert_eq!(states.domain(Domid::new(2)), None);
            assert!(states.domain(Domid::new(3)).is_some());
            assert_eq!(numbers(&states.domains()), [0, 3, 0x7fef]);
        }
    }

    /// One question refused for want of memory was once taken for the death of every domain.
    #[test]
    fn only_no_such_domain_means_that_a_domain_is_gone() {
        for fake in [xen(0x15), FakeXen { stable: true, ..xen(0) }] {
            let mut states = DomainStates::probe(fake).unwrap();
            let [known, unknown] = [0x7fef, 0].map(Domid::new);
            let before = states.domain(known);
            assert!(before.is_some());
            states.domctl.short = true;
            assert_eq!((states.domain(known), states.domain(unknown)), (before, None));
            states.domctl.short = false;
            states.domctl.domains.clear();
            assert_eq!(states.domain(known), None);
            states.domctl.short = true;
            assert_eq!(states.domain(known), None);
        }
    }

    #[test]
    fn dying_is_dead_only_where_xen_does_not_say_dead() {
        let mut old = DomainStates::probe(xen(0x15)).unwrap();
        let mut new = DomainStates::probe(FakeXen { stable: true, ..xen(0) }).unwrap();
        let state = |states: &mut DomainStates<FakeXen>| {
            let state = states.domain(Domid::new(3)).unwrap();
            (state.dead, state.unique_id)
        };
        assert_eq!(state(&mut old), (true, 0));
        assert_eq!(state(&mut new), (false, 1003));
    }

    #[test]
    fn what_changed_is_told_in_portions_until_there_is_none() {
        let changed: BTreeSet<u16> = (1..=300).collect();
        let fake = FakeXen { stable: true, changed: changed.clone(), ..xen(0) };
        let mut states = DomainStates::probe(fake).unwrap();
        let first = states.changed().unwrap();
        assert_eq!(first.len(), CHANGES_AT_A_TIME);
        let second = states.changed().unwrap();
        assert_eq!(BTreeSet::from_iter(numbers(&[first, second].concat())), changed);
        assert_eq!(states.changed(), Some(Vec::new()));
        assert_eq!(DomainStates::probe(xen(0x15)).unwrap().changed(), None);
    }

    /// Asked about "no domain" in the name of somebody, Xen would tell a change once, to
    /// nobody.
    #[test]
    fn no_change_is_lost_by_asking_about_a_domid_that_is_none() {
        let fake = FakeXen { stable: true, changed: BTreeSet::from([7]), ..xen(0) };
        let mut states = DomainStates::probe(fake).unwrap();
        assert_eq!(states.domain(Domid::INVALID), None);
        assert_eq!(states.domain(Domid::SELF), None);
        assert_eq!(numbers(&states.changed().unwrap()), [7]);
    }
}
