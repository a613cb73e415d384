//! A host's access log against what came of it with us.
//!
//! Replies are compared request by request. Events are compared client by client: the
//! log shows when an event was sent and not what caused it, so what each of our deeds
//! caused is looked for in the order of the log, after the deed.

use std::collections::{BTreeMap, BTreeSet};

use crate::access_log::{Deed, Event, Log, RELEASE_DOMAIN, What, Who};
use crate::host_replay::{Batch, Relived};
use crate::rules::HostRule;

use nodes::{Change, Nodes, absolute};
use removal::Removal;

mod ends;
mod nodes;
mod removal;
mod replies;
#[cfg(test)]
mod tests;

/// What a comparison came to.
#[derive(Debug, Default)]
pub struct HostTally {
    /// Requests asked.
    pub requests: usize,
    /// Requests answered as recorded.
    pub equal_replies: usize,
    /// Recorded events, and those that only we sent.
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
    let (mut nodes, mut changes) = (Nodes::default(), BTreeMap::new());
    for deed in &log.deeds {
        let ours = relived.refusals.get(&deed.line);
        tally.reply(deed, ours, &nodes);
        let granted = match (&deed.what, ours) {
            (What::Ask { refused, .. }, Some(ours)) => refused.is_none() && ours.is_none(),
            (What::Ask { .. }, None) => false,
            _ => true,
        };
        if let Some(change) = granted.then(|| nodes.follow(deed)).flatten() {
            changes.insert(deed.line, change);
        }
    }
    let told = log.events.keys().chain(relived.events.keys());
    for &who in told.collect::<BTreeSet<_>>() {
        let recorded = log.events.get(&who).map_or(&[][..], Vec::as_slice);
        let ours = relived.events.get(&who).map_or(&[][..], Vec::as_slice);
        tally.events(&Hearing { log, changes: &changes, who, ours }, recorded);
    }
    tally
}

/// What a client heard, and of what.
#[derive(Clone, Copy)]
struct Hearing<'a> {
    log: &'a Log,
    /// By the line of the deed.
    changes: &'a BTreeMap<usize, Change>,
    who: Who,
    ours: &'a [Batch],
}

impl Hearing<'_> {
    /// The rule by which only oxenstored sent an event, if there is one.
    fn extra(&self, line: usize, event: &Event) -> Option<HostRule> {
        match self.changes.range(..line).next_back() {
            Some((_, Change::Removal(removal)))
                if removal.found_nothing_at(&absolute(self.who, &event.path)) =>
            {
                Some(HostRule::NothingWasThere)
            }
            _ if event.path == RELEASE_DOMAIN => {
                ends::told_again(self.log, self.ours, self.who, (line, event))
                    .then_some(HostRule::EndsOnce)
            }
            _ => None,
        }
    }

    /// What is wrong with a batch by itself, whatever was recorded.
    fn broken_promise(&self, batch: &Batch) -> Option<&'static str> {
        let twice = |(index, event)| batch.events.iter().take(index).any(|other| other == event);
        if batch.events.iter().enumerate().any(twice) {
            return Some("twice");
        }
        match self.changes.get(&batch.line) {
            Some(Change::Removal(removal)) => removal.broken_promise(self.who, &batch.events),
            Some(Change::Orphans(orphans)) => {
                let (gone, _) = self.split(orphans, batch);
                orphans.broken_promise(self.who, &gone)
            }
            _ => None,
        }
    }

    /// The events of a batch: of nodes that went with their owner, and the others.
    fn split(&self, orphans: &Removal, batch: &Batch) -> (Vec<Event>, Vec<Event>) {
        let went = |event: &Event| orphans.took(&absolute(self.who, &event.path));
        batch.events.iter().cloned().partition(went)
    }

    /// Whether the client went before it was sent all of a batch, its last one: some of it was
    /// sent, and the next that it did was to go.
    fn is_cut_off(&self, recorded: &[(usize, Event)], batch: &Batch) -> bool {
        let begun = recorded.first().is_some_and(|(line, _)| *line >= batch.line);
        let same = recorded.len() < batch.events.len()
            && recorded.iter().map(|(_, event)| event).eq(batch.events.iter().take(recorded.len()));
        let mut after = self.log.deeds.iter().filter(|deed| deed.line > batch.line);
        let next = after.find(|deed| deed.who == self.who);
        begun && same && next.is_some_and(|deed| deed.what == What::Disconnect)
    }

    /// How often a commit changed what an event tells of, or removed it with something above.
    fn requests(&self, line: usize, event: &Event) -> usize {
        let path = absolute(self.who, &event.path);
        let changed = |(named, gone): &&(String, bool)| {
            *named == path || (*gone && removal::is_below(&path, named))
        };
        match self.changes.get(&line) {
            Some(Change::Commit(named)) => named.iter().filter(changed).count(),
            _ => 0,
        }
    }
}

impl HostTally {
    fn explain(&mut self, rule: HostRule, line: usize) {
        self.by_rule.entry(rule).or_default().push(line);
    }

