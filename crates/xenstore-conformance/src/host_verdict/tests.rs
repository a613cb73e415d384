//! Regressions that must not be taken for deliberate differences: what came of short logs is
//! spoiled, and then it is wrong.

use super::*;
use crate::access_log;
use crate::host_replay::relive;

/// A log without its times, and what comes of it with us.
fn host(lines: &str) -> (Log, Relived) {
    let lines: Vec<_> = lines.lines().map(|line| format!("[]  {line}\n")).collect();
    let log = access_log::parse(&lines.concat()).unwrap();
    let relived = relive(&log).unwrap();
    (log, relived)
}

/// The lines that a rule explains, if nothing is wrong.
fn explained(log: &Log, relived: &Relived, rule: HostRule) -> Vec<usize> {
    let tally = judge(log, relived);
    assert_eq!(tally.wrong, [""; 0]);
    tally.by_rule.get(&rule).cloned().unwrap_or_default()
}

/// Whether what came of it is wrong after something was done to a client's batches.
fn is_wrong(log: &Log, relived: &Relived, spoil: impl Fn(&mut Vec<Batch>)) -> bool {
    let events = relived.events.iter().map(|(who, batches)| (*who, batches.clone()));
    let mut spoilt = Relived { refusals: relived.refusals.clone(), events: events.collect() };
    spoil(spoilt.events.get_mut(&Who::Socket(1)).unwrap());
    !judge(log, &spoilt).wrong.is_empty()
}

const REMOVAL: &str = "\
A1 newconn
A1 write     /a/z 1
A1 write     /a/b 1
A1 write     /a/z/deep 1
A1 watch     /a/b t
A1 w event   /a/b t
A1 watch     /a/none t
A1 w event   /a/none t
A1 watch     /a/z t
A1 w event   /a/z t
A1 watch     /a/z/deep t
A1 w event   /a/z/deep t
A1 rm        /a
A1 w event   /a/b t
A1 w event   /a/none t
A1 w event   /a/z t
A1 w event   /a/z/deep t
";

#[test]
fn a_removal_is_told_from_the_bottom_up_and_each_node_once() {
    let (log, relived) = host(REMOVAL);
    assert_eq!(explained(&log, &relived, HostRule::OrderOfRemoval), [14, 16, 17]);
    assert_eq!(explained(&log, &relived, HostRule::NothingWasThere), [15]);

    let wrong = |change: fn(&mut Vec<Event>)| {
        is_wrong(&log, &relived, |batches| change(&mut batches.last_mut().unwrap().events))
    };
    assert!(!wrong(|_| ()));
    assert!(wrong(|events| events.reverse()));
    // Siblings: z was there before b.
    assert!(wrong(|events| events.rotate_right(1)));
    assert!(wrong(|events| events.push(events[0].clone())));
    assert!(wrong(|events| drop(events.remove(0))));
    assert!(wrong(|events| "/a/none".clone_into(&mut events[0].path)));
    assert!(wrong(Vec::clear));
}

/// A watch on what a removal did not find and a commit then makes: its event is not one that
/// only oxenstored sends.
#[test]
fn a_commit_after_a_removal_is_told() {
    let (log, relived) = host(&format!(
        "{REMOVAL}\
A1.1 t start
A1.1 write     /a/none 1
A1.1 t end
A1.1 commit
A1 w event   /a/none t
"
    ));
    assert_eq!(explained(&log, &relived, HostRule::NothingWasThere), [15]);
    assert!(is_wrong(&log, &relived, |batches| drop(batches.pop())));
}

