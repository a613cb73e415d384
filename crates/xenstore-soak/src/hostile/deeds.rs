//! What each hostile guest does, one deed at a time.

use std::io;

use xenstore_host::ring::{Field, LANE_SIZE, Lane};
use xenstore_wire::{Header, MessageType as T};

use super::{Hostile, Kind};

/// It has at most so many bytes wait for room in its ring.
const MOST_UNSENT: usize = 16 * 1024;

impl Hostile {
    pub(super) fn do_mischief(&mut self) -> io::Result<()> {
        match self.kind {
            Kind::Flood => {
                self.listen(LANE_SIZE);
                while self.guest.unsent() < LANE_SIZE {
                    let value = "f".repeat(self.random.below(100));
                    let name = self.random.below(20);
                    self.say(T::Write, 0, format!("data/{name}\0{value}"));
                    self.say(T::Directory, 0, "data\0");
                }
            }
            Kind::NeverRead => {
                self.say(T::Directory, 0, "/\0");
                self.say(T::Write, 0, format!("data/x\0{}", self.count));
            }
            Kind::Half => self.send_half(),
            Kind::Oversize => self.send_oversize()?,
            Kind::Empty => {
                self.listen(LANE_SIZE);
                let most = if self.random.chance(10) { u32::MAX - 1 } else { 40 };
                let kind = self.random.between(0, most);
                let transaction = self.random.between(0, 2);
                let length = usize::from(self.random.chance(20));
                self.say_raw(kind, transaction, length);
            }
            Kind::BadIndices => {
                let fields = [
                    Field::RequestProducer,
                    Field::RequestConsumer,
                    Field::ResponseProducer,
                    Field::ResponseConsumer,
                ];
                let field = self.random.pick(&fields);
                let value = self.random.between(0, u32::MAX - 1);
                self.guest.page().set_field(field, value);
                self.guest.fire()?;
                if self.random.chance(50) {
                    self.begin_anew()?;
                }
            }
            Kind::Shifting => self.shift()?,
            Kind::WatchRoot => {
                self.say(T::Watch, 0, format!("/\0{}{}\0", "w".repeat(500), self.count % 140));
                self.listen(1);
            }
            Kind::KeepOpen => self.keep_open(),
            Kind::LargeTransactions => self.make_large_transaction(),
            Kind::Deep => {
                self.listen(LANE_SIZE);
                let path = "data".to_owned() + &"/d".repeat(self.random.below(1000));
                self.say(T::Write, 0, format!("{path}\0deep"));
                if self.random.chance(10) {
                    self.say(T::Rm, 0, "data/d\0");
                }
            }
            Kind::Hoard => {
                self.listen(LANE_SIZE);
                let value = "h".repeat(1900);
                self.say(T::Write, 0, format!("data/h/{}\0{value}", self.count % 1200));
                if self.count.is_multiple_of(1500) {
                    self.say(T::Rm, 0, "data/h\0");
                }
            }
            Kind::Name => {
                self.listen(LANE_SIZE);
                let home = format!("n{}\0", self.guest.domid());
                let others = (0..4).map(|_| format!("b{}\0", self.random.below(600)));
                let list: String = others.collect();
                let path = format!("data/n{}\0", self.random.below(100));
                self.say(T::Write, 0, format!("{path}x"));
                self.say(T::SetPerms, 0, format!("{path}{home}{list}"));
                self.say(T::SetPerms, 0, format!("data\0{home}b32757\0b0\0"));
            }
            Kind::Reset => {
                self.listen(LANE_SIZE);
                for number in 0..5 {
                    self.say(T::Watch, 0, format!("/local/domain\0r{number}\0"));
                }
                self.say(T::ResetWatches, 0, "\0");
            }
            Kind::Reconnect => {
                self.say(T::Watch, 0, "/\0again\0");
                self.say(T::TransactionStart, 0, "\0");
                self.begin_anew()?;
            }
            Kind::Ring => (0..20).try_for_each(|_| self.guest.fire())?,
            Kind::Hold => self.hold(),
            Kind::Presume => self.presume(),
        }
        if self.guest.push().is_err() {
            // It made nonsense of its own indices.
            self.guest.forget();
        }
        Ok(())
    }

    fn say(&mut self, kind: T, transaction: u32, payload: impl AsRef<[u8]>) {
        if self.guest.unsent() < MOST_UNSENT {
            // What does not fit is not said.
            let _ = self.guest.queue_request(kind, 1, transaction, &[payload.as_ref()]);
        }
    }

    /// A header, and no payload whatever it says.
    fn say_raw(&mut self, kind: u32, transaction_id: u32, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let header = Header { kind, request_id: 1, transaction_id, length };
        if self.guest.unsent() < MOST_UNSENT {
            self.guest.queue(&header.encode());
        }
    }

    /// Takes what came, and forgets it.
    fn listen(&mut self, most: usize) {
        if self.guest.pull_at_most(most).is_ok() {
            while let Ok(Some(_)) = self.guest.next_message() {}
        }
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        self.guest.forget();
        self.transaction = 0;
        self.guest.page().set_field(Field::Connection, 1);
        self.guest.fire()
    }

