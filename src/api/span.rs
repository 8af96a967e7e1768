//! Which days or months a usage request asks for. Pure: the time comes as an argument.

use std::ops::Range;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::calendar::Month;

use super::params::quoted;
use super::problem::{Kind, Problem};

/// The width of a bucket, in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Bucket {
    #[default]
    Day,
    Month,
}

impl Bucket {
    /// The most buckets of one answer.
    const fn max(self) -> usize {
        match self {
            Self::Day => 400,
            Self::Month => 120,
        }
    }

    /// The buckets shown when `from` is not given.
    const fn default_count(self) -> i32 {
        match self {
            Self::Day => 30,
            Self::Month => 12,
        }
    }

    const fn examples(self) -> &'static str {
        match self {
            Self::Day => "a day such as 2026-11-24 or the start of one in UTC such as 2026-11-24T00:00:00Z",
            Self::Month => "a month such as 2026-11 or the start of one in UTC such as 2026-11-01T00:00:00Z",
        }
    }

    /// The start of the bucket that holds the day.
    fn start(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Day => day,
            Self::Month => month_of(day).start().date_naive(),
        }
    }

    /// The start of the bucket `count` after the one that starts at `start`.
    fn step(self, start: NaiveDate, count: i32) -> NaiveDate {
        match self {
            Self::Day => start + TimeDelta::days(i64::from(count)),
            Self::Month => month_of(start).plus(count).start().date_naive(),
        }
    }

    /// Reads `from` or `to`: the start of a bucket.
    fn read(self, name: &str, text: &str) -> Result<NaiveDate, Problem> {
        let start = text.parse().ok().filter(|_| self == Self::Month).map(|month: Month| month.start().date_naive());
        let day = start.or_else(|| day(text)).or_else(|| midnight(text));
        day.filter(|day| self.start(*day) == *day).ok_or_else(|| {
            Problem::new(Kind::InvalidParameter, format!("{name}: {} is not {}", quoted(text), self.examples()))
        })
    }
}

pub(super) fn month_of(day: NaiveDate) -> Month {
    Month::of(day.and_time(NaiveTime::MIN).and_utc())
}

/// Exactly `YYYY-MM-DD`; chrono alone would take more.
fn day(text: &str) -> Option<NaiveDate> {
    let (month, day) = (text.get(..7)?, text.get(7..)?.strip_prefix('-')?);
    let two_digits = day.len() == 2 && day.bytes().all(|b| b.is_ascii_digit());
    let number = day.parse().ok().filter(|_| two_digits)?;
    month.parse::<Month>().ok()?.day(number)
}

fn midnight(text: &str) -> Option<NaiveDate> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (time.time() == NaiveTime::MIN && (0..=9999).contains(&time.year())).then(|| time.date_naive())
}

/// The buckets from `from` to `to`, each from its first day to the first day after it, in order; at least one.
///
/// By default `to` is the end of the current bucket, and `from` 30 days or 12 months before `to`. Days are
/// kept for the current month and `detail_months` before it.
///
/// # Errors
/// A problem that names the parameter. Days that are no longer kept are refused: zeros would be untrue.
pub(super) fn buckets(
    bucket: Bucket,
    from: Option<&str>,
    to: Option<&str>,
    now: DateTime<Utc>,
    detail_months: u8,
) -> Result<Vec<Range<NaiveDate>>, Problem> {
    let current_end = || bucket.step(bucket.start(now.date_naive()), 1);
    let to = to.map(|text| bucket.read("to", text)).transpose()?.unwrap_or_else(current_end);
    let from = from.map(|text| bucket.read("from", text)).transpose()?;
    let from = from.unwrap_or_else(|| bucket.step(to, -bucket.default_count()));
    if from >= to {
        return Err(Problem::new(Kind::InvalidParameter, format!("from: {from} is not before `to`, {to}")));
    }
    let kept_from = Month::of(now).plus(-i32::from(detail_months)).start().date_naive();
    if bucket == Bucket::Day && from < kept_from {
        let kept = format!("days are kept for the current month and the {detail_months} before it");
        let detail =
            format!("from: {from} is before {kept_from}, and {kept}; use bucket=month, months are kept for good");
        return Err(Problem::new(Kind::DayDetailGone, detail));
    }
    let mut buckets = Vec::new();
    let mut start = from;
    while start < to {
        if buckets.len() == bucket.max() {
            let detail = format!("from: there are more than {} buckets from {from} to {to}", bucket.max());
            return Err(Problem::new(Kind::InvalidParameter, detail));
        }
        let end = bucket.step(start, 1);
        buckets.push(start..end);
        start = end;
    }
    Ok(buckets)
}
