//! What a run came to, in numbers with a name, and what those numbers should be.

use std::time::Duration;

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Things.
    Number,
    /// Things a second.
    PerSecond,
    /// Seconds, shown as is readable.
    Time,
    /// How many times something else.
    Times,
    /// Of a hundred.
    Percent,
    /// Bytes; many are shown as MiB.
    Bytes,
}

/// Fewer are shown one by one.
const FEW_BYTES: f64 = 10_240.0;

impl Unit {
    /// What it is called above a plot.
    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "Counts",
            Self::PerSecond => "Per second",
            Self::Time => "Time",
            Self::Times => "Factors",
            Self::Percent => "Shares",
            Self::Bytes => "Memory",
        }
    }

    /// What is shown as 1 beside values like this.
    pub fn one(self, value: f64) -> f64 {
        if self == Self::Bytes && value >= FEW_BYTES { 1_048_576.0 } else { 1.0 }
    }

    /// A value as people read it.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Number if value.fract() == 0.0 => format!("{value:.0}"),
            Self::Number if value < 1.0 => format!("{value:.3}"),
            Self::Number if value < 1e3 => format!("{value:.2}"),
            Self::Number => format!("{value:.0}"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Time if value < 1e-6 => format!("{:.0} ns", value * 1e9),
            Self::Time if value < 1e-3 => format!("{:.1} us", value * 1e6),
            Self::Time if value < 1.0 => format!("{:.2} ms", value * 1e3),
            Self::Time => format!("{value:.2} s"),
            Self::Times if value < 100.0 => format!("{value:.2} x"),
            Self::Times => format!("{value:.0} x"),
            Self::Percent if value < 10.0 => format!("{value:.3} %"),
            Self::Percent => format!("{value:.0} %"),
            Self::Bytes if value < FEW_BYTES => format!("{value:.0} B"),
            Self::Bytes => format!("{:.1} MiB", value / 1_048_576.0),
        }
    }
}

/// Which of two values is the better one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Better {
    /// The higher.
    High,
    /// The lower.
    Low,
    /// Neither: the figure explains others.
    Neither,
}

/// What stands for several rounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// The median of them.
    Median,
    /// The highest, for what must not happen in any round.
    Highest,
}

/// Where a figure stands on the horizontal axis of a plot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// How far to the right.
    pub x: u32,
    /// What is counted there: nodes, clients, guests.
    pub of: &'static str,
}

impl Place {
    /// So many of these.
    pub fn new(x: u32, of: &'static str) -> Self {
        Self { x, of }
    }
}

/// One of several figures that differ in the size of something: they are drawn as a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Point {
    /// What they have in common.
    pub series: String,
    /// Which of them it is.
    pub place: Place,
}

/// What a figure is called, and which point of a line it is, if it belongs to one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    text: String,
    point: Option<Point>,
}

impl Name {
    /// The name of a point: that of its line, and of its place.
    pub fn at(series: &str, place: Place) -> Self {
        Self::of(format!("{series}, {} {}", place.x, place.of), series, place)
    }

    /// A point with a name of its own.
    pub fn of(text: String, series: &str, place: Place) -> Self {
        Self { text, point: Some(Point { series: series.to_owned(), place }) }
    }

    /// The name of another figure of the same.
    #[must_use]
    pub fn and(&self, what: &str) -> Self {
        let point = self.point.as_ref().map(|Point { series, place }| Point {
            series: format!("{series}, {what}"),
            place: *place,
        });
        Self { text: format!("{}, {what}", self.text), point }
    }
}

impl<T: Into<String>> From<T> for Name {
    fn from(text: T) -> Self {
        Self { text: text.into(), point: None }
    }
}

/// A measured number.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// What it is called; the same for every daemon.
    pub name: String,
    /// Which point of a line it is, if it belongs to one.
    pub point: Option<Point>,
    /// What it counts.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// What stands for several rounds.
    pub over: Over,
    /// How much.
    pub value: f64,
}

/// What one run of a workload against one daemon came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The figures, in the order of the table.
    pub figures: Vec<Figure>,
    /// What a reader has to know beside them.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Adds a figure, of which the median of all rounds counts.
    pub fn add(&mut self, name: impl Into<Name>, unit: Unit, better: Better, value: f64) {
        let Name { text: name, point } = name.into();
        self.figures.push(Figure { name, point, unit, better, over: Over::Median, value });
    }

    /// Adds a figure, of which the highest of all rounds counts.
    pub fn add_highest(&mut self, name: impl Into<Name>, unit: Unit, value: f64) {
        let (Name { text: name, point }, better) = (name.into(), Better::Low);
        self.figures.push(Figure { name, point, unit, better, over: Over::Highest, value });
    }

    /// Adds how long something took, the shorter the better.
    pub fn add_time(&mut self, name: impl Into<Name>, value: Duration) {
        self.add(name, Unit::Time, Better::Low, value.as_secs_f64());
    }
}

/// What rxenstored should reach.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The figure's name.
    pub figure: &'static str,
    /// What it should be.
    pub bound: Bound,
}

/// A bound of a goal.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Bound {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// No longer than this.
    Within(Duration),
    /// Better than the best of the others by this factor.
    TimesBest(f64),
}

impl Bound {
    /// A bound of a figure of this unit, as people read it.
    pub fn show(self, unit: Unit) -> String {
        match self {
            Self::AtMost(most) => format!("at most {}", unit.show(most)),
            Self::AtLeast(least) => format!("at least {}", unit.show(least)),
            Self::Within(most) => format!("at most {}", unit.show(most.as_secs_f64())),
            Self::TimesBest(factor) => format!("at least {factor} x the best of the others"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_what_is_readable() {
        let shown = [3e-7, 1.25e-5, 0.0123, 2.0].map(|value| Unit::Time.show(value));
        assert_eq!(shown, ["300 ns", "12.5 us", "12.30 ms", "2.00 s"]);
        let shown = [0.0, 0.133, 2.015, 5642.3].map(|value| Unit::Number.show(value));
        assert_eq!(shown, ["0", "0.133", "2.02", "5642"]);
        let shown = [118.2, 3e6].map(|value| Unit::Bytes.show(value));
        assert_eq!(shown, ["118 B", "2.9 MiB"]);
    }

    #[test]
    fn the_names_of_a_series_belong_together() {
        let name = Name::at("read", Place::new(100, "nodes")).and("median");
        let mut outcome = Outcome::default();
        outcome.add_time(name, Duration::from_micros(3));
        let figure = outcome.figures.remove(0);
        assert_eq!(figure.name, "read, 100 nodes, median");
        assert_eq!(figure.point.unwrap().series, "read, median");
    }
}
