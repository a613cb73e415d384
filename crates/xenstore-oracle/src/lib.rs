//! rxenstored beside the daemons it is to replace, their tools, and hostile clients.
//!
//! The tests of this package (`tests/`) start real daemons: Debian's C xenstored and
//! oxenstored, which run without Xen on a simulated hypervisor (`xsfake/`), and
//! rxenstored. They need root and Debian's packages; see [`daemon::PACKAGES`].
//!
//! | module | what |
//! |---|---|
//! | [`daemon`] | starting daemons |
//! | [`target`], [`message`] | talking to them |
//! | [`step`], [`generate`] | random sequences of requests |
//! | [`session`], [`blank`] | a sequence on its way through a daemon |
//! | [`compare`], [`history`], [`rules`] | what differs, and whether it may |
//! | [`campaign`] | many sequences, and the shortest that fails |
//! | [`report`] | the table of differences |
//! | [`client`], [`witness`] | a hostile client, and one that suffers from it |
//! | [`world`] | a daemon with guests |

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "all of this is test: what it does not expect has to stop it"
)]

pub mod blank;
pub mod campaign;
pub mod client;
pub mod compare;
pub mod daemon;
pub mod generate;
pub mod history;
pub mod message;
pub mod report;
pub mod rules;
pub mod session;
pub mod step;
pub mod target;
pub mod witness;
pub mod world;

pub use xenstore_model::random;
