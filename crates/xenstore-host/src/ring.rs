//! The page through which a domain and the store speak (`xenstore-ring.txt`).
//!
//! Two lanes of 1024 bytes each, requests and responses, with free-running indices: how many
//! bytes were ever put in and taken out, modulo 2³². The other side can write every byte of
//! the page at any time, our own indices too, and guests do so for good reasons (Linux after
//! it saw nonsense, hvmloader before it hands over). So nothing of it is remembered: indices
//! are read from the page each time, once, checked, and then used (XSA-38).

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU8, AtomicU32, fence};

use thiserror::Error;

use crate::shared_memory::SharedMemory;

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;

/// Bytes that fit into a lane.
pub const LANE_SIZE: usize = 1024;

/// The words of the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Field {
    /// Bytes of requests that the store took.
    RequestConsumer = 2048,
    /// Bytes of requests that the guest put in.
    RequestProducer = 2052,
    /// Bytes of responses that the guest took.
    ResponseConsumer = 2056,
    /// Bytes of responses that the store put in.
    ResponseProducer = 2060,
    /// What the store can do ([`xenstore_wire::Features`]).
    Features = 2064,
    /// 0: connected. Anything else: the guest wants to begin anew.
    Connection = 2068,
    /// Why the store gave the ring up ([`RingError`]), 0 if it did not.
    Error = 2072,
    /// The guest's event channel, where the hypervisor chose it (dom0less); else 0.
    EventChannel = 2076,
}

/// What a guest finds in [`Field::Error`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum RingError {
    /// There is no event channel to it.
    Communication = 1,
    /// Its indices make no sense.
    Indices = 2,
    /// It broke the protocol.
    Protocol = 3,
}

/// A direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// From the guest to the store.
    Requests,
    /// From the store to the guest.
    Responses,
}

impl Lane {
    const fn consumer(self) -> Field {
        match self {
            Self::Requests => Field::RequestConsumer,
            Self::Responses => Field::ResponseConsumer,
        }
    }

    const fn producer(self) -> Field {
        match self {
            Self::Requests => Field::RequestProducer,
            Self::Responses => Field::ResponseProducer,
        }
    }

    const fn start(self) -> usize {
        match self {
            Self::Requests => 0,
            Self::Responses => LANE_SIZE,
        }
    }
}

/// The indices of a lane say that there is more in it than fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("expected at most {LANE_SIZE} bytes between the indices, found {producer} - {consumer}")]
pub struct BadIndices {
    /// Bytes ever put in.
    pub producer: u32,
    /// Bytes ever taken out.
    pub consumer: u32,
}

/// A ring's page.
#[derive(Debug)]
pub struct RingPage(SharedMemory);

/// What lies in a lane.
struct Filled {
    /// The index up to which it was filled.
    producer: u32,
    /// The index from which it is filled.
    consumer: u32,
    /// Bytes between them.
    length: usize,
}

impl RingPage {
    /// A page in shared memory of [`PAGE_SIZE`] bytes.
    pub(crate) fn new(memory: SharedMemory) -> Self {
        Self(memory)
    }

    /// Has something done after the page was unmapped.
    pub(crate) fn then(self, release: impl FnOnce() + Send + 'static) -> Self {
        Self(self.0.then(release))
    }

    /// Takes bytes out of a lane; how many there were and fitted.
    ///
    /// # Errors
    ///
    /// The other side left indices that make no sense; nothing was moved.
    pub fn take(&self, lane: Lane, out: &mut [u8]) -> Result<usize, BadIndices> {
        let Filled { consumer, length, .. } = self.filled(lane)?;
        let count = length.min(out.len());
        let (first, second) = self.pieces(lane, consumer, count);
        let (beginning, rest) = out.split_at_mut(first.len());
        for (to, from) in [(beginning, first), (rest, second)] {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from.load(Relaxed));
        }
        // Release: the bytes were read before their room is given back.
        self.word(lane.consumer()).store(consumer.wrapping_add(index(count)), Release);
        Ok(count)
    }

    /// Puts bytes into a lane; how many found room.
    ///
    /// # Errors
    ///
    /// The other side left indices that make no sense; nothing was moved.
    pub fn put(&self, lane: Lane, bytes: &[u8]) -> Result<usize, BadIndices> {
        let Filled { producer, length, .. } = self.filled(lane)?;
        let count = bytes.len().min(LANE_SIZE - length);
        let (first, second) = self.pieces(lane, producer, count);
        let (beginning, rest) = bytes.split_at(first.len());
        for (to, from) in [(first, beginning), (second, rest)] {
            to.iter().zip(from).for_each(|(to, from)| to.store(*from, Relaxed));
        }
        // Release: the bytes are there before anybody is told of them.
        self.word(lane.producer()).store(producer.wrapping_add(index(count)), Release);
        Ok(count)
    }

    /// How many bytes lie in a lane.
    ///
    /// # Errors
    ///
    /// The other side left indices that make no sense.
    pub fn waiting(&self, lane: Lane) -> Result<usize, BadIndices> {
        self.filled(lane).map(|filled| filled.length)
    }

    /// Reads a word.
    pub fn field(&self, field: Field) -> u32 {
        self.word(field).load(Acquire)
    }

    /// Writes a word.
    pub fn set_field(&self, field: Field, value: u32) {
        self.word(field).store(value, Release);
    }

    /// Empties both lanes.
    pub fn restart(&self) {
        for field in [
            Field::RequestConsumer,
            Field::RequestProducer,
            Field::ResponseConsumer,
            Field::ResponseProducer,
        ] {
            self.set_field(field, 0);
        }
    }

    /// Empties both lanes and fills them with 0xff, so that nobody takes old bytes for a
    /// message (`xenstore-ring.txt`, reconnection).
    pub fn wipe(&self) {
        self.restart();
        for lane in [Lane::Requests, Lane::Responses] {
            self.fill(lane, 0xff);
        }
        fence(SeqCst);
    }

    /// Fills the room of a lane with a byte, whatever its indices.
    pub fn fill(&self, lane: Lane, byte: u8) {
        for place in self.lane(lane) {
            place.store(byte, Relaxed);
        }
    }

    /// Sets the whole page to zero, as that of a domain just created is.
    pub fn clear(&self) {
        for place in self.0.bytes() {
            place.store(0, Relaxed);
        }
        fence(SeqCst);
    }

    /// All bytes of a lane, whatever its indices.
    pub fn copy_of(&self, lane: Lane) -> Vec<u8> {
        self.lane(lane).iter().map(|byte| byte.load(Relaxed)).collect()
    }

    fn filled(&self, lane: Lane) -> Result<Filled, BadIndices> {
        // Acquire: what the other side did before it moved its index is seen.
        let producer = self.word(lane.producer()).load(Acquire);
        let consumer = self.word(lane.consumer()).load(Acquire);
        match usize::try_from(producer.wrapping_sub(consumer)) {
            Ok(length @ ..=LANE_SIZE) => Ok(Filled { producer, consumer, length }),
            _ => Err(BadIndices { producer, consumer }),
        }
    }

    /// The places of `count` bytes from an index on, at most [`LANE_SIZE`]: up to the end of
    /// the lane, and then from its beginning.
    fn pieces(&self, lane: Lane, from: u32, count: usize) -> (&[AtomicU8], &[AtomicU8]) {
        let lane = self.lane(lane);
        let from = from as usize % LANE_SIZE;
        let (before, after) = lane.split_at_checked(from).unwrap_or((lane, &[]));
        let first = after.get(..count.min(after.len())).unwrap_or_default();
        (first, before.get(..count - first.len()).unwrap_or_default())
    }

    fn lane(&self, lane: Lane) -> &[AtomicU8] {
        let start = lane.start();
        self.0.bytes().get(start..start + LANE_SIZE).unwrap_or_default()
    }

    #[expect(clippy::indexing_slicing, reason = "a page has all of its fields")]
    fn word(&self, field: Field) -> &AtomicU32 {
        &self.0.words()[field as usize / size_of::<u32>()]
    }
}

