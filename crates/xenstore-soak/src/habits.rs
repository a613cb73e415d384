//! What good guests and their toolstacks do all day, and how guests begin and end.

use xenstore_model::operation::Action;
use xenstore_model::random::Random;
use xenstore_model::request::Request;

use crate::actor::Step;
use crate::libxl::Domain;

mod guest;
mod life;
mod toolstack;

pub use guest::{boot, guests_next};
pub use life::{birth, death};
pub use toolstack::toolstacks_next;

/// Who does something, and whom it knows.
#[derive(Debug)]
pub struct Circumstances<'a> {
    /// The domain it is about.
    pub domain: Domain,
    /// The numbers of the domains in the same village, its own included.
    pub neighbours: &'a [u16],
}

fn node(path: impl Into<String>, action: Action) -> Request {
    Request::Node(path.into(), action)
}

fn ask(path: impl Into<String>, action: Action) -> Step {
    Step::Ask(node(path, action))
}

fn write(path: impl Into<String>, value: impl Into<String>) -> Request {
    node(path, Action::Write(value.into()))
}

/// What all clients of a village do at the same time: transactions that get in each other's
/// way, at some nodes of one of them.
pub fn contest(random: &mut Random, domid: u16) -> Step {
    let names = ["data/shared/mine", "data/shared/sum", "data/x1", "data/public"];
    let one = |random: &mut Random| {
        let path = format!("/local/domain/{domid}/{}", random.pick(&names));
        match random.below(10) {
            0..5 => node(path, Action::Read),
            5..9 => {
                let value = value(random);
                write(path, value)
            }
            _ => node(path, Action::Rm),
        }
    };
    if random.chance(70) {
        Step::transaction(requests(random, 6, one))
    } else {
        Step::Batch(requests(random, 4, one))
    }
}

/// Nodes that a guest may write.
fn own_node(random: &mut Random, domid: u16) -> String {
    let fixed = [
        "device/vif/0/state",
        "device/vbd/51712/ring-ref",
        "control/feature-suspend",
        "attr/eth0",
        "data/public",
        "data/shared/mine",
        "error/device",
    ];
    let path = match random.below(10) {
        0..4 => format!("data/x{}", random.below(8)),
        4..7 => format!("data/tree/{}/{}", random.below(3), random.below(4)),
        _ => random.pick(&fixed).to_owned(),
    };
    if random.chance(20) { format!("/local/domain/{domid}/{path}") } else { path }
}

fn value(random: &mut Random) -> String {
    let length = match random.below(20) {
        0 => random.below(1500),
        1..4 => random.below(200),
        _ => random.below(12),
    };
    "v".repeat(length / 2) + &random.below(100_000).to_string()
}

/// Between one request and so many.
fn requests(
    random: &mut Random,
    most: usize,
    mut one: impl FnMut(&mut Random) -> Request,
) -> Vec<Request> {
    (0..=random.below(most)).map(|_| one(random)).collect()
}
