//! The table in `docs/liveness.md` is what hostile clients come to. `UPDATE_DOCS=1` writes
//! it anew.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;
use std::{env, fs};

use xenstore_model::history::Plan;
use xenstore_model::liveness::{Contest, Outcome, Pattern};
use xenstore_model::simulation::MOST_TRIES;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/liveness.md");

/// Where the tables are.
const BEGIN: &str = "<!-- measured -->\n";
const END: &str = "<!-- end -->\n";

const REQUESTS: [usize; 3] = [10, 100, 1000];

#[test]
fn transactions_get_through_as_the_document_says() {
    let outcomes = measure();
    let unguarded = |contest: &Contest| contest.guest && !contest.hostile_guests;
    for (contest, outcome) in outcomes.iter().filter(|(contest, _)| !unguarded(contest)) {
        let all = outcome.committed == outcome.wanted && outcome.tries <= MOST_TRIES as usize;
        assert!(all, "{contest:?}: {outcome:?}");
    }
    let before = fs::read_to_string(DOCUMENT).unwrap();
    let (above, rest) = before.split_once(BEGIN).unwrap();
    let (_, below) = rest.split_once(END).unwrap();
    let now = format!("{above}{BEGIN}{}{END}{below}", tables(&outcomes));
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(DOCUMENT, now).unwrap();
    } else {
        assert!(now == before, "docs/liveness.md says otherwise; UPDATE_DOCS=1 writes\n{now}");
    }
}

type Outcomes = BTreeMap<Contest, Outcome>;

fn measure() -> Outcomes {
    let mut contests = Vec::new();
    for guest in [false, true] {
        for hostile_guests in [false, true] {
            for pattern in Pattern::ALL {
                for hostile in [1, 64] {
                    for (requests, wanders) in
                        REQUESTS.into_iter().flat_map(|it| [(it, false), (it, true)])
                    {
                        let contest =
                            Contest { guest, hostile_guests, pattern, hostile, requests, wanders };
                        contests.push(contest);
                    }
                }
            }
        }
    }
    let outcomes = Mutex::new(Outcomes::new());
    let contest = |number: u64| contests.get(usize::try_from(number).unwrap()).unwrap();
    let all = Plan { seed: 0, histories: contests.len() as u64, steps: 0 }.each(|number| {
        let outcome = contest(number).run();
        outcomes.lock().unwrap().insert(*contest(number), outcome);
        Ok::<(), String>(())
    });
    all.unwrap();
    outcomes.into_inner().unwrap()
}

fn tables(outcomes: &Outcomes) -> String {
    let mut text = String::new();
    for (guest, hostile_guests) in [(false, false), (false, true), (true, true), (true, false)] {
        let name = |guest| if guest { "guest" } else { "toolstack" };
        let (victim, hostile) = (name(guest), name(hostile_guests));
        let guarded = if guest && !hostile_guests { ": no guarantee" } else { "" };
        let _ = write!(
            text,
            "\n## A {victim} among hostile {hostile}s{guarded}\n\n\
             | hostile clients | do | committed | tries, same places | tries, new places | they waited |\n\
             |---:|---|---:|---|---|---:|\n"
        );
        for pattern in Pattern::ALL {
            for count in [1, 64] {
                let is_row = |contest: &Contest| {
                    (contest.guest, contest.hostile_guests) == (guest, hostile_guests)
                        && (contest.pattern, contest.hostile) == (pattern, count)
                };
                let row = outcomes.iter().filter(|(contest, _)| is_row(contest));
                let _ = writeln!(text, "| {count} | {pattern} | {} |", cells(row));
            }
        }
    }
    text + "\n"
}

/// The cells of one row: over all lengths and kinds of the victim's transactions.
fn cells<'o>(row: impl Iterator<Item = (&'o Contest, &'o Outcome)>) -> String {
    let (mut committed, mut wanted, mut held) = (0, 0, Duration::ZERO);
    let mut tries = [Vec::new(), Vec::new()];
    for (contest, outcome) in row {
        committed += outcome.committed;
        wanted += outcome.wanted;
        held = held.max(outcome.held);
        let gave_up = outcome.committed < outcome.wanted;
        let shown = format!("{}{}", outcome.tries, if gave_up { "+" } else { "" });
        let [same, new] = &mut tries;
        if contest.wanders { new } else { same }.push(shown);
    }
    let [same, new] = tries.map(|tries| tries.join(", "));
    let held = held.as_secs_f64() * 1000.0;
    format!("{committed} of {wanted} | {same} | {new} | {held:.1} ms")
}
