//! Numbers as the old tools read them: with C's `strtoul`.

/// The number that a text begins with; 0 if it begins with none. What follows the
/// digits is ignored, a sign counts, and what is too large wraps.
pub(crate) fn leading(text: &str) -> u32 {
    let text = text.trim_start();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let magnitude = digits
        .chars()
        .map_while(|digit| digit.to_digit(10))
        .fold(0u32, |sum, digit| sum.wrapping_mul(10).wrapping_add(digit));
    if text.starts_with('-') { magnitude.wrapping_neg() } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_is_a_number() {
        for (text, number) in [
            ("12", 12),
            ("12x", 12),
            (" +3", 3),
            ("-1", u32::MAX),
            ("x", 0),
            ("", 0),
            ("0x10", 0),
            ("4294967297", 1),
        ] {
            assert_eq!(leading(text), number, "{text}");
        }
    }
}
