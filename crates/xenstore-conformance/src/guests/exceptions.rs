//! The steps in which rxenstored does otherwise than C xenstored, and by what rule.
//!
//! A file of its own, in the form of the recordings: see `vectors/README.md`.

use std::collections::HashMap;

use serde_json::{Map, Value};
use xenstore_wire::MessageType;

use super::json::outcome;
use super::recording::{Action, Outcome, Scenario, Step};
use crate::recording::json::{Found, number, string};
use crate::recording::{Answer, Malformed};
use crate::rules::Rule;

/// What comes of a step with us, and why.
#[derive(Clone, Debug)]
struct Exception {
    rule: Rule,
    ours: Ours,
}

#[derive(Clone, Debug)]
enum Ours {
    /// What came of it with oxenstored.
    AsOxenstored,
    /// This.
    Own(Box<Outcome>),
}

/// What is to come of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// That.
    pub outcome: Outcome,
    /// Why, if it is not what came of it with C xenstored.
    pub rule: Option<Rule>,
    /// Whether it is what came of it with oxenstored, which differs.
    pub as_oxenstored: bool,
}

/// The whole table.
#[derive(Clone, Debug, Default)]
pub struct Exceptions(HashMap<(String, u32), Exception>);

impl Exceptions {
    /// Reads the table.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut table = HashMap::new();
        let mut scenario = None;
        for (index, line) in text.lines().enumerate() {
            let malformed = |(expected, found)| Malformed { line: index + 1, expected, found };
            let fields = serde_json::from_str::<Map<String, Value>>(line)
                .map_err(|error| malformed(("a JSON object", error.to_string())))?;
            if let Some(name) = fields.get("scenario") {
                scenario = Some(string(name).map_err(malformed)?.to_owned());
                continue;
            }
            let (step, exception) = exception(&fields).map_err(malformed)?;
            let missing = || malformed(("a scenario's name", line.to_owned()));
            let place = (scenario.clone().ok_or_else(missing)?, step);
            if table.insert(place, exception).is_some() {
                return Err(malformed(("each step once", line.to_owned())));
            }
        }
        Ok(Self(table))
    }

    /// What is to come of a step; `None` if nobody says.
    pub fn expected(&self, scenario: &str, step: &Step) -> Option<Expected> {
        let exception = self.0.get(&(scenario.to_owned(), step.number));
        let recorded = match exception.map(|exception| &exception.ours) {
            None => step.c.clone(),
            Some(Ours::AsOxenstored) => step.oxenstored.clone(),
            Some(Ours::Own(outcome)) => Some(outcome.as_ref().clone()),
        };
        let mut outcome = recorded?;
        let general = reorder(&step.action, &mut outcome)
            .or_else(|| tell_connected(&step.action, &mut outcome));
        Some(Expected {
            outcome,
            rule: exception.map(|exception| exception.rule).or(general),
            as_oxenstored: matches!(exception, Some(Exception { ours: Ours::AsOxenstored, .. })),
        })
    }

    /// Entries that name no step of these scenarios, or that say nothing beyond what C
    /// xenstored did.
    pub fn idle(&self, scenarios: &[Scenario]) -> Vec<String> {
        let plain = Self::default();
        let is_needed = |(name, number): &(String, u32)| {
            let scenario = scenarios.iter().find(|scenario| scenario.name == *name)?;
            let step = scenario.steps.iter().find(|step| step.number == *number)?;
            let without = plain.expected(name, step).map(|expected| expected.outcome);
            Some(self.expected(name, step)?.outcome != without?)
        };
        let mut idle: Vec<_> = self
            .0
            .keys()
            .filter(|place| is_needed(place) == Some(false) || !exists(scenarios, place))
            .map(|(name, number)| format!("{name} step {number}"))
            .collect();
        idle.sort();
        idle
    }
}

fn exists(scenarios: &[Scenario], (name, number): &(String, u32)) -> bool {
    let scenario = scenarios.iter().find(|scenario| scenario.name == *name);
    scenario.is_some_and(|scenario| scenario.steps.iter().any(|step| step.number == *number))
}

fn exception(fields: &Map<String, Value>) -> Found<(u32, Exception)> {
    let field = |name| fields.get(name).unwrap_or(&Value::Null);
    let rule = string(field("rule"))?;
    let rule = Rule::from_name(rule).ok_or_else(|| ("a rule", rule.to_owned()))?;
    let ours = match fields.get("as").map(string).transpose()? {
        None => Ours::Own(Box::new(outcome(fields)?)),
        Some("oxenstored") => Ours::AsOxenstored,
        Some(other) => return Err(("oxenstored", other.to_owned())),
    };
    Ok((number(field("step"))?, Exception { rule, ours }))
}

/// The two rules on the order of reply and events, which need no table.
fn reorder(action: &Action, outcome: &mut Outcome) -> Option<Rule> {
    use MessageType as T;
    let Action::Ask(ask) = action else { return None };
    let (rule, before) = match MessageType::from_number(ask.kind)? {
        T::Write | T::Mkdir | T::Rm | T::SetPerms => (Rule::ReplyFirst, 0),
        T::Release => (Rule::ReleaseTellsFirst, outcome.events.get(&ask.who).map_or(0, Vec::len)),
        _ => return None,
    };
    let moved = std::mem::replace(&mut outcome.before, before) != before;
    moved.then_some(rule)
}

/// The rule that whoever is introduced is told needs no table either.
fn tell_connected(action: &Action, outcome: &mut Outcome) -> Option<Rule> {
    let Action::Introduce { domid, .. } = action else { return None };
    let Answer::Granted(_) = outcome.answer else { return None };
    let lanes = outcome.rings.get_mut(domid)?.lanes.as_mut()?;
    let told = std::mem::replace(&mut lanes.notified, true);
    (!told).then_some(Rule::ConnectedIsTold)
}
