//! What all rounds of a workload came to: the values of a table, and the verdicts.

use std::collections::BTreeSet;

use crate::disturbance::Disturbance;
use crate::figure::{Better, Bound, Figure, Goal, Outcome, Over, Unit};
use crate::target::Target;

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

/// What came of one daemon.
#[derive(Debug)]
pub struct Column {
    /// Which.
    pub target: Target,
    /// Its rounds, but for those that gave nothing.
    pub rounds: Vec<Round>,
    /// Why rounds gave nothing.
    pub failures: Vec<String>,
}

/// What came of one daemon in one round.
#[derive(Clone, Debug)]
pub struct Round {
    /// Its figures.
    pub outcome: Outcome,
    /// What others took of the machine meanwhile.
    pub disturbance: Disturbance,
}

/// Whether rxenstored is what it should be.
#[derive(Debug)]
pub struct Verdict {
    /// Which figure, and what it should be.
    pub goal: String,
    /// What it is, and whether that will do; `None` if nothing was measured.
    pub found: Option<(String, bool)>,
}

impl Verdict {
    /// What there is to say of it.
    pub fn said(&self) -> String {
        match &self.found {
            Some((value, true)) => format!("{value}, reached"),
            Some((value, false)) => format!("{value}, MISSED"),
            None => "nothing to judge it by".to_owned(),
        }
    }
}

impl Column {
    /// The values under a figure's name, the lowest first, and what stands for all of them.
    fn values(&self, name: &str) -> Option<(Vec<f64>, Over)> {
        let figures = self.rounds.iter().flat_map(|round| &round.outcome.figures);
        let figures: Vec<&Figure> = figures.filter(|figure| figure.name == name).collect();
        let mut values: Vec<f64> = figures.iter().map(|figure| figure.value).collect();
        values.sort_by(f64::total_cmp);
        Some((values, figures.first()?.over))
    }

    /// What stands for all rounds under a figure's name.
    pub fn value(&self, name: &str) -> Option<f64> {
        let (values, over) = self.values(name)?;
        match over {
            Over::Highest => values.last().copied(),
            Over::Median => median(&values),
        }
    }

    /// The lowest and the highest value of any round.
    pub fn range(&self, name: &str) -> Option<(f64, f64)> {
        let (values, _) = self.values(name)?;
        Some((*values.first()?, *values.last()?))
    }

    /// How many of its rounds were disturbed.
    fn disturbed(&self) -> usize {
        self.rounds.iter().filter(|round| round.disturbance.matters()).count()
    }

    /// What it is called in a table; marked if a round was disturbed.
    fn heading(&self) -> String {
        let mark = if self.disturbed() > 0 { " *" } else { "" };
        format!("{}{mark}", self.target.name())
    }
}

/// The middle of sorted values; of two, what lies between them.
pub fn median(sorted: &[f64]) -> Option<f64> {
    let (low, high) = (sorted.len().checked_sub(1)? / 2, sorted.len() / 2);
    Some(sorted.get(low)?.midpoint(*sorted.get(high)?))
}

impl Section {
    /// One figure of each name, in the order in which the first to have it has it.
    pub fn figures(&self) -> Vec<&Figure> {
        let mut seen = BTreeSet::new();
        let rounds = self.columns.iter().flat_map(|column| &column.rounds);
        let figures = rounds.flat_map(|round| &round.outcome.figures);
        figures.filter(|figure| seen.insert(&figure.name)).collect()
    }

    /// What is written above a table's columns: the daemons, and what compares them.
    pub fn headings(&self) -> Vec<String> {
        let names = self.columns.iter().map(Column::heading);
        names.chain(["ratio".to_owned()]).collect()
    }

    /// A row of that table, as people read it; `-` where nothing was measured.
    pub fn cells(&self, figure: &Figure) -> Vec<String> {
        let shown = |value| figure.unit.show(value);
        let cell = |column: &Column| column.value(&figure.name).map_or_else(|| "-".into(), shown);
        let ratio = self.ratio(figure).map(|ratio| Unit::Times.show(ratio)).unwrap_or_default();
        self.columns.iter().map(cell).chain([ratio]).collect()
    }

    fn column(&self, target: Target) -> Option<&Column> {
        self.columns.iter().find(|column| column.target == target)
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

    /// Whether the goals are reached.
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.goals.iter().map(|goal| self.verdict(goal)).collect()
    }

    fn verdict(&self, goal: &Goal) -> Verdict {
        let figure = self.figures().into_iter().find(|figure| figure.name == goal.figure);
        let unit = figure.map_or(Unit::Number, |figure| figure.unit);
        let own = || self.own()?.value(goal.figure);
        let found = match goal.bound {
            Bound::AtMost(most) => own().map(|value| (unit.show(value), value <= most)),
            Bound::AtLeast(least) => own().map(|value| (unit.show(value), value >= least)),
            Bound::Within(most) => {
                own().map(|value| (unit.show(value), value <= most.as_secs_f64()))
            }
            Bound::TimesBest(factor) => figure
                .and_then(|figure| self.ratio(figure))
                .map(|ratio| (Unit::Times.show(ratio), ratio >= factor)),
        };
        Verdict { goal: format!("{}, {}", goal.figure, goal.bound.show(unit)), found }
    }

