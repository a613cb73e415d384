//! Clients on sockets that ask the same over and over, and the figures they give.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use xenstore_oracle::daemon::Daemon;
use xenstore_wire::{Message, MessageType};

use crate::crowd::to_f64;
use crate::failure::Failure;
use crate::figure::{Better, Name, Outcome, Unit};
use crate::load::{Client, Load};
use crate::measure::{Latencies, Process, Spread};
use crate::script::Script;

/// How long a daemon may take for what is on its way when time is up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client that follows its script from the start to the end and from the start again.
#[derive(Debug)]
struct Asker {
    script: Script,
    depth: usize,
    /// The request to be made next.
    position: usize,
    /// Makes new values different from all others.
    mark: u64,
    /// When it stops asking.
    until: Instant,
    /// Whether it asks once more, however late it is: there has to be something to measure.
    owes_one: bool,
    /// When each request on its way was made.
    asked: VecDeque<Instant>,
    latencies: Latencies,
}

impl Asker {
    fn new(number: u32, script: Script, depth: usize) -> Self {
        let (mark, until) = (u64::from(number) << 32, Instant::now());
        let asked = VecDeque::with_capacity(depth);
        let latencies = Latencies::default();
        Self { script, depth, position: 0, mark, until, owes_one: true, asked, latencies }
    }
}

impl Client for Asker {
    fn ask(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if now >= self.until && !self.owes_one {
            return false;
        }
        let Some(ask) = self.script.get(self.position) else { return false };
        self.owes_one = false;
        ask.encode(0, self.mark, out);
        self.mark += 1;
        self.position = (self.position + 1) % self.script.len();
        self.asked.push_back(now);
        true
    }

    fn answered(&mut self, reply: Message<'_>, now: Instant) -> Result<(), Failure> {
        let header = reply.header;
        let asked = self.asked.pop_front().ok_or(Failure::Nothing("a request for a reply"))?;
        self.latencies.note(now - asked);
        if header.length == header.request_id {
            return Ok(());
        }
        let on_its_way = self.asked.len() + 1;
        let oldest = (self.position + self.script.len() * on_its_way - on_its_way)
            .checked_rem(self.script.len());
        let kind = oldest.and_then(|index| self.script.get(index)).map(|ask| ask.kind);
        let kind = kind.ok_or(Failure::Nothing("a script"))?;
        if header.kind == MessageType::Error.number() {
            let error = String::from_utf8_lossy(reply.payload).into_owned();
            return Err(Failure::Refused { kind, error });
        }
        Err(Failure::Reply { kind, expected: "as many bytes as the request's id says" })
    }

    fn depth(&self) -> usize {
        self.depth
    }
}

/// Clients that are connected to a daemon.
#[derive(Debug)]
pub struct Askers {
    process: Process,
    load: Load<Asker>,
}

impl Askers {
    /// A client for each script, with so many requests on their way at a time. Each request
    /// has to say [how long its reply is](Script::replied).
    pub fn connect(
        daemon: &Daemon,
        scripts: impl IntoIterator<Item = Script>,
        depth: usize,
    ) -> Result<Self, Failure> {
        let clients = (0..).zip(scripts).map(|(number, script)| Asker::new(number, script, depth));
        let load = Load::connect(daemon.socket(), clients.collect())?;
        Ok(Self { process: Process::new(daemon.pid()), load })
    }

    /// Has them ask for some time, after they have done so for a tenth of it.
    pub fn ask(&mut self, time: Duration) -> Result<Asked, Failure> {
        // The first requests find cold memory, and a daemon that lets clients in.
        self.ask_until(Instant::now() + time / 10)?;
        for client in self.load.clients_mut() {
            client.latencies = Latencies::default();
        }
        let own = Process::own();
        let before = (self.process.exact_time()?, own.processor_time()?);
        let elapsed = self.ask_until(Instant::now() + time)?;
        let processor = self.process.exact_time()?.saturating_sub(before.0);
        let load = own.processor_time()?.since(before.1).total();
        let mut latencies = Latencies::default();
        for client in self.load.clients_mut() {
            latencies.append(std::mem::take(&mut client.latencies));
        }
        let requests = to_f64(latencies.count() as u64);
        let spread = latencies.spread().ok_or(Failure::Nothing("replies"))?;
        Ok(Asked {
            rate: requests / elapsed.as_secs_f64(),
            spread,
            processor: processor.div_f64(requests),
            load: load.as_secs_f64() / elapsed.as_secs_f64(),
        })
    }

