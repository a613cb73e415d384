//! Whether those who have to wait have to.

use std::time::Duration;

use crate::model::Model;
use crate::operation::Action;
use crate::path::{levels_below, parent};
use crate::request::{Asked, Request};
use crate::standing::Place;
use crate::store::Store;
use crate::world::{Client, World};

/// The longest that anybody waits for another at a time.
const LONGEST: Duration = Duration::from_millis(500);

/// Says what is wrong about who is held in a world. `model` is as the world is, and
/// `changes` says whether a transaction changed anything.
pub fn check(
    world: &World,
    model: &Model,
    changes: impl Fn(usize, u32) -> bool,
) -> Result<(), String> {
    if let Some(asked) = &world.put_off {
        check_reason(world, model, changes, asked)
            .map_err(|wrong| format!("{asked:?} waits: {wrong}"))?;
    }
    if world.waited > LONGEST {
        return Err(format!("somebody waited for {:?}", world.waited));
    }
    for (client, held) in world.clients.iter().enumerate() {
        match held.pending.front() {
            // Whose transaction is to be protected waits for all that come before it.
            Some((_, Request::Start)) | None => {}
            Some(_) if !world.is_held(client) => {}
            Some(request) if protected_from(world, client).next().is_none() => {
                return Err(format!("{client} waits with {request:?}, and nobody is protected"));
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

fn check_reason(
    world: &World,
    model: &Model,
    changes: impl Fn(usize, u32) -> bool,
    asked: &Asked,
) -> Result<(), String> {
    let Asked { client, transaction, ref request, .. } = *asked;
    let places = || {
        protected_from(world, client).flat_map(|other| {
            let privileged = other.is_privileged();
            other.standing.places().map(move |place| (place, privileged))
        })
    };
    let disturbs = match request {
        Request::Start => return check_start(world, client),
        Request::Node(path, action) if transaction == 0 => {
            // Found out before, with the same result.
            let mut machine = world.machine.clone();
            let mut after = model.clone();
            let operation = after.prepare(client, path, action, &mut machine);
            let operation = operation.map_err(|errno| format!("{errno:?}"))?;
            after.perform(client, &operation).map_err(|errno| format!("{errno:?}"))?;
            let differs = |(place, privileged): &(&Place, bool)| {
                let (before, after) = (model.store(), after.store());
                differs(place, before, after)
                    || (!privileged && differs_in_size(place, before, after))
            };
            // The same permissions again are not told apart from others.
            let permissions = matches!(action, Action::SetPerms(_));
            let below = |place: &Place| levels_below(&place.0, &operation.name).is_some();
            places().any(|place| differs(&place) || (permissions && below(place.0)))
        }
        // Whether it would commit, and with what effect, is found out when it has its turn.
        Request::End(true) => changes(client, transaction),
        Request::Release(_) => true,
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
        let way = std::iter::successors(Some(name.as_str()), |place| parent(place));
        let seen: Vec<_> = way.map(|place| store.acl(place)).collect();
        let node = store.get(name);
        let value = node.filter(|_| *action == Action::Read).map(|node| node.value.clone());
        let lists = matches!(action, Action::Directory | Action::DirectoryPart(_));
        (seen, value, lists.then(|| store.list(name)))
    };
    view(before) != view(after)
}

/// Whether who made something at a place, or removed something, could have other room for
/// that: the size of nodes is limited for guests. Which node on the way it was that grew
/// depends on what there was then.
fn differs_in_size((name, action): &Place, before: &Store, after: &Store) -> bool {
    if !matches!(action, Action::Write(_) | Action::Mkdir | Action::Rm | Action::SetPerms(_)) {
        return false;
    }
    let mut way = std::iter::successors(Some(name.as_str()), |place| parent(place));
    way.any(|place| {
        let view = |store: &Store| (store.get(place).map(|it| it.value.clone()), store.list(place));
        view(before) != view(after)
    })
}
