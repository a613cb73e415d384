//! Limits, features and what this version has.

use super::{Exception, Ours};
use crate::rules::Rule;

pub(super) const TABLE: &[Exception] = &[
    Exception {
        scenario: "oversize/len-4096",
        rule: Rule::PathLimit,
        steps: &[(3, Ours::INVALID), (4, Ours::INVALID)],
    },
    Exception {
        scenario: "path/length-flat",
        rule: Rule::PathLimit,
        steps: &[
            (10, Ours::INVALID),
            (11, Ours::INVALID),
            (12, Ours::INVALID),
            (17, Ours::INVALID),
        ],
    },
    Exception {
        scenario: "path/length-each-type",
        rule: Rule::PathLimit,
        steps: &[
            (1, Ours::INVALID),
            (2, Ours::INVALID),
            (3, Ours::INVALID),
            (4, Ours::INVALID),
            (5, Ours::INVALID),
            (6, Ours::INVALID),
            (7, Ours::INVALID),
            (8, Ours::INVALID),
            (9, Ours::INVALID),
            (10, Ours::INVALID),
            (11, Ours::INVALID),
        ],
    },
    Exception {
        scenario: "zerolen/type-23",
        rule: Rule::FeatureWord,
        steps: &[(1, Ours::Granted("15\0"))],
    },
    Exception {
        scenario: "feature/get",
        rule: Rule::FeatureWord,
        steps: &[
            (1, Ours::Granted("15\0")),
            (2, Ours::Granted("15\0")),
            (9, Ours::Granted("15\0")),
            (11, Ours::Granted("15\0")),
            (13, Ours::Granted("15\0")),
            (15, Ours::Granted("15\0")),
        ],
    },
    Exception {
        scenario: "feature/no-argument",
        rule: Rule::FeatureWord,
        steps: &[(1, Ours::Granted("15\0")), (2, Ours::Granted("15\0"))],
    },
    Exception {
        scenario: "control/help",
        rule: Rule::NoLiveUpdate,
        steps: &[(
            1,
            Ours::Granted("check\nlog\nlogfile\nmemreport\nprint\nquota\nquota-soft\nhelp\n\0"),
        )],
    },
];
