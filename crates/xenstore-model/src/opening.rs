//! How every history begins.

use std::collections::VecDeque;

use crate::acl::Permission;
use crate::act::Act;
use crate::generate::{DOMIDS, STEWARD};
use crate::operation::Action;
use crate::random::Random;
use crate::request::Request;

/// The quotas that are refused by, and limits that are soon reached.
pub const TIGHT: [(&str, u32, u32); 7] = [
    ("nodes", 3, 9),
    ("node-size", 50, 120),
    ("node-permissions", 2, 4),
    ("watches", 2, 6),
    ("transactions", 1, 3),
    ("transaction-nodes", 2, 8),
    ("path-max", 4, 30),
];

/// Two sockets, limits, some guests, and a place where all may write.
pub fn opening(random: &mut Random, long: bool) -> VecDeque<Act> {
    let mut acts = VecDeque::from([Act::Connect, Act::Connect]);
    let mut ask = |request| acts.push_back(Act::Ask(STEWARD, 0, request));
    for (quota, least, most) in TIGHT {
        let limit = random.between(least, most);
        // Where names are long, sizes are left as large as they are.
        if !(long && ["node-size", "path-max"].contains(&quota)) && random.chance(80) {
            ask(Request::SetQuota(None, quota.to_owned(), limit));
        }
    }
    let open = vec![Permission { letter: 'b', domid: 0 }];
    for path in ["/a", "/local/domain/1", "/local/domain/2"] {
        ask(Request::Node(path.to_owned(), Action::Mkdir));
        ask(Request::Node(path.to_owned(), Action::SetPerms(open.clone())));
    }
    for domid in 1..DOMIDS - 2 {
        acts.push_back(Act::Create(domid));
        acts.push_back(Act::Ask(STEWARD, 0, Request::Introduce(domid, 1)));
    }
    acts
}
