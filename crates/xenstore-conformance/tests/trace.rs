//! Whole hosts, recorded under oxenstored, lived through again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use xenstore_conformance::rules::HostRule;
use xenstore_conformance::{access_log, host_replay, host_verdict, report};

fn project(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

/// The recorded hosts, by name.
fn logs() -> BTreeMap<String, access_log::Log> {
    let files = fs::read_dir(project("crates/xenstore-conformance/traces")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let named = paths.filter_map(|path| {
        let name = path.file_name()?.to_str()?.strip_suffix(".access.log")?.to_owned();
        let log = access_log::parse(&fs::read_to_string(&path).unwrap());
        Some((name, log.unwrap_or_else(|error| panic!("{}: {error}", path.display()))))
    });
    named.collect()
}

#[test]
fn every_reply_and_event_is_as_recorded_or_as_a_rule_says() {
    let mut tallies = BTreeMap::new();
    for (name, log) in logs() {
        let relived = host_replay::relive(&log).unwrap_or_else(|error| panic!("{name}: {error}"));
        let tally = host_verdict::judge(&log, &relived);
        let wrong = &tally.wrong;
        assert!(wrong.is_empty(), "{name}: {} wrong:\n{}", wrong.len(), wrong.join("\n"));
        let explained: usize = tally.by_rule.values().map(Vec::len).sum();
        let equal = tally.equal_replies + tally.equal_events;
        assert_eq!(equal + explained, tally.requests + tally.events, "{name}");
        tallies.insert(name, tally);
    }
    for rule in HostRule::ALL {
        let needed = tallies.values().any(|tally| tally.by_rule.contains_key(rule));
        assert!(needed, "nothing needs {rule:?}");
    }

    let check = |file: &str, text: &str| {
        let file = project(file);
        let current = report::check_or_write(&file, text).unwrap();
        assert!(current, "{} is stale: run this test with UPDATE_DOCS=1", file.display());
    };
    for (name, tally) in &tallies {
        let file = format!("crates/xenstore-conformance/traces/{name}.differences");
        check(&file, &report::host_trace(tally));
    }
    check("docs/conformance/host-trace.md", &report::host_traces(&tallies));
}
