//! What a domain is charged for.

use xenstore_client::Client;
use xenstore_wire::Domid;

/// What `CONTROL quota <domid>` says that a domain has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// Nodes it owns.
    pub nodes: u64,
    /// Watches it has registered.
    pub watches: u64,
    /// Transactions it has open.
    pub transactions: u64,
    /// Requests that are not answered in full.
    pub outstanding: u64,
    /// Bytes.
    pub memory: u64,
}

impl Account {
    /// What a domain has; all zero if the daemon does not know it.
    pub fn of(domid: Domid, toolstack: &mut Client) -> Self {
        let said = match toolstack.control("quota", &[&domid.to_string()]) {
            Ok(said) => said,
            Err(error) if error.is_missing() => return Self::default(),
            Err(error) => panic!("the account of domain {domid}: {error}"),
        };
        let number = |name: &str| {
            let mut lines = said.lines().filter_map(|line| line.split_once(':'));
            let line = lines.find(|(of, _)| of.trim() == name).map(|(_, rest)| rest);
            let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            number.unwrap_or_else(|| panic!("expected a number of {name}, found {said:?}"))
        };
        Self {
            nodes: number("nodes"),
            watches: number("watches"),
            transactions: number("transactions"),
            outstanding: number("outstanding"),
            memory: number("memory"),
        }
    }
}
