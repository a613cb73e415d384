//! The whole store as a client of the socket sees it, against what the models say.

use std::collections::BTreeMap;

use xenstore_client::{Client, Store};
use xenstore_model::accounts::current_lines;
use xenstore_model::act::Machine;
use xenstore_model::model::{Message, Model};
use xenstore_model::request::{Asked, Command, Request};
use xenstore_model::store as model;
use xenstore_wire::Errno;

use crate::failure::Failure;
use crate::house::House;
use crate::judge::HERALD;
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
pub fn compare(client: &mut Client, villages: &mut [Village]) -> Result<usize, Failure> {
    let found = ask(client)?;
    for village in villages.iter_mut() {
        let is_as_found =
            |(name, seen): (String, Seen)| is_shared(&name) || found.get(&name) == Some(&seen);
        village.judge.narrow(|model| nodes(model.store()).all(is_as_found));
    }
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
            return Err(Failure::Disagreement(what));
        }
    }
    Ok(found.len())
}

/// Compares the accounts of all domains that good guests have with those of the models, and
/// looks whether nobody else has one; how many were compared.
///
/// # Errors
///
/// They differ.
pub fn compare_accounts(client: &mut Client, villages: &mut [Village]) -> Result<usize, Failure> {
    let said = client.control("check", &[])?;
    if said != "OK" {
        return Err(Failure::Disagreement(format!("CONTROL check: {said}")));
    }
    let mut compared = 0;
    for village in villages {
        let house =
            |house: &House| (house.has_good_guest().then_some(house.domain.domid), house.domids());
        let houses: Vec<_> = village.houses.iter().map(house).collect();
        for (living, domids) in houses {
            for domid in domids {
                let found = client.control("quota", &[&domid.to_string()]);
                let found = match found {
                    Ok(account) => Some(current_lines(&format!("{account}\0"))),
                    Err(error) if error.errno() == Some(Errno::NoEnt) => None,
                    Err(error) => return Err(error.into()),
                };
                let mut expected = Vec::new();
                let agrees = village.judge.narrow(|model| {
                    let its = (living == Some(domid)).then(|| account(model, domid));
                    expected.push(its);
                    expected.last() == Some(&found)
                });
                if !agrees {
                    let what = format!("account of {domid}: {found:?}, model {expected:?}");
                    return Err(village.explain(Failure::Disagreement(what)));
                }
                compared += usize::from(found.is_some());
            }
        }
    }
    Ok(compared)
}

/// What `CONTROL quota` shows.
fn account(model: &Model, domid: u16) -> String {
    let mut model = model.clone();
    let request = Request::Control(Command::Account(domid));
    model.answer(
        &Asked { client: HERALD, transaction: 0, request, protected: false },
        &mut Machine::new(),
    );
    let said = model.take_output().remove(&HERALD).unwrap_or_default();
    let replies = said.into_iter().filter_map(|message| match message {
        Message::Reply { payload, .. } => Some(current_lines(&payload)),
        Message::Event { .. } => None,
    });
    replies.collect()
}

fn is_shared(name: &str) -> bool {
    ["/", "/tool", "/tool/xenstored"].contains(&name) || SHARED.contains(&name)
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

/// All nodes of a model.
fn nodes(store: &model::Store) -> impl Iterator<Item = (String, Seen)> {
    store.top_down("/").into_iter().filter_map(|name| {
        let node = store.get(&name)?;
        let children = store.list(&name).split_terminator('\0').map(str::to_owned).collect();
        let value = node.value.escape_default().to_string();
        Some((name, Seen { value, permissions: node.acl.texts().join(" "), children }))
    })
}

/// All nodes that there are in some village.
fn expect(villages: &[Village]) -> BTreeMap<String, Seen> {
    let mut expected: BTreeMap<String, Seen> = BTreeMap::new();
    for (name, seen) in villages.iter().flat_map(|village| nodes(village.judge.model().store())) {
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
    expected
}
