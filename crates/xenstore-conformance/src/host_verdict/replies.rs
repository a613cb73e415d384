//! Replies that differ, and the rules that say why.

use xenstore_wire::MessageType;

use super::nodes::{Nodes, named};
use crate::access_log::{Deed, What, Who};
use crate::rules::HostRule;

/// The names that are no nodes with us, as the paths of nodes.
const SPECIAL_NODES: [&str; 2] = ["/@introduceDomain", "/@releaseDomain"];

/// The rule by which a request is refused with `got` with us, or granted if that is none, if
/// there is one. The nodes are those before it.
pub fn rule(deed: &Deed, got: Option<&str>, nodes: &Nodes<'_>) -> Option<HostRule> {
    let What::Ask { kind, payload, transaction, refused } = &deed.what else { return None };
    let (path, _) = named(deed.who, payload)?;
    let guest = match deed.who {
        Who::Domain(domid @ 1..) => Some(domid),
        _ => None,
    };
    let reads = matches!(kind, MessageType::Read | MessageType::Directory | MessageType::GetPerms);
    let makes = matches!(kind, MessageType::Write | MessageType::Mkdir) && *transaction == 0;
    match (refused.as_deref(), got?) {
        (None, "ENOENT") if reads && SPECIAL_NODES.contains(&path.as_str()) => {
            Some(HostRule::SpecialNames)
        }
        (Some("ENOENT"), "EACCES") if reads && !path.starts_with(&home(guest?)) => {
            Some(HostRule::Unseen)
        }
        (None | Some("EQUOTA"), "ENOSPC") if makes && guest.is_some() => {
            nodes.is_full_above(&path).then_some(HostRule::NodeSize)
        }
        _ => None,
    }
}

/// What the paths of all of a domain's own nodes begin with.
fn home(domid: u16) -> String {
    format!("/local/domain/{domid}/")
}