    fn ask_until(&mut self, until: Instant) -> Result<Duration, Failure> {
        for client in self.load.clients_mut() {
            client.until = until;
            client.owes_one = true;
        }
        let patience = until.saturating_duration_since(Instant::now()) + PATIENCE;
        let finished = self.load.run(patience)?;
        if finished.cut_short {
            return Err(Failure::Stuck { expected: "the last replies", patience: PATIENCE });
        }
        Ok(finished.elapsed)
    }
}

/// What came of asking.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Requests answered a second.
    pub rate: f64,
    /// How long each request was on its way.
    pub spread: Spread,
    /// What the daemon took of a processor for each request.
    pub processor: Duration,
    /// What the load took of one, of all the time.
    pub load: f64,
}

impl Asked {
    /// Adds all there is to say of it, under names that begin alike.
    pub fn tell(&self, name: &Name, outcome: &mut Outcome) {
        outcome.add(name.clone(), Unit::PerSecond, Better::High, self.rate);
        outcome.add_time(name.and("median"), self.spread.median);
        outcome.add_time(name.and("p99"), self.spread.p99);
        self.tell_processor(name, outcome);
        outcome.add(name.and("load"), Unit::Percent, Better::Neither, 100.0 * self.load);
    }

    /// Adds what the daemon took of a processor, and no more.
    pub fn tell_processor(&self, name: &Name, outcome: &mut Outcome) {
        outcome.add_time(name.and("daemon"), self.processor);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::thread;

    use xenstore_wire::{Decoder, Header};

    use super::*;

    const SCRIPT: [(MessageType, u32); 3] =
        [(MessageType::Mkdir, 3), (MessageType::Read, 16), (MessageType::Rm, 3)];

    fn asker(depth: usize) -> Asker {
        let ask = |script: Script, (kind, length)| script.of_node(kind, "/a").replied(length);
        let mut asker = Asker::new(0, SCRIPT.into_iter().fold(Script::new(), ask), depth);
        asker.until += Duration::from_millis(200);
        asker
    }

    /// A daemon of one client. It answers what has come in one go, and says of each go how
    /// many requests it was.
    fn answer(listener: &UnixListener) -> Vec<Vec<u32>> {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut decoder, mut chunk, mut seen) = (Decoder::new(), [0; 16384], Vec::new());
        loop {
            let count = stream.read(&mut chunk).unwrap();
            if count == 0 {
                return seen;
            }
            decoder.push(&chunk[..count]);
            let (mut kinds, mut out) = (Vec::new(), Vec::new());
            while let Some(request) = decoder.next_message().unwrap() {
                let length = request.header.request_id;
                kinds.push(request.header.kind);
                out.extend(Header { length, ..request.header }.encode());
                out.resize(out.len() + length as usize, 0);
            }
            stream.write_all(&out).unwrap();
            seen.push(kinds);
        }
    }

    #[test]
    fn as_many_requests_as_may_be_are_on_their_way_and_all_are_answered_in_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let daemon = thread::spawn(move || answer(&listener));
        let mut load = Load::connect(&socket, vec![asker(16)]).unwrap();
        let finished = load.run(PATIENCE).unwrap();
        assert!(!finished.cut_short);
        let answered: usize = load.into_clients().map(|client| client.latencies.count()).sum();
        let seen = daemon.join().unwrap();
        // Whoever answers all there is at once is asked as much again, until time is up.
        let (last, before) = seen.split_last().unwrap();
        assert!(before.iter().chain([last]).all(|kinds| kinds.len() == 16), "{seen:?}");
        let kinds: Vec<_> = seen.into_iter().flatten().collect();
        assert_eq!(kinds.len(), answered);
        let script = SCRIPT.into_iter().cycle().map(|(kind, _)| kind.number());
        assert!(script.zip(&kinds).all(|(expected, kind)| expected == *kind));
    }

    #[test]
    fn a_reply_of_another_length_is_found_out_and_blamed_on_its_request() {
        let mut client = asker(16);
        let (now, mut out) = (Instant::now(), Vec::new());
        assert!((0..7).all(|_| client.ask(now, &mut out)));
        let header = |kind: MessageType, request_id| Header {
            kind: kind.number(),
            request_id,
            transaction_id: 0,
            length: 3,
        };
        let mut reply =
            |kind, id| client.answered(Message { header: header(kind, id), payload: b"OK\0" }, now);
        reply(MessageType::Mkdir, 3).unwrap();
        let error = reply(MessageType::Read, 16).unwrap_err();
        assert!(matches!(error, Failure::Reply { kind: MessageType::Read, .. }), "{error}");
        let error = reply(MessageType::Error, 16).unwrap_err();
        assert!(matches!(error, Failure::Refused { kind: MessageType::Rm, .. }), "{error}");
    }
}
