//! The payload grammar of every request.
//!
//! A request is parsed once, here; what comes out needs no further checks of form.
//! Where the daemons in the field read the same bytes differently, the strictest
//! reading that every known client passes was taken.

use thiserror::Error;

use crate::message::MessageType;
use crate::path::is_relative;
use crate::permission::PermissionError;
use crate::text::{NotDecimal, decimal, split_string, strings, unterminated};
use crate::{Domid, Features, Name, Path, PathError, Permissions};

/// A request of well-formed payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request<'a> {
    /// A command to the daemon: its name and arguments.
    Control {
        /// The command.
        command: &'a [u8],
        /// Everything after the command's NUL.
        arguments: &'a [u8],
    },
    /// List a node's children.
    Directory(Path<'a>),
    /// List a part of a node's children.
    DirectoryPart {
        /// The node.
        path: Path<'a>,
        /// Where in the list to begin, in bytes.
        offset: usize,
    },
    /// Read a node's value.
    Read(Path<'a>),
    /// Read a permission list.
    GetPerms(Name<'a>),
    /// Replace a permission list.
    SetPerms {
        /// Whose. An error here is reported only after the list itself was found
        /// acceptable, which is the order the C daemon checks in.
        name: Result<Name<'a>, PathError>,
        /// How many entries the new list has, which is limited before they are looked at.
        count: usize,
        /// The new list.
        permissions: Result<Permissions, PermissionError>,
    },
    /// Set a node's value.
    Write {
        /// The node.
        path: Path<'a>,
        /// Its value: any bytes, possibly none.
        value: &'a [u8],
    },
    /// Create a node.
    Mkdir(Path<'a>),
    /// Remove a node.
    Rm(Path<'a>),
    /// Register a watch.
    Watch(WatchKey<'a>, Option<u32>),
    /// Remove a watch.
    Unwatch(WatchKey<'a>),
    /// Drop the caller's watches and transactions.
    ResetWatches,
    /// Open a transaction.
    TransactionStart,
    /// End one.
    TransactionEnd {
        /// Whether its changes are to be kept.
        commit: bool,
    },
    /// Connect a domain. The frame number it carries is not used: a ring is mapped
    /// by its grant.
    Introduce {
        /// The domain.
        domid: Domid,
        /// Its event channel.
        port: u32,
    },
    /// Forget a domain.
    Release(Domid),
    /// Ask where a domain's nodes live.
    GetDomainPath(Domid),
    /// Ask whether a domain is connected.
    IsDomainIntroduced(Domid),
    /// A domain runs again.
    Resume(Domid),
    /// Give `domid` the rights of `target` too.
    SetTarget {
        /// Who gains rights.
        domid: Domid,
        /// Whose rights they are.
        target: Domid,
    },
    /// Ask for a feature word: the caller's own, or a domain's.
    GetFeature(Option<Domid>),
    /// Set a domain's feature word.
    SetFeature {
        /// The domain.
        domid: Domid,
        /// Its features.
        features: Features,
    },
    /// Ask for quotas.
    GetQuota(QuotaQuestion<'a>),
    /// Set a quota: of one domain, or the default of all.
    SetQuota {
        /// The domain, or none for the default.
        domid: Option<Domid>,
        /// The quota's name.
        name: &'a [u8],
        /// Its value; 0 is unlimited.
        value: u32,
    },
}

/// What a client knows one of its watches by, beside its connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchKey<'a> {
    /// What is watched.
    pub name: Name<'a>,
    /// Whether the client spelled the path relative to its domain; events are then
    /// reported relative too.
    pub relative: bool,
    /// The client's own mark: any bytes but NUL, possibly none.
    pub token: &'a [u8],
}

/// The three forms of `GET_QUOTA`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuotaQuestion<'a> {
    /// The names of all quotas.
    Names,
    /// The default value of one.
    Default(&'a [u8]),
    /// A domain's value of one.
    Domain(Domid, &'a [u8]),
}

/// Why a payload does not fit its request. All of them are `EINVAL` to the client.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Malformed {
    /// Not the number of strings the request takes.
    #[error("expected {expected}, found {found} strings")]
    Strings {
        /// What the request takes.
        expected: &'static str,
        /// How many there were.
        found: usize,
    },
    /// The payload does not end in the NUL it needs.
    #[error("expected a NUL at the end")]
    Unterminated,
    /// A path is no path.
    #[error("malformed path")]
    Path(#[from] PathError),
    /// A permission entry is none.
    #[error("malformed permission")]
    Permission(#[from] PermissionError),
    /// A number is none.
    #[error("malformed number")]
    Number(#[from] NotDecimal),
    /// `TRANSACTION_END` takes `T` or `F`.
    #[error("expected T or F")]
    Decision,
    /// Port 0 is no event channel.
    #[error("expected an event channel, found port 0")]
    Port,
    /// A feature bit that nobody has.
    #[error("expected known feature bits, found {0:#x}")]
    Features(u32),
    /// A message type that no client sends.
    #[error("expected a request, found {0}")]
    NotARequest(MessageType),
}

/// What the parser has to know of the connection a payload came from.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// Whose home relative paths start from.
    pub home: Domid,
    /// What the connection can do; decides whether `WATCH` takes a depth.
    pub features: Features,
}

impl<'a> Request<'a> {
    /// Reads the payload of a request.
    pub fn parse(kind: MessageType, payload: &'a [u8], sender: Sender) -> Result<Self, Malformed> {
        use MessageType as T;
        let home = sender.home;
        Ok(match kind {
            T::Control => {
                let (command, arguments) =
                    split_string(payload).ok_or(wrong_count("a command", 0))?;
                Self::Control { command, arguments }
            }
            T::Directory => Self::Directory(Path::parse(only_string(payload)?, home)?),
            T::Read => Self::Read(Path::parse(only_string(payload)?, home)?),
            T::Mkdir => Self::Mkdir(Path::parse(only_string(payload)?, home)?),
            T::Rm => Self::Rm(Path::parse(only_string(payload)?, home)?),
            T::GetPerms => Self::GetPerms(Name::parse(only_string(payload)?, home)?),
            T::DirectoryPart => {
                let [path, offset] = exactly(payload, "a path and an offset")?;
                Self::DirectoryPart { path: Path::parse(path, home)?, offset: decimal(offset)? }
            }
            T::Write => {
                let (path, value) = split_string(payload).ok_or(wrong_count("a path", 0))?;
                Self::Write { path: Path::parse(path, home)?, value }
            }
            T::SetPerms => parse_set_perms(payload, home)?,
            T::Watch => parse_watch(payload, sender)?,
            T::Unwatch => {
                let [path, token] = exactly(payload, "a path and a token")?;
                Self::Unwatch(watch_key(path, token, home)?)
            }
            T::ResetWatches => Self::ResetWatches,
            T::TransactionStart => Self::TransactionStart,
            T::TransactionEnd => match payload {
                b"T\0" => Self::TransactionEnd { commit: true },
                b"F\0" => Self::TransactionEnd { commit: false },
                _ => return Err(Malformed::Decision),
            },
            T::Introduce => {
                let [domid, _frame, port] = at_least(payload, "a domid, a frame and a port")?;
                let port = decimal(port)?;
                if port == 0 {
                    return Err(Malformed::Port);
                }
                Self::Introduce { domid: Domid::parse(domid)?, port }
            }
            T::Release => Self::Release(only_domid(payload)?),
            T::GetDomainPath => Self::GetDomainPath(only_domid(payload)?),
            T::IsDomainIntroduced => Self::IsDomainIntroduced(only_domid(payload)?),
            T::Resume => Self::Resume(only_domid(payload)?),
            T::SetTarget => {
                let [domid, target] = at_least(payload, "two domids")?;
                Self::SetTarget { domid: Domid::parse(domid)?, target: Domid::parse(target)? }
            }
            T::GetFeature => parse_get_feature(payload)?,
            T::SetFeature => {
                let [domid, bits] = exactly(payload, "a domid and a feature word")?;
                let bits = decimal(bits)?;
                let features = Features::from_bits(bits).ok_or(Malformed::Features(bits))?;
                Self::SetFeature { domid: Domid::parse(domid)?, features }
            }
            T::GetQuota => parse_get_quota(payload)?,
            T::SetQuota => parse_set_quota(payload)?,
            T::WatchEvent | T::Error => return Err(Malformed::NotARequest(kind)),
        })
    }
}

fn parse_set_perms(payload: &[u8], home: Domid) -> Result<Request<'_>, Malformed> {
    if unterminated(payload) {
        return Err(Malformed::Unterminated);
    }
    let mut parts = strings(payload);
    let path = parts.next().ok_or(wrong_count("a path and permissions", 0))?;
    let count = parts.clone().count();
    let permissions = match Permissions::parse(parts) {
        Ok(None) => return Err(wrong_count("a path and permissions", 1)),
        Ok(Some(list)) => Ok(list),
        Err(error) => Err(error),
    };
    Ok(Request::SetPerms { name: Name::parse(path, home), count, permissions })
}

fn parse_watch(payload: &[u8], sender: Sender) -> Result<Request<'_>, Malformed> {
    if sender.features.contains(Features::WATCH_DEPTH)
        && let Ok([path, token, depth]) = exactly(payload, "")
    {
        return Ok(Request::Watch(watch_key(path, token, sender.home)?, Some(decimal(depth)?)));
    }
    let [path, token] = exactly(payload, "a path, a token and perhaps a depth")?;
    Ok(Request::Watch(watch_key(path, token, sender.home)?, None))
}

fn watch_key<'a>(path: &'a [u8], token: &'a [u8], home: Domid) -> Result<WatchKey<'a>, PathError> {
    Ok(WatchKey { name: Name::parse(path, home)?, relative: is_relative(path), token })
}

/// libxenstore sends no payload at all for "myself"; others send one empty string.
fn parse_get_feature(payload: &[u8]) -> Result<Request<'_>, Malformed> {
    match payload {
        [0] => Ok(Request::GetFeature(None)),
        _ if strings(payload).next().is_none() => Ok(Request::GetFeature(None)),
        _ => only_domid(payload).map(|domid| Request::GetFeature(Some(domid))),
    }
}

fn parse_get_quota(payload: &[u8]) -> Result<Request<'_>, Malformed> {
    let question = match strings(payload).count() {
        0 => QuotaQuestion::Names,
        1 => {
            let [name] = exactly(payload, "a quota name")?;
            QuotaQuestion::Default(name)
        }
        _ => {
            let [domid, name] = exactly(payload, "a domid and a quota name")?;
            QuotaQuestion::Domain(Domid::parse(domid)?, name)
        }
    };
    Ok(Request::GetQuota(question))
}

fn parse_set_quota(payload: &[u8]) -> Result<Request<'_>, Malformed> {
    let (domid, name, value) = if let Ok([name, value]) = exactly(payload, "") {
        (None, name, value)
    } else {
        let [domid, name, value] = exactly(payload, "perhaps a domid, a quota name, a value")?;
        (Some(Domid::parse(domid)?), name, value)
    };
    Ok(Request::SetQuota { domid, name, value: decimal(value)? })
}

/// The payload without the NUL at its end. One in between is for the parser of what the string
/// is to refuse, as those of paths, names and numbers do.
fn only_string(payload: &[u8]) -> Result<&[u8], Malformed> {
    match payload {
        [string @ .., 0] => Ok(string),
        _ => Err(Malformed::Unterminated),
    }
}

fn only_domid(payload: &[u8]) -> Result<Domid, Malformed> {
    Ok(Domid::parse(only_string(payload)?)?)
}

/// The payload's strings, which must be `N`. Bytes after the last NUL are no string.
fn exactly<'a, const N: usize>(
    payload: &'a [u8],
    expected: &'static str,
) -> Result<[&'a [u8]; N], Malformed> {
    let found = strings(payload).count();
    if found != N {
        return Err(wrong_count(expected, found));
    }
    at_least(payload, expected)
}

/// The payload's first `N` strings.
fn at_least<'a, const N: usize>(
    payload: &'a [u8],
    expected: &'static str,
) -> Result<[&'a [u8]; N], Malformed> {
    let mut parts = strings(payload);
    let mut found = [&b""[..]; N];
    for (index, slot) in found.iter_mut().enumerate() {
        *slot = parts.next().ok_or(wrong_count(expected, index))?;
    }
    Ok(found)
}

const fn wrong_count(expected: &'static str, found: usize) -> Malformed {
    Malformed::Strings { expected, found }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use MessageType as T;

    const SOCKET: Sender = Sender { home: Domid::DOM0, features: Features::ALL };

    fn parse(kind: T, payload: &[u8]) -> Result<Request<'_>, Malformed> {
        Request::parse(kind, payload, SOCKET)
    }

    fn path(text: &str) -> Path<'_> {
        Path::absolute(text).unwrap()
    }

    #[test]
    fn path_requests_take_one_terminated_string() {
        for kind in [T::Directory, T::Read, T::Mkdir, T::Rm, T::GetPerms] {
            assert!(parse(kind, b"/a\0").is_ok(), "{kind}");
            for wrong in [&b""[..], b"/a", b"/a\0\0", b"/a\0/b\0", b"/a\0x", b"\0"] {
                assert!(parse(kind, wrong).is_err(), "{kind} {wrong:?}");
            }
        }
        assert_eq!(parse(T::Read, b"a\0").unwrap(), Request::Read(path("/local/domain/0/a")));
    }

    #[test]
    fn only_watches_and_permissions_take_special_names() {
        for kind in [T::Directory, T::Read, T::Mkdir, T::Rm] {
            assert!(parse(kind, b"@releaseDomain\0").is_err(), "{kind}");
        }
        assert!(parse(T::Write, b"@releaseDomain\0v").is_err());
        assert!(parse(T::GetPerms, b"@releaseDomain\0").is_ok());
        assert!(parse(T::SetPerms, b"@releaseDomain\0n0\0").is_ok());
        assert!(parse(T::Watch, b"@releaseDomain\0t\0").is_ok());
    }

    #[test]
    fn a_value_is_every_byte_after_the_first_nul() {
        let value = |payload| match parse(T::Write, payload).unwrap() {
            Request::Write { value, .. } => value,
            other => panic!("{other:?}"),
        };
        assert_eq!(value(b"/a\0"), b"");
        assert_eq!(value(b"/a\0x\0y\0"), b"x\0y\0");
        assert!(parse(T::Write, b"/a").is_err());
    }

    #[test]
    fn set_perms_reports_its_list_before_its_path() {
        let set = |payload| match parse(T::SetPerms, payload).unwrap() {
            Request::SetPerms { name, count, permissions } => (name, count, permissions),
            other => panic!("{other:?}"),
        };
        let (name, count, permissions) = set(b"//\0n0\0r1\0");
        assert_eq!(name, Err(PathError::EmptyComponent));
        assert_eq!((count, permissions.unwrap().count()), (2, 2));
        let (_, count, permissions) = set(b"/a\0n0\0x\0r1\0");
        assert_eq!(count, 3);
        assert!(permissions.is_err());
        for wrong in [&b"/a\0"[..], b"/a\0n0", b"/a\0n0\0r1", b""] {
            assert!(parse(T::SetPerms, wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn watch_takes_a_depth_only_where_the_connection_has_the_feature() {
        let depth = |payload| {
            parse(T::Watch, payload).map(|request| match request {
                Request::Watch(_, depth) => depth,
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(depth(b"/a\0t\0"), Ok(None));
        assert_eq!(depth(b"/a\0\x002\0"), Ok(Some(2)));
        assert!(depth(b"/a\0t\0-1\0").is_err());
        assert!(depth(b"/a\0").is_err() && depth(b"/a\0t\x001\x002\0").is_err());
        let plain = Sender { features: Features::NONE, ..SOCKET };
        assert!(Request::parse(T::Watch, b"/a\0t\x001\0", plain).is_err());
    }

    #[test]
    fn an_empty_payload_asks_for_all_names_or_oneself() {
        assert_eq!(parse(T::GetFeature, b""), Ok(Request::GetFeature(None)));
        assert_eq!(parse(T::GetFeature, b"\0"), Ok(Request::GetFeature(None)));
        assert_eq!(parse(T::GetQuota, b""), Ok(Request::GetQuota(QuotaQuestion::Names)));
        assert_eq!(parse(T::GetQuota, b"\0"), Ok(Request::GetQuota(QuotaQuestion::Default(b""))));
    }

    #[test]
    fn a_transaction_ends_with_t_or_f() {
        assert_eq!(parse(T::TransactionEnd, b"T\0"), Ok(Request::TransactionEnd { commit: true }));
        for wrong in [&b""[..], b"T", b"t\0", b"T\0\0", b"TF\0"] {
            assert_eq!(parse(T::TransactionEnd, wrong), Err(Malformed::Decision));
        }
    }

    proptest! {
        /// Whatever a client sends, the parser answers; it never panics.
        #[test]
        fn every_payload_has_an_answer(
            kind in prop::sample::select(T::ALL),
            payload in prop::collection::vec(prop_oneof![Just(0), Just(b'/'), Just(b'1'), any::<u8>()], 0..60),
        ) {
            let _ = parse(kind, &payload);
        }
    }
}
