//! One start of a guest, as a host's access log has it, for any guest.
//!
//! `INTRODUCE` is left out: behind the domain's ring there would have to be a guest, and a
//! daemon without a hypervisor refuses it. The rest does not depend on it.

use xenstore_conformance::access_log::{self, What, Who};
use xenstore_wire::MessageType;

use crate::failure::Failure;
use crate::script::Script;

/// The log of a host on which xl started three guests.
const LOG: &str = include_str!("../../../../xenstore-conformance/traces/xl-pv-guests.access.log");

/// The client that started the second of them, the one with the most devices: a
/// framebuffer, a keyboard and a console, each in a transaction of its own.
const TOOLSTACK: Who = Who::Socket(38);

/// The guest it started.
const DOMID: &str = "2";

/// What was asked of the store for one start.
#[derive(Debug)]
pub struct RecordedStart {
    requests: Vec<Request>,
    uuid: String,
}

/// A request as it was recorded.
#[derive(Debug)]
struct Request {
    kind: MessageType,
    inside: bool,
    payload: String,
}

impl RecordedStart {
    /// The start in the log.
    pub fn load() -> Result<Self, Failure> {
        let log = access_log::parse(LOG).map_err(|error| Failure::Source(error.to_string()))?;
        let missing = |what| Failure::Source(format!("the access log has no {what}"));
        let asked = log.deeds.into_iter().filter(|deed| deed.who == TOOLSTACK);
        let mut requests = Vec::new();
        for deed in asked {
            let What::Ask { kind, payload, transaction, .. } = deed.what else { continue };
            let payload = String::from_utf8(payload).map_err(|_| missing("readable payload"))?;
            let inside = transaction != 0 && kind != MessageType::TransactionStart;
            requests.push(Request { kind, inside, payload });
        }
        // The console is the last device. Once it is there the guest runs, and what the same
        // client did later is to wait for it and to clear up behind it.
        let console = format!("/local/domain/{DOMID}/console/ring-ref\0");
        let made = requests.iter().position(|request| {
            request.kind == MessageType::Write && request.payload.starts_with(&console)
        });
        let made = made.ok_or_else(|| missing("console"))?;
        let after = requests.iter().skip(made);
        let end = { after }.position(|request| request.kind == MessageType::TransactionEnd);
        let end = end.ok_or_else(|| missing("commit of the console"))?;
        requests.truncate(made + end + 1);

        let uuid = requests.iter().find_map(|request| {
            let path = request.payload.split('\0').next()?;
            path.strip_prefix("/vm/").map(str::to_owned)
        });
        requests.retain(|request| request.kind != MessageType::Introduce);
        Ok(Self { requests, uuid: uuid.ok_or_else(|| missing("/vm"))? })
    }

    /// The same for another guest.
    pub fn script(&self, domid: u16) -> Script {
        let mut script = Script::new();
        for request in &self.requests {
            let payload = self.renumber(request, &domid.to_string());
            script.add(request.kind, request.inside, &[payload.as_bytes()]);
        }
        script
    }

    /// A request's payload with another guest's domid and uuid.
    fn renumber(&self, request: &Request, domid: &str) -> String {
        let (path, rest) = request.payload.split_once('\0').unwrap_or((&request.payload, ""));
        let rest = match request.kind {
            MessageType::SetPerms => permissions(rest, domid),
            MessageType::Write if rest.starts_with('/') || holds_domid(path) => {
                components(rest, domid)
            }
            _ => rest.to_owned(),
        };
        // A domain's number by itself is a path of one component.
        let payload = format!("{}\0{rest}", components(path, domid));
        // Uuids are as long as each other and end in twelve digits.
        let kept = self.uuid.len().saturating_sub(12);
        let uuid = format!("{}{domid:0>12}", self.uuid.get(..kept).unwrap_or_default());
        payload.replace(&self.uuid, &uuid)
    }
}

/// Whether the node's value is the guest's number, rather than some other small one.
fn holds_domid(path: &str) -> bool {
    path.ends_with("/domid") || path.ends_with("/frontend-id")
}

/// A path with another guest's number. No device of the recorded guest has the same one.
fn components(path: &str, domid: &str) -> String {
    let renumbered = path.split('/').map(|name| if name == DOMID { domid } else { name });
    renumbered.collect::<Vec<_>>().join("/")
}

/// A permission list with another guest's number: entries are a letter and a number.
fn permissions(list: &str, domid: &str) -> String {
    let renumber = |entry: &str| match entry.split_at_checked(1) {
        Some((letter, DOMID)) => format!("{letter}{domid}"),
        _ => entry.to_owned(),
    };
    list.split('\0').map(renumber).collect::<Vec<_>>().join("\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renumbered(kind: MessageType, payload: &str) -> String {
        let start = RecordedStart::load().unwrap();
        let request = Request { kind, inside: true, payload: payload.to_owned() };
        start.renumber(&request, "77")
    }

    #[test]
    fn another_guest_has_another_number_wherever_it_is_meant() {
        use MessageType as T;
        let cases = [
            (T::Read, "/local/domain/2/name\0", "/local/domain/77/name\0"),
            (T::Read, "/local/domain/1/name\0", "/local/domain/1/name\0"),
            (T::GetDomainPath, "2\0", "77\0"),
            (T::SetPerms, "/libxl/2\0n0\0r2\0", "/libxl/77\0n0\0r77\0"),
            (T::SetPerms, "/libxl/2\0n2\0r0\0", "/libxl/77\0n77\0r0\0"),
            (T::Write, "/local/domain/2/domid\x002", "/local/domain/77/domid\x0077"),
            // The console's event channel.
            (T::Write, "/local/domain/2/console/port\x002", "/local/domain/77/console/port\x002"),
            (
                T::Write,
                "/libxl/2/device/vfb/0/backend\0/local/domain/0/backend/vfb/2/0",
                "/libxl/77/device/vfb/0/backend\0/local/domain/0/backend/vfb/77/0",
            ),
            (
                T::Write,
                "/local/domain/2/vm\0/vm/f1cf7446-1c77-4d1f-9529-01a95021ab24",
                "/local/domain/77/vm\0/vm/f1cf7446-1c77-4d1f-9529-000000000077",
            ),
        ];
        for (kind, recorded, expected) in cases {
            assert_eq!(renumbered(kind, recorded), expected);
        }
    }

    #[test]
    fn a_start_is_five_transactions_that_are_committed() {
        let start = RecordedStart::load().unwrap();
        let kinds = |kind| start.requests.iter().filter(move |request| request.kind == kind);
        assert_eq!(kinds(MessageType::TransactionStart).count(), 5);
        let ends: Vec<_> =
            kinds(MessageType::TransactionEnd).map(|request| &request.payload[..]).collect();
        assert_eq!(ends, ["T\0"; 5]);
        assert_eq!(kinds(MessageType::Introduce).count(), 0);
        assert_eq!(start.requests.last().map(|last| last.kind), Some(MessageType::TransactionEnd));
        assert_eq!(start.script(9).len(), start.requests.len());
    }
}
