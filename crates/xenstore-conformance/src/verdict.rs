//! What was seen against what was to be seen.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::canonical::Canonical;
use crate::exceptions;
use crate::recording::{Action, Answer, Event, Outcome, Scenario, Step};
use crate::rules::Rule;

/// How many steps came out how.
#[derive(Debug, Default)]
pub struct Count {
    /// Steps played.
    pub steps: usize,
    /// Steps that came out as recorded.
    pub equal: usize,
    /// Steps that came out as a rule says, by rule and scenario.
    pub by_rule: BTreeMap<Rule, BTreeMap<String, Vec<u32>>>,
}

impl Count {
    /// Takes a step into account that came out as was expected.
    pub fn add(&mut self, scenario: &str, step: u32, rule: Option<Rule>) {
        match rule {
            None => self.equal += 1,
            Some(rule) => {
                let scenarios = self.by_rule.entry(rule).or_default();
                scenarios.entry(scenario.to_owned()).or_default().push(step);
            }
        }
    }

    /// How many steps a rule covers.
    pub fn covered(&self, rule: Rule) -> usize {
        self.by_rule.get(&rule).map_or(0, |scenarios| scenarios.values().map(Vec::len).sum())
    }
}

/// What a run of many scenarios came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many steps came out how.
    pub count: Count,
    /// Steps that came out neither as recorded nor as a rule says.
    pub wrong: Vec<Wrong>,
}

/// A step that came out neither as recorded nor as a rule says.
#[derive(Debug)]
pub struct Wrong {
    /// The scenario.
    pub scenario: String,
    /// The step, and what was done in it.
    pub step: Step,
    /// What should have come of it.
    pub expected: Outcome,
    /// What did.
    pub got: Outcome,
}

impl Tally {
    /// Takes the outcomes of a scenario into account.
    pub fn judge(&mut self, scenario: &Scenario, outcomes: Vec<Outcome>) {
        for ((step, recorded), got) in scenario.steps.iter().zip(recorded(scenario)).zip(outcomes) {
            self.count.steps += 1;
            let (expected, rule) = exceptions::expected(&scenario.name, step, recorded);
            if got == expected {
                self.count.add(&scenario.name, step.number, rule);
            } else {
                let (scenario, step) = (scenario.name.clone(), step.clone());
                self.wrong.push(Wrong { scenario, step, expected, got });
            }
        }
    }
}

/// What a recording says came of each step, in the form outcomes are compared in.
pub fn recorded(scenario: &Scenario) -> Vec<Outcome> {
    let mut canonical = Canonical::default();
    let outcome = |step: &Step| {
        let mut outcome = step.outcome.clone();
        if let (Action::Ask(ask), Answer::Granted(payload)) = (&step.action, &mut outcome.answer) {
            *payload = canonical.payload(ask.kind, &ask.payload, payload);
        }
        outcome
    };
    scenario.steps.iter().map(outcome).collect()
}

/// Entries of the table that name no step of these scenarios, or that say nothing
/// beyond what was recorded: stale ones.
pub fn idle_exceptions(scenarios: &[Scenario]) -> Vec<String> {
    let mut idle = Vec::new();
    for exception in exceptions::all() {
        let scenario = scenarios.iter().find(|scenario| scenario.name == exception.scenario);
        for (number, _) in exception.steps {
            let found = scenario.and_then(|scenario| {
                let mut steps = scenario.steps.iter().zip(recorded(scenario));
                steps.find(|(step, _)| step.number == *number)
            });
            let differs = found.is_some_and(|(step, recorded)| {
                exceptions::expected(exception.scenario, step, recorded.clone()).0 != recorded
            });
            if !differs {
                idle.push(format!("{} step {number}", exception.scenario));
            }
        }
    }
    idle
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} step {}: {}", self.scenario, self.step.number, action(&self.step.action))?;
        writeln!(f, "    expected {}", outcome(&self.expected))?;
        write!(f, "    got      {}", outcome(&self.got))
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::Ask(ask) => {
            let kind = xenstore_wire::MessageType::from_number(ask.kind);
            let kind = kind.map_or_else(|| ask.kind.to_string(), |kind| kind.to_string());
            format!("{} {kind} {:?} {}", ask.client, ask.transaction, bytes(&ask.payload))
        }
        other => format!("{other:?}"),
    }
}

fn outcome(outcome: &Outcome) -> String {
    let mut text = match &outcome.answer {
        Answer::Granted(payload) => bytes(payload),
        other => format!("{other:?}"),
    };
    for (client, events) in &outcome.events {
        let _ = write!(text, "; {client} hears");
        for Event { path, token, when } in events {
            let _ = write!(text, " {} {} {when:?},", bytes(path), bytes(token));
        }
    }
    for (name, count) in &outcome.counts {
        let _ = write!(text, "; {count} events of {name}");
    }
    text
}

/// Bytes for people, cut where they get boring.
fn bytes(bytes: &[u8]) -> String {
    const ENOUGH: usize = 160;
    let start = bytes.get(..ENOUGH.min(bytes.len())).unwrap_or_default();
    let more = bytes.len() - start.len();
    let cut = if more > 0 { format!("… {more} more") } else { String::new() };
    format!("\"{}\"{cut}", start.escape_ascii())
}
