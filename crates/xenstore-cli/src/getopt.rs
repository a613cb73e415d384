//! The option grammar of the old tools: GNU `getopt_long` with one set of options
//! for all of them.
//!
//! Scripts rely on its habits: options may follow operands, letters may be bundled,
//! long names shortened, and what is no option is complained of and skipped.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Letters without an argument; `n` alone takes one.
const LETTERS: &[u8] = b"hfspturR";
const NUMBER: u8 = b'n';

/// Long names, in the order in which an ambiguity lists them.
const NAMES: [(&str, u8); 8] = [
    ("help", b'h'),
    ("flat", b'f'),
    ("prefix", b'p'),
    ("tidy", b't'),
    ("upto", b'u'),
    ("recurse", b'r'),
    ("number", NUMBER),
    ("raw", b'R'),
];

/// What stands on a command line, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// An option without argument, by its letter.
    Flag(u8),
    /// `-n`, and its argument.
    Number(OsString),
    /// No option of these tools: what to say of it.
    Wrong(String),
}

/// Takes a command line apart: its options, and its operands with options removed.
///
/// `in_order` (the environment's `POSIXLY_CORRECT`) ends the options at the first operand.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    in_order: bool,
) -> (Vec<Item>, Vec<OsString>) {
    let mut left: VecDeque<OsString> = arguments.into_iter().collect();
    let (mut items, mut operands) = (Vec::new(), Vec::new());
    while let Some(argument) = left.pop_front() {
        match argument.as_bytes() {
            b"--" => break,
            [b'-', b'-', name @ ..] => items.push(long(name, &mut left)),
            [b'-', letters @ ..] if !letters.is_empty() => short(letters, &mut left, &mut items),
            _ => {
                operands.push(argument);
                if in_order {
                    break;
                }
            }
        }
    }
    operands.extend(left);
    (items, operands)
}

fn short(letters: &[u8], left: &mut VecDeque<OsString>, items: &mut Vec<Item>) {
    let mut rest = letters;
    while let Some((&letter, after)) = rest.split_first() {
        rest = after;
        items.push(if letter == NUMBER {
            // The rest of the word is the argument, or else the next word.
            let attached = (!rest.is_empty()).then(|| OsString::from_vec(rest.to_vec()));
            rest = &[];
            match attached.or_else(|| left.pop_front()) {
                Some(number) => Item::Number(number),
                None => Item::Wrong("option requires an argument -- 'n'".into()),
            }
        } else if LETTERS.contains(&letter) {
            Item::Flag(letter)
        } else {
            Item::Wrong(format!("invalid option -- '{}'", char::from(letter)))
        });
    }
}

fn long(spelled: &[u8], left: &mut VecDeque<OsString>) -> Item {
    let spelled = String::from_utf8_lossy(spelled);
    let (name, argument) = match spelled.split_once('=') {
        Some((name, argument)) => (name, Some(argument)),
        None => (&*spelled, None),
    };
    let matching: Vec<_> = NAMES.iter().filter(|(known, _)| known.starts_with(name)).collect();
    match (matching.as_slice(), argument) {
        ([], _) => Item::Wrong(format!("unrecognized option '--{spelled}'")),
        ([(_, NUMBER)], Some(number)) => Item::Number(number.into()),
        ([(_, NUMBER)], None) => match left.pop_front() {
            Some(number) => Item::Number(number),
            None => Item::Wrong("option '--number' requires an argument".into()),
        },
        ([(known, _)], Some(_)) => {
            Item::Wrong(format!("option '--{known}' doesn't allow an argument"))
        }
        ([(_, letter)], None) => Item::Flag(*letter),
        (several, _) => {
            let names = several.iter().map(|(known, _)| format!(" '--{known}'"));
            Item::Wrong(format!(
                "option '--{spelled}' is ambiguous; possibilities:{}",
                names.collect::<String>()
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> (Vec<Item>, Vec<OsString>) {
        parse(line.split_whitespace().map(OsString::from), false)
    }

    #[test]
    fn options_and_operands_mix() {
        let (items, operands) = parsed("/a -pR /b -n5 -n 6 --number=7 -- -x");
        let number = |text: &str| Item::Number(text.into());
        assert_eq!(
            items,
            [Item::Flag(b'p'), Item::Flag(b'R'), number("5"), number("6"), number("7")]
        );
        assert_eq!(operands, ["/a", "/b", "-x"]);
    }

    #[test]
    fn long_names_may_be_shortened() {
        let (items, _) = parsed("--pre --rec --raw --h --n 1");
        assert_eq!(items.len(), 5);
        assert_eq!(items[0], Item::Flag(b'p'));
        assert_eq!(items[1], Item::Flag(b'r'));
        assert_eq!(items[2], Item::Flag(b'R'));
        assert_eq!(items[4], Item::Number("1".into()));
    }

    #[test]
    fn what_is_no_option_is_complained_of() {
        for (line, said) in [
            ("-Z", "invalid option -- 'Z'"),
            ("--zz=3", "unrecognized option '--zz=3'"),
            ("--r=3", "option '--r=3' is ambiguous; possibilities: '--recurse' '--raw'"),
            ("--raw=x", "option '--raw' doesn't allow an argument"),
            ("-n", "option requires an argument -- 'n'"),
            ("--num", "option '--number' requires an argument"),
        ] {
            assert_eq!(parsed(line).0, [Item::Wrong(said.into())], "{line}");
        }
    }

    #[test]
    fn a_lone_dash_is_an_operand() {
        assert_eq!(parsed("-").1, ["-"]);
        let (items, operands) = parse(["/a", "-p"].map(OsString::from), true);
        assert!(items.is_empty());
        assert_eq!(operands, ["/a", "-p"]);
    }
}
