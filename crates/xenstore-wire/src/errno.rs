//! The error names of the protocol.

use std::fmt;

macro_rules! errnos {
    ($($variant:ident $name:literal $meaning:literal)*) => {
        /// Why a request was refused, as the client is told: the payload of an
        /// `ERROR` reply is one of these names and a NUL.
        ///
        /// The list is closed (`xs_wire.h`): a receiver takes any other name for
        /// `EINVAL`. Old Linux kernels know all but the last two.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Errno {
            $(#[doc = $meaning] $variant,)*
        }

        impl Errno {
            /// Every name, in the order of the public list.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name on the wire, without its NUL.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What the name means, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),* }
            }

            /// The error of that name; `None` for a name outside the list.
            pub fn from_name(name: &[u8]) -> Option<Self> {
                Self::ALL.iter().copied().find(|errno| errno.name().as_bytes() == name)
            }
        }
    };
}

errnos! {
    Inval "EINVAL" "invalid argument"
    Acces "EACCES" "permission denied"
    Exist "EEXIST" "already exists"
    IsDir "EISDIR" "is a directory"
    NoEnt "ENOENT" "no such node, transaction or domain"
    NoMem "ENOMEM" "out of memory"
    NoSpc "ENOSPC" "quota exceeded"
    Io "EIO" "input/output error"
    NotEmpty "ENOTEMPTY" "not empty"
    NoSys "ENOSYS" "request not implemented"
    Rofs "EROFS" "read-only"
    Busy "EBUSY" "busy"
    Again "EAGAIN" "transaction conflict, try again"
    IsConn "EISCONN" "already connected"
    TooBig "E2BIG" "too big for one message"
    Perm "EPERM" "operation not permitted"
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.meaning())
    }
}

impl std::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        assert_eq!(Errno::ALL.len(), 16);
        for &errno in Errno::ALL {
            assert_eq!(Errno::from_name(errno.name().as_bytes()), Some(errno));
        }
        assert_eq!(Errno::from_name(b"EQUOTA"), None);
        assert_eq!(Errno::from_name(b""), None);
    }
}
