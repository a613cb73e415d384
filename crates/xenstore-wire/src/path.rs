//! Paths: where a node lives, and the special names that are no nodes.
//!
//! A client may spell a path absolutely (`/local/domain/3/name`) or relative to its
//! own domain (`name`); both spellings become the same [`Path`]. Names that begin
//! with `@` ([`Special`]) stand for events of the host and live beside the tree.
//!
//! Each borrows the text of the message it was read from; `into_owned` makes it one to keep.

mod text;

use std::fmt;

use thiserror::Error;

use self::text::Text;
use crate::{ABSOLUTE_PATH_MAX, Domid, RELATIVE_PATH_MAX};

/// Why a spelling is no path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PathError {
    /// Nothing at all.
    #[error("expected a path, found an empty string")]
    Empty,
    /// A byte outside `A-Z a-z 0-9 - / _ @`.
    #[error("expected letters, digits, - / _ @, found byte {0:#04x}")]
    Character(u8),
    /// `//` or a `/` at the end: a component without a name.
    #[error("expected a name between and after slashes, found none")]
    EmptyComponent,
    /// Longer than the protocol allows.
    #[error("expected at most {limit} bytes, found {found}")]
    TooLong {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A special name where only a node makes sense.
    #[error("expected a node's path, found a special name")]
    Special,
}

/// The canonical absolute path of a node: `/`, or components each behind a slash.
///
/// Compares and sorts by its text; cheap to clone where it is kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path<'a>(Text<'a>);

/// What the paths of all nodes of domains begin with.
const HOMES: &[u8] = b"/local/domain/";

fn push_decimal(text: &mut Vec<u8>, number: u16) {
    if number >= 10 {
        push_decimal(text, number / 10);
    }
    text.extend((b'0'..=b'9').nth(usize::from(number % 10)));
}

impl<'a> Path<'a> {
    /// The path of the root.
    pub const fn root() -> Self {
        Self(Text::Borrowed(b"/"))
    }

    /// Reads a path as a client of domain `home` spells it, absolute or relative.
    pub fn parse(spelling: &'a [u8], home: Domid) -> Result<Self, PathError> {
        let text = well_formed(spelling)?;
        match text.first() {
            Some(b'@') => Err(PathError::Special),
            Some(b'/') => {
                within(text, ABSOLUTE_PATH_MAX)?;
                Ok(Self(Text::Borrowed(text)))
            }
            _ => {
                within(text, RELATIVE_PATH_MAX)?;
                Ok(Self::below_home(home, text))
            }
        }
    }

    /// Reads an absolute path.
    pub fn absolute<T: AsRef<[u8]> + ?Sized>(text: &'a T) -> Result<Self, PathError> {
        match text.as_ref() {
            text @ [b'/', ..] => Self::parse(text, Domid::DOM0),
            _ => Err(PathError::EmptyComponent),
        }
    }

    /// Guests spell most paths so; with `format!` a READ of theirs took a tenth more instructions.
    fn below_home(home: Domid, text: &[u8]) -> Self {
        let mut path = Vec::with_capacity(HOMES.len() + "65535/".len() + text.len());
        path.extend_from_slice(HOMES);
        push_decimal(&mut path, home.get());
        path.push(b'/');
        path.extend_from_slice(text);
        Self(Text::Built(path))
    }

    /// Where the nodes of a domain live: `/local/domain/<domid>` (`GET_DOMAIN_PATH`).
    pub fn of_domain(domid: Domid) -> Self {
        Self(Text::Built(format!("/local/domain/{domid}").into_bytes()))
    }

