//! What the daemon logged, by kind.

use std::collections::BTreeMap;

/// How many lines there are of each kind: the level, what is said, and of a limit which.
pub fn by_kind(log: &str) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    for line in log.lines().filter(|line| !line.is_empty()) {
        *kinds.entry(kind(line)).or_default() += 1;
    }
    kinds
}

/// A line is time, level, what happened, and fields.
fn kind(line: &str) -> String {
    let words: Vec<_> = line.split_whitespace().skip(1).collect();
    let said = words.iter().take_while(|word| !word.contains('='));
    let which = words.iter().filter_map(|word| word.strip_prefix("what="));
    let which = which.map(|what| what.trim_matches('"')).take(1);
    said.copied().chain(which).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_differ_by_what_they_say() {
        let log = "[time]  WARN limit refused domid=3 what=\"nodes\" wanted=5 limit=4\n\
                   [time]  WARN limit refused domid=4 what=\"nodes\" wanted=5 limit=4\n\
                   [time]  WARN ring given up domid=3 bad=expected at most\n";
        let kinds = by_kind(log);
        assert_eq!(kinds.get("WARN limit refused nodes"), Some(&2), "{kinds:?}");
        assert_eq!(kinds.get("WARN ring given up"), Some(&1), "{kinds:?}");
    }
}
