//! Months and days in UTC. An event belongs to the month of its own time, never of its arrival.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, SecondsFormat, Utc};

/// A point in time as milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeMs(pub i64);

impl TimeMs {
    pub fn of(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_millis())
    }

    /// The same instant as a chrono time; instants outside chrono's range are cut to its ends.
    pub fn to_utc(self) -> DateTime<Utc> {
        let end = if self.0 < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
        DateTime::from_timestamp_millis(self.0).unwrap_or(end)
    }

    /// As a text for others: `2026-11-24T10:00:00.000Z`.
    pub fn to_rfc3339(self) -> String {
        self.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

/// A calendar month in UTC, written `2026-11`; years 0000 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    month: u32,
}

/// Why a text is not a month.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a month such as 2026-11")]
pub struct MonthFault;

impl Month {
    pub fn of(time: DateTime<Utc>) -> Self {
        Self { year: time.year(), month: time.month() }
    }

    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// The month `months` later, or earlier where it is negative.
    pub fn plus(self, months: i32) -> Self {
        let index = self.year * 12 + self.month as i32 - 1 + months;
        Self { year: index.div_euclid(12), month: index.rem_euclid(12) as u32 + 1 }
    }

    /// The first instant of the month.
    pub fn start(self) -> DateTime<Utc> {
        self.day(1).map_or(DateTime::<Utc>::MAX_UTC, |day| day.and_time(NaiveTime::MIN).and_utc())
    }

    /// A day of the month by its number from 1.
    pub fn day(self, day: u32) -> Option<NaiveDate> {
        NaiveDate::from_ymd_opt(self.year, self.month, day)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = MonthFault;

    fn from_str(text: &str) -> Result<Self, MonthFault> {
        let digits = |s: &str, len: usize| s.len() == len && s.bytes().all(|b| b.is_ascii_digit());
        let (year, month) = text.split_once('-').ok_or(MonthFault)?;
        if !digits(year, 4) || !digits(month, 2) {
            return Err(MonthFault);
        }
        let year = year.parse().map_err(|_| MonthFault)?;
        let month = month.parse().map_err(|_| MonthFault)?;
        if !(1..=12).contains(&month) {
            return Err(MonthFault);
        }
        Ok(Self { year, month })
    }
}

#[cfg(test)]
#[path = "../../tests/unit/domain/calendar.rs"]
mod tests;
