//! The scenes, in order.

use std::time::Duration;

use xenstore_conformance::access_log::{Deed, What, Who};
use xenstore_wire::MessageType;

use crate::devices::{DISK, NETWORK};
use crate::failure::Failure;
use crate::programs::Programs;
use crate::recording::{ADMIN, CONSOLE_DAEMON, Recording};
use crate::stage::{Stage, surprise};
use crate::transcript::{Answer, Transcript};

/// The guest that is looked at, the one that is switched off, and the one that crashes.
const FIRST: Who = Who::Domain(1);
const SECOND: Who = Who::Domain(2);
const THIRD: Who = Who::Domain(3);

/// More nodes, and more watches, than any guest may have.
const MORE_THAN_ENOUGH: usize = 10_000;

/// Plays the whole of it. What is returned is the host at the end, with one guest left.
pub fn tell(programs: &Programs, transcript: Transcript) -> Result<Stage, Failure> {
    let recording = Recording::load()?;
    let mut stage = Stage::new(programs, transcript)?;
    boot(&mut stage, &recording)?;
    talk(&mut stage, &recording)?;
    attach(&mut stage)?;
    look(&mut stage)?;
    overdo(&mut stage)?;
    power_off(&mut stage, &recording)?;
    crash(&mut stage, &recording)?;
    afterwards(&mut stage)?;
    Ok(stage)
}

fn boot(stage: &mut Stage, recording: &Recording) -> Result<(), Failure> {
    stage.transcript.scene("Domain 0 boots: its kernel on its ring, its programs on the socket")?;
    counted(stage, &recording.dom0())?;
    stage.transcript.scene("xl creates three guests, as on the recorded host")?;
    for domid in 1..=3 {
        stage.create(domid)?;
        counted(stage, &recording.create(domid))?;
    }
    Ok(())
}

fn talk(stage: &mut Stage, recording: &Recording) -> Result<(), Failure> {
    stage.transcript.scene("Linux boots in guest 1 and talks over its ring")?;
    all(stage, &recording.linux(1))?;
    stage.transcript.scene("It asks for what is not its own")?;
    all(stage, &recording.trespass())?;
    stage.transcript.scene("Somebody in domain 0 writes to it, and it answers")?;
    all(stage, &recording.ping())?;
    stage.transcript.scene("Linux boots in the other two")?;
    for domid in [2, 3] {
        counted(stage, &recording.linux(domid))?;
    }
    Ok(())
}

fn attach(stage: &mut Stage) -> Result<(), Failure> {
    stage.transcript.scene("xl attaches a disk to guest 1; its two drivers find each other")?;
    stage.transcript.count();
    DISK.attach(stage)?;
    stage.transcript.tell_count()?;
    DISK.connect(stage)?;
    stage.transcript.scene("And a network card")?;
    stage.transcript.count();
    NETWORK.attach(stage)?;
    NETWORK.connect(stage)?;
    stage.transcript.tell_count()?;
    stage.read(FIRST, "device/vif/0/state", "4")?;
    stage.read(FIRST, "/local/domain/0/backend/vif/1/0/state", "4")
}

fn look(stage: &mut Stage) -> Result<(), Failure> {
    stage.transcript.scene("The tree of guest 1")?;
    stage.run(&["ls", "-p", "/local/domain/1"])?;
    stage.transcript.scene("What it has, and the most it ever had")?;
    stage.run(&["control", "quota", "1"])?;
    stage.transcript.scene("What a guest may have")?;
    stage.run(&["control", "quota"])?;
    Ok(())
}

/// A guest takes what it can get.
fn overdo(stage: &mut Stage) -> Result<(), Failure> {
    stage.transcript.scene("Guest 2 writes and watches until it may not any more")?;
    stage.transcript.count();
    // Not all in one directory: the names of children are part of a node's size.
    let place = |n| format!("data/{}/{}\0x", n / 100, n % 100);
    let node = until_refused(stage, MessageType::Write, place)?;
    let watch = until_refused(stage, MessageType::Watch, |n| format!("data\0token-{n}\0"))?;
    stage.transcript.tell_count()?;
    stage.ask(SECOND, MessageType::Write, 0, node.as_bytes())?;
    stage.ask(SECOND, MessageType::Watch, 0, watch.as_bytes())?;
    // The others have their own.
    stage.write(FIRST, 0, "data/hello", "still here")?;
    stage.run(&["control", "quota", "2"])?;
    Ok(())
}

