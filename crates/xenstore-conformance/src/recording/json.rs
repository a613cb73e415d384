//! Recordings as JSON lines.

use serde_json::{Map, Value};
use thiserror::Error;
use xenstore_wire::MessageType;

use super::{Action, Answer, Ask, Event, Outcome, Scenario, Step, Transaction, When};
use crate::target::DomainChange;

/// A line that is no part of a recording.
#[derive(Debug, Error)]
#[error("line {line}: expected {expected}, found {found}")]
pub struct Malformed {
    /// From 1.
    pub line: usize,
    /// What should have been there.
    pub expected: &'static str,
    /// What was.
    pub found: String,
}

pub(crate) type Found<T> = Result<T, (&'static str, String)>;

/// Reads a recording.
pub fn parse(text: &str) -> Result<Vec<Scenario>, Malformed> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let malformed = |(expected, found)| Malformed { line: index + 1, expected, found };
        let fields = serde_json::from_str::<Map<String, Value>>(line)
            .map_err(|error| malformed(("a JSON object", error.to_string())))?;
        if let Some(name) = fields.get("scenario") {
            let name = string(name).map_err(malformed)?.to_owned();
            scenarios.push(Scenario { name, steps: Vec::new() });
        } else {
            let step = step(&fields).map_err(malformed)?;
            let scenario = scenarios.last_mut();
            let scenario =
                scenario.ok_or_else(|| malformed(("a scenario's name", line.to_owned())))?;
            scenario.steps.push(step);
        }
    }
    Ok(scenarios)
}

fn step(fields: &Map<String, Value>) -> Found<Step> {
    let number = number(fields.get("step").unwrap_or(&Value::Null))?;
    let action = match fields.get("op") {
        Some(op) => operation(string(op)?, fields)?,
        None => Action::Ask(ask(fields)?),
    };
    Ok(Step { number, action, outcome: outcome(fields)? })
}

fn operation(op: &str, fields: &Map<String, Value>) -> Found<Action> {
    let client = || client(fields.get("conn").unwrap_or(&Value::Null));
    Ok(match op {
        "open" => Action::Open(client()?),
        "close" => Action::Close(client()?),
        "pause" => Action::Pause(client()?),
        "resume" => Action::Resume(client()?),
        "hv" => {
            let domid = number(fields.get("dom").unwrap_or(&Value::Null))?;
            let domid = u16::try_from(domid).map_err(|_| ("a domain number", domid.to_string()))?;
            Action::Domain(match string(fields.get("what").unwrap_or(&Value::Null))? {
                "create" => DomainChange::Create(domid),
                "shutdown" => DomainChange::ShutDown(domid),
                "dying" => DomainChange::Dying(domid),
                "destroy" => DomainChange::Destroy(domid),
                "virq" => DomainChange::Nothing,
                other => return Err(("something a hypervisor does", other.to_owned())),
            })
        }
        other => return Err(("an operation", other.to_owned())),
    })
}

fn ask(fields: &Map<String, Value>) -> Found<Ask> {
    Ok(Ask {
        client: client(fields.get("conn").unwrap_or(&Value::Null))?,
        kind: kind(fields.get("type").unwrap_or(&Value::Null))?,
        transaction: match fields.get("tx") {
            None => Transaction::Number(0),
            Some(Value::String(name)) => Transaction::Name(name.clone()),
            Some(other) => Transaction::Number(number(other)?),
        },
        length: fields.get("len").map(number).transpose()?,
        payload: bytes(fields.get("payload").unwrap_or(&Value::Null))?,
        repeat: fields.get("repeat").map(number).transpose()?,
    })
}

fn outcome(fields: &Map<String, Value>) -> Found<Outcome> {
    let answer = match (fields.get("reply"), fields.get("error"), fields.get("end")) {
        (Some(reply), ..) => Answer::Granted(bytes(reply)?),
        (_, Some(name), _) => Answer::Refused(string(name)?.to_owned()),
        (.., Some(end)) => match string(end)? {
            "closed" => Answer::Closed,
            "silence" => Answer::Silence,
            other => return Err(("closed or silence", other.to_owned())),
        },
        _ => Answer::Nothing,
    };
    let mut outcome = Outcome { answer, ..Outcome::default() };
    for (name, list) in object(fields.get("events"))? {
        let list = list.as_array().ok_or_else(|| ("a list of events", list.to_string()))?;
        let events = list.iter().map(event).collect::<Found<Vec<_>>>()?;
        outcome.events.insert(client(&Value::String(name.clone()))?, events);
    }
    for (name, count) in object(fields.get("event_counts"))? {
        outcome.counts.insert(name.clone(), number(count)?);
    }
    Ok(outcome)
}

