//! Guests on their rings: recorded conversations with two daemons, had again with this one.
//!
//! | module | what |
//! |---|---|
//! | [`recording`] | scripts, and what came of them with C xenstored and with oxenstored |
//! | `world`, [`replay`] | a daemon's process on a simulated host; a script played there |
//! | [`exceptions`] | where rxenstored does otherwise, and by what rule |
//! | [`verdict`] | what a run came to |
//! | `heard` | what came back, in the form of recordings |
//! | `notation` | outcomes in the form of the recordings |

pub mod exceptions;
mod heard;
mod json;
mod notation;
pub mod recording;
pub mod replay;
pub mod verdict;
mod world;

pub use exceptions::Exceptions;
pub use json::parse;
