//! What the load of guests can do at most: it is put on a process that does nothing but
//! answer. Of that process the figures say what moving bytes through rings costs by itself.
//!
//!     cargo run --release -p xenstore-bench --example guest_load

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use xenstore_bench::figure::Outcome;
use xenstore_bench::guest_load::{Ask, Player};
use xenstore_bench::processors::Processors;
use xenstore_bench::throughput::Throughput;
use xenstore_guests::{GUEST_PORT, Host};
use xenstore_host::ring::LANE_SIZE;
use xenstore_host::sim::Simulated;
use xenstore_host::{Hypervisor, Rings};
use xenstore_wire::{Decoder, Domid, DomidMap, Features, MessageType, message};

/// How many guests there are. Of ten thousand rings none is in the processor's caches when its
/// turn comes: what that costs is what any daemon pays.
const HOSTS: [u16; 3] = [100, 1_000, 10_000];

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(directory) = env::args_os().nth(1) {
        return answer(Path::new(&directory));
    }
    HOSTS.into_iter().try_for_each(|guests| {
        let directory = env::temp_dir().join(format!("guest-load-{}", std::process::id()));
        let outcome = measure(&directory, guests);
        std::fs::remove_dir_all(&directory)?;
        outcome
    })
}

/// Ends the process it holds.
struct Answerer(Child);

impl Drop for Answerer {
    fn drop(&mut self) {
        // It may be gone already; either way nobody needs it any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(directory: &Path, count: u16) -> Result<(), Box<dyn Error>> {
    let mut host = Host::open(directory)?;
    let guests = (1..=count).map(|domid| host.create(Domid::new(domid)));
    let guests = guests.collect::<Result<Vec<_>, _>>()?;
    let answerer = Answerer(Command::new(env::current_exe()?).arg(directory).spawn()?);
    Processors::share_out()?.place(answerer.0.id(), false)?;
    while host.bound_port(Domid::new(count))?.is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let ask = Ask::Read("device/vif/0/state");
    let mut players: Vec<_> = guests.into_iter().map(|guest| Player::new(guest, ask)).collect();
    for depth in [1, 8] {
        let time = Duration::from_secs(2);
        let load = Throughput::of(answerer.0.id(), &mut host, &mut players, depth, time)?;
        let mut outcome = Outcome::default();
        load.tell(&mut outcome);
        println!("{count} guests, {depth} requests of each on their way");
        for figure in outcome.figures {
            println!("  {:40} {:>12}", figure.name, figure.unit.show(figure.value));
        }
    }
    Ok(())
}

/// Answers whatever the guests that are there ask, for ever.
fn answer(directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut rings = Rings::new(Box::new(Simulated::open(directory)?));
    let mut inboxes = DomidMap::new();
    for domid in rings.domains() {
        rings.connect(domid, GUEST_PORT, Features::ALL)?;
        inboxes.insert(domid, Decoder::new());
    }
    let (mut bytes, mut replies, mut fired) = ([0; LANE_SIZE], Vec::new(), Vec::new());
    loop {
        poll(&mut [PollFd::from_borrowed_fd(rings.events(), PollFlags::IN)], None)?;
        rings.fired(&mut fired)?;
        for domid in fired.drain(..) {
            let Some(inbox) = inboxes.get_mut(domid) else { continue };
            let count = rings.read(domid, &mut bytes)?;
            inbox.push(bytes.get(..count).unwrap_or_default());
            replies.clear();
            while let Some(request) = inbox.next_message()? {
                let header = request.header;
                let kind = MessageType::from_number(header.kind);
                let kind = kind.ok_or("expected a request")?;
                if !message::encode(&mut replies, kind, header.request_id, 0, &[b"value"]) {
                    return Err("expected a value that fits".into());
                }
            }
            rings.write(domid, &replies)?;
        }
        rings.flush(&mut Vec::new())?;
    }
}
