//! Rules about how requests are spelt.

use xenstore_wire::text::{decimal, strings};
use xenstore_wire::{Domid, MessageType as T, Name, Path, Permission};

use super::{Case, Peer, Rule};
use crate::compare::Aspect;
use crate::history::access;
use crate::step::Step;

const PATH_REQUESTS: &[T] = &[T::Read, T::Directory, T::GetPerms, T::Mkdir, T::Rm];

pub const RULES: &[Rule] = &[
    ONE_PATH,
    Rule {
        title: "Special names in the place of a path",
        rxenstored: "`READ`, `WRITE`, `MKDIR`, `RM`, `DIRECTORY` of a name with `@` in front: \
                     `EINVAL`.",
        c: None,
        ocaml: Some("Such a name is a node below the root: it is found, created, removed."),
        why: "The store stays a tree of nodes; tools that walk it find no names that are none.",
        expects: |case, aspect| {
            let nodes = [T::Read, T::Write, T::Mkdir, T::Rm, T::Directory];
            *aspect != Aspect::Order && case.is(&nodes) && case.first().starts_with(b"@")
        },
    },
    SPECIAL_PERMISSIONS,
    Rule {
        title: "Length of paths",
        rxenstored: "3072 bytes for absolute, 2048 for relative paths, as the protocol says: \
                     longer ones are `EINVAL`.",
        c: Some("2048 bytes beside the home of a domain, for absolute paths too: `EINVAL`."),
        ocaml: Some(
            "`quota-path-max`, 1024 as shipped, beside the home of a domain: `EINVAL`; \
                     none for watches.",
        ),
        why: "The public header names both limits; nothing shorter is refused to dom0.",
        expects: long_path,
    },
    Rule {
        title: "Strings after the expected ones",
        rxenstored: "`EINVAL` if a request has more strings than it takes; `SET_TARGET` and \
                     `INTRODUCE` may have more. Bytes that no NUL ends are refused in \
                     `SET_PERMS`, ignored elsewhere.",
        c: Some("`SET_PERMS` ignores bytes that no NUL ends."),
        ocaml: Some(
            "`IS_DOMAIN_INTRODUCED`, `RESUME`, `TRANSACTION_END` look at the first string \
                     only; `SET_TARGET` takes two exactly; bytes that no NUL ends are a string, \
                     or left out in `SET_PERMS`.",
        ),
        why: "The strictest reading that every known client passes.",
        expects: |case, aspect| *aspect != Aspect::Order && surplus_strings(case),
    },
    Rule {
        title: "Permission entries",
        rxenstored: "A letter of `nrwb` and a decimal domid up to 65535, else `EINVAL`, before \
                     the path is looked at.",
        c: Some("Any base C knows, any range; the path is looked at first."),
        ocaml: Some("Any integer literal of OCaml; the path is looked at first."),
        why: "What no client sends should not have three meanings.",
        expects: |case, aspect| {
            let strings = case.strings();
            let misspelt = strings.iter().skip(1).any(|entry| Permission::parse(entry).is_err());
            *aspect != Aspect::Order
                && case.is(&[T::SetPerms])
                && case.refused("EINVAL")
                && misspelt
        },
    },
    DOMIDS,
    Rule {
        title: "Offset of `DIRECTORY_PART`",
        rxenstored: "Decimal digits, else `EINVAL`.",
        c: Some("What `atoi` makes of it: 0 for a word."),
        ocaml: None,
        why: "A client that sends something else has not understood the reply before.",
        expects: |case, aspect| {
            let offset = case.strings().get(1).copied().unwrap_or_default().to_vec();
            *aspect == Aspect::Reply
                && case.is(&[T::DirectoryPart])
                && case.refused("EINVAL")
                && decimal::<usize>(&offset).is_err()
        },
    },
    Rule {
        title: "Malformed names in `WATCH` and `UNWATCH`",
        rxenstored: "`EINVAL`, special names included.",
        c: Some("A special name is taken as it is; `UNWATCH` of a malformed path: `ENOENT`."),
        ocaml: Some("A special name is taken as it is; `UNWATCH` of a malformed path: `ENOENT`."),
        why: "As newer C daemons do: a watch that can never fire is a mistake worth telling.",
        expects: |case, aspect| {
            *aspect != Aspect::Order
                && case.is(&[T::Watch, T::Unwatch])
                && case.refused("EINVAL")
                && Name::parse(case.first(), Domid::DOM0).is_err()
        },
    },
];

const ONE_PATH: Rule = Rule {
    title: "Requests that consist of one path",
    rxenstored: "The path and one NUL, nothing before, between or after: else `EINVAL`.",
    c: Some("Not asked."),
    ocaml: None,
    why: "The specification's form. Recordings of newer C daemons say the same.",
    expects: |_, _| false,
};