    /// What a reader has to know beside the figures.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for column in &self.columns {
            let name = column.target.name();
            let said = column.rounds.iter().flat_map(|round| &round.outcome.notes);
            let lines: BTreeSet<_> = said.chain(&column.failures).collect();
            notes.extend(lines.into_iter().map(|line| format!("{name}: {line}")));
            let disturbed = column.disturbed();
            let worst = column.rounds.iter().map(|round| round.disturbance);
            if let Some(worst) = worst.reduce(Disturbance::or_worse)
                && disturbed > 0
            {
                let rounds = column.rounds.len();
                notes.push(format!(
                    "* {name}: disturbed in {disturbed} of {rounds} rounds: {worst}"
                ));
            }
        }
        notes
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What came of a daemon in rounds with these speeds.
    pub fn column(target: Target, speeds: &[f64], mishaps: f64) -> Column {
        let round = |&speed| {
            let mut outcome = Outcome::default();
            outcome.add("speed", Unit::PerSecond, Better::High, speed);
            outcome.add_highest("mishaps", Unit::Number, mishaps);
            Round { outcome, disturbance: Disturbance::default() }
        };
        let rounds = speeds.iter().map(round).collect();
        Column { target, rounds, failures: Vec::new() }
    }

    /// A section with three daemons.
    pub fn section() -> Section {
        Section {
            name: "name",
            about: "about <this> & that",
            goals: &[
                Goal { figure: "speed", bound: Bound::TimesBest(2.5) },
                Goal { figure: "mishaps", bound: Bound::AtMost(0.0) },
                Goal { figure: "not measured", bound: Bound::AtLeast(1.0) },
            ],
            columns: vec![
                column(Target::Rxenstored, &[100.0], 5.0),
                column(Target::C, &[40.0], 50.0),
                column(Target::Oxenstored, &[20.0], 20.0),
            ],
        }
    }

    #[test]
    fn rounds_are_summed_up_as_their_figures_say() {
        let mut column = column(Target::Rxenstored, &[3.0, 1.0, 2.0], 0.0);
        for (round, mishaps) in column.rounds.iter_mut().zip([0.0, 7.0, 1.0]) {
            round.outcome.figures[1].value = mishaps;
        }
        assert_eq!(column.value("speed"), Some(2.0));
        assert_eq!(column.range("speed"), Some((1.0, 3.0)));
        assert_eq!(column.value("mishaps"), Some(7.0));
        assert_eq!(column.value("nothing"), None);
        assert_eq!(column.range("nothing"), None);
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
    }

    #[test]
    fn a_ratio_is_to_the_best_of_the_others() {
        let section = section();
        let ratios: Vec<_> = section.figures().iter().map(|figure| section.ratio(figure)).collect();
        assert_eq!(ratios, [Some(2.5), Some(4.0)]);
        let found: Vec<_> = section.verdicts().into_iter().map(|verdict| verdict.found).collect();
        let expected = [Some(("2.50 x".to_owned(), true)), Some(("5".to_owned(), false)), None];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_daemon_that_gave_nothing_leaves_a_gap_and_says_why() {
        let mut section = section();
        section.columns[1].rounds.clear();
        section.columns[1].failures.push("it ended".to_owned());
        let figure = section.figures()[0];
        assert_eq!(section.cells(figure), ["100/s", "-", "20/s", "5.00 x"]);
        assert_eq!(section.ratio(figure), Some(5.0));
        assert_eq!(section.notes(), ["C xenstored: it ended"]);
    }

    #[test]
    fn the_echo_server_is_no_rival() {
        let mut section = section();
        section.columns.push(column(Target::Echo, &[200.0], 0.0));
        assert_eq!(section.headings()[3..], ["echo", "ratio"]);
        let cells: Vec<_> =
            section.figures().iter().map(|figure| section.cells(figure)[3..].to_vec()).collect();
        assert_eq!(cells, [["200/s", "2.50 x"], ["0", "4.00 x"]]);
    }

    #[test]
    fn a_disturbed_round_is_marked() {
        let mut section = section();
        section.columns[2].rounds[0].disturbance = Disturbance { others: 0.5, stolen: 0.0 };
        let headings = ["rxenstored", "C xenstored", "oxenstored *", "ratio"];
        assert_eq!(section.headings(), headings);
        let notes = section.notes();
        assert!(notes[0].starts_with("* oxenstored: disturbed in 1 of 1 rounds"), "{notes:?}");
    }
}
