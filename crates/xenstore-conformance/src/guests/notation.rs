//! Outcomes in the form of recordings: what fails can be compared with them line by line.

use std::fmt;

use serde_json::{Map, Value, json};
use xenstore_wire::MessageType;

use super::recording::{Message, Outcome, Ring};
use crate::recording::Answer;

/// Shorter runs of a byte are spelled out.
const LONG: usize = 48;

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Value::Object(outcome(self)))
    }
}

fn outcome(outcome: &Outcome) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    if let Some((name, value)) = answer(&outcome.answer) {
        set(name, value);
    }
    if outcome.late {
        set("late", true.into());
    }
    for (name, count) in
        [("before", outcome.before), ("unsent", outcome.unsent), ("partial", outcome.partial)]
    {
        if count > 0 {
            set(name, count.into());
        }
    }
    if !outcome.answers.is_empty() {
        set("replies", outcome.answers.iter().map(run).collect());
    }
    if !outcome.messages.is_empty() {
        set("messages", messages(&outcome.messages));
    }
    if !outcome.events.is_empty() {
        let events = outcome.events.iter().map(|(who, events)| {
            let event = |event: &super::recording::Event| {
                Value::from(vec![bytes(&event.path), bytes(&event.token)])
            };
            (who.to_string(), events.iter().map(event).collect())
        });
        set("events", Value::Object(events.collect()));
    }
    if !outcome.others.is_empty() {
        let others = outcome.others.iter().map(|(who, sent)| (who.to_string(), messages(sent)));
        set("others", Value::Object(others.collect()));
    }
    if !outcome.rings.is_empty() {
        let rings = outcome.rings.iter().map(|(domid, found)| (format!("g{domid}"), ring(found)));
        set("ring", Value::Object(rings.collect()));
    }
    fields
}

fn answer(answer: &Answer) -> Option<(&'static str, Value)> {
    match answer {
        Answer::Nothing => None,
        Answer::Granted(payload) => Some(("reply", bytes(payload))),
        Answer::Refused(name) => Some(("error", name.as_str().into())),
        Answer::Silence => Some(("end", "silence".into())),
        Answer::Closed => Some(("end", "closed".into())),
    }
}

fn run((said, times): &(Answer, u32)) -> Value {
    match answer(said) {
        Some(("reply", payload)) => json!([payload, times]),
        Some((name, value)) => json!([{ name: value }, times]),
        None => json!([null, times]),
    }
}

/// Messages, equal ones in a row together.
fn messages(messages: &[Message]) -> Value {
    let run = |run: &[Message]| {
        let first = run.first()?;
        let (name, payload) = (kind(first.kind), bytes(&first.payload));
        Some(if run.len() > 1 { json!([name, payload, run.len()]) } else { json!([name, payload]) })
    };
    messages.chunk_by(|a, b| a == b).filter_map(run).collect()
}

fn kind(number: u32) -> Value {
    match MessageType::from_number(number) {
        Some(kind) => kind.name().into(),
        None => number.into(),
    }
}

fn ring(ring: &Ring) -> Value {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    if let Some(features) = ring.features {
        set("features", features.into());
    }
    for (name, word) in [("connection", ring.connection), ("error", ring.error)] {
        if word != 0 {
            set(name, word.into());
        }
    }
    if let Some(port) = ring.port {
        set("port", port.into());
    }
    if let Some(lanes) = ring.lanes {
        set("indices", lanes.indices.to_vec().into());
        if lanes.moved != [0; 4] {
            set("moved", lanes.moved.to_vec().into());
        }
        if lanes.notified {
            set("notified", true.into());
        }
    }
    Value::Object(fields)
}

/// One character per byte, long runs short.
fn bytes(bytes: &[u8]) -> Value {
    let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    let mut pieces = Vec::new();
    let mut plain = Vec::new();
    for run in bytes.chunk_by(|a, b| a == b) {
        if run.len() < LONG {
            plain.extend_from_slice(run);
            continue;
        }
        if !plain.is_empty() {
            pieces.push(text(&std::mem::take(&mut plain)).into());
        }
        let unit = text(run.get(..1).unwrap_or_default());
        pieces.push(json!({ unit: run.len() }));
    }
    if pieces.is_empty() {
        return text(&plain).into();
    }
    if !plain.is_empty() {
        pieces.push(text(&plain).into());
    }
    pieces.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guests::{json, parse};

    #[test]
    fn what_is_written_reads_back() {
        let scenarios = parse(include_str!("../../vectors/guest/both.jsonl")).unwrap();
        let steps = scenarios.iter().flat_map(|scenario| &scenario.steps);
        let outcomes: Vec<_> = steps.filter_map(|step| step.oxenstored.as_ref()).collect();
        assert!(outcomes.len() > 2000, "{}", outcomes.len());
        for recorded in outcomes {
            assert_eq!(json::outcome(&outcome(recorded)).unwrap(), *recorded, "{recorded}");
        }
    }
}
