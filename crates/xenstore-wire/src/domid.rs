//! Domain numbers.

use std::fmt;

use crate::text::{self, NotDecimal};

/// The number by which the hypervisor knows a domain.
///
/// Numbers are reused after a domain's death; what tells two holders of the same
/// number apart is the hypervisor's unique id, not this.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domid(u16);

impl Domid {
    /// The control domain of an ordinary host.
    pub const DOM0: Self = Self(0);
    /// The first number that no domain can have (`DOMID_FIRST_RESERVED`).
    pub const FIRST_RESERVED: Self = Self(0x7ff0);
    /// "The caller itself" (`DOMID_SELF`).
    pub const SELF: Self = Self(0x7ff0);
    /// "No domain" (`DOMID_INVALID`).
    pub const INVALID: Self = Self(0x7ff4);
    /// "Every domain", in permission lists (`DOMID_ANY`).
    pub const ANY: Self = Self(0x7ff5);

    /// Wraps a number; every 16-bit number is a domid, if perhaps a reserved one.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number itself.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether a domain can have this number at all.
    pub const fn is_real(self) -> bool {
        self.0 < Self::FIRST_RESERVED.0
    }

    /// Reads a domid argument: decimal digits only, at most 65535.
    ///
    /// The daemons in the field read these with different C and OCaml number
    /// parsers; what all their clients send is plain decimal.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotDecimal> {
        text::decimal(bytes).map(Self)
    }
}

impl fmt::Display for Domid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Domid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_decimal_numbers_are_domids() {
        assert_eq!(Domid::parse(b"0").unwrap(), Domid::DOM0);
        assert_eq!(Domid::parse(b"65535").unwrap().get(), 65535);
        for wrong in [&b""[..], b"65536", b"-1", b"+1", b" 1", b"1 ", b"0x10", b"1_0", b"a"] {
            assert!(Domid::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn reserved_numbers_are_not_real_domains() {
        assert!(Domid::new(0x7fef).is_real());
        for reserved in [Domid::SELF, Domid::INVALID, Domid::ANY, Domid::new(u16::MAX)] {
            assert!(!reserved.is_real(), "{reserved}");
        }
    }
}
