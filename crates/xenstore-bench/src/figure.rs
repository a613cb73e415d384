//! What a run came to, in numbers with a name, and what those numbers should be.

use std::fmt;
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
    /// Bytes, many of them as MiB.
    Bytes,
}

impl Unit {
    /// A value as people read it.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Number if value.fract() == 0.0 => format!("{value:.0}"),
            Self::Number => format!("{value:.2}"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Time if value < 1e-3 => format!("{:.1} us", value * 1e6),
            Self::Time if value < 1.0 => format!("{:.2} ms", value * 1e3),
            Self::Time => format!("{value:.2} s"),
            Self::Times => format!("{value:.2} x"),
            Self::Percent if value < 10.0 => format!("{value:.3} %"),
            Self::Percent => format!("{value:.0} %"),
            Self::Bytes if value < 10_240.0 => format!("{value:.0} B"),
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

/// A measured number.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// What it is called; the same for every daemon.
    pub name: String,
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
    pub fn add(&mut self, name: impl Into<String>, unit: Unit, better: Better, value: f64) {
        let name = name.into();
        self.figures.push(Figure { name, unit, better, over: Over::Median, value });
    }

    /// Adds a figure, of which the highest of all rounds counts.
    pub fn add_highest(&mut self, name: impl Into<String>, unit: Unit, value: f64) {
        let (name, better) = (name.into(), Better::Low);
        self.figures.push(Figure { name, unit, better, over: Over::Highest, value });
    }

    /// Adds how long something took, the shorter the better.
    pub fn add_time(&mut self, name: impl Into<String>, value: Duration) {
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
    /// No longer than this.
    Within(Duration),
    /// No less than this.
    AtLeast(f64),
    /// Better than the best of the others by this factor.
    TimesBest(f64),
    /// Of what the echo server reaches, no less than this share.
    ShareOfEcho(f64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::Within(most) => write!(f, "at most {}", Unit::Time.show(most.as_secs_f64())),
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::TimesBest(factor) => write!(f, "at least {factor} x the best of the others"),
            Self::ShareOfEcho(share) => write!(f, "at least {share} of the echo server"),
        }
    }
}
