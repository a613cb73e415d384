//! The table at the end.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use crate::campaign::{Column, Section};
use crate::figure::{Better, Bound, Figure, Goal, Unit};
use crate::target::Target;

/// Width of a figure's name and of a value.
const NAME: usize = 44;
const VALUE: usize = 13;

/// How to read it.
const LEGEND: &str = "\
Each value is the median of the rounds; of aborts and of the most tries it is the highest.
A worst latency is the median of the rounds' worst ones. The last column compares rxenstored
with the better of the other two; above 1 is in its favour. Where there is an echo server, which
only answers, the one before says what share of its throughput rxenstored reaches.";

/// All sections as text, after what is `missing` from them.
pub fn text(sections: &[Section], missing: &[String]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{LEGEND}");
    for line in missing {
        let _ = writeln!(out, "WARNING: {line}");
    }
    for section in sections {
        let _ = write!(out, "\n{section}");
    }
    out
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.name, self.about)?;
        write!(f, "  {:NAME$}", "")?;
        for column in &self.columns {
            write!(f, "{:>VALUE$}", column.target.name())?;
        }
        let has_echo = self.column(Target::Echo).is_some();
        if has_echo {
            write!(f, "{:>VALUE$}", "of echo")?;
        }
        writeln!(f, "{:>VALUE$}", "ratio")?;
        for figure in self.figures() {
            write!(f, "  {:NAME$}", figure.name)?;
            for column in &self.columns {
                let value = column.value(&figure.name);
                let shown = value.map_or_else(|| "-".to_owned(), |value| figure.unit.show(value));
                write!(f, "{shown:>VALUE$}")?;
            }
            if has_echo {
                let share = self.share_of_echo(figure).map(|share| Unit::Times.show(share));
                write!(f, "{:>VALUE$}", share.unwrap_or_default())?;
            }
            let ratio = self.ratio(figure).map(|ratio| Unit::Times.show(ratio));
            writeln!(f, "{:>VALUE$}", ratio.unwrap_or_default())?;
        }
        for goal in self.goals {
            let verdict = self.verdict(goal);
            let verdict = verdict.as_deref().unwrap_or("nothing to judge it by");
            writeln!(f, "  goal: {}, {}: {verdict}", goal.figure, goal.bound)?;
        }
        for column in &self.columns {
            let notes = column.rounds.iter().flat_map(|round| &round.notes);
            let lines: BTreeSet<_> = notes.chain(&column.failures).collect();
            for line in lines {
                writeln!(f, "  note: {}: {line}", column.target.name())?;
            }
        }
        Ok(())
    }
}

impl Section {
    /// One figure of each name, in the order in which the first to have it has it.
    fn figures(&self) -> Vec<&Figure> {
        let mut seen = BTreeSet::new();
        let rounds = self.columns.iter().flat_map(|column| &column.rounds);
        let figures = rounds.flat_map(|round| &round.figures);
        figures.filter(|figure| seen.insert(&figure.name)).collect()
    }

    fn own(&self) -> Option<&Column> {
        self.column(Target::Rxenstored)
    }

    /// By what factor rxenstored is better than the best of the others.
    fn ratio(&self, figure: &Figure) -> Option<f64> {
        let own = self.own()?.value(&figure.name)?;
        let others = self.columns.iter().filter(|column| column.target.is_rival());
        let others = others.filter_map(|column| column.value(&figure.name));
        let ratio = match figure.better {
            Better::High => own / others.reduce(f64::max)?,
            Better::Low => others.reduce(f64::min)? / own,
            Better::Neither => return None,
        };
        // Nothing compares with 0.
        (ratio.is_finite() && ratio > 0.0).then_some(ratio)
    }

    /// Whether a goal is reached, and by what; `None` if nothing was measured.
    fn verdict(&self, goal: &Goal) -> Option<String> {
        let figure = self.figures().into_iter().find(|figure| figure.name == goal.figure)?;
        let (reached, value) = match goal.bound {
            Bound::AtMost(most) => {
                let value = self.own()?.value(&figure.name)?;
                (value <= most, figure.unit.show(value))
            }
            Bound::Within(most) => {
                let value = self.own()?.value(&figure.name)?;
                (value <= most.as_secs_f64(), figure.unit.show(value))
            }
            Bound::AtLeast(least) => {
                let value = self.own()?.value(&figure.name)?;
                (value >= least, figure.unit.show(value))
            }
            Bound::TimesBest(factor) => {
                let ratio = self.ratio(figure)?;
                (ratio >= factor, Unit::Times.show(ratio))
            }
            Bound::ShareOfEcho(least) => {
                let share = self.share_of_echo(figure)?;
                (share >= least, Unit::Times.show(share))
            }
        };
        Some(format!("{value}, {}", if reached { "reached" } else { "MISSED" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Outcome;

    fn column(target: Target, speed: f64, mishaps: f64) -> Column {
        let mut outcome = Outcome::default();
        outcome.add("speed", Unit::PerSecond, Better::High, speed);
        outcome.add_highest("mishaps", Unit::Number, mishaps);
        Column { target, rounds: vec![outcome], failures: Vec::new() }
    }

    #[test]
    fn a_ratio_is_to_the_best_of_the_others_and_the_echo_server_is_none_of_them() {
        let section = Section {
            name: "name",
            about: "about",
            goals: &[
                Goal { figure: "speed", bound: Bound::TimesBest(2.5) },
                Goal { figure: "mishaps", bound: Bound::AtMost(0.0) },
                Goal { figure: "speed", bound: Bound::ShareOfEcho(0.6) },
            ],
            columns: vec![
                column(Target::Rxenstored, 100.0, 5.0),
                column(Target::C, 40.0, 50.0),
                column(Target::Oxenstored, 20.0, 20.0),
                column(Target::Echo, 200.0, 0.0),
            ],
        };
        let text = section.to_string();
        let lines: Vec<Vec<_>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[2], ["speed", "100/s", "40/s", "20/s", "200/s", "0.50", "x", "2.50", "x"]);
        assert_eq!(lines[3], ["mishaps", "5", "50", "20", "0", "4.00", "x"]);
        assert!(text.contains("2.50 x, reached"), "{text}");
        assert!(text.contains("at most 0: 5, MISSED"), "{text}");
        assert!(text.contains("0.6 of the echo server: 0.50 x, MISSED"), "{text}");
    }
}
