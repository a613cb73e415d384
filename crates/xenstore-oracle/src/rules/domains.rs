//! Rules about domains and the daemon.

use xenstore_wire::MessageType as T;
use xenstore_wire::text::decimal;

use super::{Peer, Rule};
use crate::compare::Aspect;
use crate::step::Step;

pub const RULES: &[Rule] = &[
    Rule {
        title: "Newer requests",
        rxenstored: "`GET_FEATURE`, `SET_FEATURE`, `GET_QUOTA`, `SET_QUOTA` are answered.",
        c: Some("`ENOSYS`."),
        ocaml: Some("`ENOSYS`."),
        why: "The toolstack of newer Xen asks.",
        expects: |case, aspect| {
            let newer = [T::GetFeature, T::SetFeature, T::GetQuota, T::SetQuota];
            *aspect == Aspect::Reply && case.is(&newer) && case.they_refuse("ENOSYS")
        },
    },
    Rule {
        title: "`DIRECTORY_PART`",
        rxenstored: "Answered, for everybody.",
        c: None,
        ocaml: Some("`ENOSYS`."),
        why: "Long lists cannot be read without.",
        expects: |case, aspect| {
            *aspect == Aspect::Reply && case.is(&[T::DirectoryPart]) && case.they_refuse("ENOSYS")
        },
    },
    Rule {
        title: "Texts of `CONTROL`",
        rxenstored: "An unknown command is `EINVAL`; texts have the form of C xenstored.",
        c: Some("The same form; commands and quotas of its release."),
        ocaml: Some("Commands of its own; what it does not know is `OK`."),
        why: "`xenstore-control` prints the help when it is told `EINVAL`.",
        expects: |case, aspect| *aspect == Aspect::Reply && case.is(&[T::Control]),
    },
    Rule {
        title: "Port of `INTRODUCE`",
        rxenstored: "Decimal digits and not 0, else `EINVAL`.",
        c: Some("What `atoi` makes of it, but not 0."),
        ocaml: Some("Any integer."),
        why: "A misspelt port must not be some other.",
        expects: |case, aspect| {
            let port = case.strings().get(2).copied().unwrap_or_default().to_vec();
            *aspect != Aspect::Order
                && case.is(&[T::Introduce])
                && case.refused("EINVAL")
                && !matches!(decimal::<u32>(&port), Ok(1..))
        },
    },
    Rule {
        title: "Frame of `INTRODUCE`",
        rxenstored: "Not looked at: the ring is found by its grant.",
        c: None,
        ocaml: Some("A word is `EIO`; another than at the first `INTRODUCE` is `EINVAL`."),
        why: "As C: a domain that was reset may have its ring elsewhere.",
        expects: |case, aspect| {
            *aspect != Aspect::Order
                && case.is(&[T::Introduce])
                && (case.they_refuse("EIO") || case.they_refuse("EINVAL"))
        },
    },
    Rule {
        title: "What a released domain had",
        rxenstored: "Its nodes are removed and watches told; its entries in permission lists are \
                     taken out.",
        c: Some("Its entries in permission lists stay."),
        ocaml: Some(
            "Its nodes are removed and nobody is told; so are those of a domain that was \
                     not introduced.",
        ),
        why: "Whoever gets the number next must not inherit (XSA-322), and backends learn that a \
              frontend is gone.",
        expects: |case, aspect| {
            case.peer == Peer::Ocaml && case.is(&[T::Release]) && case.events(aspect).is_some()
        },
    },
    Rule {
        title: "The target of `SET_TARGET`",
        rxenstored: "Must be introduced, else `ENOENT`.",
        c: None,
        ocaml: Some("May be any number."),
        why: "A domain that gets the number later has lent its rights to nobody.",
        expects: |case, aspect| {
            *aspect == Aspect::Reply
                && case.is(&[T::SetTarget])
                && case.refused("ENOENT")
                && case.they_grant()
        },
    },
    SET_TARGET,
    RELEASE_OF_DOMAIN_0,
    Rule {
        title: "Domains that were not introduced",
        rxenstored: "`RELEASE`, `RESUME`: `ENOENT`.",
        c: None,
        ocaml: Some("`EINVAL`."),
        why: "The error says what is wrong.",
        expects: |case, aspect| {
            *aspect == Aspect::Reply
                && case.is(&[T::Release, T::Resume])
                && case.refused("ENOENT")
                && case.they_refuse("EINVAL")
        },
    },
];

const RELEASE_OF_DOMAIN_0: Rule = Rule {
    title: "`RELEASE` of domain 0",
    rxenstored: "`EINVAL`.",
    c: None,
    ocaml: Some("Not asked: it is done."),
    why: "The store has no use without its control domain.",
    expects: |_, _| false,
};

const SET_TARGET: Rule = Rule {
    title: "Ends of a `SET_TARGET`",
    rxenstored: "Either domain can be released or die first, or be its own target: the link is \
                 dropped.",
    c: Some("Not asked."),
    ocaml: None,
    why: "A link must not outlive its ends, nor keep them (XSA-233).",
    expects: |_, _| false,
};

/// Why a request is not put to the C daemon, if it is not.
pub fn unasked_of_c(step: &Step) -> Option<&'static Rule> {
    step.is(T::SetTarget).then_some(&SET_TARGET)
}

/// Why a request is not put to oxenstored, if it is not.
pub fn unasked(step: &Step) -> Option<&'static Rule> {
    // In any spelling of the number.
    let zero = !step.payload.iter().any(|byte| matches!(byte, b'1'..=b'9'));
    (step.is(T::Release) && zero).then_some(&RELEASE_OF_DOMAIN_0)
}