/// Domain 2 shuts down and stays, domain 1 goes, and when the last of it is gone oxenstored
/// tells of domain 2 again.
#[test]
fn every_end_is_told_of_and_only_oxenstored_tells_again() {
    let (log, relived) = host(
        "\
A1 newconn
A1 watch     @releaseDomain t
A1 w event   @releaseDomain t
A1 introduce 1 9 7
D1 newconn
A1 introduce 2 9 8
D2 newconn
D1 getdomain 1
D2 getdomain 2
A1 w event   @releaseDomain t
D1 endconn
A1 w event   @releaseDomain t
A1 w event   @releaseDomain t
D2 endconn
A1 w event   @releaseDomain t
",
    );
    let down: Vec<_> = log.deeds.iter().filter(|deed| deed.what == What::ShutDown).collect();
    assert_eq!(down, [&Deed { line: 10, who: Who::Domain(2), what: What::ShutDown }]);
    assert_eq!(explained(&log, &relived, HostRule::EndsOnce), [13]);

    let ends = relived.events[&Who::Socket(1)].iter().map(|batch| batch.line);
    assert_eq!(ends.collect::<Vec<_>>(), [2, 10, 11, 14]);
    for untold in 1..4 {
        assert!(is_wrong(&log, &relived, |batches| drop(batches.remove(untold))));
    }
    let of_ends = |event: &Event| event.path == RELEASE_DOMAIN;
    assert!(is_wrong(&log, &relived, |batches| {
        batches.retain(|batch| batch.line == 2 || !batch.events.iter().any(of_ends));
    }));
}

/// A soft reset: the domain is let go of while it is there, and introduced again. Only what it
/// owned goes, and only we tell of that.
#[test]
fn what_goes_with_its_owner_is_told_of_by_us_alone() {
    let (log, relived) = host(
        "\
A1 newconn
A1 mkdir     /own
A1 setperms  /own n1 r0
A1 mkdir     /other
A1 setperms  /other n0 r1
A1 watch     /own t
A1 w event   /own t
A1 watch     /other t
A1 w event   /other t
A1 watch     @releaseDomain t
A1 w event   @releaseDomain t
A1 introduce 1 9 7
D1 newconn
D1 getdomain 1
A1 w event   @releaseDomain t
D1 endconn
A1 release   1
A1 w event   @releaseDomain t
D1 newconn
A1 introduce 1 9 7
D1 getdomain 1
D1 endconn
A1 w event   @releaseDomain t
",
    );
    assert_eq!(explained(&log, &relived, HostRule::Orphans), [17]);
    let spoilt = |change: fn(&mut Vec<Event>)| {
        is_wrong(&log, &relived, |batches| {
            let batch = batches.iter_mut().find(|batch| batch.line == 17).unwrap();
            change(&mut batch.events);
        })
    };
    assert!(!spoilt(|_| ()));
    assert!(spoilt(|events| "/other".clone_into(&mut events[0].path)));
    assert!(spoilt(|events| events.push(events[0].clone())));
    assert!(spoilt(|events| events.truncate(1)));
}

/// What was on its way to a client when it went has no lines. Any last events of who went later
/// were once taken for such, and none of them counted.
#[test]
fn only_who_goes_is_not_told_the_rest() {
    let lines = |rest: &str| {
        let lines = "\
A2 newconn
A1 newconn
A1 watch     /a t
A1 w event   /a t
A1 watch     /b t
A1 w event   /b t
A2.1 t start
A2.1 write     /a 1
A2.1 write     /b 1
A2.1 t end
A2.1 commit
";
        host(&format!("{lines}{rest}"))
    };
    let (log, relived) = lines("A1 w event   /a t\nA1 endconn\n");
    assert_eq!(explained(&log, &relived, HostRule::CutOff), [10]);
    let tally = judge(&log, &relived);
    assert_eq!((tally.events, tally.equal_events), (4, 3));
    let (log, relived) = lines("A1 w event   /a t\n");
    assert_eq!(judge(&log, &relived).wrong.len(), 2);
    // It still asked something, and so heard what came before.
    let (log, relived) = lines("A1 w event   /a t\nA1 getdomain 1\nA1 endconn\n");
    assert_eq!(judge(&log, &relived).wrong.len(), 2);
    // It was not sent anything of it.
    let (log, relived) = lines("A1 endconn\n");
    assert_eq!(judge(&log, &relived).wrong.len(), 1);
}

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
