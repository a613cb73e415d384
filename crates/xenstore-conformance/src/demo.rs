//! A host to play with: the store of the recorded host with all its guests running.
//!
//! In the recording two of three guests were torn down again for want of a device
//! model. Here they are not, and do what the first one did.

use std::io::{self, Write};

use serde_json::{Value, json};
use xenstore_wire::MessageType;
use xenstore_wire::text::strings;

use crate::access_log::{Deed, Log, What, Who};
use crate::host_replay::Host;

/// The guest that ran, and those that are to do the same.
const RAN: u16 = 1;
const OTHERS: [u16; 2] = [2, 3];

/// The toolstacks that made the other guests, and their transaction that began to tear
/// them down.
const TORN_DOWN: [(Who, u32); 2] = [(Who::Socket(38), 6), (Who::Socket(39), 6)];

/// The host as a snapshot, in the form of `xenstore dump`.
pub fn host(log: &Log) -> io::Result<String> {
    let mut host = Host::new(log)?;
    let mut gone = Vec::new();
    for deed in &log.deeds {
        let destroys = deed.what == What::Disconnect && matches!(deed.who, Who::Domain(_));
        if begins_to_tear_down(deed) {
            gone.push(deed.who);
        }
        if !destroys && !gone.contains(&deed.who) {
            host.act(deed)?;
        }
    }
    for deed in &log.deeds {
        for domid in OTHERS {
            if let Some(deed) = as_done_by(deed, domid) {
                host.act(&deed)?;
            }
        }
    }
    snapshot(&mut host)
}

fn begins_to_tear_down(deed: &Deed) -> bool {
    TORN_DOWN.iter().any(|&(toolstack, began)| {
        let began = |deed: &Deed| matches!(&deed.what, What::Ask { transaction, .. } if *transaction == began);
        deed.who == toolstack && began(deed)
    })
}

/// What the guest that ran wrote, as another guest would write it.
fn as_done_by(deed: &Deed, domid: u16) -> Option<Deed> {
    let What::Ask { kind: MessageType::Write, payload, refused: None, .. } = &deed.what else {
        return None;
    };
    if deed.who != Who::Domain(RAN) {
        return None;
    }
    let text = String::from_utf8_lossy(payload);
    let text = text.replace(&format!("from-{RAN}"), &format!("from-{domid}"));
    let what = What::Ask {
        kind: MessageType::Write,
        payload: text.into_bytes(),
        transaction: 0,
        refused: None,
    };
    Some(Deed { line: deed.line, who: Who::Domain(domid), what })
}

/// The whole store, one node a line, each before its children.
fn snapshot(host: &mut Host) -> io::Result<String> {
    let mut out = Vec::new();
    write!(out, "{{\"format\":\"xenstore-dump\",\"version\":1,\"root\":\"/\",\"nodes\":[")?;
    let mut left = vec!["/".to_owned()];
    let mut separator = "\n";
    while let Some(path) = left.pop() {
        // Every daemon says for itself who it is.
        if path == "/tool/xenstored" {
            continue;
        }
        let mut look = |kind| host.look(kind, &path);
        let value = look(MessageType::Read)?;
        let names = words(&look(MessageType::Directory)?);
        let permissions = words(&look(MessageType::GetPerms)?);
        // By hand, to keep the fields in a reader's order.
        let (spelled, permissions) = (Value::from(&*path), Value::from(permissions));
        write!(out, "{separator}{{\"path\":{spelled},\"value\":{}", spell(&value))?;
        write!(out, ",\"permissions\":{permissions}}}")?;
        separator = ",\n";
        let below = if path == "/" { "" } else { &*path };
        left.extend(names.iter().rev().map(|name| format!("{below}/{name}")));
    }
    writeln!(out, "\n]}}")?;
    String::from_utf8(out).map_err(io::Error::other)
}

fn words(payload: &[u8]) -> Vec<String> {
    strings(payload).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// A value as text where it is one.
fn spell(value: &[u8]) -> Value {
    match str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => text.into(),
        _ => {
            let digits = value.iter().map(|byte| format!("{byte:02x}"));
            json!({ "hex": digits.collect::<String>() })
        }
    }
}