    /// The same for as long as this one is there.
    pub fn borrowed(&self) -> Path<'_> {
        Path(self.0.borrowed())
    }

    /// The same for good, and cheap to clone.
    #[must_use]
    pub fn into_owned(self) -> Path<'static> {
        Path(self.0.into_owned())
    }

    /// The text, beginning with a slash. Costs a look at each byte.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its bytes, which are ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.as_bytes().len() == 1
    }

    /// The names from the root down; none for the root itself.
    pub fn components(&self) -> impl Iterator<Item = &str> + Clone {
        components(self.as_str())
    }

    /// The path one up and the last name; `None` for the root.
    pub fn split_last(&self) -> Option<(Path<'_>, &[u8])> {
        let whole = self.as_bytes();
        let slash = whole.iter().rposition(|&byte| byte == b'/')?;
        let (parent, name) = whole.split_at_checked(slash)?;
        let name = name.get(1..).filter(|name| !name.is_empty())?;
        Some((if parent.is_empty() { Path::root() } else { Path(Text::Borrowed(parent)) }, name))
    }

    /// The path of a child; `name` must be a single well-formed component.
    #[must_use]
    pub fn child(&self, name: &[u8]) -> Path<'static> {
        debug_assert!(well_formed(name).is_ok() && !name.contains(&b'/'));
        let stem = if self.is_root() { &[] } else { self.as_bytes() };
        Path(Text::Shared([stem, b"/", name].concat().into()))
    }

    /// The ancestor at this depth, the root being 0; the path itself if it is no deeper.
    #[must_use]
    pub fn prefix(&self, depth: usize) -> Path<'_> {
        let whole = self.as_bytes();
        let mut slashes = whole.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
        match slashes.nth(depth) {
            _ if depth == 0 => Path::root(),
            Some((end, _)) => Path(Text::Borrowed(whole.get(..end).unwrap_or_default())),
            None => self.borrowed(),
        }
    }

    /// How far below `ancestor` this path lies, in components: 0 if they are equal,
    /// `None` if it does not lie there.
    pub fn depth_below(&self, ancestor: &Path<'_>) -> Option<u32> {
        let whole = self.as_bytes();
        let below =
            if ancestor.is_root() { whole } else { whole.strip_prefix(ancestor.as_bytes())? };
        match below {
            [] | [b'/'] => Some(0),
            [b'/', ..] => u32::try_from(below.iter().filter(|&&byte| byte == b'/').count()).ok(),
            _ => None,
        }
    }

    /// What a client of domain `home` would spell it as, relative to itself;
    /// `None` if the path does not lie below the home of that domain.
    pub fn relative_to(&self, home: Domid) -> Option<&[u8]> {
        let (number, rest) = self.in_a_home()?;
        let canonical = number == b"0" || !number.starts_with(b"0");
        (canonical && Domid::parse(number) == Ok(home)).then_some(rest)
    }

    /// The length that counts against a domain's `path-max` quota: what follows
    /// `/local/domain/<n>/` if it begins so, else all of it.
    pub fn quota_length(&self) -> usize {
        self.in_a_home()
            .filter(|(domid, _)| Domid::parse(domid).is_ok())
            .map_or(self.as_bytes().len(), |(_, rest)| rest.len())
    }

    /// What follows `/local/domain/`: the name there, and the rest behind its slash.
    fn in_a_home(&self) -> Option<(&[u8], &[u8])> {
        let behind = self.as_bytes().strip_prefix(HOMES)?;
        let slash = behind.iter().position(|&byte| byte == b'/')?;
        Some((behind.get(..slash)?, behind.get(slash + 1..)?))
    }
}

impl AsRef<[u8]> for Path<'_> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that begins with `@`. It can be watched and has permissions, but is not a
/// node: it has no value, no children and no place in any directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Special<'a>(Text<'a>);

impl<'a> Special<'a> {
    /// What fires when a domain's ring is connected.
    pub const INTRODUCE_DOMAIN: &'static str = "@introduceDomain";
    /// What fires when a domain shuts down, dies or is released.
    pub const RELEASE_DOMAIN: &'static str = "@releaseDomain";

