//! All workloads, all daemons, all rounds.
//!
//! For each workload the daemons take turns, round by round, each time a fresh one with an
//! empty store: what disturbs the machine for a while disturbs all of them.

use std::io;
use std::time::Instant;

use crate::figure::{Better, Figure, Goal, Outcome, Over, Unit};
use crate::options::Options;
use crate::processors::Processors;
use crate::target::Target;
use crate::workload::{Run, Workload};
use crate::workloads;

/// What a workload came to.
#[derive(Debug)]
pub struct Section {
    /// The workload's name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What rxenstored should reach.
    pub goals: &'static [Goal],
    /// What came of each daemon, in the order of the table.
    pub columns: Vec<Column>,
}

impl Section {
    /// What came of one of them.
    pub fn column(&self, target: Target) -> Option<&Column> {
        self.columns.iter().find(|column| column.target == target)
    }

    /// What rxenstored reaches of what the echo server does, if the figure says how much was
    /// done in a time: nothing is learnt from other figures that the echo server has.
    pub fn share_of_echo(&self, figure: &Figure) -> Option<f64> {
        let value = |target| self.column(target)?.value(&figure.name);
        let rate = figure.unit == Unit::PerSecond && figure.better == Better::High;
        let share = value(Target::Rxenstored)? / value(Target::Echo)?;
        (rate && share.is_finite()).then_some(share)
    }
}

/// What came of one daemon.
#[derive(Debug)]
pub struct Column {
    /// Which.
    pub target: Target,
    /// Its rounds.
    pub rounds: Vec<Outcome>,
    /// Why rounds gave nothing.
    pub failures: Vec<String>,
}

impl Column {
    /// What stands for all rounds under a figure's name.
    pub fn value(&self, name: &str) -> Option<f64> {
        let rounds = self.rounds.iter().flat_map(|round| &round.figures);
        let figures: Vec<&Figure> = rounds.filter(|figure| figure.name == name).collect();
        let mut values: Vec<f64> = figures.iter().map(|figure| figure.value).collect();
        values.sort_by(f64::total_cmp);
        match figures.first()?.over {
            Over::Highest => values.last().copied(),
            Over::Median => median(&values),
        }
    }
}

/// The middle of sorted values; of two, what lies between them.
fn median(sorted: &[f64]) -> Option<f64> {
    let (low, high) = (sorted.len().checked_sub(1)? / 2, sorted.len() / 2);
    Some(sorted.get(low)?.midpoint(*sorted.get(high)?))
}

/// Runs what the options ask for against daemons that are here.
pub fn run(options: &Options, targets: &[Target]) -> io::Result<Vec<Section>> {
    let processors = Processors::share_out()?;
    let wanted = workloads::all().into_iter().filter(|workload| options.wants(workload.name()));
    wanted.map(|workload| section(workload, options, targets, &processors)).collect()
}

fn section(
    workload: &dyn Workload,
    options: &Options,
    targets: &[Target],
    processors: &Processors,
) -> io::Result<Section> {
    let column = |&target| Column { target, rounds: Vec::new(), failures: Vec::new() };
    let takes_part = |target: &&Target| **target != Target::Echo || workload.has_echo();
    let mut columns: Vec<_> = targets.iter().filter(takes_part).map(column).collect();
    let rounds = options.rounds();
    for round in 1..=rounds {
        for column in &mut columns {
            let (name, target) = (workload.name(), column.target);
            eprint!("{name}: {}, round {round} of {rounds} ...", target.name());
            let begun = Instant::now();
            let daemon = target.start(workload.has_guests());
            processors.place(daemon.pid(), workload.takes_turns())?;
            match workload.run(&Run { target, daemon: &daemon, quick: options.quick }) {
                Ok(outcome) => {
                    eprintln!(" {:.1} s", begun.elapsed().as_secs_f64());
                    column.rounds.push(outcome);
                }
                Err(error) => {
                    eprintln!(" failed: {error}");
                    column.failures.push(error.to_string());
                }
            }
        }
    }
    Ok(Section { name: workload.name(), about: workload.about(), goals: workload.goals(), columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_summed_up_as_their_figures_say() {
        let rounds = [3.0, 1.0, 2.0].map(|value| {
            let mut outcome = Outcome::default();
            outcome.add("speed", Unit::Number, Better::High, value);
            outcome.add_highest("mishaps", Unit::Number, value);
            outcome
        });
        let column =
            Column { target: Target::Rxenstored, rounds: rounds.to_vec(), failures: Vec::new() };
        assert_eq!(column.value("speed"), Some(2.0));
        assert_eq!(column.value("mishaps"), Some(3.0));
        assert_eq!(column.value("nothing"), None);
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
    }
}