    fn send_half(&mut self) {
        let whole = format!("data/half\0{}", "x".repeat(self.random.below(2000)));
        let header = Header {
            kind: T::Write.number(),
            request_id: 1,
            transaction_id: 0,
            length: u32::try_from(whole.len()).unwrap_or_default(),
        };
        let whole = [&header.encode()[..], whole.as_bytes()].concat();
        let cut = self.random.below(whole.len());
        // The next half will be taken for the rest of this one.
        self.guest.queue(&whole[..cut]);
    }

    fn send_oversize(&mut self) -> io::Result<()> {
        let most = if self.random.chance(50) { 4097 } else { u32::MAX };
        let length = self.random.between(4097, most);
        let header = Header { kind: T::Write.number(), request_id: 1, transaction_id: 0, length };
        self.guest.queue(&header.encode());
        self.guest.queue(&[b'o'; 500]);
        if self.count % 4 == 3 { self.begin_anew() } else { Ok(()) }
    }

    fn shift(&mut self) -> io::Result<()> {
        let page = self.guest.page();
        for _ in 0..20 {
            let fields = [
                Field::RequestProducer,
                Field::ResponseConsumer,
                Field::RequestConsumer,
                Field::ResponseProducer,
            ];
            let field = self.random.pick(&fields);
            let step = self.random.between(0, 63);
            page.set_field(field, page.field(field).wrapping_add(step));
            page.fill(Lane::Requests, self.random.bits().to_ne_bytes()[0]);
            self.guest.fire()?;
        }
        if self.random.chance(20) { self.begin_anew() } else { Ok(()) }
    }

    /// Begins a transaction; its number, as the daemon counts.
    fn start(&mut self) -> u32 {
        self.say(T::TransactionStart, 0, "\0");
        self.transaction += 1;
        self.transaction
    }

    fn keep_open(&mut self) {
        self.listen(LANE_SIZE);
        if self.count < 10 {
            let open = self.start();
            self.say(T::Directory, open, "/\0");
            self.say(T::Write, open, "data/kept\0in a transaction");
            return;
        }
        let open = u32::try_from(self.count % 10 + 1).unwrap_or(1);
        let domid = self.random.below(300);
        self.say(T::Read, open, format!("/local/domain/{domid}/name\0"));
        // So that there are old versions to be kept.
        self.say(T::Write, 0, format!("data/k{}\0{}", self.count % 300, "k".repeat(1000)));
    }

    fn make_large_transaction(&mut self) {
        self.listen(LANE_SIZE);
        let open = match self.transaction {
            0 => self.start(),
            open => open,
        };
        let value = "l".repeat(self.random.below(2000));
        self.say(T::Write, open, format!("data/l/{}\0{value}", self.count % 1100));
        let name = self.random.below(1100);
        self.say(T::Read, open, format!("data/l/{name}\0"));
        if self.count % 1100 == 1099 {
            let keep = if self.random.chance(50) { "T\0" } else { "F\0" };
            self.say(T::TransactionEnd, open, keep);
            self.start();
        }
    }

    /// One round of 25 deeds takes half a second: a transaction is lost to oneself, and the
    /// next one, now protected, looks at what good guests have to change.
    fn hold(&mut self) {
        self.listen(LANE_SIZE);
        if self.count.is_multiple_of(25) {
            let open = self.start();
            self.say(T::Read, open, "data/h\0");
            self.say(T::Write, 0, format!("data/h\0{}", self.count));
            self.say(T::Write, open, "data/h\0mine");
            self.say(T::TransactionEnd, open, "T\0");
            self.start();
        }
        for _ in 0..3 {
            let domid = self.random.below(300);
            self.say(T::Read, self.transaction, format!("/local/domain/{domid}/data/public\0"));
        }
        if self.count % 25 == 24 {
            self.say(T::TransactionEnd, self.transaction, "T\0");
        }
    }

    fn presume(&mut self) {
        self.listen(LANE_SIZE);
        let domid = self.random.below(300);
        let requests = [
            (T::Introduce, format!("{domid}\x001\x005\0")),
            (T::Release, format!("{domid}\0")),
            (T::Resume, format!("{domid}\0")),
            (T::SetTarget, format!("{}\x000\0", self.guest.domid())),
            (T::SetQuota, format!("{domid}\0nodes\x001\0")),
            (T::SetFeature, format!("{domid}\x000\0")),
            (T::Control, "check\0".to_owned()),
            (T::Control, "live-update\0-s\0".to_owned()),
            (T::Rm, "/local\0".to_owned()),
            (T::Write, format!("/local/domain/{domid}/name\0evil")),
            (T::SetPerms, format!("/local/domain/{domid}\0n{}\0", self.guest.domid())),
            (T::Watch, "@introduceDomain\0t\0".to_owned()),
        ];
        let (kind, payload) = self.random.pick(&requests);
        self.say(kind, 0, payload);
    }
}
