//! The workloads on sockets give figures; what these are is not a test's to judge. Of every
//! reply they check that it is as long as the request says.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at what it does not expect")]

mod common;

use common::gives_figures;
use xenstore_bench::target::Target;
use xenstore_bench::workload::Run;
use xenstore_bench::workloads;

#[test]
fn clients_that_ask() {
    for name in ["ask-read", "ask-write", "ask-directory", "ask-mkdir-rm", "ask-in-turns"] {
        gives_figures(name);
    }
}

#[test]
fn what_the_echo_server_takes_part_in_gives_the_same_figures_of_it() {
    let (mut with_echo, target) = (0, Target::Echo);
    for workload in workloads::all().into_iter().filter(|workload| workload.has_echo()) {
        let daemon = target.start(workload.has_guests());
        let outcome = workload.run(&Run { target, daemon: &daemon, echo: None, quick: true });
        let outcome = outcome.unwrap_or_else(|error| panic!("{error}: {}", daemon.messages()));
        let found = |name| outcome.figures.iter().any(|figure| figure.name == name);
        for goal in workload.goals() {
            let figure = goal.figure.trim_end_matches(", of echo");
            assert!(found(figure), "no {figure} in {outcome:?}");
        }
        with_echo += 1;
    }
    assert_eq!(with_echo, 5);
}

#[test]
fn large_stores_and_wide_directories() {
    gives_figures("sizes");
    gives_figures("wide");
}

#[test]
fn transactions_of_twelve_messages() {
    gives_figures("transactions");
}

#[test]
fn watches_and_who_leaves() {
    gives_figures("watches");
}

#[test]
fn idle_and_hostile_neighbours() {
    // Two thousand connections are as many files.
    xenstore_bench::measure::raise_open_files().expect("a limit that may be raised");
    gives_figures("idle");
    gives_figures("hostile");
}
