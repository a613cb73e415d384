//! Snapshots as JSON: exact, and readable.
//!
//! ```json
//! {"format":"xenstore-dump","version":1,"root":"/vm","nodes":[
//! {"path":"/vm","value":"","permissions":["n0","r5"]},
//! {"path":"/vm/a","value":{"hex":"00ff"},"permissions":["n0"]}
//! ]}
//! ```
//!
//! One node per line, so that line tools and version control see nodes. A value is a
//! string if it is UTF-8 without a NUL, else its bytes in hexadecimal. The order of
//! the nodes is part of what is kept.

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use thiserror::Error;
use xenstore_client::wire::Permissions;
use xenstore_client::wire::permission::PermissionError;

use super::{Node, Snapshot};

const FORMAT: &str = "xenstore-dump";
const VERSION: u64 = 1;

/// Why a file is no snapshot.
#[derive(Debug, Error)]
pub(crate) enum JsonError {
    /// It is not JSON.
    #[error("not JSON")]
    Syntax(#[from] serde_json::Error),
    /// It is JSON of another kind.
    #[error("expected {expected}, found {found}")]
    Shape { expected: &'static str, found: String },
    /// A permission is none.
    #[error("malformed permission")]
    Permission(#[from] PermissionError),
}

/// Writes a snapshot.
pub(crate) fn write(snapshot: &Snapshot, out: &mut impl Write) -> io::Result<()> {
    let root = Value::from(&*snapshot.root);
    write!(out, "{{\"format\":\"{FORMAT}\",\"version\":{VERSION},\"root\":{root},\"nodes\":[")?;
    let mut separator = "\n";
    for node in &snapshot.nodes {
        // Written by hand to keep the fields in a reader's order.
        let (path, value) = (Value::from(&*node.path), value_to_json(&node.value));
        write!(out, "{separator}{{\"path\":{path},\"value\":{value}")?;
        if let Some(permissions) = &node.permissions {
            let entries: Vec<_> = permissions.iter().map(|entry| entry.to_string()).collect();
            write!(out, ",\"permissions\":{}", Value::from(entries))?;
        }
        write!(out, "}}")?;
        separator = ",\n";
    }
    writeln!(out, "\n]}}")
}

/// Reads a snapshot.
pub(crate) fn read(text: &[u8]) -> Result<Snapshot, JsonError> {
    let document: Value = serde_json::from_slice(text)?;
    let fields = object(&document)?;
    if fields.get("format") != Some(&json!(FORMAT))
        || fields.get("version") != Some(&json!(VERSION))
    {
        return Err(shape("\"format\":\"xenstore-dump\" of version 1", &document));
    }
    let nodes = fields.get("nodes").and_then(Value::as_array);
    let nodes = nodes.ok_or_else(|| shape("a list \"nodes\"", &document))?;
    Ok(Snapshot {
        root: string(fields, "root", &document)?,
        knows_top: true,
        nodes: nodes.iter().map(node).collect::<Result<_, _>>()?,
    })
}

fn node(json: &Value) -> Result<Node, JsonError> {
    let fields = object(json)?;
    let value = fields.get("value").and_then(value_from_json);
    let permissions = match fields.get("permissions") {
        None => None,
        Some(list) => Some(permissions(list)?),
    };
    Ok(Node {
        path: string(fields, "path", json)?,
        value: value.ok_or_else(|| shape("a \"value\" as text or hexadecimal", json))?,
        permissions,
    })
}

fn permissions(json: &Value) -> Result<Permissions, JsonError> {
    let entries: Option<Vec<&[u8]>> = json
        .as_array()
        .and_then(|list| list.iter().map(|entry| Some(entry.as_str()?.as_bytes())).collect());
    let entries = entries.ok_or_else(|| shape("a list of permissions", json))?;
    Permissions::parse(entries.into_iter())?.ok_or_else(|| shape("at least one permission", json))
}

/// A value as it stands in JSON.
pub(crate) fn value_to_json(value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => text.into(),
        _ => {
            let digits = value.iter().map(|byte| format!("{byte:02x}"));
            json!({ "hex": digits.collect::<String>() })
        }
    }
}

fn value_from_json(json: &Value) -> Option<Vec<u8>> {
    if let Some(text) = json.as_str() {
        return Some(text.as_bytes().to_vec());
    }
    let (pairs, rest) = json.get("hex")?.as_str()?.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |&[high, low]: &[u8; 2]| u8::try_from(digit(high)? * 16 + digit(low)?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

fn object(json: &Value) -> Result<&Map<String, Value>, JsonError> {
    json.as_object().ok_or_else(|| shape("an object", json))
}

fn string(fields: &Map<String, Value>, name: &str, whole: &Value) -> Result<String, JsonError> {
    match fields.get(name).and_then(Value::as_str) {
        Some(text) => Ok(text.to_owned()),
        None => Err(shape("a text for each of \"root\" and \"path\"", whole)),
    }
}

fn shape(expected: &'static str, found: &Value) -> JsonError {
    let mut found = found.to_string();
    if let Some((end, _)) = found.char_indices().nth(60) {
        found.truncate(end);
        found.push_str("...");
    }
    JsonError::Shape { expected, found }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(entries: &[&str]) -> Option<Permissions> {
        Permissions::parse(entries.iter().map(|entry| entry.as_bytes())).unwrap()
    }

    #[test]
    fn one_node_per_line() {
        let node = |path: &str, value: &[u8], permissions| Node {
            path: path.to_owned(),
            value: value.to_owned(),
            permissions,
        };
        let snapshot = Snapshot {
            root: "/vm".into(),
            knows_top: true,
            nodes: vec![
                node("/vm", b"", list(&["n0", "r5"])),
                node("/vm/a", b"\0\xff", None),
                node("/vm/b", "\"\u{e9}\n".as_bytes(), None),
            ],
        };
        let mut out = Vec::new();
        write(&snapshot, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out.clone()).unwrap(),
            "{\"format\":\"xenstore-dump\",\"version\":1,\"root\":\"/vm\",\"nodes\":[\n\
             {\"path\":\"/vm\",\"value\":\"\",\"permissions\":[\"n0\",\"r5\"]},\n\
             {\"path\":\"/vm/a\",\"value\":{\"hex\":\"00ff\"}},\n\
             {\"path\":\"/vm/b\",\"value\":\"\\\"\u{e9}\\n\"}\n]}\n"
        );
        assert_eq!(read(&out).unwrap(), snapshot);
    }

    #[test]
    fn what_is_no_dump_is_said_to_be_none() {
        let wrong = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(wrong("{"), "not JSON");
        assert!(wrong("[1]").starts_with("expected an object, found [1]"));
        assert!(wrong("{}").contains("xenstore-dump"));
        let head = r#"{"format":"xenstore-dump","version":1,"root":"/","nodes":["#;
        for node in [
            r#"{"path":"/a"}"#,
            r#"{"value":""}"#,
            r#"{"path":"/a","value":{"hex":"0"}}"#,
            r#"{"path":"/a","value":{"hex":"zz"}}"#,
            r#"{"path":"/a","value":"","permissions":[]}"#,
            r#"{"path":"/a","value":"","permissions":["x0"]}"#,
        ] {
            assert!(read(format!("{head}{node}]}}").as_bytes()).is_err(), "{node}");
        }
    }

    proptest! {
        #[test]
        fn every_value_reads_back(value in prop::collection::vec(any::<u8>(), 0..40)) {
            let read = value_from_json(&value_to_json(&value));
            prop_assert_eq!(read, Some(value));
        }
    }
}
