//! Random sequences of requests, well- and ill-formed.
//!
//! Names are few, so that requests meet. What a sequence consists of is drawn first:
//! most leave most of the rare things out, so that what one daemon does differently
//! does not end every sequence early.

use xenstore_wire::{MessageType as T, PAYLOAD_MAX};

use crate::random::Random;
use crate::step::{CONNECTIONS, Step, Transaction};

/// What a sequence may contain beside ordinary requests.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
struct Flavour {
    /// One connection does most, so that its transactions grow and succeed.
    leader: bool,
    /// A dozen of paths, so that the same ones are changed again and again.
    narrow: bool,
    transactions: bool,
    watches: bool,
    specials: bool,
    domains: bool,
    newer_requests: bool,
    misspelt: bool,
    garbage: bool,
    root: bool,
    long: bool,
    control: bool,
}

impl Flavour {
    fn draw(random: &mut Random) -> Self {
        Self {
            leader: random.chance(50),
            narrow: random.chance(40),
            transactions: random.chance(70),
            watches: random.chance(70),
            specials: random.chance(30),
            domains: random.chance(25),
            newer_requests: random.chance(15),
            misspelt: random.chance(35),
            garbage: random.chance(15),
            root: random.chance(30),
            long: random.chance(8),
            control: random.chance(10),
        }
    }
}

/// A sequence of `length` requests.
pub fn sequence(random: &mut Random, length: usize) -> Vec<Step> {
    let flavour = Flavour::draw(random);
    let mut generator = Generator { random, flavour, open: [[false; 2]; CONNECTIONS] };
    (0..length).map(|_| generator.step()).collect()
}

struct Generator<'r> {
    random: &'r mut Random,
    flavour: Flavour,
    /// Which transactions are probably open.
    open: [[bool; 2]; CONNECTIONS],
}

