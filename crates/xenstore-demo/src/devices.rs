//! A disk and a network card come to be.
//!
//! The recorded host has neither. `xl` attaches them in a transaction like the one in which
//! it is recorded to attach a keyboard; what the two drivers then do is what Linux' drivers
//! do (`xenbus.h`, `blkif.h`, `netif.h`): each tells its state in a node of its own, and
//! watches the other's.

use xenstore_conformance::access_log::Who;
use xenstore_wire::MessageType;

use crate::failure::Failure;
use crate::recording::ATTACH;
use crate::stage::{Stage, surprise};
use crate::transcript::Answer;

/// A driver's state (`xenbus.h`).
const INITIALISING: &str = "1";
const INIT_WAIT: &str = "2";
const INITIALISED: &str = "3";
const CONNECTED: &str = "4";

/// Names of nodes and their values.
type Nodes = &'static [(&'static str, &'static str)];

/// A device of the first guest.
#[derive(Debug, Clone, Copy)]
pub struct Device {
    kind: &'static str,
    number: &'static str,
    /// What `xl` tells the guest's driver.
    frontend: Nodes,
    /// What `xl` tells domain 0's driver.
    backend: Nodes,
    /// What domain 0's driver offers.
    offers: Nodes,
    /// Where the guest's driver is to be found, and what it wants.
    rings: Nodes,
    /// The state of the guest's driver once it said so.
    ready: &'static str,
    /// What domain 0's driver tells of the device when it is connected.
    details: Nodes,
}

/// A disk.
pub const DISK: Device = Device {
    kind: "vbd",
    number: "51712",
    frontend: &[("virtual-device", "51712"), ("device-type", "disk")],
    backend: &[
        ("removable", "0"),
        ("bootable", "1"),
        ("dev", "xvda"),
        ("type", "phy"),
        ("mode", "w"),
        ("device-type", "disk"),
        ("params", "/dev/vg0/guest-1"),
    ],
    offers: &[("max-ring-page-order", "4"), ("feature-persistent", "1")],
    rings: &[("ring-ref", "8"), ("event-channel", "9"), ("protocol", "x86_64-abi")],
    ready: INITIALISED,
    details: &[
        ("feature-flush-cache", "1"),
        ("sectors", "20971520"),
        ("info", "0"),
        ("sector-size", "512"),
    ],
};

/// A network card.
pub const NETWORK: Device = Device {
    kind: "vif",
    number: "0",
    frontend: &[("handle", "0"), ("mac", "00:16:3e:00:00:01")],
    backend: &[
        ("script", "/etc/xen/scripts/vif-bridge"),
        ("mac", "00:16:3e:00:00:01"),
        ("bridge", "xenbr0"),
        ("handle", "0"),
        ("type", "vif"),
    ],
    offers: &[("feature-sg", "1"), ("feature-gso-tcpv4", "1"), ("feature-rx-copy", "1")],
    rings: &[
        ("tx-ring-ref", "10"),
        ("rx-ring-ref", "11"),
        ("event-channel", "12"),
        ("request-rx-copy", "1"),
        ("feature-rx-notify", "1"),
    ],
    ready: CONNECTED,
    details: &[],
};

const BACK: Who = Who::Domain(0);
const FRONT: Who = Who::Domain(1);
const TRANSACTION: u32 = 100;

impl Device {
    /// `xl` attaches it.
    pub fn attach(&self, stage: &mut Stage) -> Result<(), Failure> {
        let (front, back, list) = (self.front(), self.back(), self.list());
        let fields = |own: Nodes, other: &str, to: &str, id: &str| -> Vec<(String, String)> {
            let common = [(other, to), (&*format!("{other}-id"), id), ("state", INITIALISING)];
            common.iter().chain(own).map(|&(n, v)| (n.to_owned(), v.to_owned())).collect()
        };
        stage.connect(ATTACH)?;
        begin(stage, ATTACH)?;
        stage.write(ATTACH, TRANSACTION, &format!("{list}/frontend"), &front)?;
        stage.write(ATTACH, TRANSACTION, &format!("{list}/backend"), &back)?;
        make(stage, &front, "n1\0r0\0")?;
        for (name, value) in fields(self.frontend, "backend", &back, "0") {
            stage.write(ATTACH, TRANSACTION, &format!("{front}/{name}"), &value)?;
        }
        make(stage, &back, "n0\0r1\0")?;
        stage.write(ATTACH, TRANSACTION, &format!("{back}/online"), "1")?;
        for (name, value) in fields(self.backend, "frontend", &front, "1") {
            stage.write(ATTACH, TRANSACTION, &format!("{back}/{name}"), &value)?;
        }
        commit(stage, ATTACH)
    }

