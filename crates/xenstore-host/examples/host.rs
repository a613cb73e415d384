//! What a store daemon finds on this Xen host. To be run as root in domain 0 while no daemon
//! is running:
//!
//!     cargo run --example host -- SECONDS
//!
//! It names the domains and their states, tries what happens when more fired than the kernel
//! can remember, connects the ring of domain 0's kernel and says for so many seconds what
//! arrives there. It answers nothing, so whoever asked is answered by the next daemon at best.

use std::error::Error;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use xenstore_host::machine::Port;
use xenstore_host::ring::LANE_SIZE;
use xenstore_host::xen::{OwnRingFiles, Xen};
use xenstore_host::{Machine, Rings};
use xenstore_wire::{Domid, Features};

fn main() -> ExitCode {
    let outcome = run().inspect_err(|error| eprintln!("host: {error}"));
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(10), |text| text.parse())?;
    let mut xen = Xen::open(&OwnRingFiles::default())?;
    println!("domains are asked about by {}", xen.interface());
    tell_domains(&mut xen);
    try_overflow(&mut xen)?;
    listen(xen, Duration::from_secs(seconds))
}

fn tell_domains(xen: &mut Xen) {
    let begun = Instant::now();
    let domains = xen.domains();
    println!("{} domains, found in {:?}", domains.len(), begun.elapsed());
    for domid in domains {
        let ring = match xen.map(domid) {
            Ok(_) => "there".to_string(),
            Err(error) => format!("not to be mapped: {error}"),
        };
        println!("domain {domid}: {:?}, ring {ring}", xen.domain(domid));
    }
    println!("domain 32751: {:?}", xen.domain(Domid::new(32751)));
    println!("ring of domain 32751: {:?}", xen.map(Domid::new(32751)).map(|_| "there"));
    println!("changed since the start: {:?}, and now: {:?}", xen.changed(), xen.changed());
}

/// Binds a channel over and over without looking: each time it fires at once.
fn try_overflow(xen: &mut Xen) -> Result<(), Box<dyn Error>> {
    let (_, remote) = xen.own_ring()?;
    for _ in 0..1000 {
        let port = xen.bind(Domid::DOM0, remote)?;
        xen.unbind(port);
    }
    let port = xen.bind(Domid::DOM0, remote)?;
    let fired = fired(xen)?;
    println!(
        "after 1000 channels that nobody looked at: {} ports fired, among them the one bound \
         now: {}",
        fired.len(),
        fired.contains(&port)
    );
    xen.unmask(&fired)?;
    xen.unbind(port);
    Ok(())
}

fn fired(xen: &mut Xen) -> std::io::Result<Vec<Port>> {
    let mut ports = Vec::new();
    xen.fired(&mut ports)?;
    Ok(ports)
}

fn listen(xen: Xen, time: Duration) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let mut rings = Rings::new(Box::new(xen));
    rings.connect_own(Domid::DOM0, Features::ALL)?;
    println!("domain 0's kernel is connected");
    while let Some(rest) = time.checked_sub(begun.elapsed()) {
        let events = rings.events();
        let mut waited = [PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN)];
        poll(&mut waited, Some(&Timespec::try_from(rest)?))?;
        let mut fired = Vec::new();
        if rings.fired(&mut fired)? {
            println!("news: {:?} changed", rings.changed());
        }
        for domid in fired {
            let mut buffer = [0; LANE_SIZE];
            let count = rings.read(domid, &mut buffer)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            println!("domain {domid} sent {count} bytes: {}", bytes.escape_ascii());
        }
        rings.flush(&mut Vec::new())?;
    }
    Ok(())
}
