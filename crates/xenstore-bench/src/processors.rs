//! Which processors the load and the daemon run on.
//!
//! They wake each other all the time, and a scheduler that sees this puts both on one
//! processor, where they take turns. With one for each, the load never takes time from the
//! daemon, for every daemon alike. Whoever wants them on one runs the program under
//! `taskset -c 0`.

use std::io;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The processors this program was given, shared out.
#[derive(Debug)]
pub struct Processors {
    load: CpuSet,
    /// All but the load's; the same if there is only one.
    daemons: CpuSet,
}

impl Processors {
    /// Keeps the last processor for the load, which is this program.
    pub fn share_out() -> io::Result<Self> {
        let all = sched_getaffinity(None)?;
        let (mut load, mut daemons) = (all, all);
        if let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|&number| all.is_set(number))
            && all.count() > 1
        {
            load.clear();
            load.set(last);
            daemons.unset(last);
        }
        sched_setaffinity(None, &load)?;
        Ok(Self { load, daemons })
    }

    /// Has a daemon, by its process id, run beside the load or where the load runs.
    pub fn place(&self, daemon: u32, with_the_load: bool) -> io::Result<()> {
        let processors = if with_the_load { &self.load } else { &self.daemons };
        let pid = i32::try_from(daemon).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(sched_setaffinity(Some(pid), processors)?)
    }
}
