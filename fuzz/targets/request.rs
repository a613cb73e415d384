//! Every payload of every type is understood or refused, and what is understood is
//! well formed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenstore_wire::request::Sender;
use xenstore_wire::{Domid, Features, MessageType, Name, Path, Request};

fuzz_target!(|input: (u8, u8, u16, &[u8])| {
    let (kind, features, home, payload) = input;
    let Some(kind) = MessageType::from_number(kind.into()) else { return };
    let features = Features::from_bits((features & 15).into()).unwrap_or_default();
    let sender = Sender { home: Domid::new(home), features };
    let Ok(request) = Request::parse(kind, payload, sender) else { return };
    assert!(kind.is_request());
    match request {
        Request::Read(path) | Request::Directory(path) | Request::Mkdir(path) => reads_back(path),
        Request::Rm(path) | Request::DirectoryPart { path, .. } => reads_back(path),
        Request::Write { path, value } => {
            assert!(payload.ends_with(value));
            reads_back(path);
        }
        Request::Watch(key, depth) => {
            assert!(depth.is_none() || features.contains(Features::WATCH_DEPTH));
            assert!(!key.token.contains(&0));
            named(key.name);
        }
        Request::Unwatch(key) => named(key.name),
        Request::GetPerms(name) => named(name),
        Request::SetPerms { name, .. } => {
            let _ = name.map(named);
        }
        _ => {}
    }
});

fn named(name: Name<'_>) {
    if let Name::Node(path) = name {
        reads_back(path);
    }
}

/// A canonical path is its own spelling. A relative one may have become longer than
/// an absolute one may be spelt, nothing else.
fn reads_back(path: Path<'_>) {
    if path.as_str().len() <= xenstore_wire::ABSOLUTE_PATH_MAX {
        assert_eq!(Path::absolute(path.as_str()).as_ref(), Ok(&path));
    }
}
