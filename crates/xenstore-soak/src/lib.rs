//! A soak: good and hostile guests on one rxenstored, for a long time.
//!
//! A real daemon serves a simulated host. Guests come and go all the time as libxl makes
//! and destroys them. Good ones do what guests do; whatever they and their toolstacks are
//! told has to be what the model of a store says (`xenstore-model`). Hostile ones do what
//! they can to the daemon, and nobody else may notice.
//!
//! ```sh
//! cargo run --release -p xenstore-soak -- --minutes 30 --report docs/soak.md
//! ```
//!
//! A real process cannot be run again in the same order. With the same seed each village
//! decides the same again, as long as it is told the same; hostile guests all the time.
//!
//! | module | what |
//! |---|---|
//! | [`soak`], [`rounds`] | all of it, from start to end |
//! | [`village`], [`plans`], [`house`] | a part of the store that nobody else touches; one guest after another |
//! | [`actor`], [`line`](mod@line) | a good client, its connection |
//! | [`libxl`], [`habits`] | what toolstacks and good guests ask |
//! | [`hostile`] | what hostile guests do |
//! | [`judge`], [`feed`] | whether replies and events are those of the model |
//! | [`foundation`] | what is there before them |
//! | [`census`], [`herald`] | whether the whole store is, and what is said of all domains |
//! | [`town`] | what all share: host, socket, counts |
//! | [`tally`], [`vitals`], [`log_lines`], [`report`] | figures |

#![forbid(unsafe_code)]
#![allow(
    clippy::indexing_slicing,
    reason = "all of this is test: what it does not expect has to stop it"
)]

pub mod actor;
pub mod census;
pub mod failure;
pub mod feed;
pub mod foundation;
pub mod habits;
pub mod herald;
pub mod hostile;
pub mod house;
pub mod judge;
pub mod libxl;
pub mod line;
pub mod log_lines;
pub mod options;
pub mod plans;
pub mod report;
pub mod rounds;
pub mod soak;
pub mod tally;
pub mod town;
pub mod village;
pub mod vitals;
