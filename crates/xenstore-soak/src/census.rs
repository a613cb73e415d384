//! The whole store as a client of the socket sees it, against what the models say.

use std::collections::BTreeMap;

use xenstore_client::{Client, Store};

use crate::failure::Failure;
use crate::libxl::SHARED;
use crate::village::Village;

/// A node: value, permissions, children in order.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    value: String,
    permissions: String,
    children: Vec<String>,
}

/// Compares all nodes there are with those there should be; how many that were.
///
/// # Errors
///
/// They differ.
pub fn compare(client: &mut Client, villages: &[Village]) -> Result<usize, Failure> {
    let found = ask(client)?;
    let expected = expect(villages);
    let names = || found.keys().chain(expected.keys());
    for name in names() {
        let (mut found, mut expected) = (found.get(name).cloned(), expected.get(name).cloned());
        if is_shared(name) {
            // Who came first to different villages is known to none of them.
            found.iter_mut().chain(&mut expected).for_each(|it| it.children.sort_unstable());
        }
        // It names the daemon's program.
        if found != expected && name != "/tool/xenstored" {
            let what = format!("{name}\ndaemon {found:?}\nmodel  {expected:?}");
            return Err(Failure::disagreement(what));
        }
    }
    Ok(found.len())
}

fn is_shared(name: &str) -> bool {
    name == "/" || SHARED.contains(&name)
}

/// All nodes, asked one by one.
fn ask(client: &mut Client) -> Result<BTreeMap<String, Seen>, Failure> {
    let mut found = BTreeMap::new();
    let mut open = vec!["/".to_owned()];
    while let Some(name) = open.pop() {
        let children = client.directory(&name)?;
        let value = client.read(&name)?.escape_ascii().to_string();
        let permissions = client.permissions(&name)?;
        let all = [permissions.owner].into_iter().chain(permissions.others);
        let permissions: Vec<_> = all.map(|it| it.to_string()).collect();
        let above = if name == "/" { "" } else { name.as_str() };
        open.extend(children.iter().map(|child| format!("{above}/{child}")));
        found.insert(name, Seen { value, permissions: permissions.join(" "), children });
    }
    Ok(found)
}

/// All nodes that there are in some village.
fn expect(villages: &[Village]) -> BTreeMap<String, Seen> {
    let mut expected: BTreeMap<String, Seen> = BTreeMap::new();
    for village in villages {
        let store = village.judge.model().store();
        for name in store.top_down("/") {
            let Some(node) = store.get(&name) else { continue };
            let list = store.list(&name);
            let children = list.split_terminator('\0').map(str::to_owned);
            let seen = Seen {
                value: node.value.escape_default().to_string(),
                permissions: node.acl.texts().join(" "),
                children: children.collect(),
            };
            match expected.get_mut(&name) {
                // Known to several.
                Some(other) => {
                    for child in seen.children {
                        if !other.children.contains(&child) {
                            other.children.push(child);
                        }
                    }
                }
                None => drop(expected.insert(name, seen)),
            }
        }
    }
    expected
}
