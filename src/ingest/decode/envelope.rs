//! Who an event is, apart from its data: id, source, type and time, in each of the three forms.

use chrono::{DateTime, Utc};

use super::field::Named;
use super::headers::{Headers, check_json};
use super::object::{Key, Object};
use super::reason::{Reason, Reject, quote};
use crate::domain::ids::{EventId, Source};

/// The version of CloudEvents that we read.
const SPECVERSION: &str = "1.0";
/// The source of bare records, which name none.
const BARE_SOURCE: &str = "usage_logs";

/// The types of events that we count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Usage,
    OutputCreated,
    OutputDeleted,
}

impl Kind {
    fn of(event_type: &Named<'_>) -> Result<Self, Reject> {
        match event_type.text.as_ref() {
            "ai.usage.recorded.v1" => Ok(Self::Usage),
            "ai.output.created.v1" => Ok(Self::OutputCreated),
            "ai.output.deleted.v1" => Ok(Self::OutputDeleted),
            other => Err(Reject::new(
                Reason::UnknownType,
                format!(
                    "{} is {}; send ai.usage.recorded.v1, ai.output.created.v1 or ai.output.deleted.v1",
                    event_type.name,
                    quote(other)
                ),
            )),
        }
    }
}

#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) id: EventId,
    pub(super) source: Source,
    pub(super) kind: Kind,
    pub(super) time: DateTime<Utc>,
}

impl Envelope {
    /// From the headers of a CloudEvent in binary mode.
    pub(super) fn binary(headers: Headers<'_>) -> Result<Self, Reject> {
        check_version(&headers.need("ce_specversion")?)?;
        Ok(Self {
            kind: Kind::of(&headers.need("ce_type")?)?,
            id: headers.need("ce_id")?.id(EventId::new)?,
            source: headers.need("ce_source")?.id(Source::new)?,
            time: headers.need("ce_time")?.time()?,
        })
    }

    /// From the top of a CloudEvent in structured mode.
    pub(super) fn structured(top: &Object<'_>) -> Result<Self, Reject> {
        check_version(&top.need(Key::SpecVersion)?.text()?)?;
        let kind = Kind::of(&top.need(Key::Type)?.text()?)?;
        if let Some(content_type) = top.get(Key::DataContentType)? {
            check_json(&content_type.text()?)?;
        }
        if top.get(Key::DataBase64)?.is_some() {
            let detail = "data_base64 is not accepted; send the data as a JSON object in data";
            return Err(Reject::new(Reason::InvalidField, detail));
        }
        Ok(Self {
            kind,
            id: top.need(Key::Id)?.id(EventId::new)?,
            source: top.need(Key::Source)?.id(Source::new)?,
            time: top.need(Key::Time)?.text()?.time()?,
        })
    }

    /// From a bare record, as a `usage_logs` collection holds it: always usage.
    pub(super) fn bare(top: &Object<'_>) -> Result<Self, Reject> {
        let Some(request_id) = top.get(Key::RequestId)? else {
            // Perhaps it was never meant to be a bare record.
            let detail = "requestId is missing or null; add it, or specversion if the record is a CloudEvent";
            return Err(Reject::new(Reason::MissingField, detail));
        };
        Ok(Self {
            kind: Kind::Usage,
            id: request_id.id(EventId::new)?,
            source: bare_source()?,
            time: top.need(Key::CreatedAt)?.text()?.time()?,
        })
    }
}

fn bare_source() -> Result<Source, Reject> {
    Source::new(BARE_SOURCE).map_err(|fault| Reject::new(Reason::InvalidId, format!("{BARE_SOURCE} {fault}")))
}

fn check_version(version: &Named<'_>) -> Result<(), Reject> {
    if version.text == SPECVERSION { Ok(()) } else { Err(version.invalid("is not read; send CloudEvents 1.0")) }
}
