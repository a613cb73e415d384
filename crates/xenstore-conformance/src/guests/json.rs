//! Recordings of guests as JSON lines.

use serde_json::{Map, Value};
use xenstore_host::ring::{Field, Lane};
use xenstore_host::sim::State;
use xenstore_wire::Domid;

use super::recording::{
    Action, Ask, Deed, Event, Lanes, Message, Outcome, Ring, Scenario, Step, TOOLSTACK, Who,
};
use crate::recording::json::{Found, bytes, kind, number, object, string};
use crate::recording::{Answer, Malformed, Transaction};

type Fields = Map<String, Value>;

/// Reads a recording.
pub fn parse(text: &str) -> Result<Vec<Scenario>, Malformed> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let malformed = |(expected, found)| Malformed { line: index + 1, expected, found };
        let fields = serde_json::from_str::<Fields>(line)
            .map_err(|error| malformed(("a JSON object", error.to_string())))?;
        if fields.contains_key("scenario") {
            scenarios.push(scenario(&fields).map_err(malformed)?);
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

fn scenario(fields: &Fields) -> Found<Scenario> {
    let options = list(fields.get("options"))?.iter().map(|option| Ok(string(option)?.to_owned()));
    Ok(Scenario {
        name: string(field(fields, "scenario"))?.to_owned(),
        exist: list(fields.get("exist"))?.iter().map(domid).collect::<Found<_>>()?,
        options: options.collect::<Found<_>>()?,
        steps: Vec::new(),
    })
}

fn step(fields: &Fields) -> Found<Step> {
    // The daemon had died.
    let c = if is_set(fields, "missing") { None } else { Some(outcome(fields)?) };
    let oxenstored = match fields.get("oxenstored") {
        Some(Value::Object(fields)) => Some(outcome(fields)?),
        Some(Value::Bool(false)) => None,
        None => c.clone(),
        Some(other) => return Err(("an outcome", other.to_string())),
    };
    let number = number(field(fields, "step"))?;
    Ok(Step { number, action: action(fields)?, c, oxenstored })
}

fn action(fields: &Fields) -> Found<Action> {
    let Some(op) = fields.get("op") else {
        return Ok(Action::Ask(ask(fields, who(field(fields, "conn"))?)?));
    };
    let conn = || who(field(fields, "conn"));
    let new = is_set(fields, "new");
    Ok(match string(op)? {
        "introduce" => Action::Introduce {
            domid: domid(field(fields, "dom"))?,
            new,
            preset: object(fields.get("preset"))?
                .map(|(name, value)| Ok((page_field(name)?, number(value)?)))
                .collect::<Found<_>>()?,
            payload: bytes(field(fields, "payload"))?,
        },
        "bulk" => Action::AskOften {
            ask: ask(fields, conn()?)?,
            start: number(field(fields, "start"))?,
            count: number(field(fields, "count"))?,
        },
        "state" => Action::State {
            domid: domid(field(fields, "dom"))?,
            new,
            state: state(field(fields, "state"))?,
            told: is_set(fields, "virq"),
        },
        "ring" => match conn()? {
            Who::Guest(guest) => Action::Ring { guest, deeds: deeds(fields)? },
            socket @ Who::Socket(_) => return Err(("a guest", socket.to_string())),
        },
        "open" => Action::Open(conn()?),
        "close" => Action::Close(conn()?),
        other => return Err(("an operation", other.to_owned())),
    })
}

fn ask(fields: &Fields, who: Who) -> Found<Ask> {
    Ok(Ask {
        who,
        kind: request_kind(field(fields, "type"))?,
        transaction: match fields.get("tx") {
            None => Transaction::Number(0),
            Some(Value::String(name)) => Transaction::Name(name.clone()),
            Some(other) => Transaction::Number(number(other)?),
        },
        payload: bytes(field(fields, "payload"))?,
    })
}

fn state(value: &Value) -> Found<u32> {
    let mut bits = 0;
    for name in list(Some(value))? {
        bits |= match string(name)? {
            "exist" => State::EXISTS,
            "shutdown" => State::SHUTDOWN,
            "dying" => State::DYING,
            "dead" => State::DEAD,
            other => return Err(("a state", other.to_owned())),
        };
    }
    Ok(bits)
}

fn deeds(fields: &Fields) -> Found<Vec<Deed>> {
    let who = who(field(fields, "conn"))?;
    list(fields.get("ops"))?.iter().map(|deed| self::deed(deed, who)).collect()
}

fn deed(value: &Value, who: Who) -> Found<Deed> {
    if let Value::String(name) = value {
        return Ok(match &**name {
            "notify" => Deed::Notify,
            "hold" => Deed::Hold,
            "drain" => Deed::Drain,
            "forget" => Deed::Forget,
            "settle" => Deed::Settle,
            other => return Err(("a deed", other.to_owned())),
        });
    }
    let entry = value.as_object().and_then(|map| map.iter().next());
    let (name, value) = entry.ok_or_else(|| ("a deed", value.to_string()))?;
    let one_of = || object(Some(value))?.next().ok_or_else(|| ("a field", value.to_string()));
    Ok(match &**name {
        "requests" => Deed::Requests(requests(value, who)?),
        "bytes" => Deed::Bytes(bytes(value)?),
        "put" => Deed::Put(bytes(value)?),
        "set" => {
            let (name, value) = one_of()?;
            Deed::Set(page_field(name)?, number(value)?)
        }
        "add" => {
            let (name, value) = one_of()?;
            Deed::Add(page_field(name)?, difference(value)?)
        }
        "fill" => {
            let (name, value) = one_of()?;
            let lane = match &**name {
                "requests" => Lane::Requests,
                "responses" => Lane::Responses,
                other => return Err(("a lane", other.to_owned())),
            };
            let byte = u8::try_from(number(value)?).map_err(|_| ("a byte", value.to_string()))?;
            Deed::Fill(lane, byte)
        }
        "read" => Deed::Read(number(value)? as usize),
        other => return Err(("a deed", other.to_owned())),
    })
}

fn requests(value: &Value, who: Who) -> Found<Vec<Ask>> {
    let mut all = Vec::new();
    for request in list(Some(value))? {
        let fields = request.as_object().ok_or_else(|| ("a request", request.to_string()))?;
        let times = fields.get("repeat").map_or(Ok(1), number)?;
        all.extend(std::iter::repeat_n(ask(fields, who)?, times as usize));
    }
    Ok(all)
}

pub(super) fn outcome(fields: &Fields) -> Found<Outcome> {
    let count = |name| fields.get(name).map_or(Ok(0), number).map(|count| count as usize);
    let mut outcome = Outcome {
        answer: answer(fields)?,
        late: is_set(fields, "late"),
        before: count("before")?,
        unsent: count("unsent")?,
        partial: count("partial")?,
        messages: messages(fields.get("messages"))?,
        ..Outcome::default()
    };
    for entry in list(fields.get("replies"))? {
        let [payload, times] = pair(entry)?;
        let answer = match payload {
            Value::Object(refusal) if refusal.contains_key("error") => answer(refusal)?,
            granted => Answer::Granted(bytes(granted)?),
        };
        outcome.answers.push((answer, number(times)?));
    }
    for (name, events) in object(fields.get("events"))? {
        let events = list(Some(events))?.iter().map(event).collect::<Found<_>>()?;
        outcome.events.insert(who(&Value::String(name.clone()))?, events);
    }
    for (name, others) in object(fields.get("others"))? {
        outcome.others.insert(who(&Value::String(name.clone()))?, messages(Some(others))?);
    }
    for (name, ring) in object(fields.get("ring"))? {
        match (who(&Value::String(name.clone()))?, ring) {
            (Who::Guest(domid), Value::Object(fields)) => {
                outcome.rings.insert(domid, self::ring(fields)?);
            }
            _ => return Err(("a guest's ring", name.clone())),
        }
    }
    Ok(outcome)
}

fn answer(fields: &Fields) -> Found<Answer> {
    Ok(match (fields.get("reply"), fields.get("error"), fields.get("end")) {
        (Some(reply), ..) => Answer::Granted(bytes(reply)?),
        (_, Some(name), _) => Answer::Refused(string(name)?.to_owned()),
        (.., Some(end)) => match string(end)? {
            "closed" => Answer::Closed,
            "silence" => Answer::Silence,
            other => return Err(("closed or silence", other.to_owned())),
        },
        _ => Answer::Nothing,
    })
}

fn messages(value: Option<&Value>) -> Found<Vec<Message>> {
    let mut all = Vec::new();
    for entry in list(value)? {
        let (name, payload, times) = match entry.as_array().map(Vec::as_slice) {
            Some([name, payload]) => (name, payload, 1),
            Some([name, payload, times]) => (name, payload, number(times)?),
            _ => return Err(("a message", entry.to_string())),
        };
        let message = Message { kind: kind(name)?, payload: bytes(payload)? };
        all.extend(std::iter::repeat_n(message, times as usize));
    }
    Ok(all)
}

fn event(value: &Value) -> Found<Event> {
    let [path, token] = pair(value)?;
    Ok(Event { path: bytes(path)?, token: bytes(token)? })
}

fn ring(fields: &Fields) -> Found<Ring> {
    let word = |name| fields.get(name).map(number).transpose();
    let lanes = match fields.get("indices") {
        None => None,
        Some(indices) => Some(Lanes {
            indices: four(indices)?,
            moved: fields.get("moved").map_or(Ok([0; 4]), four)?,
            notified: is_set(fields, "notified"),
        }),
    };
    Ok(Ring {
        features: word("features")?,
        connection: word("connection")?.unwrap_or(0),
        error: word("error")?.unwrap_or(0),
        port: word("port")?,
        lanes,
    })
}

fn four(value: &Value) -> Found<[u32; 4]> {
    let numbers = list(Some(value))?.iter().map(number).collect::<Found<Vec<_>>>()?;
    numbers.try_into().map_err(|_| ("four numbers", value.to_string()))
}

fn page_field(name: &str) -> Found<Field> {
    Ok(match name {
        "request_consumer" => Field::RequestConsumer,
        "request_producer" => Field::RequestProducer,
        "response_consumer" => Field::ResponseConsumer,
        "response_producer" => Field::ResponseProducer,
        "features" => Field::Features,
        "connection" => Field::Connection,
        "error" => Field::Error,
        "event_channel" => Field::EventChannel,
        other => return Err(("a field of the page", other.to_owned())),
    })
}

/// RESTRICT is a name without a request.
fn request_kind(value: &Value) -> Found<u32> {
    const RESTRICT: u32 = 20;
    if value == "RESTRICT" { Ok(RESTRICT) } else { kind(value) }
}

fn who(value: &Value) -> Found<Who> {
    let name = string(value)?;
    let wrong = || ("a connection", name.to_owned());
    if name == "S" {
        return Ok(TOOLSTACK);
    }
    let (letter, digits) = name.split_at_checked(1).ok_or_else(wrong)?;
    match letter {
        "S" => digits.parse().map(Who::Socket).map_err(|_| wrong()),
        "g" => digits.parse().map(|number| Who::Guest(Domid::new(number))).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn domid(value: &Value) -> Found<Domid> {
    let domid = u16::try_from(number(value)?).map(Domid::new);
    domid.map_err(|_| ("a domid", value.to_string()))
}

/// What to add to an index to move it by so much, be it back.
fn difference(value: &Value) -> Found<u32> {
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    number.map(i32::cast_unsigned).ok_or_else(|| ("a difference", value.to_string()))
}

fn field<'a>(fields: &'a Fields, name: &str) -> &'a Value {
    fields.get(name).unwrap_or(&Value::Null)
}

fn is_set(fields: &Fields, name: &str) -> bool {
    fields.get(name) == Some(&Value::Bool(true))
}

fn list(value: Option<&Value>) -> Found<&[Value]> {
    match value {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(other) => Err(("a list", other.to_string())),
    }
}

fn pair(value: &Value) -> Found<&[Value; 2]> {
    let pair = list(Some(value))?.try_into();
    pair.map_err(|_| ("two things", value.to_string()))
}
