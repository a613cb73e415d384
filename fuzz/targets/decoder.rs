//! A byte stream is cut into the same messages however it arrives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenstore_wire::{Decoder, Oversized};

/// Messages as (header's type, payload), and what ended the stream, if something did.
type Cut = (Vec<(u32, Vec<u8>)>, Option<Oversized>);

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (bytes, lengths) = input;
    let whole = cut([&bytes[..]].into_iter());
    assert_eq!(whole, cut(bytes.chunks(1)));
    assert_eq!(whole, cut(pieces(&bytes, &lengths).into_iter()));
});

fn cut<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Cut {
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => {
                    assert_eq!(message.header.length as usize, message.payload.len());
                    messages.push((message.header.kind, message.payload.to_vec()));
                }
                Ok(None) => break,
                Err(oversized) => return (messages, Some(oversized)),
            }
        }
        assert!(!decoder.is_ready());
    }
    (messages, None)
}

/// The bytes in pieces of these lengths, over and over.
fn pieces<'a>(mut bytes: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut lengths = lengths.iter().cycle();
    while !bytes.is_empty() {
        let length = lengths.next().map_or(1, |&length| usize::from(length).max(1));
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
