//! Whether those who have to wait have to.

use crate::model::Model;
use crate::operation::Action;
use crate::path::{levels_below, parent};
use crate::request::{Asked, Request};
use crate::standing::{PROTECTION, Place};
use crate::store::Store;
use crate::world::{Client, World};

/// Says what is wrong about who is held in a world. `model` is as the world is.
pub fn check(world: &World, model: &Model) -> Result<(), String> {
    if let Some(asked) = &world.put_off {
        check_reason(world, model, asked).map_err(|wrong| format!("{asked:?} waits: {wrong}"))?;
    }
    for (client, held) in world.clients.iter().enumerate() {
        match held.pending.front() {
            // Whose transaction is to be protected waits for all that come before it.
            Some((_, Request::Start)) | None => {}
            Some(_) if !world.is_held(client) => {}
            Some(request) if protected_from(world, client).next().is_none() => {
                return Err(format!("{client} waits with {request:?}, and nobody is protected"));
            }
            Some(request) if held.held_since + PROTECTION < world.now => {
                return Err(format!("{client} waits with {request:?} for too long"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Those who can have a client wait: they are protected, and do not stand below it.
fn protected_from(world: &World, client: usize) -> impl Iterator<Item = &Client> {
    let privileged = world.clients[client].is_privileged();
    let others = world.clients.iter().enumerate().filter(move |&(other, _)| other != client);
    others.map(|(_, other)| other).filter(move |other| {
        other.alive && other.standing.is_protected() && (other.is_privileged() || !privileged)
    })
}

fn check_reason(world: &World, model: &Model, asked: &Asked) -> Result<(), String> {
    let Asked { client, transaction, ref request, .. } = *asked;
    let places = || protected_from(world, client).flat_map(|other| other.standing.places());
    let disturbs = match request {
        Request::Start => return check_start(world, client),
        Request::Node(path, action) if transaction == 0 => {
            // Found out before, with the same result.
            let mut machine = world.machine.clone();
            let mut after = model.clone();
            let operation = after.prepare(client, path, action, &mut machine);
            let operation = operation.map_err(|errno| format!("{errno:?}"))?;
            after.perform(client, &operation).map_err(|errno| format!("{errno:?}"))?;
            let differs = |place| differs(place, model.store(), after.store());
            // The same permissions again are not told apart from others.
            let permissions = matches!(action, Action::SetPerms(_));
            let below = |(place, _): &Place| levels_below(place, &operation.name).is_some();
            places().any(|place| differs(place) || (permissions && below(place)))
        }
        // Whether it would commit, and with what effect, is found out when it has its turn.
        Request::End(true) | Request::Release(_) => true,
        _ => return Err("it could not disturb anybody".to_owned()),
    };
    let reason = disturbs && places().next().is_some();
    if reason { Ok(()) } else { Err("it does not disturb anybody".to_owned()) }
}

fn check_start(world: &World, client: usize) -> Result<(), String> {
    let owed = world.clients[client].standing.is_owed();
    if owed { Ok(()) } else { Err("it is owed nothing".to_owned()) }
}

/// Whether who asked about a place could notice the difference between two stores.
fn differs((name, action): &Place, before: &Store, after: &Store) -> bool {
    let view = |store: &Store| {
        let mut seen = Vec::new();
        let mut place = Some(name.as_str());
        while let Some(above) = place {
            seen.push(store.acl(above));
            place = parent(above);
        }
        let node = store.get(name);
        let value = node.filter(|_| *action == Action::Read).map(|node| node.value.clone());
        let lists = matches!(action, Action::Directory | Action::DirectoryPart(_));
        (seen, value, lists.then(|| store.list(name)))
    };
    view(before) != view(after)
}
