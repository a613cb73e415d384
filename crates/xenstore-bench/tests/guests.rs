//! The workloads with guests give figures; what these are is not a test's to judge.

mod common;

use common::gives_figures;

#[test]
fn guests_that_all_ask() {
    gives_figures("guests-read");
    gives_figures("guests-write-8");
}

#[test]
fn one_guest_among_idle_ones() {
    gives_figures("guests-idle");
    gives_figures("guests-asleep");
}

#[test]
fn a_large_host() {
    gives_figures("guests-large");
}

#[test]
fn many_deaths() {
    gives_figures("guests-death");
}

#[test]
fn floods() {
    gives_figures("guests-flood");
}
