//! The feature word: what a connection's two sides can do beyond the basics.

/// A set of protocol features (`XENSTORE_SERVER_FEATURE_*` in `xs_wire.h`), as the
/// word at offset 2064 of a ring page and the argument of `SET_FEATURE`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features(u32);

impl Features {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// A guest may ask for its ring to be reset.
    pub const RECONNECTION: Self = Self(1);
    /// The daemon writes why it gave up a ring into the ring's page.
    pub const ERROR_FIELD: Self = Self(2);
    /// `WATCH` takes a depth.
    pub const WATCH_DEPTH: Self = Self(4);
    /// Permission lists may name [`Domid::ANY`](crate::Domid::ANY).
    pub const DOMID_ANY: Self = Self(8);
    /// All of the above.
    pub const ALL: Self = Self(15);

    /// The set with these bits, or `None` if a bit is not a known feature.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 { Some(Self(bits)) } else { None }
    }

    /// The word itself.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether every feature of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_bits_are_refused() {
        assert_eq!(Features::from_bits(15), Some(Features::ALL));
        assert_eq!(Features::from_bits(16), None);
        let most = Features::from_bits(7).unwrap();
        assert!(most.contains(Features::WATCH_DEPTH) && !most.contains(Features::DOMID_ANY));
    }
}
