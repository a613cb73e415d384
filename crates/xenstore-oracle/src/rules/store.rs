//! Rules about nodes.

use xenstore_wire::MessageType as T;

use super::Rule;
use crate::compare::Aspect;
use crate::session::Reply;

pub const RULES: &[Rule] = &[
    Rule {
        title: "Order of children",
        rxenstored: "`DIRECTORY` lists in order of creation; special names are not listed.",
        c: None,
        ocaml: Some("Sorted; `@introduceDomain` and `@releaseDomain` are listed below `/`."),
        why: "What most hosts are used to: people read `xenstore-ls` so.",
        expects: |case, aspect| {
            let (Reply::Granted(ours), Reply::Granted(theirs)) =
                (&case.ours.reply, &case.theirs.reply)
            else {
                return false;
            };
            *aspect == Aspect::Reply && case.is(&[T::Directory]) && names(ours) == names(theirs)
        },
    },
    Rule {
        title: "Size of values",
        rxenstored: "What a message holds, for dom0.",
        c: None,
        ocaml: Some("`quota-maxsize`, 2048 as shipped, for dom0 too: `E2BIG`."),
        why: "Toolstacks keep JSON in the store.",
        expects: |case, aspect| {
            let value = case.step.payload.len().saturating_sub(case.first().len() + 1);
            *aspect != Aspect::Order && case.is(&[T::Write]) && value > 2048
        },
    },
    Rule {
        title: "Removing the root",
        rxenstored: "`EINVAL`.",
        c: None,
        ocaml: Some("All other nodes are removed."),
        why: "Nobody means it.",
        expects: |case, aspect| {
            *aspect != Aspect::Order && case.is(&[T::Rm]) && case.first() == b"/"
        },
    },
    Rule {
        title: "Owners that do not exist",
        rxenstored: "`SET_PERMS` that gives a node to a domain the hypervisor does not know: \
                     `ENOENT`.",
        c: None,
        ocaml: Some("Accepted."),
        why: "A domain that gets that number later would own the node (XSA-322).",
        expects: |case, aspect| {
            let owner = case.strings().get(1).and_then(|entry| entry.get(1..)).map(<[u8]>::to_vec);
            let number =
                owner.and_then(|digits| String::from_utf8(digits).ok()?.parse::<u32>().ok());
            *aspect != Aspect::Order
                && case.is(&[T::SetPerms])
                && case.refused("ENOENT")
                && number.is_some_and(|number| number >= 32752)
        },
    },
    Rule {
        title: "Every domain, in permission lists",
        rxenstored: "32757 means every domain.",
        c: Some("A domain that does not exist."),
        ocaml: None,
        why: "As newer C daemons: how a node is opened to all guests but not to those listed.",
        expects: |case, aspect| {
            let entries = case.strings();
            *aspect != Aspect::Order
                && case.is(&[T::SetPerms])
                && entries.get(1).is_some_and(|owner| owner.ends_with(b"32757"))
        },
    },
];

/// The nodes of a listing.
fn names(list: &[u8]) -> Vec<&[u8]> {
    let names = list.split(|&byte| byte == 0);
    let mut names: Vec<_> = names.filter(|name| !name.starts_with(b"@")).collect();
    names.sort_unstable();
    names
}
