//! The one place that reads a clock. Everything else takes the time as an argument.

use std::time::Instant;

use chrono::{DateTime, Utc};

/// The time of day, for what a person reads.
#[expect(clippy::disallowed_methods, reason = "this is the place that the ban points to")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Milliseconds since 1970-01-01T00:00:00Z, for what is compared with Kafka timestamps.
pub fn now_ms() -> i64 {
    now().timestamp_millis()
}

/// A point on the monotonic clock, for durations and deadlines.
#[expect(clippy::disallowed_methods, reason = "this is the place that the ban points to")]
pub fn instant() -> Instant {
    Instant::now()
}
