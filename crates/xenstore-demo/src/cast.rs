//! One who talks to the daemon.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use xenstore_client::{Call, Client, Error, Store, TransactionId};
use xenstore_guests::{Guest, Host};
use xenstore_wire::MessageType;
use xenstore_wire::text::{decimal, split_string};

use crate::failure::Failure;
use crate::transcript::Answer;

/// One who talks to the daemon.
#[derive(Debug)]
pub struct Actor {
    /// How the transcript calls it.
    pub name: String,
    seat: Seat,
    /// The daemon's numbers of the transactions the script numbers.
    transactions: HashMap<u32, Open>,
}

/// How it talks.
#[derive(Debug)]
enum Seat {
    Socket(Client),
    Ring(Guest),
}

/// An open transaction.
#[derive(Debug, Clone, Copy)]
struct Open {
    number: u32,
    /// On a socket, what its client knows it by.
    id: Option<TransactionId>,
}

impl Actor {
    /// One on the socket.
    pub fn on_socket(name: String, socket: &Path) -> Result<Self, Failure> {
        let seat = Seat::Socket(Client::open_path(socket)?);
        Ok(Self { name, seat, transactions: HashMap::new() })
    }

    /// A domain.
    pub fn on_ring(name: String, guest: Guest) -> Self {
        Self { name, seat: Seat::Ring(guest), transactions: HashMap::new() }
    }

    /// Asks, in a transaction of the script unless it is 0. Beside the answer, the daemon's
    /// number of that transaction.
    pub fn ask(
        &mut self,
        host: &mut Host,
        kind: MessageType,
        transaction: u32,
        payload: &[u8],
    ) -> Result<(Answer, u32), Failure> {
        if kind == MessageType::TransactionStart {
            return self.begin(host, transaction, payload);
        }
        let open = self.transactions.get(&transaction).copied();
        if kind == MessageType::TransactionEnd {
            self.transactions.remove(&transaction);
        }
        let number = open.map_or(0, |open| open.number);
        let answer = match &mut self.seat {
            Seat::Ring(guest) => granted(host.ask(guest, kind, number, payload))?,
            Seat::Socket(client) => {
                match client.raw(kind, open.and_then(|open| open.id), payload) {
                    Ok(reply) => Answer::Granted(reply),
                    Err(Error::Refused { errno, unlisted, .. }) => {
                        Answer::Refused(unlisted.unwrap_or_else(|| errno.name().to_owned()))
                    }
                    Err(other) => return Err(other.into()),
                }
            }
        };
        Ok((answer, number))
    }

    fn begin(
        &mut self,
        host: &mut Host,
        transaction: u32,
        payload: &[u8],
    ) -> Result<(Answer, u32), Failure> {
        let kind = MessageType::TransactionStart;
        let open = match &mut self.seat {
            Seat::Socket(client) => {
                let id = client.call(Call::transaction_start()?)?;
                Open { number: id.get(), id: Some(id) }
            }
            Seat::Ring(guest) => match granted(host.ask(guest, kind, 0, payload))? {
                Answer::Granted(reply) => {
                    let text = split_string(&reply).map(|(text, _)| text).unwrap_or_default();
                    let number = decimal(text).map_err(std::io::Error::other)?;
                    Open { number, id: None }
                }
                refused @ Answer::Refused(_) => return Ok((refused, 0)),
            },
        };
        self.transactions.insert(transaction, open);
        Ok((Answer::Granted(format!("{}\0", open.number).into_bytes()), 0))
    }

    /// All events that are on their way to it, as path and token.
    ///
    /// What an earlier request of anybody caused is on its way before the daemon answers the
    /// next one: so a harmless question brings it all.
    pub fn events(&mut self, host: &mut Host) -> Result<Vec<(String, String)>, Failure> {
        self.ask(host, MessageType::GetDomainPath, 0, b"0\0")?;
        let mut events = Vec::new();
        loop {
            let event = match &mut self.seat {
                Seat::Socket(client) => client.next_event_within(Duration::ZERO)?,
                Seat::Ring(guest) => guest.take_event(),
            };
            let Some(event) = event else { return Ok(events) };
            events.push((event.path, String::from_utf8_lossy(&event.token).into_owned()));
        }
    }

    /// Its end of its ring, if it has one.
    pub fn into_guest(self) -> Option<Guest> {
        match self.seat {
            Seat::Ring(guest) => Some(guest),
            Seat::Socket(_) => None,
        }
    }
}

fn granted(reply: Result<Vec<u8>, xenstore_guests::AskError>) -> Result<Answer, Failure> {
    match reply {
        Ok(payload) => Ok(Answer::Granted(payload)),
        Err(error) => match error.refusal() {
            Some(name) => Ok(Answer::Refused(name.to_owned())),
            None => Err(error.into()),
        },
    }
}
