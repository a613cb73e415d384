//! The report, in Markdown.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use crate::log_lines;
use crate::options::Options;
use crate::rounds::Sample;
use crate::soak::Outcome;
use crate::tally::{Tally, Waits, Who};
use crate::vitals::{self, Vitals};

/// An error with its causes.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{error}");
        cause = error.source();
    }
    text
}

/// The report of a soak that ended well. `ended` is the time since 1970.
pub fn text(options: &Options, outcome: &Outcome, ended: Duration) -> String {
    let parts = [
        introduction(options, outcome, ended),
        agreement(outcome),
        waiting(options, outcome),
        memory(outcome),
        lives(&outcome.tally),
        answers(&outcome.tally),
        log(&outcome.log),
    ];
    parts.join("\n")
}

fn introduction(options: &Options, outcome: &Outcome, ended: Duration) -> String {
    let seconds = outcome.lasted.as_secs();
    format!(
        "# A soak\n\n\
         <!-- Written by cargo run --release -p xenstore-soak -- --minutes {} --report docs/soak.md -->\n\n\
         A real rxenstored on a simulated host. {} good guests and {} hostile ones run at any\n\
         time, made and destroyed all along as libxl does it. What the good ones and their\n\
         toolstacks ask is asked of the model of a store as well (`xenstore-model`), and every\n\
         reply and every event has to be the model's. What hostile guests are told is nobody's\n\
         affair; what counts is that nobody else notices them. Had anything been otherwise than\n\
         this page says it has to be, the soak would have failed, and there would be no report.\n\n\
         | | |\n|---|---|\n\
         | date | {} |\n| duration | {} min {} s |\n| seed | {} |\n| version | rxenstored {} |\n\
         | machine | {} |\n",
        options.minutes,
        options.good,
        options.hostile,
        date(ended),
        seconds / 60,
        seconds % 60,
        outcome.seed,
        env!("CARGO_PKG_VERSION"),
        vitals::machine(),
    )
}

/// A day as people write it, by the civil calendar.
fn date(since_1970: Duration) -> String {
    // Days from 1 March of the year 0, in eras of 400 years.
    let days = since_1970.as_secs() / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    format!("{}-{month:02}-{day:02}", era * 400 + year)
}

fn agreement(outcome: &Outcome) -> String {
    let Outcome { tally, compared: [with_guests, empty], .. } = outcome;
    format!(
        "## Agreement\n\n\
         * {} requests and {} events of good guests and toolstacks: all as the model says.\n\
         * After the hostile guests were destroyed, the whole store with all good guests in it:\n  \
         {} nodes, values, permissions and orders of children, as the model says.\n\
         * After all were destroyed: {} nodes, those from before the first guest, and no account\n  \
         of any domain.\n\
         * `CONTROL check`: the accounts agree with a recount, both times. `CONTROL quota`: those\n  \
         of the {} good guests then, and of all of them every now and then, are the model's.\n\
         * Whoever watches for all domains (`@introduceDomain`, `@releaseDomain`) was told {}\n  \
         times, as often as something became of one.\n\
         * Of every domain that died: event channel given back, ring unmapped.\n\
         * At most {} orders in which the daemon could have taken what was under way had to be\n  \
         told apart.\n",
        thousands(tally.requests()),
        thousands(tally.events),
        with_guests.nodes,
        empty.nodes,
        with_guests.accounts,
        thousands(empty.announced),
        tally.most_candidates,
    )
}

fn waiting(options: &Options, outcome: &Outcome) -> String {
    let mut text = format!(
        "## Waiting times\n\n\
         From a request's way into ring or socket to the taking of its reply, by a program that\n\
         plays all of them on the same machine and asks the model in between. A request that\n\
         takes longer than {} s fails the soak; two protected transactions, 500 ms each, can\n\
         have it wait ([transactions.md](transactions.md)). Who lost a transaction waits for\n\
         its turn to begin the next, behind others that lost before: {} s at most.\n\n\
         | | requests | half | 99 % | 99.9 % | longest |\n|---|---:|---:|---:|---:|---:|\n",
        options.longest_wait,
        options.longest_turn().as_secs()
    );
    let Tally { waits, turns, tries, .. } = &outcome.tally;
    for (what, waits) in [("", waits), (", after a transaction was lost", turns)] {
        for (who, waits) in waits {
            let _ = writeln!(text, "| {}{what} | {} |", name(*who), quantiles(waits));
        }
    }
    let [daemon, soak, machine] = outcome.at_end.since(&outcome.at_start);
    let _ = write!(
        text,
        "\nMeanwhile the daemon had {daemon:.2} of a processor, the soak itself {soak:.2}, and all\n\
         programs of the machine together {machine:.2} of {}. The soak did not look at what came\n\
         for {} at the longest. No transaction of a guest was open for longer than {}.\n\n\
         Transactions got through after so many tries:\n\n| tries |",
        std::thread::available_parallelism().map_or(1, usize::from),
        time(outcome.longest_pause),
        time(outcome.tally.longest_open.get(&Who::Guest).copied().unwrap_or_default()),
    );
    let whos: Vec<Who> = waits.keys().copied().collect();
    let names: Vec<_> = whos.iter().map(|&who| name(who)).collect();
    let _ = write!(text, " {} |", names.join(" | "));
    let _ = write!(text, "\n|---:|{}\n", "---:|".repeat(whos.len()));
    let most = tries.keys().map(|&(_, tries)| tries).max().unwrap_or(0);
    for count in 1..=most {
        let _ = write!(text, "| {count} |");
        for &who in &whos {
            let times = tries.get(&(who, count)).copied().unwrap_or(0);
            let _ = write!(text, " {} |", thousands(times));
        }
        text.push('\n');
    }
    text
}

