//! What good guests and their toolstacks do all day.

use xenstore_model::acl::{ANY, Permission};
use xenstore_model::operation::Action;
use xenstore_model::random::Random;
use xenstore_model::request::{Command, Request};

use crate::actor::{Deed, Step};
use crate::libxl::{DEVICES, Domain};

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

fn watch(path: &str) -> Step {
    Step::Ask(Request::Watch(path.to_owned(), format!("token-{path}"), None))
}

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

fn value(random: &mut Random) -> String {
    let length = match random.below(20) {
        0 => random.below(1500),
        1..4 => random.below(200),
        _ => random.below(12),
    };
    "v".repeat(length / 2) + &random.below(100_000).to_string()
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

fn requests(
    random: &mut Random,
    most: usize,
    mut one: impl FnMut(&mut Random) -> Request,
) -> Vec<Request> {
    (0..=random.below(most)).map(|_| one(random)).collect()
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

/// One thing that a toolstack, or a backend, asks about its domain.
fn toolstacks_request(random: &mut Random, here: &Circumstances<'_>) -> Request {
    let home = here.domain.home();
    let (class, place) = random.pick(&DEVICES);
    let back = format!("{}/0", here.domain.backend(class));
    match random.below(100) {
        0..15 => {
            let path = own_node(random, here.domain.domid);
            let path = if path.starts_with('/') { path } else { format!("{home}/{path}") };
            node(path, Action::Read)
        }
        15..25 => node(format!("{home}/data"), Action::Directory),
        25..35 => node(format!("{home}/{place}/state"), Action::Read),
        35..50 => write(format!("{back}/state"), random.below(7).to_string()),
        50..60 => write(format!("{home}/memory/target"), random.below(131_072).to_string()),
        60..65 => write(format!("{home}/control/sysrq"), "h"),
        65..75 => {
            let value = value(random);
            write(format!("{home}/data/x{}", random.below(8)), value)
        }
        75..80 => node(format!("{home}/{place}"), Action::GetPerms),
        80..85 => node(format!("{}/device", here.domain.libxl()), Action::Directory),
        85..90 => write(format!("{}/dm-version", here.domain.libxl()), "qemu_xen"),
        90..95 => node(format!("{home}/data/tree/{}", random.below(3)), Action::Rm),
        _ => node("/local/pool/0/name", Action::Read),
    }
}

/// What a toolstack does next about a domain that runs.
pub fn toolstacks_next(random: &mut Random, here: &Circumstances<'_>) -> Vec<Step> {
    let Domain { domid, .. } = here.domain;
    let request = match random.below(1000) {
        0..500 => toolstacks_request(random, here),
        500..620 => {
            return vec![Step::Batch(requests(random, 6, |it| toolstacks_request(it, here)))];
        }
        620..780 => {
            let body = requests(random, 15, |it| toolstacks_request(it, here));
            return vec![Step::transaction(body)];
        }
        780..830 => Request::IsIntroduced(domid),
        830..880 => Request::Control(Command::Account(domid)),
        880..882 => Request::Control(Command::Check),
        882..900 => Request::GetQuota(Some(domid), "nodes".to_owned()),
        900..910 => {
            let (quota, least) =
                random.pick(&[("nodes", 60), ("watches", 10), ("transactions", 2)]);
            Request::SetQuota(Some(domid), quota.to_owned(), random.between(least, 500))
        }
        910..930 => {
            let path = format!("{}/device/vif/0/state", here.domain.home());
            Request::Watch(path, "backend".to_owned(), None)
        }
        930..950 => {
            let path = format!("{}/device/vif/0/state", here.domain.home());
            Request::Unwatch(path, "backend".to_owned())
        }
        950..955 => {
            let other = random.pick(here.neighbours);
            if other == domid {
                Request::GetFeature(Some(domid))
            } else {
                Request::SetTarget(domid, other)
            }
        }
        955..960 => return suspend(domid),
        960..965 => return hotplug(here.domain),
        965..970 => {
            let introduce = Step::Ask(Request::Introduce(domid, 7));
            return vec![Step::Do(Deed::Reintroduce), introduce, Step::Do(Deed::Welcome)];
        }
        970..980 => return vec![Step::Do(Deed::Audit)],
        _ => Request::GetDomainPath(domid),
    };
    vec![Step::Ask(request)]
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
        Step::transaction(requests(random, 8, one))
    } else {
        Step::Batch(requests(random, 4, one))
    }
}

fn suspend(domid: u16) -> Vec<Step> {
    vec![
        Step::Ask(write(format!("/local/domain/{domid}/control/shutdown"), "suspend")),
        Step::Do(Deed::Halt),
        Step::Do(Deed::Await),
        Step::Do(Deed::Continue),
        Step::Ask(Request::Resume(domid)),
        Step::Ask(Request::IsIntroduced(domid)),
    ]
}

fn hotplug(domain: Domain) -> Vec<Step> {
    let (class, place) = DEVICES[2];
    vec![
        Step::transaction(domain.remove_device(class, place)),
        Step::transaction(domain.add_device(class, place)),
    ]
}

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
            let pause = Step::Do(Deed::Pause(std::time::Duration::from_millis(50)));
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
