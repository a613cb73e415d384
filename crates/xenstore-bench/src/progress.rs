//! What a long run is about, and how long it will still take.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::target::Target;

/// One workload put to one daemon in one round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The workload's name.
    pub workload: &'static str,
    /// The daemon.
    pub target: Target,
    /// Which round, from 1.
    pub round: u32,
}

/// All there is to do, and how far that is done.
#[derive(Debug)]
pub struct Progress {
    steps: Vec<Step>,
    done: usize,
    /// How long a workload took with a daemon the last time.
    took: BTreeMap<(&'static str, Target), Duration>,
    /// How long all took that are done.
    sum: Duration,
}

impl Progress {
    /// Nothing of it is done yet.
    pub fn of(steps: Vec<Step>) -> Self {
        Self { steps, done: 0, took: BTreeMap::new(), sum: Duration::ZERO }
    }

    /// Does the next step, and says so on standard error.
    pub fn step<T, E: std::fmt::Display>(
        &mut self,
        rounds: u32,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let (done, all) = (self.done, self.steps.len());
        if let Some(Step { workload, target, round }) = self.steps.get(done) {
            let name = target.name();
            eprint!("[{}/{all}] {workload}: {name}, round {round} of {rounds} ...", done + 1);
        }
        let begun = Instant::now();
        let result = work();
        let took = begun.elapsed();
        self.note(took);
        let what = match &result {
            Ok(_) => format!("{:.1} s", took.as_secs_f64()),
            Err(error) => format!("failed: {error}"),
        };
        eprintln!(" {what}; {}", rest(self.left()));
        result
    }

    /// The next step is done.
    fn note(&mut self, took: Duration) {
        if let Some(step) = self.steps.get(self.done) {
            self.took.insert((step.workload, step.target), took);
        }
        self.done += 1;
        self.sum += took;
    }

    /// What the other steps will take, if each takes what it took the last time, and those that
    /// were never done as long as the others on average.
    fn left(&self) -> Duration {
        let mean = u32::try_from(self.done).ok().and_then(|done| self.sum.checked_div(done));
        let mean = mean.unwrap_or_default();
        let left = self.steps.iter().skip(self.done);
        left.map(|step| *self.took.get(&(step.workload, step.target)).unwrap_or(&mean)).sum()
    }
}

fn rest(time: Duration) -> String {
    match time.as_secs() {
        0 => "nearly done".to_owned(),
        seconds @ 1..=99 => format!("about {seconds} s left"),
        seconds => format!("about {} min left", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_before_takes_as_long_again() {
        let step = |workload, round| Step { workload, target: Target::C, round };
        let (second, steps) =
            (Duration::from_secs(1), vec![step("a", 1), step("a", 2), step("b", 1)]);
        let mut progress = Progress::of(steps);
        assert_eq!(progress.left(), Duration::ZERO);
        progress.note(4 * second);
        assert_eq!(progress.left(), 8 * second);
        progress.note(2 * second);
        assert_eq!(progress.left(), 3 * second);
        progress.note(second);
        assert_eq!(rest(progress.left()), "nearly done");
        assert_eq!(rest(100 * second), "about 2 min left");
    }
}
