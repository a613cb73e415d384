//! A host with three guests, on stage.
//!
//! The daemon is the real one, in a process of its own, on a simulated host. What the
//! toolstack, domain 0's kernel, the console daemon and a Linux guest say to it is what a
//! real host's access log has them say (`xenstore-conformance`); what the log has not (a
//! disk, a network card, a power-off, a crash) is written out here. Everything shown is what
//! the daemon answered in this very run, and a step of which something else comes out than
//! is due ends the show with an error.
//!
//! | module | what |
//! |---|---|
//! | [`story`] | the scenes, in order |
//! | `recording` | what the log has each of them say |
//! | `devices` | a disk and a network card come to be |
//! | `stage` | the daemon, and everybody who talks to it |
//! | `cast` | one who talks: over a socket or over a ring |
//! | [`transcript`] | how it is written down |

#![forbid(unsafe_code)]

mod cast;
mod devices;
mod failure;
mod programs;
mod recording;
mod stage;
pub mod story;
pub mod transcript;

pub use failure::Failure;
pub use programs::Programs;
