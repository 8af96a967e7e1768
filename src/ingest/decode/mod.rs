//! A Kafka record in, an [`Event`] or a [`Reject`] out: a pure function of the record and the bounds.
//!
//! Nothing in here reads a clock, does I/O, logs, or lets a number pass through a float. Three forms are
//! read: CloudEvents 1.0 in structured mode, in binary mode, and the bare records of a `usage_logs`
//! collection. Read this file first, then `envelope.rs` and `body.rs`; the rules of the values are in
//! `field.rs`, `number.rs` and `time.rs`.
//!
//! When a record has several faults, the one reported does not depend on the order of its fields: the value
//! as a whole comes first, then the envelope, the data, and last the event's time against the record's.

mod body;
mod entries;
mod envelope;
mod field;
mod headers;
mod number;
mod object;
mod reason;
#[cfg(test)]
mod tests;
mod text;
mod time;

pub use reason::{Reason, Reject};

use serde::de::IgnoredAny;

use self::envelope::Envelope;
use self::headers::{Headers, Mode};
use self::object::{Key, Object};
use crate::domain::calendar::TimeMs;
use crate::domain::event::Event;
use crate::domain::ids::{TenantId, UserId};

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
    let value = text::value(record.value)?;
    let headers = Headers(record.headers);
    let event = match headers.mode()? {
        Mode::Binary => {
            // The headers first: they say that another's Avro is of an unknown type, not that it is no JSON.
            let envelope = Envelope::binary(headers)?;
            event(envelope, &read(value)?)
        }
        Mode::Structured => structured(read(value)?),
        Mode::Unsaid => {
            let top = read(value)?;
            if top.has(Key::SpecVersion) { structured(top) } else { event(Envelope::bare(&top)?, &top) }
        }
    }?;
    time::check_bounds(event.time, record.timestamp, bounds)?;
    Ok(event)
}

fn structured(top: Object<'_>) -> Result<Event, Reject> {
    let envelope = Envelope::structured(&top)?;
    event(envelope, &top.into_data()?)
}

fn event(envelope: Envelope, data: &Object<'_>) -> Result<Event, Reject> {
    let Envelope { id, source, kind, time } = envelope;
    let tenant = data.need(Key::TenantId)?.id(TenantId::new)?;
    let user = data.need(Key::UserId)?.id(UserId::new)?;
    Ok(Event { id, source, time, tenant, user, body: body::body(kind, data)? })
}

/// The value as the JSON object it must be.
fn read(value: &[u8]) -> Result<Object<'_>, Reject> {
    let text = text::text(value)?;
    Object::top(text).map_err(|fault| {
        // Only now, on the rare way out, is it worth a second pass to tell "not an object" from "not JSON".
        if !text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok() {
            return Reject::new(Reason::NotAnObject, "the value is JSON, but not an object; send one object a record");
        }
        Reject::new(Reason::NotJson, format!("the value is not JSON: {fault}; send one JSON object a record"))
    })
}
