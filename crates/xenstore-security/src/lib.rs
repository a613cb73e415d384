//! Every security defect ever published of a store daemon, tried on this one.
//!
//! The tests of this package (`tests/`) play the attackers: guests of a simulated host that
//! do to a running daemon what once stopped or deceived one. They see of it what a guest or
//! a toolstack sees, and where a daemon of Debian's survives the attack it has to give the
//! same answers. They need what the tests of `xenstore-oracle` need.
//!
//! | module | what |
//! |---|---|
//! | [`world`] | a daemon, its host, its toolstack, and the guests |
//! | [`advisories`] | the table of `docs/security.md`: what happened, and why it does not here |
//! | [`account`] | what a domain is charged for |
//! | [`flood`] | guests that ask for more before they were answered |

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "all of this is test: what it does not expect has to stop it"
)]

pub mod account;
pub mod advisories;
pub mod flood;
pub mod world;

pub use account::Account;
pub use flood::Flood;
pub use world::{Answer, Peer, World, done, refused, told, with};
