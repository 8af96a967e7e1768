//! A Kafka record in, an [`Event`] or a [`Reject`] out: a pure function of the record and the bounds.
//!
//! Nothing in here reads a clock, does I/O, logs, or lets a number pass through a float. Three forms are
//! read: CloudEvents 1.0 in structured mode, in binary mode, and the bare records of a `usage_logs`
//! collection. Read this file first, then `event.rs`.
//!
//! When a record has several faults, the one reported does not depend on the order of its fields: the value
//! as a whole comes first (broken JSON, a name that stands twice), then the envelope, the data, and last the
//! event's time against the record's.

mod assigned;
mod count;
mod cursor;
mod event;
mod field;
mod fields;
mod headers;
mod reason;
mod scan;
#[cfg(test)]
#[path = "../../../tests/unit/ingest/decode/mod.rs"]
mod tests;
mod time;

pub use reason::{Reason, Reject};

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::IgnoredAny;

use self::event::Envelope;
use self::scan::Object;
use crate::domain::calendar::TimeMs;
use crate::domain::event::Event;

/// The longest value that is read, in bytes.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// How deep a value may nest objects and arrays.
pub const MAX_DEPTH: usize = 64;

/// A Kafka record, as far as it decides what the event is.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// None for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Names and values in the record's order; a header without a value is left out.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The record's Kafka timestamp; none where the record has none.
    pub timestamp: Option<TimeMs>,
}

/// How far an event's time may lie from its record's Kafka timestamp, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// 0 or more.
    pub max_future_ms: i64,
    /// 0 or more.
    pub max_age_ms: i64,
}

/// Reads a record.
///
/// # Errors
/// [`Reject`], when the record is not an event that can be counted.
pub fn decode(record: &Incoming<'_>, bounds: &Bounds) -> Result<Event, Reject> {
    let value = record.value.ok_or_else(|| {
        let detail = "the record has no value; a tombstone counts nothing, send ai.output.deleted.v1 to delete";
        Reject::new(Reason::NullValue, detail)
    })?;
    if value.len() > MAX_RECORD_BYTES {
        let detail = format!("the value has {} bytes; send at most {MAX_RECORD_BYTES}", value.len());
        return Err(Reject::new(Reason::TooLarge, detail));
    }
    let mut object = Object::EMPTY;
    let event = if headers::are_an_envelope(record.headers)? {
        // The headers first: they say that another's Avro is of an unknown type, not that it is no JSON.
        let envelope = Envelope::binary(record.headers)?;
        read(value, &mut object)?;
        envelope.event(&object.fields)
    } else {
        read(value, &mut object)?;
        let fields = &object.fields;
        if fields.spec_version().is_there() {
            let envelope = Envelope::structured(fields)?;
            match &object.data {
                Some(data) => envelope.event(data),
                None => envelope.event(&fields.data().object()?),
            }
        } else {
            Envelope::bare(fields)?.event(fields)
        }
    }?;
    check_bounds(event.time, record.timestamp, bounds)?;
    Ok(event)
}

/// The value as the JSON object it must be.
fn read<'a>(value: &'a [u8], object: &mut Object<'a>) -> Result<(), Reject> {
    let text = str::from_utf8(value).map_err(|fault| {
        let detail = format!("the value is not UTF-8 at byte {}; send UTF-8", fault.valid_up_to());
        Reject::new(Reason::NotUtf8, detail)
    })?;
    if object.scan(text).is_some() {
        return Ok(());
    }
    if nests_too_deep(value) {
        let detail = format!("the value nests more than {MAX_DEPTH} objects or arrays; send flat data");
        return Err(Reject::new(Reason::TooDeep, detail));
    }
    let not_json = |fault: serde_json::Error| {
        Reject::new(Reason::NotJson, format!("the value is not JSON: {fault}; send one JSON object a record"))
    };
    if !text.trim_start().starts_with('{') {
        serde_json::from_str::<IgnoredAny>(text).map_err(not_json)?;
        return Err(Reject::new(Reason::NotAnObject, "the value is JSON, but not an object; send one object a record"));
    }
    object.data = None;
    object.fields = serde_json::from_str(text).map_err(|fault| {
        if !fault.is_data() {
            return not_json(fault);
        }
        // Every field of ours takes any JSON, so it is a name that stands twice.
        Reject::new(Reason::InvalidField, format!("the value is not read: {fault}; send each name once"))
    })?;
    Ok(())
}

/// Whether objects and arrays nest too deep. Of a text that is not JSON, either answer will do.
fn nests_too_deep(json: &[u8]) -> bool {
    // Without that many openings there is no such depth. Counting in bytes, over chunks that cannot overflow one,
    // lets the compiler use vector instructions; it settles nearly every record.
    let openings = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    if json.chunks(255).map(|chunk| usize::from(openings(chunk))).sum::<usize>() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest > MAX_DEPTH
}

/// Holds the event's time against the record's own timestamp, never against the clock: a replay must decide
/// as the first run did. A time just at a bound is within it.
fn check_bounds(time: DateTime<Utc>, timestamp: Option<TimeMs>, bounds: &Bounds) -> Result<(), Reject> {
    let Some(logged) = timestamp else {
        let detail = "the record has no Kafka timestamp; set message.timestamp.type, or a timestamp when producing";
        return Err(Reject::new(Reason::NoTimestamp, detail));
    };
    let event = TimeMs::of(time);
    let (reason, limit_ms, side) = if event.0 > logged.0.saturating_add(bounds.max_future_ms) {
        (Reason::TimeInFuture, bounds.max_future_ms, "after")
    } else if event.0 < logged.0.saturating_sub(bounds.max_age_ms) {
        (Reason::TooLate, bounds.max_age_ms, "before")
    } else {
        return Ok(());
    };
    let (event, logged) = (event.to_utc().to_rfc3339(), logged.to_utc().to_rfc3339());
    let advice = "check the producer's clock and delay, or widen the bound and replay";
    let limit = TimeDelta::milliseconds(limit_ms);
    let far = format!(
        "more than {} d {} s {side} the record's Kafka timestamp {logged}",
        limit.num_days(),
        limit.num_seconds() % 86_400
    );
    Err(Reject::new(reason, format!("the event's time {event} is {far}; {advice}")))
}