fn event(value: &Value) -> Found<Event> {
    let list = value.as_array().map(Vec::as_slice);
    let (path, token, when) = match list {
        Some([path, token]) => (path, token, When::Unasked),
        Some([path, token, Value::String(when)]) if when == "before" => (path, token, When::Before),
        Some([path, token, Value::String(when)]) if when == "after" => (path, token, When::After),
        _ => return Err(("an event", value.to_string())),
    };
    Ok(Event { path: bytes(path)?, token: bytes(token)?, when })
}

pub(crate) fn object(value: Option<&Value>) -> Found<impl Iterator<Item = (&String, &Value)>> {
    let map = match value {
        None => None,
        Some(Value::Object(map)) => Some(map),
        Some(other) => return Err(("an object", other.to_string())),
    };
    Ok(map.into_iter().flatten())
}

pub(crate) fn kind(value: &Value) -> Found<u32> {
    match value {
        Value::String(name) => MessageType::ALL
            .iter()
            .find(|kind| kind.name() == name)
            .map(|kind| kind.number())
            .ok_or_else(|| ("a request's name", name.clone())),
        other => number(other),
    }
}

fn client(value: &Value) -> Found<char> {
    let name = string(value)?;
    let mut letters = name.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Ok(letter),
        _ => Err(("one letter", name.to_owned())),
    }
}

pub(crate) fn number(value: &Value) -> Found<u32> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| ("a number", value.to_string()))
}

pub(crate) fn string(value: &Value) -> Found<&str> {
    value.as_str().ok_or_else(|| ("a string", value.to_string()))
}

/// Bytes are a string with one character per byte, or a list of such strings and of
/// `{"unit": times}`.
pub(crate) fn bytes(value: &Value) -> Found<Vec<u8>> {
    match value {
        Value::String(text) => text
            .chars()
            .map(|letter| u8::try_from(letter).map_err(|_| ("a byte", letter.to_string())))
            .collect(),
        Value::Array(pieces) => Ok(pieces.iter().map(bytes).collect::<Found<Vec<_>>>()?.concat()),
        Value::Object(repeated) => {
            let mut all = Vec::new();
            for (unit, times) in repeated {
                let unit = bytes(&Value::String(unit.clone()))?;
                all.extend(unit.repeat(number(times)? as usize));
            }
            Ok(all)
        }
        other => Err(("bytes", other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_are_written_short() {
        let value = serde_json::json!(["/v\0", {"xy": 3}, "\u{ff}"]);
        assert_eq!(bytes(&value).unwrap(), b"/v\0xyxyxy\xff");
    }

    #[test]
    fn a_step_reads_back() {
        let text = r#"{"scenario":"a/b"}
{"step":3,"conn":"A","type":"WRITE","tx":"t1","payload":"/a\u0000","error":"EINVAL","events":{"B":[["/a","t"]]}}
{"step":4,"op":"hv","dom":5,"what":"dying"}"#;
        let scenarios = parse(text).unwrap();
        assert!(scenarios[0].commands_domains());
        let step = &scenarios[0].steps[0];
        assert_eq!(step.number, 3);
        assert_eq!(step.outcome.answer, Answer::Refused("EINVAL".to_owned()));
        assert_eq!(step.outcome.events[&'B'][0].when, When::Unasked);
        let Action::Ask(ask) = &step.action else { panic!() };
        assert_eq!((ask.kind, &ask.payload[..]), (11, &b"/a\0"[..]));
        assert_eq!(ask.transaction, Transaction::Name("t1".to_owned()));
    }

    #[test]
    fn a_malformed_line_is_named() {
        let malformed = parse("{\"scenario\":\"a\"}\n{\"step\":1,\"op\":\"dance\"}").unwrap_err();
        assert_eq!(malformed.to_string(), "line 2: expected an operation, found dance");
    }
}
