//! What a real host's access log has everybody say.

use xenstore_conformance::access_log::{self, Deed, Log, What, Who};
use xenstore_wire::MessageType;

use crate::failure::Failure;

/// dom0 booted, and `xl` created three guests; under oxenstored.
const LOG: &str = include_str!("../../xenstore-conformance/traces/xl-pv-guests.access.log");

/// What sets up domain 0's own nodes at boot.
pub const INIT_DOM0: Who = Who::Socket(2);
/// `xenconsoled`.
pub const CONSOLE_DAEMON: Who = Who::Socket(6);
/// What keeps a secret where only domain 0 may read it.
const SECRET: Who = Who::Socket(9);
/// The `xl` that goes on waiting for the end of the first guest.
const WAITER: Who = Who::Socket(12);
/// What wrote to the first guest.
const PING: Who = Who::Socket(32);

/// Somebody in domain 0; not of the log.
pub const ADMIN: Who = Who::Socket(100);
/// The `xl` that attaches devices; not of the log.
pub const ATTACH: Who = Who::Socket(101);

/// The `xl` that made each guest. Two of them tore their guest down again, for want of a
/// device model.
const XL: [(u16, Who); 3] = [(1, Who::Socket(11)), (2, Who::Socket(38)), (3, Who::Socket(39))];

/// The guest that ran.
const RAN: Who = Who::Domain(1);

/// How one of the cast is called.
pub fn name(who: Who) -> String {
    let text = match who {
        Who::Domain(0) => "dom0 kernel",
        Who::Domain(domid) => return format!("guest {domid}"),
        INIT_DOM0 => "init-dom0",
        CONSOLE_DAEMON => "xenconsoled",
        SECRET | PING | ADMIN => "admin",
        WAITER => "xl, waiting",
        ATTACH => "xl attach",
        Who::Socket(number) => match XL.iter().find(|(_, xl)| *xl == who) {
            Some((domid, _)) => return format!("xl, guest {domid}"),
            None => return format!("client {number}"),
        },
    };
    text.to_owned()
}

/// The `xl` that makes a guest, and ends it.
fn toolstack(domid: u16) -> Who {
    XL.iter().find(|(guest, _)| *guest == domid).map_or(WAITER, |(_, xl)| *xl)
}

/// The recorded host.
#[derive(Debug)]
pub struct Recording(Log);

impl Recording {
    /// Reads the log.
    pub fn load() -> Result<Self, Failure> {
        Ok(Self(access_log::parse(LOG)?))
    }

    /// Domain 0 boots.
    pub fn dom0(&self) -> Vec<Deed> {
        let before = self.connected(toolstack(1));
        self.of(&[Who::Domain(0), INIT_DOM0, CONSOLE_DAEMON, SECRET], 0, before)
    }

    /// `xl create`, and what domain 0's kernel and `xenconsoled` do about it.
    pub fn create(&self, domid: u16) -> Vec<Deed> {
        let xl = toolstack(domid);
        let cast = [Who::Domain(0), Who::Domain(domid), CONSOLE_DAEMON, xl, WAITER];
        let (from, to) = (self.connected(xl), self.runs(domid));
        // The first guest spoke before the last of what was done for it.
        let mut deeds = self.of(&cast, from, to);
        deeds.retain(|deed| deed.who != RAN || deed.what == What::Connect);
        deeds
    }

    /// `xl destroy` of one of the guests that were torn down.
    pub fn destroy(&self, domid: u16) -> Vec<Deed> {
        let xl = toolstack(domid);
        let cast = [Who::Domain(0), Who::Domain(domid), CONSOLE_DAEMON, xl];
        self.of(&cast, self.runs(domid), self.gone(xl))
    }

    /// A Linux guest boots and its first program says hello.
    pub fn linux(&self, domid: u16) -> Vec<Deed> {
        self.guest(domid).filter(|deed| deed.line < self.forbidden()).collect()
    }

    /// It tries what it must not.
    pub fn trespass(&self) -> Vec<Deed> {
        let ping = self.connected(PING);
        self.guest(1).filter(|deed| (self.forbidden()..ping).contains(&deed.line)).collect()
    }

    /// It is sent something, and sends it back.
    pub fn ping(&self) -> Vec<Deed> {
        let from = self.connected(PING);
        let connected = |deed: &Deed| deed.what == What::Connect;
        let mut deeds = self.of(&[PING, RAN], from, usize::MAX);
        deeds.retain(|deed| deed.who == PING || !connected(deed));
        deeds
    }

    /// What some did in lines `from` to `to`.
    fn of(&self, cast: &[Who], from: usize, to: usize) -> Vec<Deed> {
        let deeds = self.0.deeds.iter().filter(|deed| (from..to).contains(&deed.line));
        deeds.filter(|deed| cast.contains(&deed.who)).cloned().collect()
    }

    /// What the guest that ran asked for, as another guest asks it.
    fn guest(&self, domid: u16) -> impl Iterator<Item = Deed> {
        let asked = |deed: &&Deed| deed.who == RAN && matches!(deed.what, What::Ask { .. });
        self.0.deeds.iter().filter(asked).cloned().map(move |mut deed| {
            deed.who = Who::Domain(domid);
            if let What::Ask { kind: MessageType::Write, payload, .. } = &mut deed.what {
                let text = String::from_utf8_lossy(payload);
                *payload = text.replace("from-1", &format!("from-{domid}")).into_bytes();
            }
            deed
        })
    }

    /// The line in which a client connected.
    fn connected(&self, who: Who) -> usize {
        self.line(|deed| deed.who == who && deed.what == What::Connect)
    }

    fn gone(&self, who: Who) -> usize {
        self.line(|deed| deed.who == who && deed.what == What::Disconnect)
    }

    /// The line from which on a guest runs: the first one speaks, and the others begin to be
    /// torn down, for which `xl` asks what devices there are.
    fn runs(&self, domid: u16) -> usize {
        let devices = format!("/libxl/{domid}/device\0");
        self.line(|deed| match &deed.what {
            What::Ask { .. } if deed.who == RAN => domid == 1,
            What::Ask { kind: MessageType::Directory, payload, transaction: 0, .. } => {
                *payload == devices.as_bytes()
            }
            _ => false,
        })
    }

    /// The line in which the guest first asks for what it may not have.
    fn forbidden(&self) -> usize {
        self.line(|deed| match &deed.what {
            What::Ask { refused, .. } => deed.who == RAN && refused.as_deref() == Some("EACCES"),
            _ => false,
        })
    }

    fn line(&self, is_it: impl Fn(&Deed) -> bool) -> usize {
        self.0.deeds.iter().find(|deed| is_it(deed)).map_or(usize::MAX, |deed| deed.line)
    }
}
