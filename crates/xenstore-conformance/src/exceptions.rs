//! The table of deliberate differences: which steps, by what rule, with what answer.

mod numbers;
mod replies;
mod transactions;

use crate::recording::{Action, Answer, Outcome, Step, When};
use crate::rules::Rule;
use xenstore_wire::MessageType;

/// Steps of one scenario that are answered otherwise than recorded.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// The scenario.
    pub scenario: &'static str,
    /// Why.
    pub rule: Rule,
    /// The steps, and what comes of each.
    pub steps: &'static [(u32, Ours)],
}

/// What comes of a step with us. Whatever is not said is as recorded.
#[derive(Clone, Copy, Debug)]
pub enum Ours {
    /// Granted, with this payload.
    Granted(&'static str),
    /// Refused, with this name.
    Refused(&'static str),
    /// So many events, by token.
    Counts(&'static [(&'static str, u32)]),
}

impl Ours {
    /// The usual answer to a request that asks for no data.
    const OK: Self = Self::Granted("OK\0");
    const INVALID: Self = Self::Refused("EINVAL");

    fn apply(self, outcome: &mut Outcome) {
        match self {
            Self::Granted(payload) => {
                outcome.answer = Answer::Granted(payload.as_bytes().to_vec());
            }
            Self::Refused(name) => {
                outcome.answer = Answer::Refused(name.to_owned());
                // A refused request changes nothing, so there is nothing to tell.
                outcome.events.clear();
            }
            Self::Counts(counts) => {
                outcome.counts =
                    counts.iter().map(|&(token, count)| (token.to_owned(), count)).collect();
            }
        }
    }
}

/// The whole table.
pub fn all() -> impl Iterator<Item = &'static Exception> {
    [replies::TABLE, numbers::TABLE, transactions::TABLE].into_iter().flatten()
}

/// What is to come of a step, and by what rule, if not as recorded.
pub fn expected(scenario: &str, step: &Step, recorded: Outcome) -> (Outcome, Option<Rule>) {
    let mut outcome = recorded;
    let mut rule = reorder(step, &mut outcome);
    let listed = all().filter(|exception| exception.scenario == scenario);
    for exception in listed {
        for (_, ours) in exception.steps.iter().filter(|(number, _)| *number == step.number) {
            ours.apply(&mut outcome);
            rule = Some(exception.rule);
        }
    }
    (outcome, rule)
}

/// The two rules on the order of reply and events, which need no table.
fn reorder(step: &Step, outcome: &mut Outcome) -> Option<Rule> {
    use MessageType as T;
    let Action::Ask(ask) = &step.action else { return None };
    let (rule, when) = match MessageType::from_number(ask.kind)? {
        T::Write | T::Mkdir | T::Rm | T::SetPerms => (Rule::ReplyFirst, When::After),
        T::Release => (Rule::ReleaseTellsFirst, When::Before),
        _ => return None,
    };
    let events = outcome.events.get_mut(&ask.client)?;
    let mut moved = false;
    for event in events {
        moved |= event.when != when;
        event.when = when;
    }
    moved.then_some(rule)
}
