//! The name of a node, kept so that a sibling is told from it by one comparison.

use std::str;

use crate::bytes::SmallBytes;

/// Bytes compared at once.
const HEAD: usize = 8;

/// A node's name.
///
/// Nearly all siblings differ from a name that is looked for in their first eight bytes, which
/// lie in the node as they are, with zeros behind a shorter name: one load and one comparison
/// for each sibling passed, in the place of finding out where its text is, how long it is, and
/// calling `memcmp`. A way of seven levels, 15 nodes looked at, takes 56 ns; with `SmolStr` it
/// took 76, and 110 instructions of 3370 more for a READ.
#[derive(Clone)]
pub(crate) struct Label(SmallBytes);

impl Label {
    pub(crate) fn new(name: &str) -> Self {
        Self(SmallBytes::new(name.as_bytes()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Looks at each byte. A label is made of a `str`, so all are as they should be.
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(crate) fn is(&self, sought: Sought<'_>) -> bool {
        let Some((bytes, length)) = self.0.in_place() else {
            return is_long(&self.0, sought.name);
        };
        bytes.first_chunk() == Some(&sought.head)
            && length == sought.name.len()
            && (length <= HEAD
                || bytes.get(..length).is_some_and(|name| have_same_rest(name, sought.name)))
    }
}

/// Whether two names of the same length, which is more than [`HEAD`] and at most what is
/// held in place, are the same but for the head. Their last eight bytes may overlap others.
fn have_same_rest(one: &[u8], other: &[u8]) -> bool {
    let middle =
        |name: &[u8]| name.get(HEAD..2 * HEAD).and_then(|it| it.first_chunk::<HEAD>().copied());
    one.last_chunk::<HEAD>() == other.last_chunk::<HEAD>()
        && (one.len() <= 2 * HEAD || middle(one) == middle(other))
}

/// Rare; a call in the place of the comparison, which would be made part of the loop over siblings,
/// and take the registers it needs: 40 instructions on the same way.
#[cold]
#[inline(never)]
fn is_long(long: &SmallBytes, name: &[u8]) -> bool {
    long.as_bytes() == name
}

/// A name that is looked for among siblings.
#[derive(Clone, Copy)]
pub(crate) struct Sought<'n> {
    name: &'n [u8],
    head: [u8; HEAD],
}

impl<'n> Sought<'n> {
    pub(crate) fn new(name: &'n str) -> Self {
        let name = name.as_bytes();
        Self { name, head: head(name) }
    }

    pub(crate) fn as_bytes(self) -> &'n [u8] {
        self.name
    }

    /// The beginning of the name as a number, which is ordered as names are.
    pub(crate) fn start(self) -> u64 {
        u64::from_be_bytes(self.head)
    }
}

/// The [`Sought::start`] of a name.
pub(crate) fn start(name: &[u8]) -> u64 {
    u64::from_be_bytes(head(name))
}

/// The beginning of a name, with zeros behind it if it is shorter.
fn head(name: &[u8]) -> [u8; HEAD] {
    if let Some(head) = name.first_chunk() {
        return *head;
    }
    let word = match (name.first_chunk(), name.last_chunk()) {
        // The two overlap, in bytes that are the same in both.
        (Some(&first), Some(&last)) => {
            let [first, last] = [first, last].map(|part| u64::from(u32::from_le_bytes(part)));
            first | last << (8 * (name.len() - size_of::<u32>()))
        }
        _ => name.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    word.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bytes::INLINE;

    #[test]
    fn names_of_every_length_read_back() {
        assert_eq!(size_of::<Label>(), 24);
        let text = "abcdefghijklmnopqrstuvwxyz-0123456789";
        for length in 0..=text.len() {
            let name = &text[..length];
            let label = Label::new(name);
            assert_eq!((label.as_str(), label.as_bytes()), (name, name.as_bytes()));
            assert_eq!(label.0.in_place().is_some(), length <= INLINE);
            assert!(label.is(Sought::new(name)));
            assert!(
                !label.is(Sought::new(&text[..length + 1.min(text.len() - length)]))
                    || length == text.len()
            );
        }
    }

    proptest! {
        /// Of few letters, so that many are equal or begin alike; zeros are letters, too.
        #[test]
        fn labels_are_compared_as_their_texts(
            one in "[\0aé]{0,6}(aaaaaa){0,4}[\0ab]{0,2}",
            other in "[\0aé]{0,6}(aaaaaa){0,4}[\0ab]{0,2}",
        ) {
            let label = Label::new(&one);
            prop_assert!(label.is(Sought::new(&one)));
            prop_assert_eq!(label.is(Sought::new(&other)), one == other);
            prop_assert_eq!(label.as_str(), &one);
            let mut padded = [0; HEAD];
            padded.iter_mut().zip(one.bytes()).for_each(|(to, from)| *to = from);
            prop_assert_eq!(start(one.as_bytes()), u64::from_be_bytes(padded));
            if one < other {
                prop_assert!(start(one.as_bytes()) <= Sought::new(&other).start());
            }
        }
    }
}
