//! Ends of domains that oxenstored told of again.

use xenstore_wire::MessageType;

use crate::access_log::{Event, Log, RELEASE_DOMAIN, What, Who, any_shut_down, is_end};
use crate::host_replay::Batch;

/// Whether a recorded event of `@releaseDomain` tells only of what this watch was told before:
/// the watch heard of more ends than there were, we told it of each, and a domain that was shut
/// down was still there.
pub fn told_again(log: &Log, ours: &[Batch], who: Who, (line, event): (usize, &Event)) -> bool {
    let watch = format!("{RELEASE_DOMAIN}\0{}\0", event.token);
    let watched = log.deeds.iter().rev().find(|deed| {
        let asked = |what: &What| match what {
            What::Ask { kind: MessageType::Watch, payload, refused: None, .. } => {
                payload == watch.as_bytes()
            }
            _ => false,
        };
        deed.line < line && deed.who == who && asked(&deed.what)
    });
    let Some(since) = watched.map(|deed| deed.line) else { return false };

    let within = |other: usize| since < other && other <= line;
    let ends = log.deeds.iter().filter(|deed| within(deed.line) && is_end(deed)).count();
    let batches = ours.iter().filter(|batch| within(batch.line));
    let told = batches.flat_map(|batch| &batch.events).filter(|other| *other == event).count();
    let recorded = log.events.get(&who).map_or(&[][..], Vec::as_slice);
    let recorded = recorded.iter().filter(|(at, other)| within(*at) && other == event).count();
    let before = log.deeds.iter().take_while(|deed| deed.line < line);
    // One of the recorded is for the watch being new.
    told >= ends && recorded > ends + 1 && any_shut_down(before)
}
