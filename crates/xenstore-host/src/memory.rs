//! Memory that the allocator keeps although nothing is in it.

#![allow(unsafe_code, reason = "one call of the C library's allocator")]

/// Gives memory that was freed back to the system.
///
/// After a peak the GNU C library keeps what was freed: a daemon with a megabyte in use can
/// go on holding hundreds. Costs some microseconds per megabyte it looks through. With
/// another C library, which keeps less, nothing happens.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            /// `int malloc_trim(size_t pad)`, see `malloc_trim`(3).
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: the declaration is that of the library, which may be called at any time;
        // it does not touch memory that is in use.
        let _something_was_given_back = unsafe { malloc_trim(0) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    fn resident_pages() -> usize {
        let statm = fs::read_to_string("/proc/self/statm").unwrap();
        statm.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Small pieces, every thousandth of them still in use: no end of the heap to cut off.
    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn what_lies_between_pieces_in_use_is_given_back() {
        let mut pieces: Vec<_> = (0..500_000_u32).map(|n| Some(Box::new([n; 16]))).collect();
        let full = resident_pages();
        for (number, piece) in pieces.iter_mut().enumerate() {
            if number % 1000 != 0 {
                *piece = None;
            }
        }
        super::give_back();
        let left = resident_pages();
        assert!(left + 5000 < full, "{full} pages when full, {left} after");
        assert!(pieces.iter().flatten().all(|piece| piece[0] % 1000 == 0));
    }
}
