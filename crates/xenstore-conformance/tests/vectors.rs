//! Recorded conversations with C xenstored, had again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use xenstore_conformance::daemon_process::program;
use xenstore_conformance::daemon_target::DaemonTarget;
use xenstore_conformance::engine_target::EngineTarget;
use xenstore_conformance::recording::{self, Outcome, Scenario};
use xenstore_conformance::replay::Replay;
use xenstore_conformance::report;
use xenstore_conformance::target::Target;
use xenstore_conformance::verdict::{Tally, idle_exceptions};

fn scenarios() -> Vec<Scenario> {
    recording::parse(include_str!("../vectors/socket/chead.jsonl")).unwrap()
}

/// Plays a scenario to a target with a directory of its own for files.
fn play(scenario: &Scenario, target: &mut dyn Target) -> Vec<Outcome> {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().to_str().unwrap();
    Replay::new(target, files).play(scenario).unwrap()
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
        tally.judge(scenario, play(scenario, &mut EngineTarget::new().unwrap()));
    }
    assert_nothing_wrong(&tally);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance/exceptions.md");
    let text = report::exceptions(&tally.count, scenarios.len());
    let current = report::check_or_write(&file, &text).unwrap();
    assert!(current, "{} is stale: run this test with UPDATE_DOCS=1", file.display());
}

#[test]
fn every_exception_is_one() {
    let idle = idle_exceptions(&scenarios());
    assert!(idle.is_empty(), "not different from the recording: {idle:?}");
}

/// The daemon on its socket, in every scenario that commands no domains. It runs
/// without a hypervisor, so every domain exists; the recordings are of a host where
/// only those exist that a scenario creates. Steps in which that matters, which the
/// engine played in both worlds tells, are compared with the engine in the same world.
#[test]
fn the_daemon_answers_as_the_engine_does() {
    let program = program().unwrap();
    let mut tally = Tally::default();
    let mut worlds_apart = 0;
    for scenario in scenarios().iter().filter(|scenario| !scenario.commands_domains()) {
        let here = play(scenario, &mut EngineTarget::without_hypervisor());
        let there = play(scenario, &mut EngineTarget::new().unwrap());
        let mut seen = play(scenario, &mut DaemonTarget::start(&program).unwrap());
        let steps = scenario.steps.iter().zip(here).zip(there);
        for (seen, ((step, here), there)) in seen.iter_mut().zip(steps) {
            if here != there {
                assert_eq!(*seen, here, "{} step {}", scenario.name, step.number);
                *seen = there;
                worlds_apart += 1;
            }
        }
        tally.judge(scenario, seen);
    }
    assert_nothing_wrong(&tally);
    assert!(worlds_apart < tally.count.steps / 10, "{worlds_apart} steps could not be compared");
}
