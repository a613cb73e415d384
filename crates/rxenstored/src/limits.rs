//! What one unprivileged domain may use of the store, under the names C xenstored
//! gives its quotas.

use std::str::FromStr;

use thiserror::Error;

/// The longest path a quota can allow, in bytes: C xenstored caps `-M` here, and so do we.
pub const PATH_MAX_CAP: u32 = 2048;

/// Limits of one unprivileged domain. In every field 0 means "no limit".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Nodes owned (`nodes`).
    pub nodes: u32,
    /// Registered watches (`watches`).
    pub watches: u32,
    /// Open transactions (`transactions`).
    pub transactions: u32,
    /// Nodes accessed in one transaction (`transaction-nodes`).
    pub transaction_nodes: u32,
    /// Entries in the permission list of a node (`node-permissions`).
    pub node_permissions: u32,
    /// Bytes in an absolute path (`path-max`), at most [`PATH_MAX_CAP`].
    pub path_max: u32,
    /// Bytes in a node: its value, permissions and child names (`node-size`).
    pub node_size: u32,
    /// Requests whose effects are not yet delivered (`outstanding`).
    pub outstanding: u32,
    /// Bytes of memory in all (`memory`); beyond, the interface stalls.
    pub memory: u32,
    /// Bytes of memory from which on a warning is logged (`--quota-soft memory`).
    pub soft_memory: u32,
    /// Requests in one transaction (oxenstored's `quota-maxrequests`).
    pub transaction_requests: u32,
    /// Replies queued for one connection (oxenstored's `quota-maxoutstanding`).
    pub queued_replies: u32,
    /// Events queued for one connection (oxenstored's `quota-maxwatchevents`).
    pub queued_events: u32,
}

impl Default for Limits {
    /// C xenstored's defaults; the last three, which it does not have, are oxenstored's.
    fn default() -> Self {
        Self {
            nodes: 1000,
            watches: 128,
            transactions: 10,
            transaction_nodes: 1024,
            node_permissions: 5,
            path_max: 2048,
            node_size: 2048,
            outstanding: 20,
            memory: 2_621_440,
            soft_memory: 2_097_152,
            transaction_requests: 1024,
            queued_replies: 1024,
            queued_events: 1024,
        }
    }
}

impl Limits {
    /// The same as the engine names them.
    pub fn engine_limits(&self) -> xenstore_engine::Limits {
        use xenstore_engine::Quota as Q;
        let mut limits = xenstore_engine::Limits::default();
        for (quota, limit) in [
            (Q::Nodes, self.nodes),
            (Q::Watches, self.watches),
            (Q::Transactions, self.transactions),
            (Q::TransactionNodes, self.transaction_nodes),
            (Q::NodePermissions, self.node_permissions),
            (Q::PathMax, self.path_max),
            (Q::NodeSize, self.node_size),
            (Q::Outstanding, self.outstanding),
            (Q::Memory, self.memory),
            (Q::SoftMemory, self.soft_memory),
        ] {
            limits.set(quota, limit);
        }
        limits
    }

    /// Sets one quota, the path length capped as C xenstored caps it.
    pub fn set(&mut self, quota: Quota, value: u32) {
        match quota {
            Quota::Nodes => self.nodes = value,
            Quota::Watches => self.watches = value,
            Quota::Transactions => self.transactions = value,
            Quota::TransactionNodes => self.transaction_nodes = value,
            Quota::NodePermissions => self.node_permissions = value,
            Quota::PathMax => self.path_max = value.min(PATH_MAX_CAP),
            Quota::NodeSize => self.node_size = value,
            Quota::Outstanding => self.outstanding = value,
            Quota::Memory => self.memory = value,
        }
    }

    /// Lifts what oxenstored's `quota-activate = false` lifts: the counts and sizes
    /// of a domain's own things, not the lengths of paths, transactions and queues.
    pub fn deactivate(&mut self) {
        self.nodes = 0;
        self.watches = 0;
        self.transactions = 0;
        self.node_size = 0;
    }
}

