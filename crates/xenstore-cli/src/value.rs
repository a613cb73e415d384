//! Values as text: how bytes that a terminal should not see are written and read.
//!
//! A backslash, newline, return and tab have letters (`\\ \n \r \t`), bytes below 8
//! three octal digits, all other unprintable ones `x` and two hexadecimal digits.

use std::fmt::{self, Write};

/// A value as the tools print it.
pub(crate) fn escape(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for &byte in value {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b' '..=b'~' => text.push(char::from(byte)),
            0..=7 => numeric(&mut text, format_args!("\\{byte:03o}")),
            _ => numeric(&mut text, format_args!("\\x{byte:02x}")),
        }
    }
    text
}

fn numeric(text: &mut String, escape: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(escape);
}

/// The value that a text stands for; any text stands for one.
///
/// An escape with no meaning is the character behind the backslash; a backslash at
/// the end is a NUL, as it was for the old tools, who met the one that ends a C string.
pub(crate) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        let (byte, after) = escaped(rest);
        value.push(byte);
        rest = after;
    }
    value
}

/// The byte meant by what follows a backslash, and the text behind it.
fn escaped(text: &[u8]) -> (u8, &[u8]) {
    let Some((&letter, rest)) = text.split_first() else {
        return (0, text);
    };
    match letter {
        b'n' => (b'\n', rest),
        b'r' => (b'\r', rest),
        b't' => (b'\t', rest),
        b'0'..=b'7' => number(text, 8, 3).unwrap_or((letter, rest)),
        b'x' => number(rest, 16, 2).unwrap_or((letter, rest)),
        _ => (letter, rest),
    }
}

/// A number of at most `most` digits, cut to a byte; `None` without any digit.
fn number(text: &[u8], base: u32, most: usize) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(base);
    let value = |&byte: &u8| digit(byte);
    let digits = text.iter().take(most).map_while(value);
    let (count, sum) = digits.fold((0, 0), |(count, sum), digit| (count + 1, sum * base + digit));
    if count == 0 {
        return None;
    }
    let [.., low] = sum.to_be_bytes();
    Some((low, text.get(count..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_written_as_the_old_tools_write_them() {
        assert_eq!(
            escape(b"aA\0\\n\t\r\x01\x07\x08\x123 \x7f\xe9\""),
            "aA\\000\\\\n\\t\\r\\001\\007\\x08\\x123 \\x7f\\xe9\""
        );
    }

    #[test]
    fn text_is_read_as_the_old_tools_read_it() {
        for (text, value) in [
            (r"a\x41\0\\n\t\r\101", &b"aA\0\\n\t\rA"[..]),
            (r"q\z\xzz\x4\x123", b"qzxzz\x04\x123"),
            (r"\08\1234\777\400", b"\x008S4\xff\0"),
            (r"a\", b"a\0"),
            (r"\x", b"x"),
            (r"\8", b"8"),
        ] {
            assert_eq!(unescape(text.as_bytes()), value, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_value_reads_back(value in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(unescape(escape(&value).as_bytes()), value);
        }
    }
}
