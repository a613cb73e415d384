//! All workloads, all daemons, all rounds.
//!
//! For each workload the daemons take turns, round by round, each time a fresh one with an
//! empty store: what disturbs the machine for a while disturbs all of them.

use std::io;

use xenstore_oracle::daemon::Daemon;

use crate::disturbance::{Disturbance, Watcher};
use crate::failure::Failure;
use crate::processors::Processors;
use crate::progress::{Progress, Step};
use crate::section::{Column, Round, Section};
use crate::target::Target;
use crate::workload::{Run, Workload};

/// Which workloads are put to which daemons, how often.
#[derive(Debug)]
pub struct Campaign<'a> {
    /// The workloads.
    pub workloads: Vec<&'static dyn Workload>,
    /// Daemons that are here.
    pub targets: &'a [Target],
    /// How often each workload is put to each of them.
    pub rounds: u32,
    /// Whether to do with less work.
    pub quick: bool,
}

impl Campaign<'_> {
    /// Runs it, and says on standard error how far it is.
    pub fn run(&self) -> io::Result<Vec<Section>> {
        let processors = Processors::share_out()?;
        let mut progress = Progress::of(self.steps());
        let workloads = self.workloads.iter();
        Ok(workloads.map(|&workload| self.section(workload, &processors, &mut progress)).collect())
    }

    /// In the order in which they are run.
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for workload in &self.workloads {
            for round in 1..=self.rounds {
                let step = |&target| Step { workload: workload.name(), target, round };
                steps.extend(self.targets_of(*workload).map(step));
            }
        }
        steps
    }

    /// Who takes part in a workload.
    fn targets_of(&self, workload: &dyn Workload) -> impl Iterator<Item = &Target> {
        let has_echo = workload.has_echo();
        self.targets.iter().filter(move |target| **target != Target::Echo || has_echo)
    }

    fn section(
        &self,
        workload: &dyn Workload,
        processors: &Processors,
        progress: &mut Progress,
    ) -> Section {
        let column = |&target| Column { target, rounds: Vec::new(), failures: Vec::new() };
        let mut columns: Vec<_> = self.targets_of(workload).map(column).collect();
        for _ in 0..self.rounds {
            for column in &mut columns {
                let target = column.target;
                match progress.step(self.rounds, || self.round(workload, target, processors)) {
                    Ok(round) => column.rounds.push(round),
                    Err(error) => column.failures.push(error.to_string()),
                }
            }
        }
        let (name, about, goals) = (workload.name(), workload.about(), workload.goals());
        Section { name, about, goals, columns }
    }

    fn round(
        &self,
        workload: &dyn Workload,
        target: Target,
        processors: &Processors,
    ) -> Result<Round, Failure> {
        let watcher = Watcher::begin()?;
        let daemon = target.start(workload.has_guests());
        let beside = workload.has_echo() && target == Target::Rxenstored;
        let echo = beside.then(|| Target::Echo.start(false));
        let pids = || [Some(&daemon), echo.as_ref()].into_iter().flatten().map(Daemon::pid);
        for pid in pids() {
            processors.place(pid, workload.takes_turns())?;
        }
        let run = Run { target, daemon: &daemon, echo: echo.as_ref(), quick: self.quick };
        let outcome = workload.run(&run)?;
        let disturbance =
            if workload.is_timed() { watcher.end(pids())? } else { Disturbance::default() };
        Ok(Round { outcome, disturbance })
    }
}
