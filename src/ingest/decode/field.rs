//! A field's raw text, borrowed from the record, as what it is asked for: a name, a count, a time, an object.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::count::{count, digits};
use super::reason::{Reason, Reject, quote};
use super::scan;
use super::time::time;
use crate::domain::ids::IdFault;
use crate::domain::money::NanoDollars;

/// A field of an object, by the name that its producer knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'static str,
    /// One JSON value; null where it is absent.
    pub(super) json: &'a str,
    /// It holds no escape; where it is false, perhaps.
    pub(super) is_plain: bool,
}

impl<'a> Field<'a> {
    pub(super) fn is_there(self) -> bool {
        self.json != "null"
    }

    /// The field as something, if it is there.
    #[inline]
    pub(super) fn optional<T>(self, read: impl FnOnce(Self) -> Result<T, Reject>) -> Result<Option<T>, Reject> {
        if self.is_there() { read(self).map(Some) } else { Ok(None) }
    }

    fn json(self) -> Result<&'a str, Reject> {
        if self.is_there() { Ok(self.json) } else { Err(missing(self.name)) }
    }

    #[inline]
    pub(super) fn text(self) -> Result<Text<'a>, Reject> {
        match self.plain() {
            Some(text) => Ok(Text { name: self.name, text: Cow::Borrowed(text) }),
            None => self.unescaped(),
        }
    }

    #[cold]
    fn unescaped(self) -> Result<Text<'a>, Reject> {
        let json = self.json()?;
        if sort(json) != "a string" {
            return Err(self.invalid(&format!("is {}; send a string", sort(json))));
        }
        // The grammar of JSON allows half a surrogate pair, which is no character.
        let text = serde_json::from_str(json)
            .map_err(|_| self.invalid("holds an escape that is not a Unicode character; send whole surrogate pairs"))?;
        Ok(Text { name: self.name, text: Cow::Owned(text) })
    }

    /// A string without escapes, which is what a string nearly always is.
    #[inline]
    fn plain(self) -> Option<&'a str> {
        // By its bytes: to strip a prefix and a suffix is a comparison of memory for each.
        let [b'"', .., b'"'] = self.json.as_bytes() else { return None };
        let inner = &self.json[1..self.json.len() - 1];
        (self.is_plain || !inner.as_bytes().contains(&b'\\')).then_some(inner)
    }

    #[inline]
    pub(super) fn id<T>(self, new: impl FnOnce(&str) -> Result<T, IdFault>) -> Result<T, Reject> {
        match self.plain() {
            Some(text) => new(text).map_err(|fault| invalid_id(self.name, &fault)),
            None => self.text()?.id(new),
        }
    }

    #[inline]
    pub(super) fn count(self) -> Result<i64, Reject> {
        match digits(self.json) {
            Some(count) => Ok(count),
            None => count(self.json()?).map_err(|fault| self.invalid(&fault)),
        }
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

    /// The entries of a JSON object in their order, each with the text of its value.
    pub(super) fn entries(self) -> Result<scan::Entries<'a>, Reject> {
        if let Some(entries) = scan::entries(self.json) {
            return Ok(entries);
        }
        // No object, or an escape in a name.
        let Entries(entries) = self.object()?;
        Ok(entries.into_iter().map(|(Name(name), value)| (name, value.get())).collect())
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
    pub(super) fn id<T>(&self, new: impl FnOnce(&str) -> Result<T, IdFault>) -> Result<T, Reject> {
        new(&self.text).map_err(|fault| invalid_id(self.name, &fault))
    }

    /// An RFC 3339 time within the years 0000 to 9999 in UTC: `2026-11-24T18:32:00.123+01:00`.
    #[inline]
    pub(super) fn time(&self) -> Result<DateTime<Utc>, Reject> {
        time(&self.text).ok_or_else(|| {
            self.invalid("is not an RFC 3339 time with an offset; send one such as 2026-11-24T18:32:00.123Z")
        })
    }

    pub(super) fn invalid(&self, what: &str) -> Reject {
        Reject::new(Reason::InvalidField, format!("{} {} {what}", self.name, quote(&self.text)))
    }
}

#[cold]
fn invalid_id(name: &str, fault: &IdFault) -> Reject {
    Reject::new(Reason::InvalidId, format!("{name} {fault}"))
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
struct Entries<'a>(Vec<(Name<'a>, &'a RawValue)>);

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