impl Generator<'_> {
    fn step(&mut self) -> Step {
        let leads = self.flavour.leader && self.random.chance(75);
        let connection = if leads { 0 } else { self.random.below(CONNECTIONS) };
        let mut kind = self.kind();
        // Most transactions are to be ended, and most ends to end one.
        let open = self.open[connection].contains(&true);
        match kind {
            Some(T::TransactionStart) if open && self.random.chance(85) => {
                kind = Some(T::TransactionEnd);
            }
            Some(T::TransactionEnd) if !open && self.random.chance(85) => kind = Some(T::Write),
            _ => {}
        }
        let transaction = self.transaction(connection, kind);
        let garbage = if self.flavour.garbage { 30 } else { 0 };
        let payload = match kind {
            Some(_) if self.random.chance(garbage) => self.garbage(),
            Some(kind) => self.payload(kind),
            None => self.garbage(),
        };
        let payload = payload[..payload.len().min(PAYLOAD_MAX)].to_vec();
        let number = kind.map_or_else(|| self.random.pick(&[20, 27, 28, 255, 65535]), T::number);
        let slot = u8::from(self.random.chance(30));
        match (kind, transaction) {
            (Some(T::TransactionStart), Transaction::None) => {
                self.open[connection][usize::from(slot)] = true;
            }
            (Some(T::TransactionEnd), Transaction::Slot(slot)) => {
                self.open[connection][usize::from(slot)] = false;
            }
            _ => {}
        }
        Step { connection, kind: number, transaction, payload, slot }
    }

    /// The type of the next request; `None` for a number that is no type.
    fn kind(&mut self) -> Option<T> {
        let flavour = self.flavour;
        let some = |weight: usize, when: bool| if when { weight } else { 0 };
        self.random.weighted(&[
            (18, Some(T::Write)),
            (10, Some(T::Read)),
            (8, Some(T::Mkdir)),
            (8, Some(T::Rm)),
            (7, Some(T::Directory)),
            (5, Some(T::GetPerms)),
            (6, Some(T::SetPerms)),
            (some(9, flavour.watches), Some(T::Watch)),
            (some(4, flavour.watches), Some(T::Unwatch)),
            (some(1, flavour.watches), Some(T::ResetWatches)),
            (some(8, flavour.transactions), Some(T::TransactionStart)),
            (some(3, flavour.transactions), Some(T::TransactionEnd)),
            (some(4, flavour.newer_requests), Some(T::DirectoryPart)),
            (some(2, flavour.newer_requests), Some(T::GetFeature)),
            (some(1, flavour.newer_requests), Some(T::SetFeature)),
            (some(2, flavour.newer_requests), Some(T::GetQuota)),
            (some(1, flavour.newer_requests), Some(T::SetQuota)),
            (some(8, flavour.domains), Some(T::Introduce)),
            (some(6, flavour.domains), Some(T::Release)),
            (some(2, flavour.domains), Some(T::IsDomainIntroduced)),
            (some(2, flavour.domains), Some(T::GetDomainPath)),
            (some(1, flavour.domains), Some(T::Resume)),
            (some(1, flavour.domains), Some(T::SetTarget)),
            (some(2, flavour.control), Some(T::Control)),
            (some(1, flavour.garbage), Some(T::WatchEvent)),
            (some(1, flavour.garbage), Some(T::Error)),
            (some(2, flavour.garbage), None),
        ])
    }

    fn transaction(&mut self, connection: usize, kind: Option<T>) -> Transaction {
        let slot = u8::from(self.random.chance(30));
        let likely = match kind {
            Some(T::TransactionEnd) => 95,
            Some(T::TransactionStart) => 3,
            Some(T::Watch | T::Unwatch | T::ResetWatches) => 5,
            _ => 65,
        };
        if self.flavour.misspelt && self.random.chance(2) {
            Transaction::Unknown
        } else if !self.random.chance(likely) {
            Transaction::None
        } else if self.open[connection][usize::from(slot)] {
            Transaction::Slot(slot)
        } else if self.open[connection][usize::from(1 - slot)] {
            Transaction::Slot(1 - slot)
        } else if kind == Some(T::TransactionEnd) && self.random.chance(10) {
            Transaction::Slot(slot)
        } else {
            Transaction::None
        }
    }

    fn payload(&mut self, kind: T) -> Vec<u8> {
        match kind {
            T::Read | T::Directory | T::Mkdir | T::Rm => self.strings(&[Self::path]),
            T::GetPerms => self.strings(&[Self::name]),
            T::Write => {
                let mut payload = self.strings(&[Self::path]);
                payload.extend(self.value());
                payload
            }
            T::SetPerms => {
                let mut payload = self.strings(&[Self::name]);
                if payload.starts_with(b"/\0") || payload.starts_with(b"@") {
                    // What cannot be removed stays domain 0's: what happens to it when
                    // its owner goes is for tests of rxenstored alone.
                    payload.extend(b"n0\0");
                }
                for _ in 0..self.random.weighted(&[(6, 1), (3, 2), (1, 3)]) {
                    payload.extend(self.permission());
                    payload.push(0);
                }
                payload
            }
            T::Watch if self.flavour.newer_requests && self.random.chance(20) => {
                self.strings(&[Self::watched, Self::token, Self::number])
            }
            T::Watch | T::Unwatch => self.strings(&[Self::watched, Self::token]),
            T::TransactionEnd => {
                match self.random.below(if self.flavour.misspelt { 40 } else { 38 }) {
                    0..30 => b"T\0".to_vec(),
                    30..38 => b"F\0".to_vec(),
                    _ => self.random.pick(&[&b""[..], b"T", b"t\0", b"X\0", b"T\0T\0"]).to_vec(),
                }
            }
            T::DirectoryPart => self.strings(&[Self::path, Self::number]),
            T::Introduce => self.strings(&[Self::domid, Self::number, Self::port]),
            T::Release | T::IsDomainIntroduced | T::Resume | T::GetDomainPath => {
                self.strings(&[Self::domid])
            }
            T::SetTarget => self.strings(&[Self::domid, Self::domid]),
            T::GetFeature => self.random.pick(&[&b""[..], b"\0", b"1\0", b"9\0"]).to_vec(),
            T::SetFeature => self.strings(&[Self::domid, Self::number]),
            T::GetQuota => {
                self.random.pick(&[&b""[..], b"nodes\0", b"watches\0", b"1\0nodes\0"]).to_vec()
            }
            // Setting what is set already: no sequence must leave anything behind.
            T::SetQuota => self.random.pick(&[&b"nodes\x001000\0"[..], b"none\x001\0"]).to_vec(),
            T::Control => self
                .random
                .pick(&[&b"check\0"[..], b"print\0text\0", b"nonsense\0", b"help\0", b"quota\0"])
                .to_vec(),
            T::TransactionStart | T::ResetWatches | T::WatchEvent | T::Error => {
                self.random.pick(&[&b"\0"[..], b"x\0"]).to_vec()
            }
        }
    }

    /// These strings, each with its NUL; in a sequence with spelling mistakes, now and
    /// then one too many or too few.
    fn strings(&mut self, parts: &[fn(&mut Self) -> Vec<u8>]) -> Vec<u8> {
        let mut payload = Vec::new();
        for part in parts {
            payload.extend(part(self));
            payload.push(0);
        }
        if self.flavour.misspelt && self.random.chance(3) {
            match self.random.below(4) {
                0 => payload.extend(b"x\0"),
                1 => payload.push(0),
                2 => payload.extend(b"x"),
                _ => drop(payload.pop()),
            }
        }
        payload
    }

    fn path(&mut self) -> Vec<u8> {
        if self.flavour.misspelt && self.random.chance(6) {
            let wrong: &[&[u8]] = &[
                b"",
                b"/a/",
                b"//",
                b"/a//b",
                b"/a.b",
                b"a b",
                b"/local/domain/",
                b"/a\xff",
                b"@a.b",
            ];
            return self.random.pick(wrong).to_vec();
        }
        if self.flavour.specials && self.random.chance(3) {
            return self.special();
        }
        if self.flavour.long && self.random.chance(10) {
            let length = self.random.pick(&[1023, 1024, 1025, 2047, 2048, 2049, 3071, 3072, 3080]);
            let mut path = vec![b'l'; length];
            if self.random.chance(60) {
                path[0] = b'/';
            }
            return path;
        }
        if self.flavour.root && self.random.chance(8) {
            return b"/".to_vec();
        }
        let start: &[u8] = self.random.weighted(&[
            (12, &b"/"[..]),
            (2, b""),
            (1, b"/local/domain/0/"),
            (1, b"/local/"),
        ]);
        let (depths, names): (&[_], &[&[u8]]) = if self.flavour.narrow {
            (&[(5, 1), (4, 2)], &[b"a", b"b"])
        } else {
            (&[(4, 1), (5, 2), (3, 3), (1, 4)], &[b"a", b"b", b"c"])
        };
        let depth = self.random.weighted(depths);
        let names: Vec<_> = (0..depth).map(|_| self.random.pick(names)).collect();
        [start, &names.join(&b'/')].concat()
    }

    fn special(&mut self) -> Vec<u8> {
        let names = [
            (3, &b"@releaseDomain"[..]),
            (3, b"@introduceDomain"),
            (2, b"@releaseDomain/1"),
            (2, b"@introduceDomain/1"),
            (1, b"@x"),
            (1, b"@"),
        ];
        self.random.weighted(&names).to_vec()
    }

    fn name(&mut self) -> Vec<u8> {
        if self.flavour.specials && self.random.chance(25) { self.special() } else { self.path() }
    }

    /// A name to be watched: often one with much below it.
    fn watched(&mut self) -> Vec<u8> {
        if self.flavour.domains && self.flavour.specials && self.random.chance(40) {
            self.special()
        } else if self.random.chance(40) {
            self.random.pick(&[&b"/"[..], b"/a", b"/b", b"/local"]).to_vec()
        } else {
            self.name()
        }
    }

    fn token(&mut self) -> Vec<u8> {
        self.random.pick(&[&b"t"[..], b"u", b"", b"a b\xff"]).to_vec()
    }

    fn value(&mut self) -> Vec<u8> {
        if self.flavour.long && self.random.chance(15) {
            return vec![b'v'; self.random.pick(&[2047, 2048, 2049, 3000])];
        }
        self.random.pick(&[&b""[..], b"0", b"1", b"text", b"\0\xff\0"]).to_vec()
    }

    fn permission(&mut self) -> Vec<u8> {
        if self.flavour.misspelt && self.random.chance(10) {
            let wrong: &[&[u8]] =
                &[b"", b"x0", b"r", b"0", b"r-1", b"r65536", b"r0x10", b"r1 ", b"R0"];
            return self.random.pick(wrong).to_vec();
        }
        let letter = self.random.pick(&["n", "r", "w", "b"]);
        let domid = if self.flavour.domains && self.random.chance(10) {
            self.random.pick(&[32757, 32760, 65535])
        } else {
            self.random.pick(&[0, 0, 0, 1, 2, 3, 4000])
        };
        format!("{letter}{domid}").into_bytes()
    }

    fn domid(&mut self) -> Vec<u8> {
        if self.flavour.misspelt && self.random.chance(15) {
            let wrong: &[&[u8]] = &[b"", b"abc", b"-1", b"0x1", b"1 ", b"65536", b"01", b"+1"];
            return self.random.pick(wrong).to_vec();
        }
        self.random.pick(&[&b"1"[..], b"1", b"2", b"3", b"32752", b"40000"]).to_vec()
    }

    fn number(&mut self) -> Vec<u8> {
        self.random.pick(&[&b"0"[..], b"1", b"2", b"3", b"4", b"100", b"x", b"-1"]).to_vec()
    }

    fn port(&mut self) -> Vec<u8> {
        if self.flavour.misspelt && self.random.chance(20) {
            return self.random.pick(&[&b"0"[..], b"-1", b"x", b""]).to_vec();
        }
        b"7".to_vec()
    }

    /// Bytes that look like nothing, or almost like something.
    fn garbage(&mut self) -> Vec<u8> {
        let bytes =
            [0, 0, 0, b'/', b'/', b'a', b'b', b'0', b'1', b'r', b'n', b'T', b'@', b'.', 0xff];
        let length = self.random.weighted(&[(2, 0), (3, 2), (3, 5), (2, 12)]);
        (0..length).map(|_| self.random.pick(&bytes)).collect()
    }
}
