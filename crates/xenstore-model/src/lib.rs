//! The plainest store there can be, and whether the engine does the same.
//!
//! [`model::Model`] is a store daemon for reading: a sorted map from paths to nodes, full
//! copies instead of sharing, every watch looked at for every change, every account
//! counted anew, every transaction that met another's done again from its first request.
//! It takes the same requests as `xenstore-engine` and has to give the same answers.
//!
//! `tests/agreement.rs` lets the same random histories of many clients happen to both and
//! compares what every client is sent, in order, and all accounts. Who has to wait for
//! whom is the engine's to decide; a test checks that there is a reason ([`holds`]).
//!
//! `tests/isolation.rs` does without the model's transactions: what a transaction that was
//! committed read and did has to be what it would have read and done alone at the moment of
//! its commit, and one that was refused must have a reason ([`isolation`]).
//!
//! `tests/simulation.rs` has little programs of clients run beside each other, every
//! message of them when a seed says: their transactions get through in few tries, nobody
//! waits for ever, and nothing is left of it ([`simulation`]). `tests/liveness.rs` measures what
//! the most hostile clients come to, for `docs/liveness.md` ([`liveness`]).
//!
//! A failure names its seed, and of a history the fewest acts that show it. To see it
//! again, or more; the last two are some million transactions each, and take some twenty minutes:
//!
//! ```sh
//! MODEL_SEED=17 cargo test -p xenstore-model --test isolation       # this history
//! MODEL_HISTORIES=5000 MODEL_STEPS=2000 cargo test --release -p xenstore-model --test agreement
//! MODEL_HISTORIES=60000 cargo test --release -p xenstore-model --test isolation
//! MODEL_HISTORIES=100000 cargo test --release -p xenstore-model --test simulation
//! UPDATE_DOCS=1 cargo test -p xenstore-model --test liveness        # writes the tables anew
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`path`], [`acl`], [`store`] | names, rights, nodes |
//! | [`operation`], [`transaction`] | what is done to them |
//! | [`watch`] | who is told |
//! | `visible` | all that can be found out of it |
//! | [`domains`], `lifecycle`, [`accounts`] | domains, their coming and going, what they have |
//! | [`request`], [`model`], `administration` | requests and their answers |
//! | [`act`], [`world`], [`standing`] | what can happen, the engine it happens to, what its clients can know |
//! | [`holds`], [`isolation`], [`moment`] | judges of what it does |
//! | [`random`], [`generate`], `opening`, [`history`], `shrink` | random histories, and short ones |
//! | [`program`], [`simulation`], [`liveness`] | clients that want something |
//!
//! Not in the model: the form of payloads (`xenstore-wire` tests it), what becomes of
//! events for a client that does not read (the engine's `outbox`).

#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "all of this is test: what it does not expect has to stop it"
)]

pub mod accounts;
pub mod acl;
pub mod act;
mod administration;
pub mod domains;
pub mod generate;
pub mod history;
pub mod holds;
pub mod isolation;
mod lifecycle;
pub mod liveness;
pub mod model;
pub mod moment;
mod opening;
pub mod operation;
pub mod path;
pub mod program;
pub mod random;
pub mod request;
mod shrink;
pub mod simulation;
pub mod standing;
pub mod store;
pub mod transaction;
mod visible;
pub mod watch;
pub mod world;
