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

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(who: Who, kind: MessageType, payload: &str, refused: Option<&str>) -> Deed {
        let (payload, refused) = (payload.as_bytes().to_vec(), refused.map(str::to_owned));
        Deed { line: 1, who, what: What::Ask { kind, payload, transaction: 0, refused } }
    }

    /// EACCES instead of ENOENT, for all and everywhere, was once taken to be deliberate.
    #[test]
    fn only_a_guest_elsewhere_is_refused_what_it_may_not_see() {
        let judged = |who, kind, path: &str| {
            let deed = deed(who, kind, &format!("{path}\0"), Some("ENOENT"));
            rule(&deed, Some("EACCES"), &Nodes::default())
        };
        let (guest, read) = (Who::Domain(1), MessageType::Read);
        assert_eq!(judged(guest, read, "/local/domain/0/x"), Some(HostRule::Unseen));
        assert_eq!(judged(guest, read, "/local/domain/10/x"), Some(HostRule::Unseen));
        assert_eq!(judged(guest, read, "x"), None);
        assert_eq!(judged(guest, read, "/local/domain/1/x"), None);
        assert_eq!(judged(guest, MessageType::Unwatch, "/local/domain/0/x"), None);
        assert_eq!(judged(Who::Domain(0), read, "/local/domain/1/x"), None);
        assert_eq!(judged(Who::Socket(1), read, "/local/domain/1/x"), None);
    }

    #[test]
    fn only_a_guest_is_refused_a_new_name_where_there_is_no_room_for_it() {
        let (guest, write) = (Who::Domain(1), MessageType::Write);
        let kept: Vec<_> =
            (100..350).map(|n| deed(guest, write, &format!("data/{n:06}\0x"), None)).collect();
        let mut nodes = Nodes::default();
        for deed in &kept {
            nodes.follow(deed);
        }
        // 16 bytes, 8 for the one permission, and 7 for each of 250 names: 274 are left.
        let judged = |who, path: &str| {
            rule(&deed(who, write, &format!("{path}\0x"), None), Some("ENOSPC"), &nodes)
        };
        let (fits, more) = ("n".repeat(273), "n".repeat(274));
        assert_eq!(judged(guest, &format!("data/{fits}")), None);
        assert_eq!(judged(guest, &format!("data/{more}")), Some(HostRule::NodeSize));
        assert_eq!(judged(guest, &format!("other/{more}")), None);
        assert_eq!(judged(guest, "data/000100"), None);
        assert_eq!(judged(Who::Domain(0), &format!("/local/domain/1/data/{more}")), None);
    }
}
