//! Memory that somebody else may write at the same time.
//!
//! A guest that shares a page with the daemon may change any byte of it at any moment. So
//! there are no references to plain memory here: every access is an atomic one to a byte or
//! an aligned word, and what was read once is a private copy (XSA-155).

#![allow(unsafe_code, reason = "mapping memory, and lending it as atomics")]

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU8, AtomicU32};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A mapping shared with other processes or domains. Unmapped when dropped.
pub struct SharedMemory {
    start: NonNull<u8>,
    length: usize,
    /// What is to be done after it was unmapped.
    release: Option<Box<dyn FnOnce() + Send>>,
}

// SAFETY: the mapping belongs to this value alone, and all that is lent of it are atomics.
unsafe impl Send for SharedMemory {}
// SAFETY: as above; atomics may be used from several threads at once, and `release` is out of
// reach until the value is dropped.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// Maps `length` bytes of a file or device from `offset` on, a multiple of the page
    /// size. `length` has to be a multiple of 4 and not zero.
    ///
    /// The file must not become shorter than that while it is mapped: the kernel ends a program
    /// that touches what is gone. Pages of devices stay; who may shorten the files of a simulated
    /// host may end its daemon anyway.
    ///
    /// # Errors
    ///
    /// There is no such part of the file, or this process may not map it.
    pub fn map(file: impl AsFd, offset: u64, length: usize) -> io::Result<Self> {
        if length == 0 || !length.is_multiple_of(size_of::<AtomicU32>()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: no address is asked for, so the kernel takes one where nothing is mapped:
        // no memory of this program changes.
        let start = unsafe {
            mmap(std::ptr::null_mut(), length, protection, MapFlags::SHARED, file, offset)?
        };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { start, length, release: None })
    }

    /// Has something done after the memory was unmapped.
    #[must_use]
    pub fn then(mut self, release: impl FnOnce() + Send + 'static) -> Self {
        self.release = Some(Box::new(release));
        self
    }

    /// The memory as bytes.
    pub fn bytes(&self) -> &[AtomicU8] {
        // SAFETY: `start` is the beginning of a mapping of `length` bytes that lives as long
        // as `self`. AtomicU8 has the size and alignment of u8, any byte is a value of it, and
        // others may change it meanwhile. Nothing lends these bytes as anything but atomics.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast(), self.length) }
    }

    /// The memory as words. What is used as a word should not be used as bytes too.
    pub fn words(&self) -> &[AtomicU32] {
        // SAFETY: as for `bytes`. A mapping begins at a page, hence aligned for u32, and
        // `length` is a multiple of its size.
        unsafe {
            slice::from_raw_parts(self.start.as_ptr().cast(), self.length / size_of::<AtomicU32>())
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: this is what `map` mapped, and nothing lent of it outlives `self`.
        // It can only fail for an address or length that is none, and these are.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
        if let Some(release) = self.release.take() {
            release();
        }
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedMemory({} bytes)", self.length)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn two_mappings_of_a_file_are_the_same_memory() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let whole = SharedMemory::map(&file, 0, 8192).unwrap();
        let second = SharedMemory::map(&file, 4096, 4096).unwrap();
        whole.bytes()[4096 + 4].store(7, Relaxed);
        assert_eq!(second.bytes()[4].load(Relaxed), 7);
        assert_eq!(second.words()[1].load(Relaxed).to_ne_bytes()[0], 7);
        assert_eq!((whole.bytes().len(), whole.words().len()), (8192, 2048));
        assert!(SharedMemory::map(&file, 0, 0).is_err());
        assert!(SharedMemory::map(&file, 0, 7).is_err());
    }

    #[test]
    fn what_is_to_be_done_after_unmapping_is_done_once() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let (said, heard) = std::sync::mpsc::channel();
        let memory = SharedMemory::map(&file, 0, 4096).unwrap();
        drop(memory.then(move || said.send(()).unwrap()));
        assert_eq!(heard.iter().count(), 1);
    }
}
