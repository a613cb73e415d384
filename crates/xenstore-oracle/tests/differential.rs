//! The same random requests for C xenstored, oxenstored and rxenstored.
//!
//! What is answered differently must be explained by a rule (`src/rules.rs`).
//!
//! * `XENSTORE_REQUESTS=n` plays about so many requests, for a long campaign;
//! * `XENSTORE_SEED=n` begins at that sequence; alone, it plays only that one;
//! * `XENSTORE_UPDATE=1` writes the table of differences anew.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at what it does not expect")]

use std::env;
use std::fs;
use std::path::Path;

use xenstore_oracle::campaign::{Stage, Tally, sequence_of};
use xenstore_oracle::report;

/// Requests of an ordinary run.
const REQUESTS: usize = 20_000;

/// The first sequence of an ordinary run.
const FIRST_SEED: u64 = 1;

#[test]
fn daemons_differ_only_by_rules() {
    let seed = number("XENSTORE_SEED");
    let requests = match (number("XENSTORE_REQUESTS"), seed) {
        (Some(requests), _) => usize::try_from(requests).expect("a number of requests"),
        (None, Some(_)) => 1,
        (None, None) => REQUESTS,
    };
    let mut stage = Stage::new();
    let mut tally = Tally::default();
    for seed in seed.unwrap_or(FIRST_SEED).. {
        if tally.requests >= requests {
            break;
        }
        let steps = sequence_of(seed);
        if let Err(failure) = stage.play(&steps, &mut tally) {
            let (steps, failure) = stage.shrink(steps, failure);
            let steps: Vec<_> = steps.iter().map(|step| format!("  {step:?}\n")).collect();
            panic!("XENSTORE_SEED={seed}: {failure}the shortest that fails:\n{}", steps.concat());
        }
    }
    println!("{tally}");
}

#[test]
fn the_table_of_differences_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance/differences.md");
    let table = report::differences();
    if number("XENSTORE_UPDATE").is_some() {
        fs::create_dir_all(file.parent().expect("a file in a directory")).expect("a directory");
        fs::write(&file, &table).expect("a file that can be written");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == table, "differences.md is not what the rules say: see its first lines");
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is to be a number, not {text}")))
}
