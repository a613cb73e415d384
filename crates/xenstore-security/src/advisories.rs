//! The table of `docs/security.md`.

use std::fmt::Write;

/// Defects of one kind, whose tests are in one file.
#[derive(Debug)]
pub struct Class {
    /// What they have in common.
    pub title: &'static str,
    /// The file in `tests/`, without its ending.
    pub file: &'static str,
    /// The defects.
    pub rows: &'static [Row],
}

/// A published defect.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub advisory: &'static str,
    /// Its number, or why it has none.
    pub cve: &'static str,
    /// What happened.
    pub harm: &'static str,
    /// Why it does not happen here.
    pub rule: &'static str,
    /// Where in the project that is.
    pub places: &'static [&'static str],
    /// The tests that try it.
    pub tests: &'static [&'static str],
}

const RING: &str = "xenstore-host/src/ring.rs";
const RINGS: &str = "xenstore-host/src/rings.rs";
const SHARED_MEMORY: &str = "xenstore-host/src/shared_memory.rs";
const DECODER: &str = "xenstore-wire/src/decoder.rs";
const PATH: &str = "xenstore-wire/src/path.rs";
const TEXT: &str = "xenstore-wire/src/text.rs";
const TREE_NODE: &str = "xenstore-tree/src/node.rs";
const WALK: &str = "xenstore-tree/src/walk.rs";
const ACCOUNTS: &str = "xenstore-engine/src/accounts.rs";
const ACL: &str = "xenstore-engine/src/acl.rs";
const CHARGES: &str = "xenstore-engine/src/charges.rs";
const COMMIT: &str = "xenstore-engine/src/commit.rs";
const DOMAINS: &str = "xenstore-engine/src/domains.rs";
const EVENTS: &str = "xenstore-engine/src/events.rs";
const GRANT: &str = "xenstore-engine/src/grant.rs";
const LIFECYCLE: &str = "xenstore-engine/src/lifecycle.rs";
const OUTBOX: &str = "xenstore-engine/src/outbox.rs";
const PROTECTION: &str = "xenstore-engine/src/protection.rs";
const REQUESTS: &str = "xenstore-engine/src/requests.rs";
const STORE: &str = "xenstore-engine/src/store.rs";
const TRANSACTION: &str = "xenstore-engine/src/transaction.rs";
const VERSIONS: &str = "xenstore-engine/src/versions.rs";
const WATCH: &str = "xenstore-engine/src/watch.rs";
const GUESTS: &str = "rxenstored/src/guests.rs";
const EVENT_LOOP: &str = "rxenstored/src/event_loop.rs";

