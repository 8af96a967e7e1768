//! The event that assigns a quota, made from what a caller gives and held to the decoder: a worker can't refuse it.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use serde_json::value::RawValue;

use super::cloudevent::CloudEvent;
use super::decode::{Bounds, Incoming, Reason, Reject, decode};
use crate::domain::calendar::TimeMs;
use crate::domain::delta::Scope;
use crate::domain::event::Body;
use crate::domain::ids::{EventId, Source};
use crate::domain::quota::Assignment;

const TYPE: &str = "ai.quota.assigned.v1";
/// Of an event whose time is its record's.
const BOUNDS: Bounds = Bounds { max_future_ms: 0, max_age_ms: 0 };

/// The fields of a quota. A worker ignores others; whoever assigns one must hear of a name that is misspelt.
#[rustfmt::skip]
const FIELDS: [&str; 12] = [
    "plan", "limits", "inherit", "effectiveFrom",
    "limits.tokens", "limits.costCents", "limits.graceSeconds", "limits.thresholds",
    "limits.tokens.soft", "limits.tokens.hard", "limits.costCents.soft", "limits.costCents.hard",
];

/// Who an event is.
#[derive(Debug, Clone)]
pub struct Name {
    pub source: Source,
    pub id: EventId,
    /// To the millisecond.
    pub time: DateTime<Utc>,
}

/// The event that gives `scope` a quota, in CloudEvents' structured mode, and what a worker will keep of it. `quota` is
/// the event's data without `tenantId` and `userId`.
///
/// # Errors
/// [`Reject`], as the decoder names the fault; a field that it does not know is one.
pub fn quota_event(scope: &Scope, quota: &[u8], name: &Name) -> Result<(Assignment, String), Reject> {
    let data = data(scope, quota)?;
    let time = name.time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let event = CloudEvent::new(TYPE, name.source.as_str(), name.id.as_str(), time, &data);
    let event = serde_json::to_string(&event).map_err(not_json)?;
    let timestamp = Some(TimeMs::of(name.time));
    let read = decode(&Incoming { value: Some(event.as_bytes()), headers: &[], timestamp }, &BOUNDS)?;
    match &read.body {
        Body::QuotaAssigned(assigned) => Ok((read.assignment(assigned), event)),
        _ => Err(Reject { reason: Reason::UnknownType, detail: format!("the event is not read as {TYPE}") }),
    }
}

/// The quota with whom it is for. Its text stays as it is: no number passes through a float.
fn data(scope: &Scope, quota: &[u8]) -> Result<Box<RawValue>, Reject> {
    let quota: &RawValue = serde_json::from_slice(quota).map_err(not_json)?;
    let Some(inner) = quota.get().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        let detail = "the quota is JSON, but not an object; send one such as {\"plan\": \"pro\"}".to_owned();
        return Err(Reject { reason: Reason::NotAnObject, detail });
    };
    if let Some(unknown) = unknown("", quota.get()) {
        let detail = format!("{unknown:?} is no field of a quota; its fields are {}", FIELDS.join(", "));
        return Err(Reject { reason: Reason::InvalidField, detail });
    }
    let mut data = format!("{{\"tenantId\":{}", json!(scope.tenant.as_str()));
    if let Some(user) = &scope.user {
        data.push_str(&format!(",\"userId\":{}", json!(user.as_str())));
    }
    data.push_str(if inner.trim().is_empty() { "" } else { "," });
    data.push_str(inner);
    data.push('}');
    RawValue::from_string(data).map_err(not_json)
}

/// The path of the first field that a quota does not have, cut where it is long.
fn unknown(path: &str, json: &str) -> Option<String> {
    // What is no object has no fields; the decoder says what it should be, and which name stands twice.
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
    fields.into_iter().find_map(|(name, value)| {
        let field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        // A dot in a name would pass for a path.
        let known = !name.contains('.') && FIELDS.contains(&field.as_str());
        if known { unknown(&field, value.get()) } else { Some(field.chars().take(64).collect()) }
    })
}

fn not_json(fault: serde_json::Error) -> Reject {
    let detail = format!("the quota is not JSON: {fault}; send one object such as {{\"plan\": \"pro\"}}");
    Reject { reason: Reason::NotJson, detail }
}

#[cfg(test)]
#[path = "../../tests/unit/ingest/quota_event.rs"]
mod tests;
