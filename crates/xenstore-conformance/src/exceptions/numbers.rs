//! What is no number for us.

use super::{Exception, Ours};
use crate::rules::Rule;

pub(super) const TABLE: &[Exception] = &[
    Exception {
        scenario: "payload/get-domain-path",
        rule: Rule::StrictNumbers,
        steps: &[(5, Ours::INVALID)],
    },
    Exception {
        scenario: "number/is-introduced-domid",
        rule: Rule::StrictNumbers,
        steps: &[(3, Ours::INVALID), (4, Ours::INVALID), (27, Ours::INVALID)],
    },
    Exception {
        scenario: "number/release-domid",
        rule: Rule::StrictNumbers,
        steps: &[(3, Ours::INVALID), (4, Ours::INVALID)],
    },
    Exception {
        scenario: "number/resume-domid",
        rule: Rule::StrictNumbers,
        steps: &[(3, Ours::INVALID), (4, Ours::INVALID)],
    },
    Exception {
        scenario: "number/introduce-domid",
        rule: Rule::StrictNumbers,
        steps: &[(27, Ours::INVALID)],
    },
    Exception {
        scenario: "number/set-target-first-domid",
        rule: Rule::StrictNumbers,
        steps: &[(3, Ours::INVALID), (4, Ours::INVALID), (27, Ours::INVALID)],
    },
    Exception {
        scenario: "number/set-target-second-domid",
        rule: Rule::StrictNumbers,
        steps: &[(3, Ours::INVALID), (4, Ours::INVALID), (27, Ours::INVALID)],
    },
    Exception {
        scenario: "number/is-introduced-zero",
        rule: Rule::StrictNumbers,
        steps: &[(4, Ours::INVALID), (5, Ours::INVALID), (6, Ours::INVALID), (9, Ours::INVALID)],
    },
    Exception {
        scenario: "number/perm-owner",
        rule: Rule::StrictNumbers,
        steps: &[(6, Ours::INVALID), (8, Ours::INVALID), (18, Ours::INVALID), (24, Ours::INVALID)],
    },
    Exception {
        scenario: "number/introduce-gfn-port",
        rule: Rule::StrictNumbers,
        steps: &[
            (9, Ours::INVALID),
            (10, Ours::Granted("F\0")),
            (12, Ours::Granted("F\0")),
            (13, Ours::INVALID),
            (14, Ours::Granted("F\0")),
            (16, Ours::Granted("F\0")),
            (17, Ours::Refused("ENOENT")),
        ],
    },
    Exception {
        scenario: "control/quota-numbers",
        rule: Rule::StrictNumbers,
        steps: &[
            (1, Ours::INVALID),
            (3, Ours::INVALID),
            (4, Ours::INVALID),
            (5, Ours::INVALID),
            (7, Ours::INVALID),
            (8, Ours::INVALID),
            (12, Ours::INVALID),
        ],
    },
];