/// Every published defect of a store daemon.
pub const CLASSES: &[Class] = &[
    Class {
        title: "The shared page",
        file: "rings",
        rows: &[
            Row {
                advisory: "XSA-38",
                cve: "CVE-2013-0215",
                harm: "Ring indices were used as the guest had written them, to copy beyond the ring.",
                rule: "Indices are read once each time, checked, and then used; senseless ones end that ring's service.",
                places: &[RING, GUESTS],
                tests: &["xsa_38_senseless_indices_end_the_service_of_their_ring"],
            },
            Row {
                advisory: "XSA-155",
                cve: "CVE-2015-8550",
                harm: "What was read of a shared page was checked, and read again when it was used.",
                rule: "Shared memory is lent as atomics only, and each byte is copied once before anybody looks at it.",
                places: &[SHARED_MEMORY, RING],
                tests: &["xsa_155_a_page_may_change_while_it_is_read"],
            },
            Row {
                advisory: "XSA-325",
                cve: "CVE-2020-29483",
                harm: "A guest that broke the ring's rules counted as dead: a false release, and none when it died.",
                rule: "A connection can be cut off without its domain; only the hypervisor or a toolstack ends a domain.",
                places: &[LIFECYCLE, RINGS],
                tests: &["xsa_325_a_broken_ring_is_no_death"],
            },
        ],
    },
    Class {
        title: "Messages",
        file: "framing",
        rows: &[
            Row {
                advisory: "XSA-72",
                cve: "CVE-2013-4416",
                harm: "Replies longer than a message may be crashed or blocked who read them.",
                rule: "A reply that is too long is `E2BIG`; there is one place that encodes messages.",
                places: &[REQUESTS, OUTBOX],
                tests: &["xsa_72_no_reply_is_longer_than_a_message"],
            },
            Row {
                advisory: "XSA-324",
                cve: "CVE-2020-29484",
                harm: "An event longer than a message led to the use of a message that was not there.",
                rule: "Such an event names the watched path, which fits because the watch came in a message.",
                places: &[OUTBOX],
                tests: &["xsa_324_an_event_that_does_not_fit_names_the_watched_path"],
            },
            Row {
                advisory: "XSA-420",
                cve: "CVE-2022-42324",
                harm: "Lengths from the wire became negative in narrower integers: a loop without end.",
                rule: "Lengths are unsigned and compared before they are used; numbers in payloads are decimal and fit, or are refused.",
                places: &[DECODER, TEXT, RING],
                tests: &["xsa_420_large_numbers_stay_large"],
            },
            Row {
                advisory: "no number (2026-07)",
                cve: "none",
                harm: "A request without payload waited for bytes that never came, and its client with it.",
                rule: "The decoder takes bytes and gives messages, each as soon as its last byte is there.",
                places: &[DECODER],
                tests: &["unnumbered_2026_07_a_message_is_complete_with_its_last_byte"],
            },
        ],
    },
    Class {
        title: "Paths",
        file: "paths",
        rows: &[
            Row {
                advisory: "XSA-323",
                cve: "CVE-2020-29482",
                harm: "Relative paths were measured without the home in front: guests made nodes nobody could name.",
                rule: "A path is made absolute first and checked then; there is no other way to have one.",
                places: &[PATH],
                tests: &["xsa_323_what_a_guest_makes_a_toolstack_can_name"],
            },
            Row {
                advisory: "XSA-418",
                cve: "CVE-2022-42321",
                harm: "Recursion over deep trees ran out of stack.",
                rule: "Walks keep their place in a list, freeing a tree is a loop, and paths have at most 3072 bytes.",
                places: &[WALK, TREE_NODE, PATH],
                tests: &["xsa_418_the_deepest_tree_is_as_good_as_any"],
            },
            Row {
                advisory: "XSA-481",
                cve: "CVE-2026-23555",
                harm: "`/local/domain/` with nothing after it met an assertion or an endless loop.",
                rule: "Paths are split into names at the edge; what does not split is `EINVAL` for every request.",
                places: &[PATH],
                tests: &["xsa_481_a_path_of_wrong_form_is_refused"],
            },
        ],
    },
    Class {
        title: "Rights",
        file: "rights",
        rows: &[
            Row {
                advisory: "XSA-115",
                cve: "CVE-2020-29480",
                harm: "Watches told anybody of all changes, and unprivileged guests could ask about domains.",
                rule: "One function tells watches, and it asks for the right to read; privileged types are refused before they are parsed.",
                places: &[EVENTS, REQUESTS],
                tests: &["xsa_115_who_may_not_read_is_not_told"],
            },
            Row {
                advisory: "XSA-352",
                cve: "CVE-2020-29486",
                harm: "Owners gave their nodes away, and with them what these count against.",
                rule: "Only the privileged may change an owner, and nodes are charged where the change is made.",
                places: &[STORE, CHARGES],
                tests: &["xsa_352_a_guest_cannot_give_its_nodes_away"],
            },
            Row {
                advisory: "XSA-353",
                cve: "CVE-2020-29479",
                harm: "Permissions of the root were not checked.",
                rule: "The root is a node as any other, and there is one decision about rights.",
                places: &[ACL, STORE],
                tests: &["xsa_353_the_root_is_guarded_as_any_node"],
            },
        ],
    },
    Class {
        title: "Domids used again",
        file: "identity",
        rows: &[
            Row {
                advisory: "XSA-322",
                cve: "CVE-2020-29481",
                harm: "A new domain had the rights of the dead one with its number.",
                rule: "A domain's entries go with it, so a live entry always means the domain that runs now.",
                places: &[LIFECYCLE, ACL],
                tests: &["xsa_322_a_new_domain_inherits_nothing"],
            },
            Row {
                advisory: "XSA-417",
                cve: "CVE-2022-42320",
                harm: "Rights granted to a number that no domain had came alive with the domain that got it.",
                rule: "Each entry is bound to the domain that has the number when the list arrives, or to nobody for ever.",
                places: &[GRANT, ACL],
                tests: &["xsa_417_a_grant_to_nobody_stays_one"],
            },
            Row {
                advisory: "no number (2026-04)",
                cve: "none",
                harm: "A stale entry came alive when the list was written back as it had been read.",
                rule: "There are no stale entries of the dead to be read.",
                places: &[LIFECYCLE],
                tests: &["unnumbered_2026_04_a_list_written_back_revives_nothing"],
            },
            Row {
                advisory: "XSA-419",
                cve: "CVE-2022-42322, CVE-2022-42323",
                harm: "Nodes of dead domains fell to the control domain, so rebooting guests filled the store.",
                rule: "A domain's nodes are removed at its death, wherever they are.",
                places: &[LIFECYCLE],
                tests: &["xsa_419_the_dead_leave_no_nodes"],
            },
            Row {
                advisory: "XSA-483",
                cve: "CVE-2026-23556",
                harm: "What a domain had used of its quota was held against the next with its number.",
                rule: "Accounts and limits are in the domain's record, which is forgotten with it.",
                places: &[DOMAINS, LIFECYCLE],
                tests: &["xsa_483_an_account_ends_with_its_domain"],
            },
        ],
    },
    Class {
        title: "Accounts and commits",
        file: "accounts",
        rows: &[
            Row {
                advisory: "XSA-272",
                cve: "CVE-2018-15470",
                harm: "The quota of nodes was looked up and the outcome ignored.",
                rule: "The code that creates nodes decides about their charge, with an error that cannot be passed over.",
                places: &[STORE, CHARGES],
                tests: &["xsa_272_a_guest_makes_as_many_nodes_as_it_may"],
            },
            Row {
                advisory: "XSA-414",
                cve: "CVE-2022-42309",
                harm: "After a creation that failed half-way, freed memory was used.",
                rule: "All is checked before anything is made, and what is replaced in the tree is never changed.",
                places: &[STORE],
                tests: &["xsa_414_what_cannot_be_made_whole_is_not_begun"],
            },
            Row {
                advisory: "XSA-415",
                cve: "CVE-2022-42310",
                harm: "A failed creation within a transaction left nodes that no parent knew of.",
                rule: "A directory holds its children themselves: there is no list of them that could say otherwise.",
                places: &[TREE_NODE, TRANSACTION],
                tests: &["xsa_415_a_transaction_leaves_no_orphans"],
            },
            Row {
                advisory: "XSA-421",
                cve: "CVE-2022-42325, CVE-2022-42326",
                harm: "Nodes made and removed in a transaction were not counted, and commits were done by halves.",
                rule: "A transaction has an account of its own; a commit is checked on a copy, which then takes the store's place.",
                places: &[TRANSACTION, COMMIT],
                tests: &["xsa_421_a_commit_is_whole_and_counted"],
            },
            Row {
                advisory: "XSA-440",
                cve: "CVE-2023-34323",
                harm: "A count fell below zero at a commit, against an assertion that it would not.",
                rule: "What a commit costs is found anew on the store as it is; sums are signed until they are booked.",
                places: &[COMMIT, "xenstore-engine/src/quota.rs"],
                tests: &["xsa_440_a_count_is_right_whatever_met_at_the_commit"],
            },
        ],
    },
    Class {
        title: "What ends",
        file: "lifetime",
        rows: &[
            Row {
                advisory: "XSA-233",
                cve: "CVE-2017-14317",
                harm: "The record of a stub domain's target was freed twice.",
                rule: "A target is a number, dropped when either end goes.",
                places: &[DOMAINS, LIFECYCLE],
                tests: &["xsa_233_a_stub_domain_and_its_target_end_in_any_order"],
            },
            Row {
                advisory: "XSA-425",
                cve: "CVE-2022-42330",
                harm: "A release freed what the death of the domain freed again.",
                rule: "One function ends a domain, whatever the reason, and does nothing where there is none.",
                places: &[LIFECYCLE],
                tests: &["xsa_425_a_domain_ends_once"],
            },
            Row {
                advisory: "XSA-484",
                cve: "CVE-2026-23557",
                harm: "`RESET_WATCHES` within a transaction met an assertion when it was to be answered.",
                rule: "A reply is made from the request's header alone.",
                places: &[REQUESTS],
                tests: &["xsa_484_an_answer_outlives_the_transaction_it_names"],
            },
        ],
    },
    Class {
        title: "Memory",
        file: "memory",
        rows: &[
            Row {
                advisory: "XSA-326",
                cve: "CVE-2022-42311 to CVE-2022-42318",
                harm: "Guests made the daemon keep replies, events, nodes in transactions and notes of requests without bound.",
                rule: "All that is kept for a domain is charged to it, what it asks for before it is kept; who leaves replies \
                       lying is not read; events collapse to one a watch; old versions have a bound for all guests together.",
                places: &[ACCOUNTS, OUTBOX, TRANSACTION, VERSIONS],
                tests: &[
                    "xsa_326_replies_nobody_reads",
                    "xsa_326_events_nobody_reads",
                    "xsa_326_transactions_full_of_nodes",
                    "xsa_326_transactions_that_look_at_everything",
                    "xsa_326_transactions_that_keep_old_versions",
                ],
            },
            Row {
                advisory: "XSA-330",
                cve: "CVE-2020-29485",
                harm: "Watches removed by `RESET_WATCHES` stayed in the index.",
                rule: "Adding and removing a watch go through one index, which drops places that hold none.",
                places: &[WATCH],
                tests: &["xsa_330_watches_that_are_reset_leave_nothing"],
            },
            Row {
                advisory: "XSA-349",
                cve: "CVE-2020-29568",
                harm: "Kernels of control domains were sent events without bound, one for each write of a guest.",
                rule: "An event that waits to be taken is not queued again.",
                places: &[OUTBOX],
                tests: &["xsa_349_a_change_that_is_not_read_yet_is_told_once"],
            },
            Row {
                advisory: "XSA-416",
                cve: "CVE-2022-42319",
                harm: "What a request had needed was kept until its reply was read.",
                rule: "A request is borrowed from the buffer it came in; its reply is all that is left of it.",
                places: &[DECODER, REQUESTS],
                tests: &["xsa_416_a_request_is_gone_when_it_is_answered"],
            },
        ],
    },
    Class {
        title: "Fairness",
        file: "fairness",
        rows: &[
            Row {
                advisory: "XSA-206",
                cve: "none",
                harm: "A guest that wrote one node again and again kept all others' transactions from ever committing.",
                rule: "Who lost a transaction is protected in the next: [transactions.md](transactions.md).",
                places: &[PROTECTION, COMMIT],
                tests: &["xsa_206_a_transaction_gets_through_whatever_guests_do"],
            },
            Row {
                advisory: "hostile neighbours",
                cve: "none",
                harm: "One thread serves all: who keeps it busy keeps it from the others.",
                rule: "Turns go round; each is so many requests and so much work at most.",
                places: &[EVENT_LOOP, "xenstore-engine/src/engine.rs"],
                tests: &["neighbours_who_flood_stop_nobody"],
            },
        ],
    },
];

/// All defects, as tables in Markdown.
pub fn tables() -> String {
    let mut text = String::new();
    for Class { title, file, rows } in CLASSES {
        let _ = write!(
            text,
            "\n## {title}\n\nTests: [`{file}.rs`](../crates/xenstore-security/tests/{file}.rs).\n\n\
             | advisory | what happened | why not here | where | test |\n|---|---|---|---|---|\n"
        );
        for Row { advisory, cve, harm, rule, places, tests } in *rows {
            let number = if *cve == "none" { String::new() } else { format!("<br>{cve}") };
            let places = places.iter().map(|place| format!("[`{place}`](../crates/{place})"));
            let places = places.collect::<Vec<_>>().join("<br>");
            let tests = tests.iter().map(|test| format!("`{test}`"));
            let tests = tests.collect::<Vec<_>>().join("<br>");
            let _ = writeln!(text, "| {advisory}{number} | {harm} | {rule} | {places} | {tests} |");
        }
    }
    text + "\n"
}