/// Has a guest ask for more and more until there is no room: what it asked for last.
fn until_refused(
    stage: &mut Stage,
    kind: MessageType,
    request: impl Fn(usize) -> String,
) -> Result<String, Failure> {
    for number in 0..MORE_THAN_ENOUGH {
        let request = request(number);
        let answer = stage.ask(SECOND, kind, 0, request.as_bytes())?;
        match answer {
            Answer::Granted(_) => {}
            Answer::Refused(error) if error == "ENOSPC" => return Ok(request),
            other @ Answer::Refused(_) => {
                return Err(surprise(SECOND, kind, request.as_bytes(), "ENOSPC", &other));
            }
        }
    }
    let last = request(MORE_THAN_ENOUGH);
    let always = Answer::Granted(b"OK\0".to_vec());
    Err(surprise(SECOND, kind, last.as_bytes(), "ENOSPC", &always))
}

fn power_off(stage: &mut Stage, recording: &Recording) -> Result<(), Failure> {
    stage.transcript.scene("Somebody switches guest 2 off")?;
    stage.connect(ADMIN)?;
    stage.heard(SECOND);
    stage.heard(CONSOLE_DAEMON);
    stage.write(ADMIN, 0, "/local/domain/2/control/shutdown", "poweroff")?;
    stage.hears(SECOND, "control/shutdown")?;
    obey(stage, SECOND)?;
    stage.transcript.remark("guest 2 stops; the hypervisor tells the daemon")?;
    stage.shut_down(2)?;
    stage.hears(CONSOLE_DAEMON, "@releaseDomain")?;
    dismantle(stage, &recording.destroy(2))
}

/// What Linux does when `control/shutdown` changed: reads it and, in the same transaction,
/// makes it empty to say that it was seen.
fn obey(stage: &mut Stage, who: Who) -> Result<String, Failure> {
    let transaction = 1;
    stage.get(who, MessageType::TransactionStart, transaction, b"\0")?;
    let what = stage.get(who, MessageType::Read, transaction, b"control/shutdown\0")?;
    if !what.is_empty() {
        stage.write(who, transaction, "control/shutdown", "")?;
    }
    stage.get(who, MessageType::TransactionEnd, transaction, b"T\0")?;
    Ok(String::from_utf8_lossy(&what).into_owned())
}

fn crash(stage: &mut Stage, recording: &Recording) -> Result<(), Failure> {
    stage.transcript.scene("Guest 3 crashes: in a transaction, in the middle of a request")?;
    stage.heard(CONSOLE_DAEMON);
    stage.get(THIRD, MessageType::TransactionStart, 1, b"\0")?;
    stage.write(THIRD, 1, "data/never", "seen")?;
    stage.cut_short(THIRD, &MessageType::Write.number().to_ne_bytes())?;
    stage.transcript.remark("4 bytes of a header, and no more; the hypervisor tells the daemon")?;
    stage.shut_down(3)?;
    stage.hears(CONSOLE_DAEMON, "@releaseDomain")?;
    dismantle(stage, &recording.destroy(3))
}

/// `xl` takes apart what it made of a guest.
///
/// It removes the directory above a device if it finds it empty. On the recorded host it
/// always was: the guests came one after the other.
fn dismantle(stage: &mut Stage, deeds: &[Deed]) -> Result<(), Failure> {
    stage.transcript.remark("xl takes it apart")?;
    stage.transcript.count();
    let mut inhabited = None;
    for deed in deeds {
        match &deed.what {
            What::Ask { kind: MessageType::Rm, payload, .. } if inhabited == Some(payload) => {}
            What::Ask { kind: MessageType::Directory, payload, .. } => {
                let found = stage.act(deed)?;
                let is_empty = found == Some(Answer::Granted(Vec::new()));
                inhabited = Some(payload).filter(|_| !is_empty);
            }
            _ => drop(stage.act(deed)?),
        }
    }
    Ok(stage.transcript.tell_count()?)
}