/// A quota that can be set by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// `nodes`
    Nodes,
    /// `watches`
    Watches,
    /// `transactions`
    Transactions,
    /// `transaction-nodes`
    TransactionNodes,
    /// `node-permissions`
    NodePermissions,
    /// `path-max`
    PathMax,
    /// `node-size`
    NodeSize,
    /// `outstanding`
    Outstanding,
    /// `memory`
    Memory,
}

/// Every hard quota with its name on the command line.
pub const QUOTAS: [(&str, Quota); 9] = [
    ("nodes", Quota::Nodes),
    ("watches", Quota::Watches),
    ("transactions", Quota::Transactions),
    ("transaction-nodes", Quota::TransactionNodes),
    ("node-permissions", Quota::NodePermissions),
    ("path-max", Quota::PathMax),
    ("node-size", Quota::NodeSize),
    ("outstanding", Quota::Outstanding),
    ("memory", Quota::Memory),
];

/// `name=value` of `--quota`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaSetting {
    /// Which quota.
    pub quota: Quota,
    /// Its value, 0 for none.
    pub value: u32,
}

/// `memory=value` of `--quota-soft`: memory is the only soft quota there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoftQuotaSetting(pub u32);

/// `watch-event=seconds` of `--timeout`, the only timeout there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutSetting(pub u32);

/// Why a `name=value` was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingError {
    /// There is no `=` in it.
    #[error("expected name=number, found \"{0}\"")]
    NoEquals(String),
    /// No such quota or timeout.
    #[error("expected one of {expected}, found \"{found}\"")]
    UnknownName {
        /// The names there are.
        expected: String,
        /// The name given.
        found: String,
    },
    /// Not a number in range.
    #[error("expected a whole number from 0 to 4294967295, found \"{0}\"")]
    NotANumber(String),
}

/// Splits `name=number`.
fn split(text: &str) -> Result<(&str, u32), SettingError> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| SettingError::NoEquals(text.to_owned()))?;
    let value = value.parse().map_err(|_| SettingError::NotANumber(value.to_owned()))?;
    Ok((name, value))
}

fn only(expected: &str, text: &str) -> Result<u32, SettingError> {
    let (found, value) = split(text)?;
    if found == expected {
        return Ok(value);
    }
    Err(SettingError::UnknownName { expected: expected.to_owned(), found: found.to_owned() })
}

impl FromStr for QuotaSetting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let (found, value) = split(text)?;
        let known = QUOTAS.iter().find(|(name, _)| *name == found);
        let (_, quota) = known.ok_or_else(|| SettingError::UnknownName {
            expected: QUOTAS.map(|(name, _)| name).join(", "),
            found: found.to_owned(),
        })?;
        Ok(Self { quota: *quota, value })
    }
}

impl FromStr for SoftQuotaSetting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        only("memory", text).map(Self)
    }
}

impl FromStr for TimeoutSetting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        only("watch-event", text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quota_can_be_set_by_name() {
        for (name, quota) in QUOTAS {
            let setting: QuotaSetting = format!("{name}=7").parse().unwrap();
            assert_eq!(setting, QuotaSetting { quota, value: 7 });
            let mut limits = Limits::default();
            limits.set(setting.quota, setting.value);
            assert_ne!(limits, Limits::default(), "{name}");
        }
    }

    #[test]
    fn errors_say_what_was_expected_and_found() {
        let error = |text: &str| text.parse::<QuotaSetting>().unwrap_err().to_string();
        assert_eq!(error("nodes"), "expected name=number, found \"nodes\"");
        assert!(error("nods=1").ends_with("memory, found \"nods\""));
        for number in ["x", "-1", "", "4294967296", "0x10"] {
            assert!(error(&format!("nodes={number}")).contains("whole number"));
        }
        assert!("nodes=1".parse::<SoftQuotaSetting>().is_err());
        assert_eq!("memory=1".parse(), Ok(SoftQuotaSetting(1)));
        assert_eq!("watch-event=30".parse(), Ok(TimeoutSetting(30)));
        assert!("watch=30".parse::<TimeoutSetting>().is_err());
    }

    #[test]
    fn the_path_length_is_capped() {
        let mut limits = Limits::default();
        limits.set(Quota::PathMax, 99_999);
        assert_eq!(limits.path_max, PATH_MAX_CAP);
    }
}
