//! Rules about watches and what they are told.

use xenstore_wire::{Domid, MessageType as T, Name};

use super::{Case, Rule};
use crate::compare::{Aspect, distinct, sorted, surplus};
use crate::history::{parse, related};
use crate::session::Event;

const CHANGES: &[T] = &[T::Write, T::Mkdir, T::Rm, T::SetPerms];

pub const RULES: &[Rule] = &[
    Rule {
        title: "Reply and own events of a simple change",
        rxenstored: "The reply first.",
        c: Some("The events first."),
        ocaml: None,
        why: "A client that waits for its reply need not put events aside.",
        expects: |case, aspect| {
            let (ours, theirs) = (case.ours, case.theirs);
            *aspect == Aspect::Order
                && case.is(CHANGES)
                && ours.before_reply == 0
                && theirs.before_reply == ours.events[case.step.connection].len()
        },
    },
    Rule {
        title: "Depth of watches",
        rxenstored: "`WATCH` with a third string, a depth.",
        c: Some("Three strings: `EINVAL`."),
        ocaml: Some("Three strings: `EINVAL`."),
        why: "As newer C daemons, whose tools use it.",
        expects: |case, aspect| {
            *aspect != Aspect::Order && case.is(&[T::Watch]) && case.strings().len() == 3
        },
    },
    Rule {
        title: "Events of one domain",
        rxenstored: "`@introduceDomain/<domid>` and `@releaseDomain/<domid>` can be watched.",
        c: Some("Only the plain names fire."),
        ocaml: Some("Only the plain names fire."),
        why: "As newer C daemons: a listener need not look at every domain.",
        expects: |case, aspect| {
            let Some((ours, theirs)) = case.events(aspect) else { return false };
            let of_one = |event: &Event| event.path.starts_with('@') && event.path.contains('/');
            let more = surplus(&ours, &theirs);
            surplus(&theirs, &ours).is_empty() && !more.is_empty() && more.iter().all(of_one)
        },
    },
    Rule {
        title: "Watches below a removed node",
        rxenstored: "Each watch on a node that was removed is told, deepest first, the removed \
                     root's last.",
        c: None,
        ocaml: Some(
            "Watches on names below that never were nodes are told, too; the root's first.",
        ),
        why: "Nothing happened where nothing was.",
        expects: |case, aspect| {
            let Some((ours, theirs)) = case.events(aspect) else { return false };
            let Ok(removed) = Name::parse(case.first(), Domid::DOM0) else { return false };
            let below = |event: &Event| {
                let name = Name::parse(event.path.as_bytes(), Domid::DOM0);
                name.is_ok_and(|name| related(&name, &removed) && name != removed)
            };
            case.is(&[T::Rm])
                && surplus(&ours, &theirs).is_empty()
                && surplus(&theirs, &ours).iter().all(below)
        },
    },
    Rule {
        title: "Several watches told of one change",
        rxenstored: "In the order they were registered in.",
        c: None,
        ocaml: Some("From the root down, newest first."),
        why: "Any order is allowed; this one is what C clients see.",
        expects: |case, aspect| {
            let Some((ours, theirs)) = case.events(aspect) else { return false };
            !case.is(&[T::TransactionEnd]) && sorted(&ours) == sorted(&theirs)
        },
    },
    Rule {
        title: "Events that look the same",
        rxenstored: "Two watches with one token are told of one change by two equal events, as \
                     long as their client keeps up.",
        c: Some("An event equal to one that waits is not sent."),
        ocaml: None,
        why: "One event for each watch; they are put together when a client lags.",
        expects: |case, aspect| {
            let Some((ours, theirs)) = case.events(aspect) else { return false };
            case.is(CHANGES) && distinct(&ours) == distinct(&theirs) && theirs.len() < ours.len()
        },
    },
    Rule {
        title: "Changes of the root",
        rxenstored: "Watches on `/` are told.",
        c: None,
        ocaml: Some("Nobody is told."),
        why: "The root is a node like others.",
        expects: |case, aspect| {
            let Some((ours, theirs)) = case.events(aspect) else { return false };
            let root = |event: &Event| event.path == "/";
            (case.is(CHANGES) && case.first() == b"/" || case.is(&[T::TransactionEnd]))
                && ours.iter().any(root)
                && theirs.iter().all(|event| !root(event))
                && distinct(&theirs) == {
                    let mut rest = distinct(&ours);
                    rest.retain(|event| !root(event));
                    rest
                }
        },
    },
    Rule {
        title: "Order of a commit's events",
        rxenstored: "In the order of the changes; a place changed twice is told once, where it \
                     was changed last.",
        c: Some("In the order in which the transaction first touched the nodes."),
        ocaml: Some("One event for each change."),
        why: "Predictable, and a duplicate only costs.",
        expects: |case, aspect| {
            let Some((ours, theirs)) = case.events(aspect) else { return false };
            commits(case) && distinct(&ours) == distinct(&theirs)
        },
    },
    Rule {
        title: "Which changes of a commit are told",
        rxenstored: "What is different now from the store everybody saw before: not what was \
                     made and removed inside, nor what others made meanwhile.",
        c: Some("What the transaction changed, going by what it had seen of removed nodes."),
        ocaml: Some("Every change inside, whether it still changes anything or not."),
        why: "Watches are told of changes that happened, and of all of them.",
        expects: |case, aspect| {
            let Some((ours, theirs)) = case.events(aspect) else { return false };
            let Some(open) = case.transaction() else { return false };
            let accounted = |event: &Event| {
                let name = Name::parse(event.path.as_bytes(), Domid::DOM0);
                name.is_ok_and(|name| open.removed_near(&name) || open.disturbed(&name))
            };
            let differing = [
                surplus(&distinct(&ours), &distinct(&theirs)),
                surplus(&distinct(&theirs), &distinct(&ours)),
            ];
            commits(case) && differing.iter().flatten().all(accounted)
        },
    },
];

fn commits(case: &Case<'_>) -> bool {
    matches!(parse(case.step), Some(xenstore_wire::Request::TransactionEnd { commit: true }))
        && case.granted()
        && case.they_grant()
}
