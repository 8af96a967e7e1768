//! A JSON object as the raw texts of the fields that we know, borrowed from the record.
//!
//! Each field is read only when, and as what, it is asked for. So the order of fields in the record never
//! decides which fault is reported, and a number never passes through a float.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Datelike, Timelike, Utc};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::count::count;
use super::reason::{Reason, Reject, quote};
use crate::domain::ids::IdFault;
use crate::domain::money::NanoDollars;

macro_rules! fields {
    ($($field:ident = $name:literal,)+) => {
        /// The fields that we read, at any level; all others are ignored.
        #[derive(Debug, Deserialize)]
        pub(super) struct Fields<'a> {
            $(#[serde(borrow, rename = $name, default = "null")] $field: &'a RawValue,)+
        }

        impl<'a> Fields<'a> {
            $(pub(super) fn $field(&self) -> Field<'a> {
                Field { name: $name, json: self.$field.get() }
            })+
        }
    };
}

/// What stands for a field that is absent.
fn null() -> &'static RawValue {
    RawValue::NULL
}

fields! {
    // A CloudEvent's attributes in structured mode.
    spec_version = "specversion", id = "id", source = "source", event_type = "type", time = "time",
    content_type = "datacontenttype", data = "data", data_base64 = "data_base64",
    // Its data.
    tenant_id = "tenantId", user_id = "userId", assistant = "assistant", model = "model",
    tokens_in = "tokensIn", tokens_out = "tokensOut", total_tokens = "totalTokens",
    cached_tokens = "cachedTokens", reasoning_tokens = "reasoningTokens", cost_cents = "costCents",
    latency_ms = "latencyMs", tool_invocations = "toolInvocations", output = "output",
    output_id = "outputId", kind = "kind", provider = "provider", cache_write_tokens = "cacheWriteTokens",
    // A quota.
    plan = "plan", limits = "limits", inherit = "inherit", effective_from = "effectiveFrom", tokens = "tokens",
    soft = "soft", hard = "hard", grace_seconds = "graceSeconds", thresholds = "thresholds",
    // What a bare record has instead of an envelope.
    request_id = "requestId", created_at = "createdAt",
}

/// A field of an object, by the name that its producer knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'static str,
    /// One JSON value; null where it is absent.
    json: &'a str,
}

impl<'a> Field<'a> {
    pub(super) fn is_there(self) -> bool {
        self.json != "null"
    }

    /// The field as something, if it is there.
    pub(super) fn optional<T>(self, read: fn(Self) -> Result<T, Reject>) -> Result<Option<T>, Reject> {
        if self.is_there() { read(self).map(Some) } else { Ok(None) }
    }

    fn json(self) -> Result<&'a str, Reject> {
        if self.is_there() { Ok(self.json) } else { Err(missing(self.name)) }
    }

    pub(super) fn text(self) -> Result<Text<'a>, Reject> {
        let json = self.json()?;
        let Some(inner) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return Err(self.invalid(&format!("is {}; send a string", sort(json))));
        };
        if !inner.as_bytes().contains(&b'\\') {
            return Ok(Text { name: self.name, text: Cow::Borrowed(inner) });
        }
        // The grammar of JSON allows half a surrogate pair, which is no character.
        let text = serde_json::from_str(json)
            .map_err(|_| self.invalid("holds an escape that is not a Unicode character; send whole surrogate pairs"))?;
        Ok(Text { name: self.name, text: Cow::Owned(text) })
    }

    pub(super) fn id<T>(self, new: fn(&str) -> Result<T, IdFault>) -> Result<T, Reject> {
        self.text()?.id(new)
    }

    pub(super) fn count(self) -> Result<i64, Reject> {
        count(self.json()?).map_err(|fault| self.invalid(&fault))
    }

    /// An amount of cents: a JSON number, or a string of the same form.
    pub(super) fn cents(self) -> Result<NanoDollars, Reject> {
        let json = self.json()?;
        let text = match sort(json) {
            "a string" => self.text()?.text,
            "a number" => Cow::Borrowed(json),
            other => return Err(self.invalid(&format!("is {other}; send a decimal number or a string of one"))),
        };
        NanoDollars::from_cents(&text).map_err(|fault| self.invalid(&format!("{} {fault}", quote(&text))))
    }

    /// The field as what a JSON object holds.
    pub(super) fn object<T: Deserialize<'a>>(self) -> Result<T, Reject> {
        match sort(self.json()?) {
            // Its syntax is known to be right, so it is a name in it: it stands twice, or is no text.
            "an object" => serde_json::from_str(self.json)
                .map_err(|fault| self.invalid(&format!("is not read: {fault}; send each name once, in Unicode text"))),
            other => Err(self.invalid(&format!("is {other}; send an object"))),
        }
    }

    /// The field as what a JSON array holds, each as its raw text.
    pub(super) fn array(self) -> Result<Vec<&'a RawValue>, Reject> {
        match sort(self.json()?) {
            "an array" => {
                serde_json::from_str(self.json).map_err(|fault| self.invalid(&format!("is not read: {fault}")))
            }
            other => Err(self.invalid(&format!("is {other}; send an array"))),
        }
    }

    pub(super) fn is_true(self) -> Result<bool, Reject> {
        match self.json {
            "null" | "false" => Ok(false),
            "true" => Ok(true),
            other => Err(self.invalid(&format!("is {}; send true or leave it out", sort(other)))),
        }
    }

    pub(super) fn invalid(self, what: &str) -> Reject {
        Reject::new(Reason::InvalidField, format!("{} {what}", self.name))
    }
}

/// A text that a producer gave: a JSON string without its quotes, or a header.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub(super) name: &'static str,
    pub(super) text: Cow<'a, str>,
}

impl Text<'_> {
    pub(super) fn id<T>(&self, new: fn(&str) -> Result<T, IdFault>) -> Result<T, Reject> {
        new(&self.text).map_err(|fault| Reject::new(Reason::InvalidId, format!("{} {fault}", self.name)))
    }

    /// An RFC 3339 time within the years 0000 to 9999 in UTC: `2026-11-24T18:32:00.123+01:00`.
    pub(super) fn time(&self) -> Result<DateTime<Utc>, Reject> {
        let read = DateTime::parse_from_rfc3339(&self.text).ok().map(|time| time.to_utc());
        // A leap second has nanoseconds of its own. As the second before it, month, day and milliseconds agree.
        let read = read.and_then(|time| time.with_nanosecond(time.nanosecond() % 1_000_000_000));
        read.filter(|time| (0..=9999).contains(&time.year())).ok_or_else(|| {
            self.invalid("is not an RFC 3339 time with an offset; send one such as 2026-11-24T18:32:00.123Z")
        })
    }

    pub(super) fn invalid(&self, what: &str) -> Reject {
        Reject::new(Reason::InvalidField, format!("{} {} {what}", self.name, quote(&self.text)))
    }
}

pub(super) fn missing(name: &str) -> Reject {
    Reject::new(Reason::MissingField, format!("{name} is missing or null; it is required, add it"))
}

/// What sort of JSON value a text is, by its first byte.
pub(super) fn sort(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        _ => "a number",
    }
}

/// An object whose names are the producer's own, repeated ones included: serde's maps would drop those.
pub(super) struct Entries<'a>(pub(super) Vec<(Name<'a>, &'a RawValue)>);

/// Borrowed unless it holds an escape.
#[derive(Deserialize)]
pub(super) struct Name<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Entries<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(entry) = map.next_entry()? {
            self.0.push(entry);
        }
        Ok(self)
    }
}