fn quantiles(waits: &Waits) -> String {
    let [half, most, nearly] = [500, 990, 999].map(|of| time(waits.quantile(of)));
    let longest = time(waits.longest());
    format!("{} | {half} | {most} | {nearly} | {longest}", thousands(waits.count()))
}

fn memory(outcome: &Outcome) -> String {
    let Outcome { at_start, warm, at_end, after, samples, .. } = outcome;
    let most = samples.iter().map(|sample| sample.vitals.files).max().unwrap_or(0);
    let highest = samples.iter().map(|sample| sample.vitals.resident).max().unwrap_or(0);
    let mut text = "## Memory and files of the daemon\n\n\
                    | | memory (`VmRSS`) | files |\n|---|---:|---:|\n"
        .to_owned();
    let row = |what: &str, bytes: u64, files: usize| {
        format!("| {what} | {} | {files} |\n", mebibytes(bytes))
    };
    let vitals = |what: &str, vitals: &Vitals| row(what, vitals.resident, vitals.files);
    text += &vitals("without guests", at_start);
    text += &vitals("all guests there for the first time", warm);
    text += &row("the most of all samples, one each second", highest, most);
    text += &vitals("at the end, all guests still there", at_end);
    text += &vitals("after all were destroyed", after);
    text += &numbers(samples);
    text += "\nEvery tenth of the time, memory and guests that ran:\n\n\
             | s | memory | good | hostile |\n|---:|---:|---:|---:|\n";
    for sample in samples.chunks(samples.len().div_ceil(10).max(1)).filter_map(<[_]>::last) {
        let seconds = sample.vitals.at.duration_since(at_start.at).as_secs();
        let resident = mebibytes(sample.vitals.resident);
        let _ = writeln!(text, "| {seconds} | {resident} | {} | {} |", sample.good, sample.hostile);
    }
    text
}

/// How many guests ran from when the first were all there.
fn numbers(samples: &[Sample]) -> String {
    // In the first seconds they come, and at the end they go.
    let seconds = samples.len();
    let settled = samples.get(seconds.min(10)..seconds.saturating_sub(10)).unwrap_or_default();
    let of = |count: fn(&Sample) -> usize| {
        let counts = settled.iter().map(count);
        let mean = counts.clone().sum::<usize>() / settled.len().max(1);
        format!("{mean} in the mean, {} at the least", counts.min().unwrap_or(0))
    };
    let (good, hostile) = (of(|sample| sample.good), of(|sample| sample.hostile));
    format!("\nGood guests that ran: {good}. Hostile ones: {hostile}.\n")
}

fn lives(tally: &Tally) -> String {
    let mut text = table("## What became of guests", ["fate", "times"], &tally.fates);
    text.push('\n');
    text += &table("## What hostile guests did", ["deed", "times"], &tally.mischief);
    text
}

fn table<K: AsRef<str>>(title: &str, head: [&str; 2], rows: &BTreeMap<K, u64>) -> String {
    let [what, times] = head;
    let mut text = format!("{title}\n\n| {what} | {times} |\n|---|---:|\n");
    for (what, times) in rows {
        let _ = writeln!(text, "| {} | {} |", what.as_ref(), thousands(*times));
    }
    text
}

fn answers(tally: &Tally) -> String {
    let mut text = "## What good clients were answered\n\n\
                    All of it as the model says; refusals are asked for on purpose.\n\n\
                    | request | granted to guests | refused | granted to toolstacks | refused |\n\
                    |---|---:|---|---:|---|\n"
        .to_owned();
    let mut kinds: Vec<&str> = tally.answers.keys().map(|&(_, kind, _)| kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let _ = write!(text, "| {kind} |");
        for who in [Who::Guest, Who::Toolstack] {
            let granted = tally.answers.get(&(who, kind, None)).copied().unwrap_or(0);
            let refused = tally.answers.iter().filter_map(|((whose, what, error), times)| {
                let error = error.as_ref().filter(|_| *whose == who && *what == kind)?;
                Some(format!("{error} {}", thousands(*times)))
            });
            let refused: Vec<_> = refused.collect();
            let _ = write!(text, " {} | {} |", thousands(granted), refused.join(", "));
        }
        text.push('\n');
    }
    text
}

fn log(log: &str) -> String {
    let title = "## What the daemon logged\n\nLines of the same kind about the same domain are left \
                 out for ten seconds.";
    table(title, ["line", "times"], &log_lines::by_kind(log))
}

fn name(who: Who) -> &'static str {
    match who {
        Who::Guest => "guests",
        Who::Toolstack => "toolstacks",
    }
}

fn time(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1000 => format!("{micros} µs"),
        _ => format!("{:.1} ms", time.as_secs_f64() * 1e3),
    }
}

/// Bytes in 2^20, to a tenth.
pub fn mebibytes(bytes: u64) -> String {
    let tenths = (bytes * 10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// A number with a comma for each thousand.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar() {
        let day = |days: u64| date(Duration::from_secs(days * 86_400 + 86_399));
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(11_016), "2000-02-29");
        assert_eq!(day(11_017), "2000-03-01");
        assert_eq!(day(20_819), "2027-01-01");
    }

    #[test]
    fn numbers_are_read_in_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands).join(" "), "0 999 1,000 1,234,567");
    }
}
