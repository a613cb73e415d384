//! What toolstacks, and backends, do about a domain that runs.

use xenstore_model::operation::Action;
use xenstore_model::random::Random;
use xenstore_model::request::{Command, Request};

use super::{Circumstances, node, own_node, requests, value, write};
use crate::actor::{Deed, Step};
use crate::libxl::{DEVICES, Domain};

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
