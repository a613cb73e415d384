//! A soak of some seconds, with some guests of every kind.

#![allow(clippy::panic, reason = "a test stops at what it does not expect")]

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use xenstore_soak::hostile::Kind;
use xenstore_soak::options::Options;
use xenstore_soak::{report, soak};

/// What can become of good guests.
const FATES: [&str; 6] = [
    "shut down",
    "crashed",
    "died without warning",
    "died in the middle of requests",
    "released, then destroyed",
    "replaced under its domid",
];

/// `SOAK_SEED=17 cargo test -p xenstore-soak --test short` has every village decide as it did
/// with that seed.
#[test]
fn good_guests_do_not_notice_hostile_ones() {
    let seed = match std::env::var("SOAK_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
    };
    println!("SOAK_SEED={seed}");
    // What takes how long is not the question here.
    let options = "--minutes 0.2 --good 24 --hostile 9 --lifetime 2 --longest-wait 60";
    let options = ["xenstore-soak"].into_iter().chain(options.split(' '));
    let options = Options::parse_from(options);
    let outcome = soak::run(&options, seed, |line| println!("{line}"));
    let outcome = outcome.unwrap_or_else(|failure| panic!("{}", report::with_causes(&failure)));
    println!("{}", report::text(&options, &outcome, std::time::Duration::ZERO));
    let tally = &outcome.tally;
    for fate in FATES {
        assert!(tally.fates.contains_key(fate), "nobody {fate}");
    }
    for kind in Kind::ALL {
        assert!(tally.mischief.contains_key(kind.name()), "nobody did {}", kind.name());
    }
    let lost = tally.tries.iter().filter(|((_, tries), _)| *tries > 1);
    assert!(lost.count() > 0, "no transaction was in another one's way");
}
