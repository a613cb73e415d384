//! How guests begin and end.

use std::time::Duration;

use xenstore_model::operation::Action;
use xenstore_model::random::Random;
use xenstore_model::request::Request;

use super::{ask, write};
use crate::actor::{Deed, Step};
use crate::libxl::{DEVICES, Domain};

/// A domain begins.
pub fn birth(domain: Domain) -> Vec<Step> {
    let domid = domain.domid;
    let token = "gone".to_owned();
    let mut steps = vec![
        Step::Ask(Request::Watch(format!("@releaseDomain/{domid}"), token, None)),
        ask("/local/pool/0/name", Action::Read),
        Step::Do(Deed::Create),
        Step::Ask(Request::GetDomainPath(domid)),
        Step::transaction(domain.skeleton()),
        ask(format!("{}/image/device-model-domid", domain.home()), Action::Read),
        ask(format!("{}/vm", domain.home()), Action::Read),
        Step::transaction(domain.build()),
        Step::Ask(Request::Introduce(domid, 5)),
    ];
    for (class, place) in DEVICES {
        steps.push(Step::transaction(domain.add_device(class, place)));
    }
    steps.extend([Step::Do(Deed::Boot), Step::Do(Deed::Live)]);
    steps
}

/// How a domain ends; what is counted as its fate, and what happens.
pub fn death(random: &mut Random, domain: Domain) -> (&'static str, Vec<Step>) {
    let shutdown = |reason: &str| {
        let path = format!("{}/control/shutdown", domain.home());
        Step::Ask(write(path, reason))
    };
    let gone = [Step::Do(Deed::Vanish), Step::Do(Deed::Await)];
    let (fate, mut steps) = match random.below(6) {
        0 => {
            let pause = Step::Do(Deed::Pause(Duration::from_millis(50)));
            let halt = [shutdown("poweroff"), pause, Step::Do(Deed::Halt), Step::Do(Deed::Await)];
            ("shut down", halt.into_iter().chain(gone).collect::<Vec<_>>())
        }
        1 => {
            let halt = [Step::Do(Deed::Halt), Step::Do(Deed::Await)];
            ("crashed", halt.into_iter().chain(gone).collect())
        }
        2 => ("died without warning", gone.to_vec()),
        3 => (
            "died in the middle of requests",
            vec![Step::Do(Deed::VanishAsking), Step::Do(Deed::Await)],
        ),
        4 => {
            let release = Step::Ask(Request::Release(domain.domid));
            let released = [Step::Do(Deed::Retire), release, Step::Do(Deed::Await)];
            ("released, then destroyed", released.into_iter().chain(gone).collect())
        }
        _ => {
            let replaced = [Step::Do(Deed::Replace), Step::Do(Deed::Await)];
            ("replaced under its domid", replaced.into_iter().chain(gone).collect())
        }
    };
    steps.push(Step::Do(Deed::CheckGone));
    for (class, place) in DEVICES {
        steps.push(Step::transaction(domain.remove_device(class, place)));
    }
    steps.extend(domain.clear_up().into_iter().map(Step::Ask));
    steps.push(Step::Do(Deed::Leave));
    (fate, steps)
}
