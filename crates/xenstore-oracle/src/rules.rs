//! In what rxenstored differs from other daemons, and why.
//!
//! A rule is decided by the request and the situation it comes in, not by what
//! differed: a difference that no rule expects fails the test. The same table makes
//! `docs/conformance/differences.md`.

mod domains;
mod events;
mod store;
mod syntax;
mod transactions;

use xenstore_wire::MessageType as T;
use xenstore_wire::text::strings;

use crate::compare::Aspect;
use crate::history::{Access, History, Open, access};
use crate::session::{Event, Outcome, Reply};
use crate::step::Step;

/// A daemon that rxenstored is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// C xenstored.
    C,
    /// oxenstored.
    Ocaml,
}

/// A decided difference.
#[derive(Debug)]
pub struct Rule {
    /// What it is about.
    pub title: &'static str,
    /// What rxenstored does.
    pub rxenstored: &'static str,
    /// What C xenstored 4.17 does, if something else.
    pub c: Option<&'static str>,
    /// What oxenstored 4.17 does, if something else.
    pub ocaml: Option<&'static str>,
    /// Why rxenstored does what it does.
    pub why: &'static str,
    /// Whether this aspect of this case is one that the rule expects to differ.
    pub expects: fn(&Case<'_>, &Aspect) -> bool,
}

/// All rules, by topic.
pub const RULES: &[(&str, &[Rule])] = &[
    ("Spelling and numbers", syntax::RULES),
    ("Nodes", store::RULES),
    ("Watches and events", events::RULES),
    ("Transactions", transactions::RULES),
    ("Domains and the daemon itself", domains::RULES),
];

/// A request, the situation it came in, and what it led to.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// With whom rxenstored is compared.
    pub peer: Peer,
    /// The request.
    pub step: &'a Step,
    /// What was before it.
    pub history: &'a History,
    /// What rxenstored did.
    pub ours: &'a Outcome,
    /// What the other did.
    pub theirs: &'a Outcome,
}

/// The rule that expects this aspect of this case to differ.
pub fn rule(case: &Case<'_>, aspect: &Aspect) -> Option<&'static Rule> {
    let all = RULES.iter().flat_map(|(_, rules)| rules.iter());
    all.filter(|rule| rule.concerns(case.peer)).find(|rule| (rule.expects)(case, aspect))
}

/// The rule because of which a request is not put to `peer` at all, if one is.
pub fn unasked(peer: Peer, step: &Step) -> Option<&'static Rule> {
    let special = match peer {
        Peer::C => syntax::unasked(step).or_else(|| domains::unasked_of_c(step)),
        Peer::Ocaml => domains::unasked(step),
    };
    special.or_else(|| syntax::unasked_of_all(step))
}

impl Rule {
    fn concerns(&self, peer: Peer) -> bool {
        match peer {
            Peer::C => self.c.is_some(),
            Peer::Ocaml => self.ocaml.is_some(),
        }
    }
}

impl Case<'_> {
    /// Whether the two stores may differ after this case, so that what follows in the
    /// sequence cannot be compared.
    pub fn parts(&self) -> bool {
        let granted = |outcome: &Outcome| matches!(outcome.reply, Reply::Granted(_));
        let looks = matches!(
            self.step.message_type(),
            Some(
                T::Read
                    | T::Directory
                    | T::DirectoryPart
                    | T::GetPerms
                    | T::GetDomainPath
                    | T::IsDomainIntroduced
                    | T::GetFeature
                    | T::GetQuota
                    | T::Control
            )
        );
        let seen_inside = self.transaction().is_some_and(|open| !open.outside.is_empty());
        if looks { seen_inside } else { granted(self.ours) != granted(self.theirs) }
    }

    /// Whether the stores may differ from here on although nobody was told anything
    /// different.
    pub fn drifts(&self) -> bool {
        // What stays of a domain, and what goes before it is found that there is none.
        if self.is(&[T::Release]) && (self.peer == Peer::Ocaml || self.they_grant()) {
            return true;
        }
        let Some(open) = self.transaction() else { return false };
        match self.peer {
            Peer::C => access(self.step)
                .is_some_and(|(how, name)| how != Access::Read && open.disturbed(&name)),
            // One daemon repeats the change on what is there now, the other merges.
            Peer::Ocaml => self.is(&[T::TransactionEnd]) && open.meets_changes(),
        }
    }

    fn is(&self, kinds: &[T]) -> bool {
        self.step.message_type().is_some_and(|kind| kinds.contains(&kind))
    }

    /// The strings of the payload.
    fn strings(&self) -> Vec<&[u8]> {
        strings(&self.step.payload).collect()
    }

    fn first(&self) -> &[u8] {
        self.strings().first().copied().unwrap_or_default()
    }

    fn transaction(&self) -> Option<&Open> {
        self.history.transaction(self.step)
    }

    fn refused(&self, name: &str) -> bool {
        matches!(&self.ours.reply, Reply::Refused(ours) if ours == name)
    }

    fn they_refuse(&self, name: &str) -> bool {
        matches!(&self.theirs.reply, Reply::Refused(theirs) if theirs == name)
    }

    fn granted(&self) -> bool {
        matches!(self.ours.reply, Reply::Granted(_))
    }

    fn they_grant(&self) -> bool {
        matches!(self.theirs.reply, Reply::Granted(_))
    }

    /// The events of an aspect about events: ours and theirs. Where special names are
    /// nodes, what is told of them as such is left out: a rule of its own is about it.
    fn events(&self, aspect: &Aspect) -> Option<(Vec<Event>, Vec<Event>)> {
        let Aspect::Events(connection) = *aspect else { return None };
        let mut theirs = self.theirs.events[connection].clone();
        theirs.retain(|event| !event.path.starts_with("/@"));
        Some((self.ours.events[connection].clone(), theirs))
    }
}
