//! A host's access log against what came of it with us.
//!
//! Replies are compared request by request. Events are compared client by client: the
//! log shows when an event was sent and not what caused it, so what each of our deeds
//! caused is looked for in the order of the log, after the deed.

use std::collections::BTreeMap;

use xenstore_wire::MessageType;
use xenstore_wire::text::split_string;

use crate::access_log::{self, Deed, Event, Log, What, Who};
use crate::host_replay::{Batch, Relived};
use crate::rules::HostRule;

/// What a comparison came to.
#[derive(Debug, Default)]
pub struct HostTally {
    /// Requests asked.
    pub requests: usize,
    /// Requests answered as recorded.
    pub equal_replies: usize,
    /// Recorded events.
    pub events: usize,
    /// Recorded events that came with us, at their place in the order.
    pub equal_events: usize,
    /// The others, of both kinds, by rule: lines of the log.
    pub by_rule: BTreeMap<HostRule, Vec<usize>>,
    /// What no rule explains.
    pub wrong: Vec<String>,
}

/// Compares.
pub fn judge(log: &Log, relived: &Relived) -> HostTally {
    let mut tally = HostTally::default();
    for deed in &log.deeds {
        tally.reply(deed, relived.refusals.get(&deed.line));
    }
    let told = log.events.keys().chain(relived.events.keys());
    for who in told.collect::<std::collections::BTreeSet<_>>() {
        let recorded = log.events.get(who).map_or(&[][..], Vec::as_slice);
        let ours = relived.events.get(who).map_or(&[][..], Vec::as_slice);
        tally.events(log, *who, recorded, ours);
    }
    tally
}

impl HostTally {
    fn explain(&mut self, rule: HostRule, line: usize) {
        self.by_rule.entry(rule).or_default().push(line);
    }

    fn reply(&mut self, deed: &Deed, ours: Option<&Option<String>>) {
        let What::Ask { kind, payload, refused, .. } = &deed.what else { return };
        self.requests += 1;
        let got = ours.and_then(Option::as_deref);
        if ours.is_some() && got == refused.as_deref() {
            self.equal_replies += 1;
        } else if refused.is_none() && got == Some("ENOENT") && payload.starts_with(b"/@") {
            self.explain(HostRule::SpecialNames, deed.line);
        } else if refused.as_deref() == Some("ENOENT") && got == Some("EACCES") {
            self.explain(HostRule::Unseen, deed.line);
        } else if matches!(refused.as_deref(), None | Some("EQUOTA")) && got == Some("ENOSPC") {
            self.explain(HostRule::NodeSize, deed.line);
        } else {
            let payload = payload.escape_ascii();
            self.wrong.push(format!(
                "line {}: {} {kind} {payload}: expected {refused:?}, got {got:?}",
                deed.line, deed.who
            ));
        }
    }

    fn events(&mut self, log: &Log, who: Who, recorded: &[(usize, Event)], ours: &[Batch]) {
        self.events += recorded.len();
        let mut left = recorded;
        for (index, batch) in ours.iter().enumerate() {
            left = self.skip_unmatched(log, who, left, batch);
            let next = ours.get(index + 1).and_then(|next| next.events.first());
            let Some(least) = matching(left, batch) else {
                if let Some(length) = reordered(log, who, left, batch) {
                    let (matched, rest) = left.split_at(length);
                    self.removal(matched, batch);
                    left = rest;
                    continue;
                }
                let Batch { line, events } = batch;
                self.wrong.push(format!("line {line}: {who} was not to hear {events:?}"));
                continue;
            };
            let again = trailing(left, least, next);
            // What a later removal explains is no echo of this commit.
            let echo =
                |(line, event): &&(usize, Event)| !last_removal_above(log, who, *line, event);
            let again = left.iter().skip(least).take(again).take_while(echo).count();
            let (matched, rest) = left.split_at(least + again);
            self.equal_events += batch.events.len();
            for (line, event) in repeated(matched) {
                if is_commit(log, batch.line) {
                    self.explain(HostRule::ToldOnce, *line);
                } else if event.path == access_log::RELEASE_DOMAIN {
                    self.explain(HostRule::EndsOnce, *line);
                } else {
                    self.wrong.push(format!("line {line}: {who} was to hear {event:?} again"));
                }
            }
            left = rest;
        }
        for (line, event) in left {
            self.unmatched(log, who, *line, event);
        }
    }

    /// Skips recorded events up to where a batch begins.
    fn skip_unmatched<'a>(
        &mut self,
        log: &Log,
        who: Who,
        recorded: &'a [(usize, Event)],
        batch: &Batch,
    ) -> &'a [(usize, Event)] {
        let mut left = recorded;
        while let [(line, event), rest @ ..] = left
            && matching(left, batch).is_none()
            && matching(rest, batch).is_some()
        {
            self.unmatched(log, who, *line, event);
            left = rest;
        }
        left
    }

    /// Events of one removal, in another order.
    fn removal(&mut self, recorded: &[(usize, Event)], batch: &Batch) {
        for (line, event) in recorded {
            if batch.events.contains(event) {
                self.explain(HostRule::OrderOfRemoval, *line);
            } else {
                self.explain(HostRule::NothingWasThere, *line);
            }
        }
    }

    /// An event that only oxenstored sent.
    fn unmatched(&mut self, log: &Log, who: Who, line: usize, event: &Event) {
        if last_removal_above(log, who, line, event) {
            self.explain(HostRule::NothingWasThere, line);
        } else if event.path == access_log::RELEASE_DOMAIN {
            self.explain(HostRule::EndsOnce, line);
        } else {
            self.wrong.push(format!("line {line}: {who} was to hear {event:?}"));
        }
    }
}

