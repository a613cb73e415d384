//! The names of a path, made ready to be looked for.

use std::iter::FusedIterator;

use crate::bytes::INLINE;

/// Bytes of a name that are looked at at once.
pub(crate) const HEAD: usize = 8;

/// A name that is looked for among siblings, or given to a node; any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Name<'n> {
    bytes: &'n [u8],
    /// The first of them, the very first lowest, and zeros behind a shorter name.
    head: u64,
}

impl<'n> Name<'n> {
    /// Its bytes.
    pub fn as_bytes(self) -> &'n [u8] {
        self.bytes
    }

    /// Whether a node that is called so does not hold it in place.
    pub(crate) fn is_long(self) -> bool {
        self.bytes.len() > INLINE
    }

    pub(crate) fn head(self) -> u64 {
        self.head
    }

    /// The beginning of the name as a number, which is ordered as names are.
    pub(crate) fn start(self) -> u64 {
        self.head.swap_bytes()
    }
}

impl<'n, T: AsRef<[u8]> + ?Sized> From<&'n T> for Name<'n> {
    fn from(bytes: &'n T) -> Self {
        let bytes = bytes.as_ref();
        Self { bytes, head: head(bytes) }
    }
}

/// The [`Name::start`] of a name.
pub(crate) fn start(name: &[u8]) -> u64 {
    head(name).swap_bytes()
}

fn head(name: &[u8]) -> u64 {
    name.first_chunk().map_or_else(|| head_of_short(name), |head| u64::from_le_bytes(*head))
}

#[inline(never)]
fn head_of_short(name: &[u8]) -> u64 {
    name.iter().rev().fold(0, |head, &byte| head << 8 | u64::from(byte))
}

/// The names of a path that has slashes between them; see [`names`].
///
/// Made for the way down a tree: eight bytes at a time tell where a name ends, and are what it is
/// compared by. To split a `str`, and then look at each name, took 30 instructions more of a
/// READ's 2150.
#[derive(Clone, Debug)]
pub struct Names<'p> {
    path: &'p [u8],
    /// Where the next begins.
    at: usize,
}

/// The names of a path that has slashes between them, and perhaps one before the first and one
/// after the last: `names("/a/b")` are `a` and `b`, `names("/")` are none.
///
/// The tree itself gives no meaning to slashes, nor to any other character.
pub fn names<T: AsRef<[u8]> + ?Sized>(path: &T) -> Names<'_> {
    let path = path.as_ref();
    Names { path, at: usize::from(path.first() == Some(&b'/')) }
}

impl<'p> Names<'p> {
    /// The same before the name that was just taken.
    #[must_use]
    pub fn put_back(mut self, taken: Name<'p>) -> Self {
        self.at = self.at.saturating_sub(taken.bytes.len() + 1);
        self
    }
}

impl<'p> Iterator for Names<'p> {
    type Item = Name<'p>;

    #[inline]
    fn next(&mut self) -> Option<Name<'p>> {
        let rest = self.path.get(self.at..)?;
        if let Some(first) = rest.first_chunk() {
            let word = u64::from_le_bytes(*first);
            if let Some(length) = slash_in(word) {
                self.at += length + 1;
                return Some(Name { bytes: first.get(..length)?, head: beginning(word, length) });
            }
        } else if rest.is_empty() {
            return None;
        }
        let (length, head) = long_or_last(rest, self.path);
        self.at += length + 1;
        Some(Name { bytes: rest.get(..length)?, head })
    }

    fn count(self) -> usize {
        let rest = self.path.get(self.at..).unwrap_or_default();
        match rest.strip_suffix(b"/").unwrap_or(rest) {
            [] => usize::from(!rest.is_empty()),
            rest => 1 + rest.iter().filter(|&&byte| byte == b'/').count(),
        }
    }
}

impl FusedIterator for Names<'_> {}

/// How many bytes are before the first slash, the lowest byte being the first.
fn slash_in(word: u64) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // Of a byte that is zero, and of none below it, this leaves the highest bit.
    let others = word ^ (EACH * u64::from(b'/'));
    let slashes = others.wrapping_sub(EACH) & !others & (EACH << 7);
    (slashes != 0).then(|| (slashes.trailing_zeros() / 8) as usize)
}

/// The first bytes, less than eight, with zeros behind.
fn beginning(word: u64, length: usize) -> u64 {
    word & ((1 << (8 * length)) - 1)
}

/// The length and the head of the first name of a text that has no slash among its first eight
/// bytes, or is shorter, and is the rest of a path.
#[inline(never)]
fn long_or_last(rest: &[u8], path: &[u8]) -> (usize, u64) {
    if let Some(first) = rest.first_chunk() {
        let behind = rest.get(HEAD..).and_then(|rest| rest.iter().position(|&it| it == b'/'));
        return (behind.map_or(rest.len(), |place| HEAD + place), u64::from_le_bytes(*first));
    }
    let word = match path.last_chunk() {
        // What is before the rest goes out, zeros come in behind it.
        Some(last) => u64::from_le_bytes(*last) >> (8 * (HEAD - rest.len())),
        None => head_of_short(rest),
    };
    slash_in(word).map_or((rest.len(), word), |length| (length, beginning(word, length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_with_slashes_around_and_without_names() {
        let texts = |path| names(path).map(|name| name.as_bytes().to_owned()).collect::<Vec<_>>();
        assert_eq!(texts("/"), Vec::<Vec<u8>>::new());
        assert_eq!(texts(""), Vec::<Vec<u8>>::new());
        assert_eq!(texts("/a/b/"), [b"a", b"b"]);
        assert_eq!(texts("a//b"), [&b"a"[..], b"", b"b"]);
        for path in ["/", "", "/a/b/", "a//b", "//", "a//", "/local/domain/1/device/vif/0/state"] {
            assert_eq!(names(path).count(), texts(path).len(), "{path:?}");
        }
    }

    proptest! {
        /// Names of all lengths behind one another, some of them with zeros, which stand for
        /// what is not there.
        #[test]
        fn names_are_those_between_slashes(
            parts in prop::collection::vec("[\0aé.]{0,3}(aaaaaa){0,3}[\0ab]{0,2}", 1..6),
        ) {
            let path = format!("/{}", parts.join("/"));
            let mut expected: Vec<&str> = parts.iter().map(String::as_str).collect();
            // A slash after the last name says nothing.
            expected.pop_if(|last| last.is_empty());
            let found: Vec<Name<'_>> = names(&path).collect();
            let texts: Vec<&[u8]> = found.iter().map(|name| name.as_bytes()).collect();
            let wanted: Vec<&[u8]> = expected.iter().map(|name| name.as_bytes()).collect();
            prop_assert_eq!(texts, wanted);
            prop_assert_eq!(names(&path).count(), found.len());
            for (name, text) in found.iter().zip(expected) {
                let mut padded = [0; HEAD];
                padded.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
                prop_assert_eq!(name.head(), u64::from_le_bytes(padded));
                prop_assert_eq!(Name::from(text).head(), name.head());
            }
        }

        #[test]
        fn beginnings_are_ordered_as_names_are(
            one in "[\0aé]{0,6}(aaaaaa){0,4}[\0ab]{0,2}",
            other in "[\0aé]{0,6}(aaaaaa){0,4}[\0ab]{0,2}",
        ) {
            prop_assert_eq!(start(one.as_bytes()), Name::from(&one).start());
            if one < other {
                prop_assert!(start(one.as_bytes()) <= Name::from(&other).start());
            }
        }
    }
}
