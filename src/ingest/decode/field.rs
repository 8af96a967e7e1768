//! One field: its name and its JSON text, read as what the event needs it to be.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};

use super::entries::{Entries, Text};
use super::number;
use super::object::{Level, Object};
use super::reason::{Reason, Reject, quote};
use super::time::rfc3339;
use crate::domain::ids::{IdFault, Tool};
use crate::domain::money::NanoDollars;

/// The most tools that one event may name: each is a counter that is kept for months.
const MAX_TOOLS: usize = 64;

/// A field's name as its producer knows it: `tokensIn`, `output.id`, `ce_time`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name(pub(super) &'static str);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A field that is there and not null.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    name: Name,
    /// One JSON value, not empty.
    raw: &'a str,
}

impl<'a> Field<'a> {
    pub(super) fn new(name: Name, raw: &'a str) -> Self {
        Self { name, raw }
    }

    /// # Errors
    /// `invalid_field`, when the field is not a string of Unicode text.
    pub(super) fn text(self) -> Result<Named<'a>, Reject> {
        let Some(inner) = self.raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return Err(self.invalid(&format!("is {}; send a string", kind(self.raw))));
        };
        if !inner.as_bytes().contains(&b'\\') {
            return Ok(Named { name: self.name, text: Cow::Borrowed(inner) });
        }
        match serde_json::from_str::<Text<'a>>(self.raw) {
            Ok(Text(text)) => Ok(Named { name: self.name, text }),
            // The grammar of JSON allows half a surrogate pair, which is no character.
            Err(_) => Err(self.invalid("holds an escape that is not a Unicode character; send whole surrogate pairs")),
        }
    }

    /// # Errors
    /// `invalid_field`, when the field is no string; `invalid_id`, when the string is no id.
    pub(super) fn id<T>(self, new: fn(&str) -> Result<T, IdFault>) -> Result<T, Reject> {
        self.text()?.id(new)
    }

    /// # Errors
    /// `invalid_field`, when the field is not a whole number in range.
    pub(super) fn count(self) -> Result<i64, Reject> {
        count(|| self.name.to_string(), self.raw)
    }

    /// An amount of cents: a JSON number, or a string of the same form.
    ///
    /// # Errors
    /// `invalid_field`, when it is not an amount in range.
    pub(super) fn cents(self) -> Result<NanoDollars, Reject> {
        let text = match self.raw.as_bytes().first() {
            Some(b'"') => self.text()?.text,
            Some(b'-' | b'0'..=b'9') => Cow::Borrowed(self.raw),
            _ => return Err(self.invalid(&format!("is {}; send a decimal number or a string of one", kind(self.raw)))),
        };
        NanoDollars::from_cents(&text).map_err(|fault| self.invalid(&format!("{} {fault}", quote(&text))))
    }

    /// # Errors
    /// `invalid_field`, when the field is not a JSON object.
    pub(super) fn object(self, level: Level) -> Result<Object<'a>, Reject> {
        Object::nested(self.raw, level).map_err(|fault| self.not_an_object(&fault))
    }

    /// Calls by tool in the order of the tools' names, without those of 0 calls.
    ///
    /// # Errors
    /// `invalid_field`, when it is not an object of counts or names a tool twice; `invalid_id`, when a name
    /// is not an id.
    pub(super) fn tools(self) -> Result<Vec<(Tool, i64)>, Reject> {
        let Entries(entries) = serde_json::from_str(self.raw).map_err(|fault| self.not_an_object(&fault))?;
        if entries.len() > MAX_TOOLS {
            return Err(self.invalid(&format!("names {} tools; send at most {MAX_TOOLS}", entries.len())));
        }
        let mut tools = Vec::with_capacity(entries.len());
        for (text, raw) in entries {
            let name = || format!("{}.{}", self.name, quote(&text));
            let tool =
                Tool::new(&text).map_err(|fault| Reject::new(Reason::InvalidId, format!("{} {fault}", name())))?;
            tools.push((tool, if raw == "null" { 0 } else { count(name, raw)? }));
        }
        tools.sort_unstable();
        if let Some(twice) = tools.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let tool = quote(twice[0].0.as_str());
            return Err(self.invalid(&format!("names {tool} more than once; send each tool once")));
        }
        tools.retain(|(_, calls)| *calls != 0);
        Ok(tools)
    }

    fn not_an_object(self, fault: &serde_json::Error) -> Reject {
        match kind(self.raw) {
            // Its syntax is known to be right, so it is a name in it: half a surrogate pair.
            "an object" => self.invalid(&format!("has a name that is not text: {fault}")),
            other => self.invalid(&format!("is {other}; send an object")),
        }
    }

    fn invalid(self, what: &str) -> Reject {
        Reject::new(Reason::InvalidField, format!("{} {what}", self.name))
    }
}

/// A text that a producer gave: a JSON string without its quotes, or a header.
#[derive(Debug)]
pub(super) struct Named<'a> {
    pub(super) name: Name,
    pub(super) text: Cow<'a, str>,
}

impl Named<'_> {
    pub(super) fn id<T>(&self, new: fn(&str) -> Result<T, IdFault>) -> Result<T, Reject> {
        new(&self.text).map_err(|fault| Reject::new(Reason::InvalidId, format!("{} {fault}", self.name)))
    }

    pub(super) fn time(&self) -> Result<DateTime<Utc>, Reject> {
        rfc3339(&self.text).ok_or_else(|| {
            self.invalid("is not an RFC 3339 time with an offset; send one such as 2026-11-24T18:32:00.123Z")
        })
    }

    pub(super) fn invalid(&self, what: &str) -> Reject {
        Reject::new(Reason::InvalidField, format!("{} {} {what}", self.name, quote(&self.text)))
    }
}

fn count(name: impl FnOnce() -> String, raw: &str) -> Result<i64, Reject> {
    number::count(raw).map_err(|fault| {
        let name = name();
        let detail = match fault {
            number::CountFault::NotNumber => format!("{name} is {}, which {fault}", kind(raw)),
            _ => format!("{name} {fault}"),
        };
        Reject::new(Reason::InvalidField, detail)
    })
}

/// What sort of JSON value a text is, by its first byte.
fn kind(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
