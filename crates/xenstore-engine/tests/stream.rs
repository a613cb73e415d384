//! The engine sees a stream of bytes, not packets: however it is cut, and whenever the
//! turns come, the same bytes get the same answers.

mod support;

use proptest::prelude::*;
use support::{Host, Seen, T};
use xenstore_engine::{ConnectionId, Turn};
use xenstore_wire::message::encode;

/// A small world in which requests meet.
fn request() -> impl Strategy<Value = (T, u32, Vec<u8>)> {
    let path = prop::sample::select(vec!["/", "/a", "/a/b", "/a/b/c", "rel", "@x", "//", ""]);
    let kind = prop::sample::select(T::ALL);
    let rest = prop::sample::select(vec!["", "\0", "\0v", "\0t\0", "\0n0\0r1\0", "\x001\0"]);
    (kind, 0..3_u32, path, rest)
        .prop_map(|(kind, t, path, rest)| (kind, t, format!("{path}{rest}").into_bytes()))
}

/// When bytes are answered: later, or from the buffer they were put into, or where they lie.
#[derive(Clone, Copy, Debug)]
enum Feeding {
    Only,
    ThenTurn,
    InTurn,
}

fn feeding() -> impl Strategy<Value = Feeding> {
    prop::sample::select(vec![Feeding::Only, Feeding::ThenTurn, Feeding::InTurn])
}

fn run_out(host: &mut Host, client: ConnectionId) {
    while host.turn(client) == Turn::More {}
}

fn world() -> (Host, ConnectionId) {
    let mut host = Host::new();
    let client = host.socket();
    host.watch(client, "/a", "w");
    (host, client)
}

proptest! {
    #[test]
    fn any_cut_of_the_stream_gets_the_same_answers(
        requests in prop::collection::vec(request(), 1..60),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), feeding()), 0..40),
    ) {
        let mut stream = Vec::new();
        for (kind, transaction, payload) in &requests {
            prop_assert!(encode(&mut stream, *kind, 9, *transaction, &[payload]));
        }

        let (mut host, client) = world();
        host.engine.receive(client, &stream);
        run_out(&mut host, client);
        let whole = host.all(client);

        let (mut host, client) = world();
        let mut cuts: Vec<_> =
            cuts.iter().map(|(at, feeding)| (at.index(stream.len() + 1), *feeding)).collect();
        cuts.sort_unstable_by_key(|&(at, _)| at);
        let (mut fed, mut pieces) = (0, Vec::new());
        for (cut, feeding) in cuts {
            let bytes = &stream[fed..cut];
            fed = cut;
            match feeding {
                Feeding::Only => host.engine.receive(client, bytes),
                Feeding::ThenTurn => {
                    host.engine.receive(client, bytes);
                    host.turn(client);
                }
                Feeding::InTurn => {
                    host.turn_with(client, bytes);
                }
            }
            pieces.extend(host.all(client));
        }
        host.engine.receive(client, &stream[fed..]);
        run_out(&mut host, client);
        pieces.extend(host.all(client));

        prop_assert_eq!(&whole, &pieces);
        let replies = whole.iter().filter(|seen| matches!(seen, Seen::Reply(_))).count();
        prop_assert_eq!(replies, requests.len(), "every request is answered");
        host.check();
    }
}
