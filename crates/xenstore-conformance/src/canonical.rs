//! What two right answers may differ in, brought to one form.
//!
//! | what | why | becomes |
//! |---|---|---|
//! | ids of transactions | any number will do | the name the script gives it |
//! | generations in `DIRECTORY_PART` | only whether a node's are equal counts | `<g1>`, `<g2>`, … by first appearance at that path |
//! | a directory for files | is somewhere | `<DIR>` |
//! | words after the numbers of `CONTROL quota` and names of `CONTROL help` | for people | nothing |
//! | bytes a domain has, in `CONTROL quota N` and `quota max` | every daemon counts its own memory | `#` |
//! | other accounts of the control domain | nothing of them is limited | `#` |

use std::collections::HashMap;

use xenstore_wire::MessageType;
use xenstore_wire::text::split_string;

/// Brings answers of one scenario to the form of the recording.
#[derive(Debug, Default)]
pub struct Canonical {
    /// Those seen so far, by the path asked for.
    generations: HashMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Canonical {
    /// The payload that a request of this kind was answered with.
    pub fn payload(&mut self, kind: u32, request: &[u8], payload: &[u8]) -> Vec<u8> {
        match MessageType::from_number(kind) {
            Some(MessageType::DirectoryPart) => self.directory_part(request, payload),
            Some(MessageType::Control) => control(payload),
            _ => payload.to_vec(),
        }
    }

    fn directory_part(&mut self, request: &[u8], payload: &[u8]) -> Vec<u8> {
        let (Some((path, _)), Some((generation, names))) =
            (split_string(request), split_string(payload))
        else {
            return payload.to_vec();
        };
        let seen = self.generations.entry(path.to_vec()).or_default();
        let known = seen.iter().position(|known| known == generation);
        let index = known.unwrap_or_else(|| {
            seen.push(generation.to_vec());
            seen.len() - 1
        });
        [format!("<g{}>\0", index + 1).as_bytes(), names].concat()
    }
}

/// The text of a command to the daemon.
pub(crate) fn control(payload: &[u8]) -> Vec<u8> {
    let Ok(text) = str::from_utf8(payload) else {
        return payload.to_vec();
    };
    let heading = text.lines().next().unwrap_or_default();
    let line: fn(&str) -> String = if heading.ends_with("uota settings:") {
        without_words
    } else if heading == "Domain 0:" {
        without_numbers
    } else if heading.starts_with("Domain ") || heading.starts_with("Max. seen") {
        |line| if line.starts_with("memory") { without_numbers(line) } else { line.to_owned() }
    } else if heading.starts_with("check") {
        |line| line.split(' ').next().unwrap_or_default().to_owned()
    } else {
        return payload.to_vec();
    };
    let body = text.lines().skip(1).map(line);
    let first = if heading.starts_with("check") { "check" } else { heading };
    let lines: Vec<_> = std::iter::once(first.to_owned()).chain(body).collect();
    let end = if text.ends_with('\n') { "\n" } else { "" };
    format!("{}{end}", lines.join("\n")).into_bytes()
}

/// `name : number words` without the words.
fn without_words(line: &str) -> String {
    let Some((name, rest)) = line.split_once(':') else {
        return line.to_owned();
    };
    let digits = rest.trim_start();
    let words = digits.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let number = rest.get(..rest.len() - words).unwrap_or_default();
    format!("{name}:{number}")
}

/// A line with every number as one `#`, and the blanks that align it as one.
fn without_numbers(line: &str) -> String {
    let mut out = String::new();
    for letter in line.chars() {
        let letter = if letter.is_ascii_digit() { '#' } else { letter };
        if !(matches!(letter, '#' | ' ') && out.ends_with(letter)) {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_are_numbered_by_appearance() {
        let mut canonical = Canonical::default();
        let kind = MessageType::DirectoryPart.number();
        let mut part = |path, payload: &[u8]| canonical.payload(kind, path, payload);
        assert_eq!(part(b"/a\x000\0", b"77\0a\0\0"), b"<g1>\0a\0\0");
        assert_eq!(part(b"/a\x000\0", b"9\0a\0\0"), b"<g2>\0a\0\0");
        assert_eq!(part(b"/a\x002\0", b"77\0\0"), b"<g1>\0\0");
        assert_eq!(part(b"/b\x000\0", b"9\0\0"), b"<g1>\0\0");
    }

    #[test]
    fn words_for_people_are_not_compared() {
        let text = |text: &str| String::from_utf8(control(text.as_bytes())).unwrap();
        assert_eq!(text("Quota settings:\nnodes : 7 of all\n\0"), "Quota settings:\nnodes : 7\n\0");
        assert_eq!(
            text("Domain 5:\nnodes :  7 (max  8)\nmemory : 12 (max  130)\n\0"),
            "Domain 5:\nnodes :  7 (max  8)\nmemory : # (max #)\n\0"
        );
        assert_eq!(text("check     \nlog   [on]\n\0"), "check\nlog\n\0");
        assert_eq!(text("OK\0"), "OK\0");
    }
}
