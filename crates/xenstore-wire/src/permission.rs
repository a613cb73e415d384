//! Permissions as they go over the wire: an access letter and a domid.

use std::fmt;

use thiserror::Error;

use crate::Domid;
use crate::text::NotDecimal;

/// What a domain may do with a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Access {
    /// `n`: nothing.
    None,
    /// `r`: read.
    Read,
    /// `w`: write.
    Write,
    /// `b`: both.
    Both,
}

impl Access {
    /// The letter of the protocol.
    pub const fn letter(self) -> char {
        match self {
            Self::None => 'n',
            Self::Read => 'r',
            Self::Write => 'w',
            Self::Both => 'b',
        }
    }

    /// The access of a letter.
    pub const fn from_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'n' => Self::None,
            b'r' => Self::Read,
            b'w' => Self::Write,
            b'b' => Self::Both,
            _ => return None,
        })
    }

    /// Whether it allows reading.
    pub const fn can_read(self) -> bool {
        matches!(self, Self::Read | Self::Both)
    }

    /// Whether it allows writing.
    pub const fn can_write(self) -> bool {
        matches!(self, Self::Write | Self::Both)
    }
}

/// One entry of a permission list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Permission {
    /// What is allowed.
    pub access: Access,
    /// To whom.
    pub domid: Domid,
}

/// Why a text is no permission entry.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PermissionError {
    /// It does not begin with an access letter.
    #[error("expected one of the letters n r w b, found {}", found(*.0))]
    Letter(Option<char>),
    /// The rest is no domid.
    #[error("expected a domid after the letter")]
    Domid(#[source] NotDecimal),
}

fn found(letter: Option<char>) -> String {
    letter.map_or_else(|| "nothing".to_owned(), |letter| format!("{letter:?}"))
}

impl Permission {
    /// An entry.
    pub const fn new(access: Access, domid: Domid) -> Self {
        Self { access, domid }
    }

    /// Reads an entry as sent: a letter, then a decimal domid.
    pub fn parse(text: &[u8]) -> Result<Self, PermissionError> {
        let (&letter, domid) = text.split_first().ok_or(PermissionError::Letter(None))?;
        let access = Access::from_letter(letter)
            .ok_or_else(|| PermissionError::Letter(Some(letter.into())))?;
        let domid = Domid::parse(domid).map_err(PermissionError::Domid)?;
        Ok(Self { access, domid })
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.access.letter(), self.domid)
    }
}

/// A permission list: the first entry names the owner and what everybody not
/// listed may do, each further one what one domain may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permissions {
    /// The owner, and the access of domains not listed. The owner itself may do
    /// everything, whatever the letter says.
    pub owner: Permission,
    /// The entries after the first.
    pub others: Vec<Permission>,
}

impl Permissions {
    /// Reads a list; `Ok(None)` if it is empty.
    pub fn parse<'a>(
        mut entries: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, PermissionError> {
        let Some(owner) = entries.next() else {
            return Ok(None);
        };
        let owner = Permission::parse(owner)?;
        let others = entries.map(Permission::parse).collect::<Result<_, _>>()?;
        Ok(Some(Self { owner, others }))
    }

    /// All entries, the owner's first.
    pub fn iter(&self) -> impl Iterator<Item = Permission> {
        std::iter::once(self.owner).chain(self.others.iter().copied())
    }

    /// Number of entries; at least one.
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_back() {
        for text in ["n0", "r1", "w32757", "b65535"] {
            assert_eq!(Permission::parse(text.as_bytes()).unwrap().to_string(), text);
        }
    }

    #[test]
    fn malformed_entries_are_refused() {
        for wrong in ["", "n", "x0", "0", "r-1", "r 1", "r1 ", "r65536", "R0", "rr0", "r0x10"] {
            assert!(Permission::parse(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_refusal_shows_what_it_found() {
        let refusal = |text: &[u8]| Permission::parse(text).unwrap_err().to_string();
        assert_eq!(refusal(b"q0"), "expected one of the letters n r w b, found 'q'");
        assert_eq!(refusal(b""), "expected one of the letters n r w b, found nothing");
    }

    #[test]
    fn a_list_has_an_owner() {
        let list = Permissions::parse([&b"n0"[..], b"r5"].into_iter()).unwrap().unwrap();
        assert_eq!(list.owner, Permission::new(Access::None, Domid::DOM0));
        assert_eq!(list.others, [Permission::new(Access::Read, Domid::new(5))]);
        assert_eq!(list.count(), 2);
        assert_eq!(Permissions::parse(std::iter::empty()).unwrap(), None);
    }
}
