//! The table of differences, for people.

use std::fmt::Write as _;

use crate::rules::RULES;

const INTRODUCTION: &str = "\
# In what rxenstored differs from C xenstored and oxenstored

Made from the rules of `crates/xenstore-oracle`, whose test sends the same random requests to
Debian's C xenstored 4.17, to its oxenstored 4.17 and to rxenstored, over privileged sockets,
and fails at any difference that is not listed here. After a change of the rules:
`XENSTORE_UPDATE=1 cargo test -p xenstore-oracle --test differential`.

\"As rxenstored\" in a column means that no difference was seen. Quotas and the rings of guests
are not part of this comparison.
";

/// The text of `docs/conformance/differences.md`.
pub fn differences() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (topic, rules) in RULES {
        let _ = write!(
            text,
            "\n## {topic}\n\n| what | rxenstored | C xenstored 4.17 | oxenstored 4.17 | why |\n\
             |---|---|---|---|---|\n"
        );
        for rule in *rules {
            let (c, ocaml) = (other(rule.c), other(rule.ocaml));
            let _ = writeln!(
                text,
                "| {} | {} | {c} | {ocaml} | {} |",
                rule.title, rule.rxenstored, rule.why
            );
        }
    }
    text
}

fn other(text: Option<&'static str>) -> &'static str {
    text.unwrap_or("As rxenstored.")
}