    /// Reads a special name: `@`, then what a path may contain.
    pub fn parse(spelling: &'a [u8]) -> Result<Self, PathError> {
        let text = well_formed(spelling)?;
        within(text, ABSOLUTE_PATH_MAX)?;
        Ok(Self(Text::Borrowed(text)))
    }

    /// The same for as long as this one is there.
    pub fn borrowed(&self) -> Special<'_> {
        Special(self.0.borrowed())
    }

    /// The same for good, and cheap to clone.
    #[must_use]
    pub fn into_owned(self) -> Special<'static> {
        Special(self.0.into_owned())
    }

    /// The text, beginning with `@`. Costs a look at each byte.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its bytes, which are ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The pieces between slashes: `@releaseDomain/5` is one below `@releaseDomain`.
    pub fn components(&self) -> impl Iterator<Item = &str> + Clone {
        components(self.as_str())
    }
}

impl AsRef<[u8]> for Special<'_> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for Special<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Special<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What can be watched and has permissions: a node's path or a special name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Name<'a> {
    /// A place in the tree, whether or not there is a node.
    Node(Path<'a>),
    /// A name beside the tree.
    Special(Special<'a>),
}

impl<'a> Name<'a> {
    /// Reads either, as a client of domain `home` spells it.
    pub fn parse(spelling: &'a [u8], home: Domid) -> Result<Self, PathError> {
        if spelling.first() == Some(&b'@') {
            Special::parse(spelling).map(Self::Special)
        } else {
            Path::parse(spelling, home).map(Self::Node)
        }
    }

    /// The same for as long as this one is there.
    pub fn borrowed(&self) -> Name<'_> {
        match self {
            Self::Node(path) => Name::Node(path.borrowed()),
            Self::Special(special) => Name::Special(special.borrowed()),
        }
    }

    /// The same for good, and cheap to clone.
    #[must_use]
    pub fn into_owned(self) -> Name<'static> {
        match self {
            Self::Node(path) => Name::Node(path.into_owned()),
            Self::Special(special) => Name::Special(special.into_owned()),
        }
    }

    /// The text. Costs a look at each byte.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Node(path) => path.as_str(),
            Self::Special(special) => special.as_str(),
        }
    }

    /// Its bytes, which are ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Node(path) => path.as_bytes(),
            Self::Special(special) => special.as_bytes(),
        }
    }

    /// The names from the top down, of either kind.
    pub fn components(&self) -> impl Iterator<Item = &str> + Clone {
        components(self.as_str())
    }
}

impl AsRef<[u8]> for Name<'_> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a client that spells a path so means it relative to its own domain.
pub fn is_relative(spelling: &[u8]) -> bool {
    !matches!(spelling.first(), Some(b'/' | b'@') | None)
}

/// The names between the slashes of a well-formed text.
fn components(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split('/').filter(|name| !name.is_empty())
}

fn within(text: &[u8], limit: usize) -> Result<(), PathError> {
    if text.len() > limit {
        return Err(PathError::TooLong { found: text.len(), limit });
    }
    Ok(())
}

/// What holds for every spelling: allowed bytes, no component without a name.
fn well_formed(spelling: &[u8]) -> Result<&[u8], PathError> {
    let [rest @ .., last] = spelling else {
        return Err(PathError::Empty);
    };
    let behind = spelling.get(1..).unwrap_or_default();
    let wrong = any_wrong::<16>(rest, behind)
        .or_else(|| any_wrong::<8>(rest, behind))
        .unwrap_or_else(|| {
            let mut pairs = rest.iter().zip(behind);
            pairs.any(|pair| !allowed(*pair.0) || pair == (&b'/', &b'/'))
        });
    if wrong || !allowed(*last) || (*last == b'/' && !rest.is_empty()) {
        let forbidden = spelling.iter().copied().find(|&byte| !allowed(byte));
        return Err(forbidden.map_or(PathError::EmptyComponent, PathError::Character));
    }
    Ok(spelling)
}