/// Nothing is left of the dead.
fn afterwards(stage: &mut Stage) -> Result<(), Failure> {
    stage.transcript.scene("Nothing is left of guests 2 and 3")?;
    stage.run(&["list", "/local/domain"])?;
    let nodes = stage.output(&["ls", "-f", "-p", "/"])?;
    if let Some(left) = nodes.lines().find(|line| names_the_dead(line)) {
        let command = "xenstore ls -f -p /".to_owned();
        return Err(Failure::Tool { command, found: left.to_owned() });
    }
    let count = nodes.lines().count();
    let text = format!("{count} nodes; none of 2 or 3, none belongs to them or lets them in");
    stage.transcript.remark(&text)?;
    let quota = ["control", "quota", "3"];
    match stage.output(&quota) {
        Err(Failure::Tool { command, found }) => stage.transcript.ran(&command, &found)?,
        other => {
            let command = "xenstore control quota 3".to_owned();
            return Err(Failure::Tool { command, found: other? });
        }
    }
    stage.transcript.remark("and are all accounts what a recount gives?")?;
    stage.run(&["control", "check"])?;
    stage.read(FIRST, "data/hello", "still here")
}

/// Whether a line of `xenstore ls -f -p` is of guest 2 or 3.
fn names_the_dead(line: &str) -> bool {
    let (path, rest) = line.split_once(" = ").unwrap_or((line, ""));
    let permissions = rest.rsplit_once('(').map_or("", |(_, list)| list.trim_end_matches(')'));
    let is_dead = |domid: &str| ["2", "3"].contains(&domid);
    path.split('/').any(is_dead)
        || permissions.split(',').any(|entry| entry.get(1..).is_some_and(is_dead))
}

/// Lets the host go on until somebody interrupts: what anybody is told is shown, and guest 1
/// does what it is told to.
pub fn stay(stage: &mut Stage) -> Result<(), Failure> {
    stage.transcript.scene("The host goes on, with guest 1. In another terminal:")?;
    let socket = format!("export XENSTORED_PATH={}", stage.socket().display());
    let tool = format!("alias xenstore={}", stage.tool.display());
    let write = "xenstore write /local/domain/1";
    let [ping, off] = ["data/ping hello", "control/shutdown poweroff"];
    for line in [socket, tool, format!("{write}/{ping}"), format!("{write}/{off}")] {
        stage.transcript.ran(&line, "")?;
    }
    stage.heard(FIRST);
    let mut runs = true;
    loop {
        if !stage.listen()? {
            std::thread::sleep(Duration::from_millis(50));
        } else if runs
            && stage.heard(FIRST).iter().any(|path| path == "control/shutdown")
            && !obey(stage, FIRST)?.is_empty()
        {
            stage.transcript.remark("guest 1 stops; the hypervisor tells the daemon")?;
            stage.cut_short(FIRST, b"")?;
            stage.shut_down(1)?;
            runs = false;
        }
    }
}

/// Does what the log tells of, line by line.
fn all(stage: &mut Stage, deeds: &[Deed]) -> Result<(), Failure> {
    deeds.iter().try_for_each(|deed| stage.act(deed).map(|_| ()))
}

/// The same, shown as numbers.
fn counted(stage: &mut Stage, deeds: &[Deed]) -> Result<(), Failure> {
    stage.transcript.count();
    all(stage, deeds)?;
    Ok(stage.transcript.tell_count()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_known_by_path_and_by_permission() {
        assert!(names_the_dead("/libxl/2 = \"\"   (n0)"));
        assert!(names_the_dead("/tool = \"(\"   (n0,r3)"));
        assert!(!names_the_dead("/local/domain/1/domid = \"2\"   (n1,r0)"));
    }
}