/// How many recorded events, at least, are those of a batch and perhaps the same again;
/// none if they are not.
fn matching(recorded: &[(usize, Event)], batch: &Batch) -> Option<usize> {
    let after = recorded.iter().take_while(|(line, _)| *line >= batch.line).count();
    let events = &batch.events;
    (events.len()..=after).find(|&length| {
        let segment = recorded.get(..length).unwrap_or_default();
        let last = segment.iter().enumerate().filter(|(index, (_, event))| {
            segment.iter().skip(index + 1).all(|(_, later)| later != event)
        });
        last.map(|(_, (_, event))| event).eq(events)
    })
}

/// How many more are equal to the last one, unless those are of the next batch.
fn trailing(recorded: &[(usize, Event)], length: usize, next: Option<&Event>) -> usize {
    let (matched, rest) = recorded.split_at(length);
    let Some((_, last)) = matched.last().filter(|(_, last)| Some(last) != next) else {
        return 0;
    };
    rest.iter().take_while(|(_, event)| event == last).count()
}

fn is_commit(log: &Log, line: usize) -> bool {
    log.deeds.iter().any(|deed| {
        let end = matches!(deed.what, What::Ask { kind: MessageType::TransactionEnd, .. });
        deed.line == line && end
    })
}

/// Events that come again later in the list.
fn repeated(segment: &[(usize, Event)]) -> impl Iterator<Item = &(usize, Event)> {
    segment.iter().enumerate().filter_map(|(index, entry)| {
        segment.iter().skip(index + 1).any(|(_, later)| *later == entry.1).then_some(entry)
    })
}

/// How many recorded events are those of a removal, in whatever order, and of what was not
/// there below it; none if one of the batch is missing.
fn reordered(log: &Log, who: Who, recorded: &[(usize, Event)], batch: &Batch) -> Option<usize> {
    let path = removed(log.deeds.iter().find(|deed| deed.line == batch.line)?)?;
    let ours = |event: &Event| batch.events.contains(event);
    let of_it = |(line, event): &&(usize, Event)| {
        *line >= batch.line && (ours(event) || is_below(who, event, path))
    };
    let segment: Vec<_> = recorded.iter().take_while(of_it).collect();
    let heard = |event: &Event| segment.iter().any(|(_, other)| other == event);
    batch.events.iter().all(heard).then_some(segment.len())
}

/// Whether the last change before `line` was the removal of something above the
/// event's path: the case where oxenstored tells of what was not there.
fn last_removal_above(log: &Log, who: Who, line: usize, event: &Event) -> bool {
    let changes = log.deeds.iter().rev().filter(|deed| deed.line < line);
    let last = { changes }.find(|deed| {
        use MessageType as T;
        let What::Ask { kind, transaction: 0, refused: None, .. } = &deed.what else {
            return false;
        };
        matches!(kind, T::Rm | T::Write | T::Mkdir | T::SetPerms)
    });
    last.and_then(removed).is_some_and(|path| is_below(who, event, path))
}

/// What a deed removed.
fn removed(deed: &Deed) -> Option<&[u8]> {
    match &deed.what {
        What::Ask { kind: MessageType::Rm, payload, transaction: 0, refused: None } => {
            split_string(payload).map(|(path, _)| path)
        }
        _ => None,
    }
}

/// Whether the event's path is below another, which is absolute.
fn is_below(who: Who, event: &Event, path: &[u8]) -> bool {
    let absolute = match who {
        Who::Domain(domid) if !event.path.starts_with('/') => {
            format!("/local/domain/{domid}/{}", event.path)
        }
        _ => event.path.clone(),
    };
    absolute.as_bytes().strip_prefix(path).is_some_and(|rest| rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(paths: &[&str]) -> Vec<(usize, Event)> {
        let event = |path: &&str| Event { path: (*path).to_owned(), token: "t".to_owned() };
        paths.iter().enumerate().map(|(index, path)| (index + 10, event(path))).collect()
    }

    fn batch(line: usize, paths: &[&str]) -> Batch {
        Batch { line, events: recorded(paths).into_iter().map(|(_, event)| event).collect() }
    }

    #[test]
    fn repeated_events_belong_to_one_commit() {
        let log = recorded(&["/a", "/a", "/b", "/c"]);
        assert_eq!(matching(&log, &batch(1, &["/a"])), Some(1));
        assert_eq!(matching(&log, &batch(1, &["/a", "/b"])), Some(3));
        assert_eq!(matching(&log, &batch(1, &["/b"])), None);
        assert_eq!(repeated(&log).count(), 1);
        let twice = recorded(&["/a", "/b", "/b", "/c"]);
        let (b, c) = (&twice[1].1, &twice[3].1);
        assert_eq!(trailing(&twice, 2, Some(c)), 1);
        assert_eq!(trailing(&twice, 2, Some(b)), 0);
    }

    #[test]
    fn an_event_does_not_come_before_its_cause() {
        assert_eq!(matching(&recorded(&["/a"]), &batch(11, &["/a"])), None);
    }
}
