//! Bytes of which few are held in place: names, and values for whoever likes them.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};

use triomphe::Arc;

/// Bytes that fit without an allocation. 22 makes a `SmallBytes` 24 bytes.
pub(crate) const INLINE: usize = 22;

/// Any bytes, possibly none: up to 22 in place, more allocated once and shared by all copies.
/// O(1) to clone.
#[derive(Clone)]
pub struct SmallBytes(Repr);

#[derive(Clone)]
enum Repr {
    /// What is behind the bytes is zero.
    Inline {
        length: u8,
        bytes: [u8; INLINE],
    },
    Shared(Arc<[u8]>),
}

impl SmallBytes {
    /// None.
    pub const EMPTY: Self = Self(Repr::Inline { length: 0, bytes: [0; INLINE] });

    /// A copy of these.
    pub fn new(source: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..source.len()), u8::try_from(source.len())) {
            (Some(slot), Ok(length)) => {
                slot.copy_from_slice(source);
                Self(Repr::Inline { length, bytes })
            }
            _ => Self(Repr::Shared(Arc::from(source))),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Repr::Shared(bytes) => bytes,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those held in place with the zeros behind them, and how many they are.
    pub(crate) fn in_place(&self) -> Option<(&[u8; INLINE], usize)> {
        match &self.0 {
            Repr::Inline { length, bytes } => Some((bytes, usize::from(*length))),
            Repr::Shared(_) => None,
        }
    }
}

/// So that a map with such keys can be asked for any bytes.
impl Borrow<[u8]> for SmallBytes {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Hash for SmallBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialEq for SmallBytes {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for SmallBytes {}

impl fmt::Debug for SmallBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_read_back() {
        assert_eq!(size_of::<SmallBytes>(), 24);
        assert_eq!(SmallBytes::EMPTY.len(), 0);
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..=bytes.len() {
            let copy = SmallBytes::new(&bytes[..length]);
            assert_eq!(copy.as_bytes(), &bytes[..length]);
            assert_eq!(matches!(copy.0, Repr::Inline { .. }), length <= INLINE);
            assert_eq!(copy, copy.clone());
        }
    }
}