/// Whether any byte cannot be in a path before the one behind it, `N` looked at together and
/// the last `N` perhaps twice; `None` if there are fewer.
///
/// Seven tenths of the instructions of a loop over all of them, of which what is left over is
/// done byte by byte.
#[expect(clippy::needless_bitwise_bool, reason = "lazy ones are a way out in between")]
fn any_wrong<const N: usize>(bytes: &[u8], behind: &[u8]) -> Option<bool> {
    // No way out in between, or it is done byte by byte.
    let among = |(bytes, behind): (&[u8; N], &[u8; N])| {
        bytes.iter().zip(behind).fold(false, |wrong, (&byte, &next)| {
            wrong | !allowed(byte) | ((byte == b'/') & (next == b'/'))
        })
    };
    let last = (bytes.last_chunk()?, behind.last_chunk()?);
    let mut chunks = bytes.as_chunks().0.iter().zip(behind.as_chunks().0);
    Some(chunks.any(among) || among(last))
}

/// `A-Z a-z 0-9 - / _ @`: the slash is right before the digits, `@` before the letters.
#[expect(clippy::needless_bitwise_bool, reason = "lazy ones are a way out in between")]
const fn allowed(byte: u8) -> bool {
    (byte.wrapping_sub(b'/') <= b'9' - b'/')
        | (byte.wrapping_sub(b'@') <= b'Z' - b'@')
        | (byte.wrapping_sub(b'a') <= b'z' - b'a')
        | (byte == b'-')
        | (byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path<'_> {
        Path::absolute(text).unwrap()
    }

    #[test]
    fn absolute_and_relative_spellings_meet() {
        let relative = Path::parse(b"device/vif", Domid::new(3)).unwrap();
        assert_eq!(relative, path("/local/domain/3/device/vif"));
        assert_eq!(relative.relative_to(Domid::new(3)), Some(&b"device/vif"[..]));
        assert_eq!(relative.relative_to(Domid::new(30)), None);
        assert_eq!(Path::of_domain(Domid::new(3)).relative_to(Domid::new(3)), None);
        for (text, relative) in [
            ("/local/domain/3/a/b", Some(&b"a/b"[..])),
            ("/local/domain/03/a", None),
            ("/local/domain/33/a", None),
            ("/local/domain/x/a", None),
            ("/local/domains/3/a", None),
        ] {
            assert_eq!(Path::absolute(text).unwrap().relative_to(Domid::new(3)), relative);
        }
        for home in [0, 7, 10, 99, 100, 32_751, 65_535].map(Domid::new) {
            let path = Path::parse(b"a/b", home).unwrap();
            assert_eq!(path.as_str(), format!("{}/a/b", Path::of_domain(home)));
            assert_eq!(path.relative_to(home), Some(&b"a/b"[..]));
        }
    }

    #[test]
    fn spellings_without_a_meaning_are_refused() {
        let refused = |spelling: &[u8]| Path::parse(spelling, Domid::DOM0).unwrap_err();
        assert_eq!(refused(b""), PathError::Empty);
        assert_eq!(refused(b"//"), PathError::EmptyComponent);
        assert_eq!(refused(b"/a/"), PathError::EmptyComponent);
        assert_eq!(refused(b"a//b"), PathError::EmptyComponent);
        // XSA-481: a domain's home without the domain.
        assert_eq!(refused(b"/local/domain/"), PathError::EmptyComponent);
        assert_eq!(refused(b"@releaseDomain"), PathError::Special);
        for byte in 0..=u8::MAX {
            let spelling = [b'/', byte];
            let good = byte.is_ascii_alphanumeric() || b"-_@".contains(&byte);
            assert_eq!(Path::parse(&spelling, Domid::DOM0).is_ok(), good, "{byte:#04x}");
        }
    }

    #[test]
    fn what_is_wrong_is_found_wherever_it_is() {
        for length in 1..50 {
            let good = vec![b'a'; length];
            assert!(Path::parse(&good, Domid::DOM0).is_ok());
            for place in 0..length {
                let mut bad = good.clone();
                bad[place] = b'.';
                assert_eq!(Path::parse(&bad, Domid::DOM0), Err(PathError::Character(b'.')));
                bad[place] = b'/';
                assert_eq!(
                    Path::parse(&bad, Domid::DOM0).is_ok(),
                    length == 1 || place + 1 < length
                );
                bad.insert(place, b'/');
                assert_eq!(Path::parse(&bad, Domid::DOM0), Err(PathError::EmptyComponent));
            }
        }
    }

    #[test]
    fn lengths_are_limited_as_spelled() {
        let long = |length: usize| "a".repeat(length);
        assert!(Path::parse(long(2048).as_bytes(), Domid::DOM0).is_ok());
        assert!(Path::parse(long(2049).as_bytes(), Domid::DOM0).is_err());
        assert!(Path::absolute(&format!("/{}", long(3071))).is_ok());
        assert_eq!(
            Path::absolute(&format!("/{}", long(3072))),
            Err(PathError::TooLong { found: 3073, limit: 3072 })
        );
    }

    #[test]
    fn components_and_parents() {
        assert_eq!(path("/").components().count(), 0);
        assert_eq!(path("/a/b@c").components().collect::<Vec<_>>(), ["a", "b@c"]);
        for length in 1..30 {
            for next in 1..20 {
                let names = ["a".repeat(length), "0".repeat(next)];
                let text = format!("/{}", names.join("/"));
                assert!(path(&text).components().eq(names.iter()), "{text}");
            }
        }
        assert_eq!(path("/a/b").split_last(), Some((path("/a"), &b"b"[..])));
        assert_eq!(path("/a").split_last(), Some((path("/"), &b"a"[..])));
        assert_eq!(path("/").split_last(), None);
        assert_eq!(path("/").child(b"a"), path("/a"));
        assert_eq!(path("/a").child(b"b"), path("/a/b"));
    }

    #[test]
    fn depth_counts_components() {
        assert_eq!(path("/a/b/c").depth_below(&path("/a")), Some(2));
        assert_eq!(path("/a").depth_below(&path("/a")), Some(0));
        assert_eq!(path("/ab").depth_below(&path("/a")), None);
        assert_eq!(path("/").depth_below(&path("/")), Some(0));
        assert_eq!(path("/a/b").depth_below(&path("/")), Some(2));
        assert_eq!(path("/").depth_below(&path("/a")), None);
    }

    #[test]
    fn the_home_of_a_domain_does_not_count_for_its_quota() {
        assert_eq!(path("/local/domain/12/abc").quota_length(), 3);
        assert_eq!(path("/local/domain/12").quota_length(), 16);
        assert_eq!(path("/local/domain/99999/abc").quota_length(), 23);
        assert_eq!(path("/abc").quota_length(), 4);
    }

    #[test]
    fn special_names_are_checked_like_paths() {
        for good in ["@", "@releaseDomain", "@releaseDomain/5", "@a/b", "@x@y"] {
            assert!(Special::parse(good.as_bytes()).is_ok(), "{good}");
        }
        let of_domain = Special::parse(b"@releaseDomain/5").unwrap();
        assert_eq!(of_domain.components().collect::<Vec<_>>(), ["@releaseDomain", "5"]);
        for wrong in ["@foo.bar", "@a//b", "@a/", "@/", "@releaseDomain/"] {
            assert!(Name::parse(wrong.as_bytes(), Domid::DOM0).is_err(), "{wrong}");
        }
    }

    #[test]
    fn relative_is_what_begins_with_neither_slash_nor_at() {
        assert!(is_relative(b"device") && is_relative(b"-"));
        assert!(!is_relative(b"/device") && !is_relative(b"@x") && !is_relative(b""));
    }
}
