//! Recorded conversations with C xenstored, had again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use xenstore_conformance::engine_target::EngineTarget;
use xenstore_conformance::recording::{self, Scenario};
use xenstore_conformance::replay::Replay;
use xenstore_conformance::report;
use xenstore_conformance::rules::Rule;
use xenstore_conformance::target::Target;
use xenstore_conformance::verdict::{Tally, idle_exceptions};

fn scenarios() -> Vec<Scenario> {
    recording::parse(include_str!("../vectors/socket/chead.jsonl")).unwrap()
}

/// Plays a scenario to a target with a directory of its own for files.
fn judge(tally: &mut Tally, scenario: &Scenario, target: &mut dyn Target) {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().to_str().unwrap();
    let outcomes = Replay::new(target, files).play(scenario).unwrap();
    tally.judge(scenario, outcomes);
}

fn assert_nothing_wrong(tally: &Tally) {
    let wrong: Vec<_> = tally.wrong.iter().map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{} wrong steps:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_engine_answers_as_c_xenstored_or_as_a_rule_says() {
    let scenarios = scenarios();
    let mut tally = Tally::default();
    for scenario in &scenarios {
        judge(&mut tally, scenario, &mut EngineTarget::new("in process").unwrap());
    }
    assert_nothing_wrong(&tally);
    for &rule in Rule::ALL {
        assert!(tally.covered(rule) > 0, "no step needs {rule:?}");
    }

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance/exceptions.md");
    let text = report::exceptions(&tally, scenarios.len());
    let current = report::check_or_write(&file, &text).unwrap();
    assert!(current, "{} is stale: run this test with UPDATE_DOCS=1", file.display());
}

#[test]
fn every_exception_is_one() {
    let idle = idle_exceptions(&scenarios());
    assert!(idle.is_empty(), "not different from the recording: {idle:?}");
}
