//! Buffers that are lent to connections for as long as bytes wait in them.
//!
//! An idle connection holds no memory, and one that asks and is answered needs none from the
//! allocator: with buffers of its own made and freed each time, a request took a quarter more
//! instructions.

/// Buffers kept: as many as connections are usually served in a round.
const MOST: usize = 64;

/// Bytes of the largest that is kept: most requests and replies are far smaller.
const LARGEST: usize = 1024;

/// Bytes that a domain is charged for a buffer that holds so many: what it might have been
/// lent is not its own.
pub fn weight(buffer_size: usize, held: usize) -> usize {
    if buffer_size > LARGEST { buffer_size } else { held }
}

/// Empty buffers that nobody needs just now.
#[derive(Debug, Default)]
pub struct Spares(Vec<Vec<u8>>);

impl Spares {
    /// An empty buffer, if there is one with room.
    pub fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// Keeps a buffer for others, unless there are enough or it is too large.
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < MOST && (1..=LARGEST).contains(&buffer.capacity()) {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_many_nor_large_ones_are_kept() {
        let mut spares = Spares::default();
        for capacity in [0, LARGEST + 1] {
            spares.give(Vec::with_capacity(capacity));
            assert_eq!(spares.take().capacity(), 0);
        }
        for _ in 0..2 * MOST {
            spares.give(b"something".to_vec());
        }
        let kept = std::iter::from_fn(|| Some(spares.take()).filter(|it| it.capacity() > 0));
        assert!(kept.inspect(|buffer| assert!(buffer.is_empty())).count() == MOST);
    }
}