/// A number of bytes as a step of an index; there are never more than [`LANE_SIZE`].
fn index(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn page() -> RingPage {
        let file = tempfile::tempfile().unwrap();
        file.set_len(PAGE_SIZE as u64).unwrap();
        RingPage::new(SharedMemory::map(&file, 0, PAGE_SIZE).unwrap())
    }

    proptest! {
        /// A lane is a queue of at most 1024 bytes, wherever its indices begin.
        #[test]
        fn a_lane_is_a_bounded_queue(
            start in prop_oneof![any::<u32>(), Just(u32::MAX - 5)],
            steps in prop::collection::vec((any::<bool>(), 0..1500_usize, any::<u8>()), 1..60),
        ) {
            let page = page();
            let mut model = VecDeque::new();
            for lane in [Lane::Requests, Lane::Responses] {
                page.set_field(lane.consumer(), start);
                page.set_field(lane.producer(), start);
            }
            for (put, count, byte) in steps {
                if put {
                    let bytes: Vec<u8> = (0..=255).cycle().skip(byte.into()).take(count).collect();
                    let room = LANE_SIZE - model.len();
                    prop_assert_eq!(page.put(Lane::Responses, &bytes), Ok(count.min(room)));
                    model.extend(bytes.iter().take(room));
                } else {
                    let mut out = vec![0; count];
                    let taken = count.min(model.len());
                    prop_assert_eq!(page.take(Lane::Responses, &mut out), Ok(taken));
                    out.truncate(taken);
                    prop_assert_eq!(out, model.drain(..taken).collect::<Vec<u8>>());
                }
                prop_assert_eq!(page.waiting(Lane::Responses), Ok(model.len()));
                prop_assert_eq!(page.waiting(Lane::Requests), Ok(0));
            }
        }

        /// XSA-38: whatever the indices, what is moved is within the lane, or nothing is.
        #[test]
        fn indices_without_sense_move_nothing(producer: u32, consumer: u32) {
            let page = page();
            page.set_field(Field::RequestProducer, producer);
            page.set_field(Field::RequestConsumer, consumer);
            let length = producer.wrapping_sub(consumer);
            let mut out = [0; 2 * LANE_SIZE];
            let taken = page.take(Lane::Requests, &mut out);
            if length as usize <= LANE_SIZE {
                prop_assert_eq!(taken, Ok(length as usize));
            } else {
                prop_assert_eq!(taken, Err(BadIndices { producer, consumer }));
                prop_assert_eq!(page.put(Lane::Requests, b"x"), Err(BadIndices { producer, consumer }));
                prop_assert_eq!(page.field(Field::RequestConsumer), consumer);
            }
        }
    }

    #[test]
    fn the_words_lie_where_the_other_side_looks() {
        let page = page();
        page.set_field(Field::EventChannel, 0x0102_0304);
        let bytes: Vec<u8> = page.0.bytes()[2076..2080].iter().map(|b| b.load(Relaxed)).collect();
        assert_eq!(bytes, 0x0102_0304_u32.to_ne_bytes());
    }

    #[test]
    fn a_wiped_ring_is_empty_and_has_no_old_bytes() {
        let page = page();
        page.put(Lane::Requests, b"secret").unwrap();
        page.wipe();
        assert_eq!(page.waiting(Lane::Requests), Ok(0));
        assert!(page.0.bytes()[..2 * LANE_SIZE].iter().all(|byte| byte.load(Relaxed) == 0xff));
    }
}
