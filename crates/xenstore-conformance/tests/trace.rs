//! A whole host, recorded under oxenstored, lived through again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use xenstore_conformance::rules::HostRule;
use xenstore_conformance::{access_log, host_replay, host_verdict, report};

fn log() -> access_log::Log {
    access_log::parse(include_str!("../traces/xl-pv-guests.access.log")).unwrap()
}

fn project(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

#[test]
fn every_reply_and_event_is_as_recorded_or_as_a_rule_says() {
    let log = log();
    let tally = host_verdict::judge(&log, &host_replay::relive(&log).unwrap());
    assert!(tally.wrong.is_empty(), "{} wrong:\n{}", tally.wrong.len(), tally.wrong.join("\n"));
    for rule in HostRule::ALL {
        assert!(tally.by_rule.contains_key(rule), "nothing needs {rule:?}");
    }
    let explained: usize = tally.by_rule.values().map(Vec::len).sum();
    let equal = tally.equal_replies + tally.equal_events;
    assert_eq!(equal + explained, tally.requests + tally.events);

    let file = project("docs/conformance/host-trace.md");
    let current = report::check_or_write(&file, &report::host_trace(&tally)).unwrap();
    assert!(current, "{} is stale: run this test with UPDATE_DOCS=1", file.display());
}
