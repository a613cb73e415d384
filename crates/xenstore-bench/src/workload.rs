//! What a workload is: something to ask of a daemon, and the figures of how it went.

use std::fmt::Debug;

use xenstore_oracle::daemon::Daemon;

use crate::failure::Failure;
use crate::figure::{Goal, Outcome};
use crate::target::Target;

/// What a workload is told about a run.
#[derive(Debug)]
pub struct Run<'a> {
    /// Which daemon it is.
    pub target: Target,
    /// The daemon, just started, with the store it begins with.
    pub daemon: &'a Daemon,
    /// Beside rxenstored an echo server, if it [takes part](Workload::has_echo).
    pub echo: Option<&'a Daemon>,
    /// Whether to do with less work: the run only has to show that everything works.
    pub quick: bool,
}

/// A workload.
pub trait Workload: Debug {
    /// What it is called on the command line and in tables.
    fn name(&self) -> &'static str;

    /// What it does, in a line.
    fn about(&self) -> &'static str;

    /// Whether the load waits whenever the daemon works, and the other way round. Then one
    /// processor for both disturbs the measuring less than waking up another each time.
    fn takes_turns(&self) -> bool {
        false
    }

    /// Whether there are guests on rings: then the daemon runs on a simulated host.
    fn has_guests(&self) -> bool {
        false
    }

    /// Whether the echo server takes part: then every request says in its id how long the
    /// reply is (see [`echo`](crate::echo)).
    fn has_echo(&self) -> bool {
        false
    }

    /// Whether others who use the machine meanwhile change what is measured. They do not where
    /// things are counted.
    fn is_timed(&self) -> bool {
        true
    }

    /// What rxenstored should reach.
    fn goals(&self) -> &'static [Goal];

    /// Puts it to a daemon.
    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure>;
}
