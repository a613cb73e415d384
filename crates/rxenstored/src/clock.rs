//! Timestamps of the logs: `20261122T10:40:13.514Z`.
//!
//! Always UTC, so no time zone data and no date library is needed for it.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where logs take the time from; tests bring their own.
pub type Clock = fn() -> SystemTime;

/// Appends `time` as `YYYYMMDDThh:mm:ss.mmmZ`. A time before 1970 is shown as 1970.
pub fn write_timestamp(line: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil_from_days(days);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    // Writing to a Vec cannot fail.
    let _ = write!(
        line,
        "{year:04}{month:02}{day:02}T{hour:02}:{minute:02}:{:02}.{:03}Z",
        second % 60,
        since.subsec_millis()
    );
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Counted in years that begin in March, so that the leap day is a year's last;
/// the months from March on then follow one linear rule.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    // From the first of March of the year 0 to 1970-01-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    // `leap_days` is a close upper bound here; the division absorbs the difference.
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn timestamp(milliseconds: u64) -> String {
        let mut line = Vec::new();
        write_timestamp(&mut line, UNIX_EPOCH + Duration::from_millis(milliseconds));
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn known_times() {
        assert_eq!(timestamp(0), "19700101T00:00:00.000Z");
        assert_eq!(timestamp(951_782_399_999), "20000228T23:59:59.999Z");
        assert_eq!(timestamp(951_782_400_000), "20000229T00:00:00.000Z");
        assert_eq!(timestamp(4_107_542_400_000), "21000301T00:00:00.000Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(civil_from_days(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
