//! Paths, special names, permissions and domids: what reads as one prints as one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenstore_wire::path::is_relative;
use xenstore_wire::text::{decimal, split_string, strings, unterminated};
use xenstore_wire::{Domid, Path, Permission, Permissions, Special};

fuzz_target!(|input: (u16, &[u8])| {
    let (home, bytes) = input;
    let home = Domid::new(home);
    if let Ok(path) = Path::parse(bytes, home) {
        path_holds(&path, bytes, home);
        assert!(Special::parse(bytes).is_ok() && !bytes.starts_with(b"@"));
    }
    if let Ok(permission) = Permission::parse(bytes) {
        assert_eq!(Permission::parse(permission.to_string().as_bytes()), Ok(permission));
    }
    if let Ok(domid) = Domid::parse(bytes) {
        assert_eq!(Domid::parse(domid.to_string().as_bytes()), Ok(domid));
    }
    if let Ok(number) = decimal::<u64>(bytes) {
        let digits = number.to_string();
        assert!(bytes.ends_with(digits.as_bytes()) && bytes.iter().all(u8::is_ascii_digit));
    }
    strings_hold(bytes);
});

fn path_holds(path: &Path<'_>, spelling: &[u8], home: Domid) {
    let joined: Vec<_> = path.components().collect();
    assert_eq!(path.as_str(), format!("/{}", joined.join("/")));
    assert!(joined.iter().all(|name| !name.is_empty()));
    assert!(path.quota_length() <= path.as_str().len());
    assert_eq!(path.depth_below(path), Some(0));
    if is_relative(spelling) {
        assert_eq!(path.relative_to(home), Some(spelling));
        assert_eq!(path.quota_length(), spelling.len());
    } else {
        assert_eq!(path.as_bytes(), spelling);
    }
    match path.split_last() {
        None => assert!(path.is_root()),
        Some((parent, name)) => {
            assert_eq!(&parent.child(name), path);
            assert_eq!(path.depth_below(&parent), Some(1));
            assert_eq!(parent.depth_below(path), None);
        }
    }
}

fn strings_hold(bytes: &[u8]) {
    let found: Vec<_> = strings(bytes).collect();
    let length: usize = found.iter().map(|string| string.len() + 1).sum();
    assert_eq!(length == bytes.len(), !unterminated(bytes));
    assert_eq!(split_string(bytes).map(|(first, _)| first), found.first().copied());
    if let Ok(Some(list)) = Permissions::parse(found.iter().copied()) {
        assert_eq!(list.iter().count(), found.len());
        assert_eq!(list.count(), found.len());
    }
}