const SPECIAL_PERMISSIONS: Rule = Rule {
    title: "Permissions of special names",
    rxenstored: "`GET_PERMS` and `SET_PERMS` of `@introduceDomain` and `@releaseDomain` work; \
                 of other well-formed names `ENOENT`; of malformed ones `EINVAL`.",
    c: Some(
        "`GET_PERMS` of any special name: `EINVAL`; `SET_PERMS` as rxenstored, asked only \
             for the two names that exist.",
    ),
    ocaml: Some(
        "Such a name is a node below the root, whatever follows the `@`; watches on \
                 `/` are told of its changes.",
    ),
    why: "What can be set should be readable: it is how an administrator checks who may watch.",
    expects: |case, aspect| {
        let special = case.is(&[T::GetPerms, T::SetPerms]) && case.first().starts_with(b"@");
        let reply = *aspect == Aspect::Reply && special;
        match case.peer {
            Peer::C => reply && (case.they_refuse("EINVAL") || case.they_refuse("ENOENT")),
            Peer::Ocaml => {
                let told_as_node = case.events(aspect).is_some_and(|(ours, theirs)| ours == theirs);
                reply || told_as_node
            }
        }
    },
};

const DOMIDS: Rule = Rule {
    title: "Domids",
    rxenstored: "Decimal digits, at most 65535, else `EINVAL`.",
    c: Some("What `atoi` makes of it. Not asked to change anything by such a number."),
    ocaml: Some(
        "Any integer literal of OCaml; `GET_DOMAIN_PATH` and `SET_TARGET` take the first digits. \
         Not asked to change anything by such a number.",
    ),
    why: "A misspelt domid must not be some other domain.",
    expects: |case, aspect| *aspect != Aspect::Order && misspelt_domid(case.step),
};

fn misspelt_domid(step: &Step) -> bool {
    let count = match step.message_type() {
        Some(T::Introduce | T::Release | T::Resume | T::IsDomainIntroduced | T::GetDomainPath) => 1,
        Some(T::SetTarget) => 2,
        _ => return false,
    };
    strings(&step.payload).take(count).any(|domid| Domid::parse(domid).is_err())
}

/// Why a request is not put to any other daemon, if it is not. It would change what
/// is known of domain 0, for all sequences after.
pub fn unasked_of_all(step: &Step) -> Option<&'static Rule> {
    let changes = [T::Introduce, T::Release, T::SetTarget].iter().any(|&kind| step.is(kind));
    (changes && misspelt_domid(step)).then_some(&DOMIDS)
}

/// Why a request is not put to the C daemon, if it is not.
pub fn unasked(step: &Step) -> Option<&'static Rule> {
    let payload = &step.payload;
    let path_request = step.message_type().is_some_and(|kind| PATH_REQUESTS.contains(&kind));
    let first_nul = payload.iter().position(|&byte| byte == 0);
    if path_request && first_nul.map(|at| at + 1) != Some(payload.len()) {
        return Some(&ONE_PATH);
    }
    let name = payload.get(..first_nul.unwrap_or(0)).unwrap_or_default();
    let known = [&b"@releaseDomain"[..], b"@introduceDomain"].contains(&name);
    let special = step.is(T::SetPerms) && name.starts_with(b"@") && !known;
    special.then_some(&SPECIAL_PERMISSIONS)
}

fn long_path(case: &Case<'_>, aspect: &Aspect) -> bool {
    let spelt = case.first();
    let named = access(case.step).is_some() || case.is(&[T::Watch, T::Unwatch]);
    let store = case.is(&[T::Read, T::Directory, T::GetPerms, T::Mkdir, T::Rm, T::Write]);
    let relevant = named || store || case.is(&[T::SetPerms, T::DirectoryPart]);
    let length = Path::parse(spelt, Domid::DOM0).map_or(spelt.len(), |path| path.quota_length());
    *aspect != Aspect::Order && relevant && length > 1024
}

fn surplus_strings(case: &Case<'_>) -> bool {
    let unterminated = case.step.payload.last().is_some_and(|&byte| byte != 0);
    let expected = match case.step.message_type() {
        Some(T::Write | T::Control) => return false,
        Some(T::Unwatch | T::SetTarget | T::DirectoryPart) => 2,
        // With the depth, which is a rule of its own.
        Some(T::Watch | T::Introduce) => 3,
        Some(T::SetPerms | T::GetQuota | T::SetQuota) | None => return unterminated,
        Some(_) => 1,
    };
    unterminated || case.strings().len() > expected
}
