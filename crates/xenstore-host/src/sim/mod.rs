//! A hypervisor in files, for tests and for an administrator who wants to try things.
//!
//! A directory stands for the host: its files hold the rings of all domains, their states
//! and the event channels. The daemon has one side of it ([`Simulated`]), whoever plays the
//! hypervisor and its guests has the other; both work on the [`Board`].

mod board;
mod simulated;

pub use board::{Board, DOMAINS, DomainWord, FIRST_PORT, NEWS_PORT, State, Tally};
pub use simulated::Simulated;