    /// The two drivers find each other.
    pub fn connect(&self, stage: &mut Stage) -> Result<(), Failure> {
        let (front, back) = (self.front(), self.back());
        let (front_state, back_state) = (format!("{front}/state"), format!("{back}/state"));
        // Their own side both of them spell as they watch it, relative to their home.
        let own_front = format!("device/{}/{}", self.kind, self.number);
        let own_back = format!("backend/{}/1/{}", self.kind, self.number);

        stage.hears(BACK, &format!("{own_back}/state"))?;
        stage.read(BACK, &format!("{own_back}/frontend"), &front)?;
        watch(stage, BACK, &front_state)?;
        for (name, value) in self.offers {
            stage.write(BACK, 0, &format!("{own_back}/{name}"), value)?;
        }
        switch(stage, BACK, &own_back, INITIALISING, INIT_WAIT)?;

        stage.hears(FRONT, &format!("{own_front}/state"))?;
        stage.read(FRONT, &format!("{own_front}/backend"), &back)?;
        watch(stage, FRONT, &back_state)?;
        stage.read(FRONT, &back_state, INIT_WAIT)?;
        for (name, value) in self.offers {
            stage.read(FRONT, &format!("{back}/{name}"), value)?;
        }
        begin(stage, FRONT)?;
        for (name, value) in self.rings {
            stage.write(FRONT, TRANSACTION, &format!("{own_front}/{name}"), value)?;
        }
        commit(stage, FRONT)?;
        switch(stage, FRONT, &own_front, INITIALISING, self.ready)?;

        stage.hears(BACK, &front_state)?;
        stage.read(BACK, &front_state, self.ready)?;
        for (name, value) in self.rings {
            stage.read(BACK, &format!("{front}/{name}"), value)?;
        }
        for (name, value) in self.details {
            stage.write(BACK, 0, &format!("{own_back}/{name}"), value)?;
        }
        switch(stage, BACK, &own_back, INIT_WAIT, CONNECTED)?;

        stage.hears(FRONT, &back_state)?;
        stage.read(FRONT, &back_state, CONNECTED)?;
        for (name, value) in self.details {
            stage.read(FRONT, &format!("{back}/{name}"), value)?;
        }
        if self.ready != CONNECTED {
            switch(stage, FRONT, &own_front, self.ready, CONNECTED)?;
            stage.hears(BACK, &front_state)?;
            stage.read(BACK, &front_state, CONNECTED)?;
        }
        Ok(())
    }

    fn front(&self) -> String {
        format!("/local/domain/1/device/{}/{}", self.kind, self.number)
    }

    fn back(&self) -> String {
        format!("/local/domain/0/backend/{}/1/{}", self.kind, self.number)
    }

    /// Where `xl` keeps its own list of devices.
    fn list(&self) -> String {
        format!("/libxl/1/device/{}/{}", self.kind, self.number)
    }
}

/// A directory of its own for one side of a device.
fn make(stage: &mut Stage, path: &str, permissions: &str) -> Result<(), Failure> {
    stage.get(ATTACH, MessageType::Mkdir, TRANSACTION, format!("{path}\0").as_bytes())?;
    let permissions = format!("{path}\0{permissions}");
    stage.get(ATTACH, MessageType::SetPerms, TRANSACTION, permissions.as_bytes()).map(|_| ())
}

fn watch(stage: &mut Stage, who: Who, path: &str) -> Result<(), Failure> {
    let payload = format!("{path}\0otherend\0");
    stage.get(who, MessageType::Watch, 0, payload.as_bytes())?;
    stage.hears(who, path)
}

/// A driver's state changes: never from one it did not know of, as `xenbus_switch_state`
/// has it.
fn switch(stage: &mut Stage, who: Who, own: &str, from: &str, to: &str) -> Result<(), Failure> {
    let path = format!("{own}/state");
    begin(stage, who)?;
    let asked = format!("{path}\0");
    let found = stage.get(who, MessageType::Read, TRANSACTION, asked.as_bytes())?;
    if found != from.as_bytes() {
        let found = Answer::Granted(found);
        return Err(surprise(who, MessageType::Read, asked.as_bytes(), from, &found));
    }
    stage.write(who, TRANSACTION, &path, to)?;
    commit(stage, who)
}

fn begin(stage: &mut Stage, who: Who) -> Result<(), Failure> {
    stage.get(who, MessageType::TransactionStart, TRANSACTION, b"\0").map(|_| ())
}

fn commit(stage: &mut Stage, who: Who) -> Result<(), Failure> {
    stage.get(who, MessageType::TransactionEnd, TRANSACTION, b"T\0").map(|_| ())
}
