//! The shortest history that shows what a long one showed.

use crate::act::Act;
use crate::request::Request;

/// Leaves out what can be left out while the history still `fails`: halves first, single
/// acts in the end.
pub fn shrink(mut acts: Vec<Act>, fails: impl Fn(&[Act]) -> bool) -> Vec<Act> {
    let mut length = acts.len().div_ceil(2);
    while length > 0 {
        let before = acts.len();
        let mut at = 0;
        while at < acts.len() {
            match without(&acts, at, length).into_iter().find(|fewer| fails(fewer)) {
                Some(fewer) => acts = fewer,
                None => at += length,
            }
        }
        if length > 1 || acts.len() == before {
            length /= 2;
        }
    }
    acts
}

/// The acts without some of them. Without a single one that brought a client or a
/// transaction, those that came later have smaller numbers: it is not known from which
/// number on, so all are tried.
fn without(acts: &[Act], at: usize, length: usize) -> Vec<Vec<Act>> {
    let end = acts.len().min(at + length);
    let fewer = [&acts[..at], &acts[end..]].concat();
    let renumbered = |renumber: &dyn Fn(&mut Act)| {
        let mut acts = fewer.clone();
        acts.iter_mut().for_each(renumber);
        acts
    };
    let mut all = vec![fewer.clone()];
    match &acts[at] {
        Act::Connect | Act::Ask(_, _, Request::Introduce(..)) if length == 1 => {
            all.extend((0..CLIENTS).map(|from| renumbered(&|act| client_after(act, from))));
        }
        Act::Ask(client, _, Request::Start) | Act::Send(client, _, Request::Start)
            if length == 1 =>
        {
            let numbered = |from| renumbered(&move |act| transaction_after(act, *client, from));
            all.extend((1..TRANSACTIONS).map(numbered));
        }
        _ => {}
    }
    all
}

/// Numbers that occur once a history is short.
const CLIENTS: usize = 16;
const TRANSACTIONS: u32 = 16;

fn client_after(act: &mut Act, from: usize) {
    if let Act::Ask(client, ..) | Act::Send(client, ..) | Act::Disconnect(client) = act
        && *client > from
    {
        *client -= 1;
    }
}

fn transaction_after(act: &mut Act, whose: usize, from: u32) {
    if let Act::Ask(client, transaction, _) | Act::Send(client, transaction, _) = act
        && *client == whose
        && *transaction > from
    {
        *transaction -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_stays() {
        let start = |client| Act::Ask(client, 0, Request::Start);
        let end = |client, number| Act::Ask(client, number, Request::End(true));
        let acts = vec![Act::Connect, Act::Connect, start(1), start(0), start(1), end(1, 2)];
        // Whoever is the last to connect begins a transaction and ends it.
        let fails = |acts: &[Act]| {
            let clients = acts.iter().filter(|act| **act == Act::Connect).count();
            let client = clients.wrapping_sub(1);
            let begun = acts.iter().filter(|act| **act == start(client)).count();
            begun > 0 && acts.last() == Some(&end(client, u32::try_from(begun).unwrap()))
        };
        assert!(fails(&acts));
        assert_eq!(shrink(acts, fails), [Act::Connect, start(0), end(0, 1)]);
    }
}
