//! Does a store daemon answer as the ones in the field do?
//!
//! Three daemons were asked and their answers written down. Here the same is asked of
//! rxenstored, and every difference has to have a name and a reason.
//!
//! | module | what |
//! |---|---|
//! | [`target`] | what is tested: something to connect to |
//! | [`engine_target`], [`daemon_target`] | the engine by itself; a daemon on its socket |
//! | [`daemon_process`], [`mod@line`] | a daemon's process; a connection to its socket |
//! | [`message`] | requests, well-formed or not, and what comes back |
//! | [`recording`] | recorded conversations |
//! | [`replay`], [`canonical`] | having them again, in a form that can be compared |
//! | [`rules`], [`exceptions`] | deliberate differences |
//! | [`verdict`] | what a run came to |
//! | [`guests`] | the same for guests on their rings |
//! | [`access_log`], [`host_replay`], [`host_verdict`] | a host's access log, lived through again |
//! | [`report`] | documents made of all this |

#![forbid(unsafe_code)]

pub mod access_log;
pub mod canonical;
pub mod daemon_process;
pub mod daemon_target;
pub mod engine_target;
pub mod exceptions;
pub mod guests;
pub mod host_replay;
pub mod host_verdict;
pub mod line;
pub mod message;
pub mod recording;
pub mod replay;
pub mod report;
pub mod rules;
pub mod target;
pub mod verdict;
