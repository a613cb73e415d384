//! Guests that write as fast as their rings allow, in a thread of their own.
//!
//! They look at their rings all the time instead of waiting for their event channels, which
//! they leave as they are once they fired: so the daemon has nothing to tell anybody for their
//! sake, and who waits for other guests is not woken in vain.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::{self, JoinHandle};

use xenstore_guests::{Guest, MoveError};
use xenstore_host::ring::{LANE_SIZE, Lane};
use xenstore_wire::{MessageType, message};

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub struct Flood {
    enough: Arc<AtomicBool>,
    /// Bytes of requests that found room.
    sent: Arc<AtomicU64>,
    request_length: u64,
    thread: Option<JoinHandle<Vec<Guest>>>,
}

impl Flood {
    /// Lets guests write to a node below their homes.
    pub fn start(mut guests: Vec<Guest>, node: &str) -> Self {
        let payload = [node.as_bytes(), b"\0value"];
        let mut request = Vec::new();
        let fits = message::encode(&mut request, MessageType::Write, 0, 0, &payload);
        debug_assert!(fits, "a path of a few names");
        let request_length = request.len() as u64;
        // A stream of requests, as long as a lane at whatever byte of a request it begins.
        let stream = request.repeat(LANE_SIZE / request.len() + 2);
        let mut places = vec![0; guests.len()];
        let (enough, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stop, count) = (Arc::clone(&enough), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            while !stop.load(Relaxed) {
                for (guest, place) in guests.iter_mut().zip(&mut places) {
                    let rest = stream.get(*place..*place + LANE_SIZE).unwrap_or_default();
                    // One whose ring is broken floods no more.
                    let moved = exchange(guest, rest).unwrap_or(0);
                    *place = (*place + moved) % request.len();
                    count.fetch_add(moved as u64, Relaxed);
                }
            }
            guests
        });
        Self { enough, sent, request_length, thread: Some(thread) }
    }

    /// Requests that were put into rings so far.
    pub fn requests(&self) -> u64 {
        self.sent.load(Relaxed) / self.request_length
    }

    /// Has it end.
    pub fn stop(mut self) -> Vec<Guest> {
        self.enough.store(true, Relaxed);
        let thread = self.thread.take().map(JoinHandle::join);
        thread.and_then(Result::ok).unwrap_or_default()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.enough.store(true, Relaxed);
    }
}

/// Takes all there is, and sends what finds room; how many bytes that were.
fn exchange(guest: &Guest, bytes: &[u8]) -> Result<usize, MoveError> {
    let mut taken = [0; LANE_SIZE];
    let taken = guest.page().take(Lane::Responses, &mut taken)?;
    let put = guest.page().put(Lane::Requests, bytes)?;
    if taken + put > 0 {
        guest.fire()?;
    }
    Ok(put)
}
