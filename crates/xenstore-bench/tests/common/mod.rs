//! What all tests of workloads do.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at what it does not expect")]

use xenstore_bench::target::Target;
use xenstore_bench::workload::Run;
use xenstore_bench::workloads;

/// Has rxenstored do a workload, quickly: there are all figures that goals are for.
pub fn gives_figures(name: &str) {
    let workload = workloads::all().into_iter().find(|workload| workload.name() == name);
    let workload = workload.expect("there is such a workload");
    let target = Target::Rxenstored;
    let daemon = target.start(workload.has_guests());
    let echo = workload.has_echo().then(|| Target::Echo.start(false));
    let run = Run { target, daemon: &daemon, echo: echo.as_ref(), quick: true };
    let outcome = workload.run(&run);
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}: {}", daemon.messages()));
    assert_eq!(outcome.notes, [""; 0]);
    for figure in &outcome.figures {
        assert!(figure.value.is_finite(), "{figure:?}");
    }
    for goal in workload.goals() {
        let found = outcome.figures.iter().any(|figure| figure.name == goal.figure);
        assert!(found, "no {} in {:?}", goal.figure, outcome.figures);
    }
}
