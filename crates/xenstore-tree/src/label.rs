//! The name of a node, kept so that a sibling is told from it by one comparison.

use crate::bytes::SmallBytes;
use crate::name::{HEAD, Name};

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
    pub(crate) fn new(name: Name<'_>) -> Self {
        Self(SmallBytes::new(name.as_bytes()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether it is this name, which is not [long](Name::is_long).
    pub(crate) fn is(&self, name: Name<'_>) -> bool {
        let Some((bytes, length)) = self.0.in_place() else {
            return false;
        };
        bytes.first_chunk().copied().map(u64::from_le_bytes) == Some(name.head())
            && length == name.as_bytes().len()
            && (length <= HEAD
                || bytes.get(..length).is_some_and(|own| have_same_rest(own, name.as_bytes())))
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
            let label = Label::new(name.into());
            assert_eq!(label.as_bytes(), name.as_bytes());
            assert_eq!(label.0.in_place().is_some(), length <= INLINE);
            assert_eq!(label.is(name.into()), length <= INLINE);
            assert!(length >= INLINE || !label.is(text[..=length].into()));
        }
    }

    proptest! {
        /// Of few letters, so that many are equal or begin alike; zeros are letters, too.
        #[test]
        fn labels_are_compared_as_their_texts(
            one in "[\0aé]{0,6}(aaaaaa){0,4}[\0ab]{0,2}",
            other in "[\0aé]{0,6}(aaaaaa){0,4}[\0ab]{0,2}",
        ) {
            let label = Label::new(Name::from(&one));
            let is_short = one.len() <= INLINE;
            prop_assert_eq!(label.is(Name::from(&one)), is_short);
            prop_assert!(other.len() > INLINE || label.is(Name::from(&other)) == (one == other));
            prop_assert_eq!(label.as_bytes(), one.as_bytes());
        }
    }
}
