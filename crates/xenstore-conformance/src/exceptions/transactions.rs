//! Commits that succeed with us, and what is in the store thereafter.

use super::{Exception, Ours};
use crate::rules::Rule;

pub(super) const TABLE: &[Exception] = &[
    Exception {
        scenario: "dirpart/in-tx-readonly",
        rule: Rule::ReadOnlyCommits,
        steps: &[(6, Ours::OK)],
    },
    Exception {
        scenario: "tx/readonly-untouched",
        rule: Rule::ReadOnlyCommits,
        steps: &[(11, Ours::OK), (15, Ours::OK)],
    },
    Exception {
        scenario: "tx/conflict-read-only-changed",
        rule: Rule::ReadOnlyCommits,
        steps: &[(5, Ours::OK)],
    },
    Exception {
        scenario: "tx/conflict-read-only-list-changed",
        rule: Rule::ReadOnlyCommits,
        steps: &[(5, Ours::OK)],
    },
    Exception {
        scenario: "tx/conflict-create-siblings-root",
        rule: Rule::SiblingsMerge,
        steps: &[(5, Ours::OK), (6, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-rm-sibling-added",
        rule: Rule::SiblingsMerge,
        steps: &[(6, Ours::OK), (7, Ours::Granted("z\0y\0"))],
    },
    Exception {
        scenario: "tx/conflict-rm-siblings",
        rule: Rule::SiblingsMerge,
        steps: &[(6, Ours::OK), (7, Ours::Granted(""))],
    },
    Exception {
        scenario: "tx/conflict-deep-create-shared-prefix",
        rule: Rule::SiblingsMerge,
        steps: &[(7, Ours::OK), (8, Ours::Granted("2\x001\0"))],
    },
    Exception {
        scenario: "tx/conflict-write-write-existing",
        rule: Rule::BlindChangesMerge,
        steps: &[(5, Ours::OK), (6, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-write-write-same-value",
        rule: Rule::BlindChangesMerge,
        steps: &[(5, Ours::OK)],
    },
    Exception {
        scenario: "tx/conflict-create-create-same",
        rule: Rule::BlindChangesMerge,
        steps: &[(5, Ours::OK), (6, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-create-under-parent-value-changed",
        rule: Rule::BlindChangesMerge,
        steps: &[(5, Ours::OK), (6, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-create-under-parent-perms-changed",
        rule: Rule::BlindChangesMerge,
        steps: &[(5, Ours::OK), (6, Ours::Granted("2")), (7, Ours::Granted("r0\0"))],
    },
    Exception {
        scenario: "tx/conflict-create-under-parent-recreated",
        rule: Rule::BlindChangesMerge,
        steps: &[(6, Ours::OK), (7, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-write-target-removed",
        rule: Rule::BlindChangesMerge,
        steps: &[(5, Ours::OK), (6, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-set-perms-value-changed",
        rule: Rule::BlindChangesMerge,
        steps: &[(5, Ours::OK), (7, Ours::Granted("r0\0"))],
    },
    Exception {
        scenario: "tx/conflict-set-perms-both",
        rule: Rule::BlindChangesMerge,
        steps: &[(5, Ours::OK), (6, Ours::Granted("r0\0"))],
    },
    Exception {
        scenario: "tx/conflict-rm-child-changed",
        rule: Rule::BlindChangesMerge,
        steps: &[(5, Ours::OK), (6, Ours::Refused("ENOENT")), (7, Ours::Refused("ENOENT"))],
    },
    Exception {
        scenario: "tx/conflict-rm-rm-same",
        rule: Rule::BlindChangesMerge,
        steps: &[(5, Ours::OK)],
    },
    Exception {
        scenario: "tx/conflict-mkdir-created-outside",
        rule: Rule::BlindChangesMerge,
        steps: &[(6, Ours::OK), (8, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-rm-of-created-outside-subtree",
        rule: Rule::BlindChangesMerge,
        steps: &[(6, Ours::OK), (7, Ours::Granted("z\0"))],
    },
    Exception {
        scenario: "tx/conflict-create-same-value",
        rule: Rule::BlindChangesMerge,
        steps: &[(5, Ours::OK)],
    },
    Exception {
        scenario: "tx/conflict-read-then-same-value",
        rule: Rule::SameAnswersCommit,
        steps: &[(7, Ours::OK), (8, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-read-then-changed-back",
        rule: Rule::SameAnswersCommit,
        steps: &[(8, Ours::OK), (9, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-read-missing-parent-created",
        rule: Rule::SameAnswersCommit,
        steps: &[(6, Ours::OK), (7, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-list-own-value",
        rule: Rule::SameAnswersCommit,
        steps: &[(7, Ours::OK), (8, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-read-value-child-added",
        rule: Rule::SameAnswersCommit,
        steps: &[(7, Ours::OK), (8, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-read-value-perms-changed",
        rule: Rule::SameAnswersCommit,
        steps: &[(7, Ours::OK), (8, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-get-perms-value-changed",
        rule: Rule::SameAnswersCommit,
        steps: &[(7, Ours::OK), (8, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-rm-missing-created",
        rule: Rule::SameAnswersCommit,
        steps: &[(7, Ours::OK), (8, Ours::Granted("x\0")), (9, Ours::Granted("2"))],
    },
    Exception {
        scenario: "tx/conflict-mkdir-existing",
        rule: Rule::SameAnswersCommit,
        steps: &[(7, Ours::OK), (9, Ours::Granted("2"))],
    },
];