    fn reply(&mut self, deed: &Deed, ours: Option<&Option<String>>, nodes: &Nodes<'_>) {
        let What::Ask { kind, payload, refused, .. } = &deed.what else { return };
        self.requests += 1;
        let got = ours.and_then(Option::as_deref);
        if ours.is_some() && got == refused.as_deref() {
            self.equal_replies += 1;
        } else if let Some(rule) = replies::rule(deed, got, nodes) {
            self.explain(rule, deed.line);
        } else {
            let payload = payload.escape_ascii();
            self.wrong.push(format!(
                "line {}: {} {kind} {payload}: expected {refused:?}, got {got:?}",
                deed.line, deed.who
            ));
        }
    }

    fn events(&mut self, hearing: &Hearing<'_>, recorded: &[(usize, Event)]) {
        self.events += recorded.len();
        let who = hearing.who;
        let mut left = recorded;
        for batch in hearing.ours {
            if let Some(how) = hearing.broken_promise(batch) {
                let Batch { line, events } = batch;
                self.wrong.push(format!("line {line}: {who} was told {how}: {events:?}"));
            }
        }
        let batches = hearing.ours.iter().map(|batch| self.of_orphans(hearing, batch));
        let batches: Vec<_> = { batches }.filter(|batch| !batch.events.is_empty()).collect();
        for (index, batch) in batches.iter().enumerate() {
            left = self.skip_extra(hearing, left, batch);
            let next = batches.get(index + 1).and_then(|next| next.events.first());
            let length = if let Some(least) = matching(left, batch) {
                // What a rule has only oxenstored send is no echo of this commit.
                let echo = |(line, event): &&(usize, Event)| hearing.extra(*line, event).is_none();
                let again = trailing(left, least, next);
                let length = least + left.iter().skip(least).take(again).take_while(echo).count();
                let (matched, _) = left.split_at(length);
                self.equal_events += batch.events.len();
                self.repeated(hearing, matched, batch);
                length
            } else if let Some(Change::Removal(removal)) = hearing.changes.get(&batch.line)
                && let Some(length) = removal.reordered(who, left, batch)
            {
                self.removal(left.split_at(length).0, batch);
                length
            } else if index + 1 == batches.len() && hearing.is_cut_off(left, batch) {
                let unsent = batch.events.len() - left.len();
                self.equal_events += left.len();
                self.events += unsent;
                for _ in 0..unsent {
                    self.explain(HostRule::CutOff, batch.line);
                }
                left.len()
            } else {
                let Batch { line, events } = batch;
                self.wrong.push(format!("line {line}: {who} was not to hear {events:?}"));
                0
            };
            left = left.split_at(length).1;
        }
        for (line, event) in left {
            self.unmatched(hearing, *line, event);
        }
    }

    /// What is left of a batch without the nodes that went with their owner.
    fn of_orphans(&mut self, hearing: &Hearing<'_>, batch: &Batch) -> Batch {
        let Some(Change::Orphans(orphans)) = hearing.changes.get(&batch.line) else {
            return batch.clone();
        };
        let (gone, events) = hearing.split(orphans, batch);
        self.events += gone.len();
        for _ in gone {
            self.explain(HostRule::Orphans, batch.line);
        }
        Batch { line: batch.line, events }
    }

    /// Skips recorded events that only oxenstored sent, up to where a batch begins.
    fn skip_extra<'r>(
        &mut self,
        hearing: &Hearing<'_>,
        recorded: &'r [(usize, Event)],
        batch: &Batch,
    ) -> &'r [(usize, Event)] {
        let mut left = recorded;
        while let [(line, event), rest @ ..] = left
            && matching(left, batch).is_none()
            && (hearing.extra(*line, event).is_some() || matching(rest, batch).is_some())
        {
            self.unmatched(hearing, *line, event);
            left = rest;
        }
        left
    }

    /// An event that only oxenstored sent.
    fn unmatched(&mut self, hearing: &Hearing<'_>, line: usize, event: &Event) {
        if let Some(rule) = hearing.extra(line, event) {
            self.explain(rule, line);
        } else {
            let who = hearing.who;
            self.wrong.push(format!("line {line}: {who} was to hear {event:?}"));
        }
    }

    /// Events of a commit that were recorded more than once: as often as requests named it.
    fn repeated(&mut self, hearing: &Hearing<'_>, matched: &[(usize, Event)], batch: &Batch) {
        for (line, event) in repeated(matched) {
            let times = matched.iter().filter(|(_, other)| other == event).count();
            if times <= hearing.requests(batch.line, event) {
                self.explain(HostRule::ToldOnce, *line);
            } else {
                let who = hearing.who;
                self.wrong.push(format!("line {line}: {who} was to hear {event:?} again"));
            }
        }
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

/// Events that come again later in the list.
fn repeated(segment: &[(usize, Event)]) -> impl Iterator<Item = &(usize, Event)> {
    segment.iter().enumerate().filter_map(|(index, entry)| {
        segment.iter().skip(index + 1).any(|(_, later)| *later == entry.1).then_some(entry)
    })
}
