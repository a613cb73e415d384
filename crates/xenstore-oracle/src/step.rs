//! Requests of a random sequence, as data: they can be sent to any daemon, left out
//! one by one, and printed.

use std::fmt;

use xenstore_wire::MessageType;

use crate::message::name_of;

/// Connections a sequence uses.
pub const CONNECTIONS: usize = 3;

/// An id that no daemon hands out in a short sequence.
pub const UNKNOWN_TRANSACTION: u32 = 99_999;

/// A request.
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    /// Who sends it: 0, 1 or 2.
    pub connection: usize,
    /// Its type; any number.
    pub kind: u32,
    /// Its transaction.
    pub transaction: Transaction,
    /// Its payload.
    pub payload: Vec<u8>,
    /// For `TRANSACTION_START`: what later steps call the transaction.
    pub slot: u8,
}

/// Which transaction a request names. Daemons number theirs as they like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transaction {
    /// None.
    None,
    /// The last one of that name this connection started; if none was, an unknown one.
    Slot(u8),
    /// One that was never started.
    Unknown,
}

impl Step {
    /// Its type, if there is such a type.
    pub fn message_type(&self) -> Option<MessageType> {
        MessageType::from_number(self.kind)
    }

    /// Whether it is of this type.
    pub fn is(&self, kind: MessageType) -> bool {
        self.kind == kind.number()
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connection = ["A", "B", "C"].get(self.connection).unwrap_or(&"?");
        write!(f, "{connection} {}", name_of(self.kind))?;
        match self.transaction {
            Transaction::None => {}
            Transaction::Slot(slot) => write!(f, " in t{slot}")?,
            Transaction::Unknown => write!(f, " in an unknown transaction")?,
        }
        write!(f, " \"{}\"", self.payload.escape_ascii())?;
        if self.is(MessageType::TransactionStart) {
            write!(f, " as t{}", self.slot)?;
        }
        Ok(())
    }
}
