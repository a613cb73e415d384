//! Rules about transactions.

use xenstore_wire::MessageType as T;

use super::Rule;
use crate::compare::Aspect;
use crate::history::access;
use crate::step::Transaction;

pub const RULES: &[Rule] = &[
    Rule {
        title: "Unknown transactions",
        rxenstored: "`ENOENT`, after the type was found to exist.",
        c: None,
        ocaml: Some("`EIO`, before anything else is looked at."),
        why: "Linux looks for `ENOENT`.",
        expects: |case, aspect| {
            let named = case.step.transaction != Transaction::None;
            *aspect == Aspect::Reply
                && named
                && case.transaction().is_none()
                && case.they_refuse("EIO")
        },
    },
    Rule {
        title: "What a transaction sees",
        rxenstored: "The store as it was when it began, and its own changes.",
        c: Some("Each node as it was when the transaction first touched it."),
        ocaml: None,
        why: "The specification: a transaction works on a copy of the whole store.",
        expects: |case, aspect| {
            let Some((open, (_, name))) = case.transaction().zip(access(case.step)) else {
                return false;
            };
            *aspect == Aspect::Reply && open.disturbed(&name)
        },
    },
    Rule {
        title: "Conflicts",
        rxenstored: "`EAGAIN` only if an answer the transaction was given would be another now, \
                     refusals included; never for one that changed nothing.",
        c: Some(
            "`EAGAIN` if a node it touched was written meanwhile, parents and what was only \
                 read included; what changed before the first touch does not count.",
        ),
        ocaml: Some(
            "`EAGAIN` if neither merging subtrees nor repeating its requests works; \
                     refused reads do not count, requests about domains do.",
        ),
        why: "Domains that start side by side do not disturb each other; nothing a client was \
              told turns out wrong.",
        expects: |case, aspect| {
            let Some(open) = case.transaction() else { return false };
            // Who creates a node, or looks for one that is missing, has to do with its
            // nearest ancestor: perhaps the root, as everybody else who creates one.
            let expected = if case.refused("EAGAIN") {
                !case.they_refuse("EAGAIN") && open.disturbed_anywhere()
            } else {
                let meets = !open.requests.is_empty() && !open.outside.is_empty();
                case.they_refuse("EAGAIN") && (meets || open.administers)
            };
            *aspect != Aspect::Order && case.is(&[T::TransactionEnd]) && expected
        },
    },
];
