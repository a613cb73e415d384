//! The documentation of the differences, written from the rules and a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

use crate::guests;
use crate::host_verdict::HostTally;
use crate::rules::HostRule;
use crate::verdict::Count;

/// The text of `docs/conformance/exceptions.md`.
pub fn exceptions(count: &Count, scenarios: usize) -> String {
    let text = format!(
        "\
# Where rxenstored answers otherwise than C xenstored

<!-- Written by the tests of xenstore-conformance: UPDATE_DOCS=1 cargo test -p xenstore-conformance -->

{scenarios} recorded conversations with C xenstored (4.23), {} steps, were replayed.
{} steps came out as recorded: the same replies, the same events to the same clients in
the same order. The others differ on purpose:
",
        count.steps, count.equal,
    );
    text + &rules(count)
}

/// The text of `docs/conformance/guests.md`.
pub fn guests(tally: &guests::verdict::Tally, scenarios: usize) -> String {
    let count = &tally.count;
    let differ = count.steps - count.equal;
    let text = format!(
        "\
# Guests: where rxenstored answers otherwise than C xenstored

<!-- Written by the tests of xenstore-conformance: UPDATE_DOCS=1 cargo test -p xenstore-conformance -->

{scenarios} recorded conversations of guests on their rings, of their toolstacks and of the
hypervisor above them, {} steps, were replayed to rxenstored's process on a simulated host.
They were recorded with C xenstored (4.23) and with the oxenstored of the same release.
{} steps came out as with C xenstored: the same replies, the same events to the same clients
in the same order, the same words in the rings' pages, the same notifications. {differ} differ
on purpose, {} of them to do as oxenstored does:
",
        count.steps, count.equal, tally.as_oxenstored,
    );
    text + &rules(count)
}

/// The rules that a run needed: how often, what they say, and where.
fn rules(count: &Count) -> String {
    let mut text = "\n| steps | rule |\n|---|---|\n".to_owned();
    for &rule in count.by_rule.keys() {
        let _ = writeln!(text, "| {} | {} |", count.covered(rule), rule.title());
    }
    for (&rule, scenarios) in &count.by_rule {
        let (c, ocaml, ours) = (rule.c(), rule.ocaml(), rule.ours());
        text += &explanation(rule.title(), [c, ocaml, ours], rule.reason());
        text += &steps(scenarios);
    }
    text
}

/// The text of `docs/conformance/host-trace.md`.
pub fn host_traces(tallies: &BTreeMap<String, HostTally>) -> String {
    let mut text = "\
# Whole hosts, lived through again

<!-- Written by the tests of xenstore-conformance: UPDATE_DOCS=1 cargo test -p xenstore-conformance -->

The access logs of Xen hosts were recorded under oxenstored: domain 0's kernel, `xl`,
`xenconsoled`, Debian's scripts for devices, guests on their rings. rxenstored was asked the
same by the same clients. Which lines of a log differ, and by which rule, stands in the file
`.differences` beside it.

| host | replies | as recorded | by a rule | watch events | as recorded | by a rule |
|---|---|---|---|---|---|---|
"
    .to_owned();
    for (name, tally) in tallies {
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {} |",
            tally.requests,
            tally.equal_replies,
            tally.requests - tally.equal_replies,
            tally.events,
            tally.equal_events,
            tally.events - tally.equal_events,
        );
    }
    for &rule in HostRule::ALL {
        let (c, ocaml, ours) = (rule.c(), rule.ocaml(), rule.ours());
        text += &explanation(rule.title(), [c, ocaml, ours], rule.reason());
        let times = |tally: &HostTally| tally.by_rule.get(&rule).map_or(0, Vec::len);
        let shown = tallies.iter().filter(|(_, tally)| times(tally) > 0);
        let shown: Vec<_> =
            shown.map(|(name, tally)| format!("{} of {name}", times(tally))).collect();
        let _ = writeln!(text, "Lines: {}.", shown.join(", "));
    }
    text
}

/// The text of the file beside a host's access log: by rule, the lines that differ.
pub fn host_trace(tally: &HostTally) -> String {
    let mut text = String::new();
    for (rule, lines) in &tally.by_rule {
        let _ = write!(text, "{rule:?}:");
        let mut width = 0;
        for range in ranges(lines) {
            if width == 0 || width + range.len() >= WIDTH {
                text += "\n   ";
                width = 3;
            }
            width += 1 + range.len();
            let _ = write!(text, " {range}");
        }
        text += "\n";
    }
    text
}

/// How long the lines of such a file are.
const WIDTH: usize = 100;

/// Numbers in ascending order, with `first-last` for those that follow each other.
fn ranges(numbers: &[usize]) -> Vec<String> {
    let numbers: BTreeSet<_> = numbers.iter().copied().collect();
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let written = ranges.into_iter().map(|(first, last)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    });
    written.collect()
}

/// A rule in full: what C xenstored, oxenstored and rxenstored do.
fn explanation(title: &str, [c, ocaml, ours]: [&str; 3], reason: &str) -> String {
    format!(
        "
## {title}

* C xenstored: {c}
* oxenstored: {ocaml}
* rxenstored: {ours}

{reason}

"
    )
}

/// A table of scenarios and their steps.
fn steps(scenarios: &BTreeMap<String, Vec<u32>>) -> String {
    let mut text = String::from("| scenario | steps |\n|---|---|\n");
    for (scenario, steps) in scenarios {
        let steps: Vec<_> = steps.iter().map(u32::to_string).collect();
        let _ = writeln!(text, "| {scenario} | {} |", steps.join(", "));
    }
    text
}

/// Compares a file of the documentation with what it should be, or writes it if the
/// environment says `UPDATE_DOCS=1`. Whether it is up to date now.
pub fn check_or_write(file: &Path, text: &str) -> io::Result<bool> {
    if env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(file, text)?;
        return Ok(true);
    }
    Ok(fs::read_to_string(file).is_ok_and(|found| found == text))
}
