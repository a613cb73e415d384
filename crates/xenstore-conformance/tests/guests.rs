//! Recorded conversations of guests, their toolstacks and the hypervisor, had again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use xenstore_conformance::daemon_process::program;
use xenstore_conformance::guests::recording::Scenario;
use xenstore_conformance::guests::verdict::Tally;
use xenstore_conformance::guests::{Exceptions, parse, replay};
use xenstore_conformance::report;
use xenstore_conformance::rules::Rule;

fn scenarios() -> Vec<Scenario> {
    parse(include_str!("../vectors/guest/both.jsonl")).unwrap()
}

fn exceptions() -> Exceptions {
    Exceptions::parse(include_str!("../vectors/guest/ours.jsonl")).unwrap()
}

#[test]
fn guests_are_served_as_by_c_xenstored_or_as_a_rule_says() {
    let (program, scenarios, exceptions) = (program().unwrap(), scenarios(), exceptions());
    let mut tally = Tally::default();
    for scenario in &scenarios {
        tally.judge(&exceptions, scenario, replay::play(&program, scenario).unwrap());
    }
    let wrong: Vec<_> = tally.wrong.iter().map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{} wrong steps:\n{}", wrong.len(), wrong.join("\n"));

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance/guests.md");
    let text = report::guests(&tally, scenarios.len());
    let current = report::check_or_write(&file, &text).unwrap();
    assert!(current, "{} is stale: run this test with UPDATE_DOCS=1", file.display());

    for &rule in Rule::ALL {
        let used = xenstore_conformance::exceptions::all().any(|entry| entry.rule == rule);
        assert!(used || tally.count.covered(rule) > 0, "no step needs {rule:?}");
    }
}

#[test]
fn every_exception_is_one() {
    let idle = exceptions().idle(&scenarios());
    assert!(idle.is_empty(), "not different from C xenstored: {idle:?}");
}
