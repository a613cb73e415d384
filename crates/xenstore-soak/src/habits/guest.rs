//! What good guests do.

use xenstore_model::acl::{ANY, Permission};
use xenstore_model::operation::Action;
use xenstore_model::random::Random;
use xenstore_model::request::Request;

use super::{Circumstances, ask, node, own_node, requests, value, write};
use crate::actor::{Deed, Step};
use crate::libxl::DEVICES;

/// What a Linux guest asks when it boots, and what it opens to others.
pub fn boot(here: &Circumstances<'_>) -> Vec<Step> {
    let domid = here.domain.domid;
    let mut steps = vec![
        watch("memory/target"),
        ask("memory/target", Action::Read),
        watch("control/shutdown"),
        ask("memory/static-max", Action::Read),
        watch("control/sysrq"),
        ask("control/feature-poweroff", Action::Write("1".to_owned())),
        ask("control/feature-reboot", Action::Write("1".to_owned())),
        ask("backend", Action::Directory),
        watch("backend"),
        ask("device", Action::Directory),
        watch("device"),
        watch("cpu"),
        ask("cpu/0/availability", Action::Read),
        ask("domid", Action::Read),
        ask("data/public", Action::Write("hello".to_owned())),
        ask("data/public", Action::SetPerms(vec![Permission { letter: 'r', domid }])),
        ask("data/shared", Action::Mkdir),
    ];
    let others = here.neighbours.iter().filter(|&&other| other != domid);
    let others = others.map(|&domid| Permission { letter: 'b', domid });
    let list = [Permission { letter: 'n', domid }].into_iter().chain(others).take(5).collect();
    steps.push(ask("data/shared", Action::SetPerms(list)));
    for place in ["device/vif/0", "device/vbd/51712"] {
        steps.push(ask(format!("{place}/backend"), Action::Read));
        steps.push(Step::transaction(vec![
            node(format!("{place}/state"), Action::Read),
            write(format!("{place}/ring-ref"), "768"),
            write(format!("{place}/event-channel"), "9"),
            write(format!("{place}/state"), "4"),
        ]));
    }
    steps
}

/// What a guest does next.
pub fn guests_next(random: &mut Random, here: &Circumstances<'_>) -> Vec<Step> {
    let domid = here.domain.domid;
    let step = match random.below(1000) {
        0..520 => Step::Ask(guests_request(random, here)),
        520..640 => Step::Batch(requests(random, 6, |random| guests_request(random, here))),
        // The model allows so many.
        640..800 => Step::transaction(requests(random, 12, |random| guests_request(random, here))),
        800..830 => {
            let body = requests(random, 4, |random| guests_request(random, here));
            return abandoned(body);
        }
        830..880 => {
            let path = own_node(random, domid);
            let depth = random.chance(30).then(|| random.below(3));
            Step::Ask(Request::Watch(path.clone(), format!("token-{path}"), depth))
        }
        880..930 => {
            let path = own_node(random, domid);
            Step::Ask(Request::Unwatch(path.clone(), format!("token-{path}")))
        }
        930..950 => Step::Ask(Request::GetDomainPath(domid)),
        950..960 => Step::Ask(Request::GetFeature(None)),
        960..970 => Step::Ask(Request::IsIntroduced(domid)),
        970..975 => {
            return vec![
                Step::Ask(Request::ResetWatches),
                watch("control/shutdown"),
                watch("device"),
            ];
        }
        975..980 => return vec![Step::Do(Deed::Reconnect), watch("control/shutdown")],
        _ => watch(&format!("@releaseDomain/{}", random.pick(here.neighbours))),
    };
    vec![step]
}

/// A transaction that its client thinks better of.
fn abandoned(body: Vec<Request>) -> Vec<Step> {
    let inside = body.into_iter().map(Step::Inside);
    [Step::Ask(Request::Start)].into_iter().chain(inside).chain([Step::End(None)]).collect()
}

fn permissions(random: &mut Random, here: &Circumstances<'_>) -> Action {
    let mut list = vec![Permission { letter: random.pick(&['n', 'r']), domid: here.domain.domid }];
    for _ in 0..random.below(4) {
        let domid = match random.below(6) {
            0 => ANY,
            1 => 0,
            // Nobody has it.
            2 => 32_000,
            _ => random.pick(here.neighbours),
        };
        list.push(Permission { letter: random.pick(&['n', 'r', 'w', 'b']), domid });
    }
    Action::SetPerms(list)
}

/// One thing that is asked of a node by a guest.
fn guests_request(random: &mut Random, here: &Circumstances<'_>) -> Request {
    let domid = here.domain.domid;
    match random.below(100) {
        0..35 => node(any_node(random, here), Action::Read),
        35..45 => node(any_node(random, here), Action::Directory),
        45..50 => node(any_node(random, here), Action::GetPerms),
        50..78 => {
            let value = value(random);
            write(own_node(random, domid), value)
        }
        78..82 => node(own_node(random, domid), Action::Mkdir),
        82..88 => {
            let all = random.chance(20);
            let path = if all { "data/tree".to_owned() } else { own_node(random, domid) };
            // What is its to give stays.
            let kept = path.contains("device") || path.contains("control");
            if kept { node(path, Action::Read) } else { node(path, Action::Rm) }
        }
        88..93 => {
            let action = permissions(random, here);
            node(own_node(random, domid), action)
        }
        93..96 => {
            let other = random.pick(here.neighbours);
            let name = random.pick(&["data/shared", "data/shared/mine", "name", "data/x1"]);
            let value = value(random);
            write(format!("/local/domain/{other}/{name}"), value)
        }
        _ => node(any_node(random, here), Action::DirectoryPart(random.below(20))),
    }
}

/// Nodes that a guest may want to look at, and some that it may not.
fn any_node(random: &mut Random, here: &Circumstances<'_>) -> String {
    let domid = here.domain.domid;
    let fixed = ["name", "memory/target", "domid", "device", "data", "data/tree", "vm", "absent"];
    match random.below(10) {
        0..4 => own_node(random, domid),
        4..7 => random.pick(&fixed).to_owned(),
        7 => format!("{}/0/state", here.domain.backend(random.pick(&DEVICES).0)),
        8 => {
            let other = random.pick(here.neighbours);
            let name = random.pick(&["name", "data/public", "data/shared", "data/shared/mine"]);
            format!("/local/domain/{other}/{name}")
        }
        _ => {
            let odd = ["/tool/secret", "/tool", "not//a-path", "/vm/other", "@releaseDomain"];
            random.pick(&odd).to_owned()
        }
    }
}

fn watch(path: &str) -> Step {
    Step::Ask(Request::Watch(path.to_owned(), format!("token-{path}"), None))
}
