//! Shutdowns of domains, which no line tells of.
//!
//! What the log does tell is how often watches of `@releaseDomain` fired. They fire when a
//! domain is gone, which has a line, and when one has shut down. And they fire again when the
//! hypervisor signals anything else while a domain is shut down and not gone yet: oxenstored
//! looks whether there is one, not whether it has told of it.

use std::collections::BTreeMap;

use xenstore_wire::MessageType;

use super::{Deed, What, Who};

/// What is watched to be told of ends of domains.
pub(crate) const RELEASE_DOMAIN: &str = "@releaseDomain";

/// How often watches fired, and how often there was a line with a reason to.
#[derive(Default)]
pub(super) struct Ends {
    /// How often all watches must have fired until now.
    rounds: usize,
    watches: BTreeMap<(Who, String), Fired>,
    /// The lines of the rounds that no domain's going explains.
    unexplained: Vec<usize>,
}

/// How often a watch fired.
struct Fired {
    times: usize,
    /// The line in which it was asked for, until it fired for being there.
    asked: Option<usize>,
}

impl Ends {
    /// A domain is gone.
    pub(super) fn gone(&mut self) {
        self.rounds += 1;
    }

    /// Somebody watches.
    pub(super) fn watched(&mut self, who: Who, token: &str, line: usize) {
        let fired = Fired { times: self.rounds, asked: Some(line) };
        self.watches.insert((who, token.to_owned()), fired);
    }

    /// A watch fired.
    pub(super) fn fired(&mut self, who: Who, token: &str, line: usize) {
        let Some(fired) = self.watches.get_mut(&(who, token.to_owned())) else { return };
        if fired.asked.take().is_some() {
            return;
        }
        fired.times += 1;
        if fired.times > self.rounds {
            self.rounds += 1;
            // Watches that came meanwhile and did not fire yet came after it.
            let later = self.watches.values_mut().filter(|fired| fired.asked.is_some());
            let asked = later.filter_map(|fired| {
                fired.times += 1;
                fired.asked
            });
            self.unexplained.push(asked.fold(line, usize::min));
        }
    }

    /// Puts the shutdowns among the deeds.
    pub(super) fn add_shutdowns(self, deeds: &mut Vec<Deed>) {
        let mut last = 0;
        for line in self.unexplained {
            let at = deeds.partition_point(|deed| deed.line < line);
            let (before, after) = deeds.split_at(at);
            if let Some(who) = who_shut_down(before, after, last) {
                deeds.insert(at, Deed { line, who, what: What::ShutDown });
            }
            last = line;
        }
    }
}

/// The domain that shut down between these deeds, if one did, the unexplained round before this
/// having been in line `last`.
///
/// A domain that is shut down asks nothing until it is gone, or is resumed, which the toolstack
/// says a moment after it runs again. Of several it is the one that spoke last. The hypervisor
/// signals twice for one that goes, when it dies and when the last of it is gone: the first
/// round after that is the second signal, if a domain is shut down.
fn who_shut_down(before: &[Deed], after: &[Deed], last: usize) -> Option<Who> {
    let gone = |deed: &Deed| matches!((deed.who, &deed.what), (Who::Domain(_), What::Disconnect));
    let some_gone = before.iter().rev().find(|deed| gone(deed)).is_some_and(|it| it.line > last);
    let domains = domains(before);
    if some_gone && domains.values().any(|domain| domain.down) {
        return None;
    }
    let stops = |who: Who| {
        let its =
            |deed: &&Deed| [Some(deed.who), resumed(deed), released(deed)].contains(&Some(who));
        let its = after.iter().filter(its);
        let mut until_gone =
            its.take_while(|deed| !gone(deed) && released(deed).is_none()).peekable();
        until_gone.peek().is_none() || until_gone.any(|deed| resumed(deed).is_some())
    };
    let found = domains.iter().filter(|(who, domain)| !domain.down && stops(**who));
    found.max_by_key(|(_, domain)| domain.spoke).map(|(who, _)| *who)
}

/// A guest that is there.
struct Domain {
    /// In what line it spoke last.
    spoke: usize,
    /// Whether it is shut down.
    down: bool,
}

/// Whether a guest is shut down and not gone after these deeds.
pub(crate) fn any_shut_down<'d>(deeds: impl IntoIterator<Item = &'d Deed>) -> bool {
    domains(deeds).values().any(|domain| domain.down)
}

/// The guests that are there after these deeds.
fn domains<'d>(deeds: impl IntoIterator<Item = &'d Deed>) -> BTreeMap<Who, Domain> {
    let mut domains: BTreeMap<Who, Domain> = BTreeMap::new();
    for deed in deeds {
        if let Some(domain) = resumed(deed).and_then(|who| domains.get_mut(&who)) {
            domain.down = false;
        }
        if let Some(who) = released(deed) {
            domains.remove(&who);
        }
        let (spoke, who @ Who::Domain(1..)) = (deed.line, deed.who) else { continue };
        let down = deed.what == What::ShutDown;
        if deed.what == What::Disconnect {
            domains.remove(&who);
        } else {
            domains.insert(who, Domain { spoke, down });
        }
    }
    domains
}

/// Whether a deed is, or causes, the end of a domain as far as the store is concerned.
pub(crate) fn is_end(deed: &Deed) -> bool {
    let ends = matches!(deed.what, What::Disconnect | What::ShutDown);
    matches!(deed.who, Who::Domain(_)) && ends || released(deed).is_some()
}

/// The domain that a deed has run again.
fn resumed(deed: &Deed) -> Option<Who> {
    asked_for(MessageType::Resume, deed)
}

/// The domain that the store lets go of: gone, or, for a soft reset, to be introduced anew.
pub(crate) fn released(deed: &Deed) -> Option<Who> {
    asked_for(MessageType::Release, deed)
}

/// The domain for which something was asked and granted.
fn asked_for(what: MessageType, deed: &Deed) -> Option<Who> {
    match &deed.what {
        What::Ask { kind, payload, refused: None, .. } if *kind == what => named(payload),
        _ => None,
    }
}

/// The domain that a payload names.
pub(crate) fn named(payload: &[u8]) -> Option<Who> {
    let domid = std::str::from_utf8(payload).ok()?.trim_end_matches('\0');
    domid.parse().ok().map(Who::Domain)
}
