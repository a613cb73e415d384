//! What was seen of guests against what was to be seen.

use std::fmt;

use super::exceptions::{Exceptions, Expected};
use super::recording::{Outcome, Scenario, Step};
use crate::verdict::Count;

/// What a run of many scenarios came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many steps came out how.
    pub count: Count,
    /// Of those that differ from C xenstored, how many are as with oxenstored.
    pub as_oxenstored: usize,
    /// Steps that came out neither as with C xenstored nor as a rule says.
    pub wrong: Vec<Wrong>,
}

/// A step that came out as nobody says.
#[derive(Debug)]
pub struct Wrong {
    /// The scenario.
    pub scenario: String,
    /// The step, and what was done in it.
    pub step: Step,
    /// What should have come of it, if somebody says.
    pub expected: Option<Outcome>,
    /// What did.
    pub got: Outcome,
}

impl Tally {
    /// Takes the outcomes of a scenario into account.
    pub fn judge(&mut self, exceptions: &Exceptions, scenario: &Scenario, outcomes: Vec<Outcome>) {
        for (step, got) in scenario.steps.iter().zip(outcomes) {
            self.count.steps += 1;
            let mut expected = exceptions.expected(&scenario.name, step);
            if let Some(expected) = &mut expected {
                allow_for_history(&mut expected.outcome, &got);
            }
            match expected {
                Some(Expected { outcome, rule, as_oxenstored }) if outcome == got => {
                    self.count.add(&scenario.name, step.number, rule);
                    self.as_oxenstored += usize::from(as_oxenstored);
                }
                other => self.wrong.push(Wrong {
                    scenario: scenario.name.clone(),
                    step: step.clone(),
                    expected: other.map(|expected| expected.outcome),
                    got,
                }),
            }
        }
    }
}

/// Indices count from the connection's beginning, so a reply that was longer in an earlier
/// step shows in all later ones. A step is judged by what it moved or, where it set indices,
/// by what they are after it.
fn allow_for_history(expected: &mut Outcome, got: &Outcome) {
    for (domid, ring) in &mut expected.rings {
        let seen = got.rings.get(domid).and_then(|ring| ring.lanes);
        if let (Some(lanes), Some(seen)) = (&mut ring.lanes, seen) {
            if lanes.moved == seen.moved {
                lanes.indices = seen.indices;
            } else if lanes.indices == seen.indices {
                lanes.moved = seen.moved;
            }
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, step, expected, got } = self;
        writeln!(f, "{scenario} step {}: {:?}", step.number, step.action)?;
        match expected {
            Some(expected) => writeln!(f, "    expected {expected}")?,
            None => writeln!(f, "    expected what no recording says")?,
        }
        write!(f, "    got      {got}")
    }
}
