//! Quotas as they are given on a command line, under the names C xenstored has for
//! them. A limit of 0 is no limit.

use std::str::FromStr;

use thiserror::Error;
use xenstore_engine::{Limits, Quota};

/// The longest path a quota can allow, in bytes: C xenstored caps `-M` here, and so do we.
pub const PATH_MAX_CAP: u32 = 2048;

/// Sets a limit, the path length capped as C xenstored caps it.
pub fn set(limits: &mut Limits, quota: Quota, value: u32) {
    let cap = if quota == Quota::PathMax { PATH_MAX_CAP } else { u32::MAX };
    limits.set(quota, value.min(cap));
}

/// Lifts what oxenstored's `quota-activate = false` lifts: the counts and sizes of a
/// domain's own things, not the length of a path nor what it leaves unread. Its memory stays
/// bounded.
pub fn deactivate(limits: &mut Limits) {
    for quota in [Quota::Nodes, Quota::Watches, Quota::Transactions, Quota::NodeSize] {
        limits.set(quota, 0);
    }
}

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

/// `watch-event=seconds` of `--timeout`, the only timeout there is: checked, and of no
/// effect. Unread events collapse (`xenstore_engine`), so that none has to be thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutSetting;

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
        let known = Quota::hard().find(|quota| quota.name() == found);
        let quota = known.ok_or_else(|| SettingError::UnknownName {
            expected: Quota::hard().map(Quota::name).collect::<Vec<_>>().join(", "),
            found: found.to_owned(),
        })?;
        Ok(Self { quota, value })
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
        only("watch-event", text).map(|_seconds| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quota_can_be_set_by_name() {
        for quota in Quota::hard() {
            let setting: QuotaSetting = format!("{quota}=7").parse().unwrap();
            assert_eq!(setting, QuotaSetting { quota, value: 7 });
        }
        assert!("soft-memory=7".parse::<QuotaSetting>().is_err());
    }

    #[test]
    fn errors_say_what_was_expected_and_found() {
        let error = |text: &str| text.parse::<QuotaSetting>().unwrap_err().to_string();
        assert_eq!(error("nodes"), "expected name=number, found \"nodes\"");
        assert!(error("nods=1").starts_with("expected one of nodes, watches, "));
        for number in ["x", "-1", "", "4294967296", "0x10"] {
            assert!(error(&format!("nodes={number}")).contains("whole number"));
        }
        assert!("nodes=1".parse::<SoftQuotaSetting>().is_err());
        assert_eq!("memory=1".parse(), Ok(SoftQuotaSetting(1)));
        assert_eq!("watch-event=30".parse(), Ok(TimeoutSetting));
        assert!("watch=30".parse::<TimeoutSetting>().is_err());
    }

    #[test]
    fn the_path_length_is_capped() {
        let mut limits = Limits::default();
        set(&mut limits, Quota::PathMax, 99_999);
        assert_eq!(limits.get(Quota::PathMax), PATH_MAX_CAP);
    }
}
