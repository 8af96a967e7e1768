//! The record's headers: which form the event has, and its attributes in binary mode.

use std::borrow::Cow;

use super::field::{Name, Named};
use super::object::missing;
use super::reason::{Reason, Reject, quote};

/// A record's headers, of which the few that CloudEvents defines are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Headers<'a>(pub(super) &'a [(&'a str, &'a [u8])]);

/// What the headers say of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The value is a whole CloudEvent.
    Structured,
    /// The value is the event's data, its attributes are headers.
    Binary,
    /// Nothing: the value speaks for itself.
    Unsaid,
}

const CONTENT_TYPE: &str = "content-type";
const STRUCTURED: &str = "application/cloudevents";
const ATTRIBUTES: [&str; 5] = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"];

impl<'a> Headers<'a> {
    /// # Errors
    /// `invalid_field`, when the content type is a form of CloudEvents other than one JSON object, or no
    /// JSON in binary mode, or stands twice; `not_utf8`, when it is no text.
    pub(super) fn mode(self) -> Result<Mode, Reject> {
        if self.0.is_empty() {
            return Ok(Mode::Unsaid);
        }
        let content_type = self.get(CONTENT_TYPE)?;
        if let Some(format) = content_type.as_ref().and_then(|content| after_prefix(&content.text, STRUCTURED)) {
            return match media_type(format) {
                "" => Ok(Mode::Structured),
                json if json.eq_ignore_ascii_case("+json") => Ok(Mode::Structured),
                other => Err(Reject::new(
                    Reason::InvalidField,
                    format!("content-type has the CloudEvents format {}; send one event as +json", quote(other)),
                )),
            };
        }
        if !self.0.iter().any(|(name, _)| ATTRIBUTES.contains(name)) {
            return Ok(Mode::Unsaid);
        }
        content_type.map_or(Ok(()), |content| check_json(&content))?;
        Ok(Mode::Binary)
    }

    /// A header that must be there.
    pub(super) fn need(self, name: &'static str) -> Result<Named<'a>, Reject> {
        self.get(name)?.ok_or_else(|| missing(Name(name)))
    }

    fn get(self, name: &'static str) -> Result<Option<Named<'a>>, Reject> {
        let mut values = self.0.iter().filter(|(other, _)| *other == name).map(|(_, value)| value);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            let detail = format!("the header {name} stands more than once; send it once");
            return Err(Reject::new(Reason::InvalidField, detail));
        }
        let text = std::str::from_utf8(value)
            .map_err(|_| Reject::new(Reason::NotUtf8, format!("the header {name} is not UTF-8; send UTF-8")))?;
        Ok(Some(Named { name: Name(name), text: Cow::Borrowed(text) }))
    }
}

/// # Errors
/// `invalid_field`, when the content type is not one of JSON.
pub(super) fn check_json(content_type: &Named<'_>) -> Result<(), Reject> {
    let media = media_type(&content_type.text).to_ascii_lowercase();
    if media == "application/json" || media.ends_with("+json") {
        return Ok(());
    }
    Err(content_type.invalid("is not JSON; send application/json"))
}

/// A content type without its parameters.
fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn after_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: Result<Mode, Reason>) {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        assert_eq!(Headers(&headers).mode().map_err(|reject| reject.reason), expected);
    }

    #[test]
    fn the_content_type_says_structured() {
        check(&[("content-type", "application/cloudevents+json; charset=UTF-8")], Ok(Mode::Structured));
        check(&[("content-type", "application/cloudevents")], Ok(Mode::Structured));
        check(&[("content-type", "Application/CloudEvents+JSON")], Ok(Mode::Structured));
        check(&[("ce_id", "1"), ("content-type", "application/cloudevents+json")], Ok(Mode::Structured));
    }

    #[test]
    fn other_cloudevents_formats_are_refused() {
        check(&[("content-type", "application/cloudevents+avro")], Err(Reason::InvalidField));
        check(&[("content-type", "application/cloudevents-batch+json")], Err(Reason::InvalidField));
    }

    #[test]
    fn an_attribute_says_binary() {
        check(&[("ce_specversion", "1.0")], Ok(Mode::Binary));
        check(&[("ce_type", "x"), ("content-type", "application/json")], Ok(Mode::Binary));
        check(&[("ce_type", "x"), ("content-type", "application/vnd.acme+json;v=1")], Ok(Mode::Binary));
        check(&[("ce_type", "x"), ("content-type", "application/avro")], Err(Reason::InvalidField));
    }

    #[test]
    fn other_headers_say_nothing() {
        check(&[], Ok(Mode::Unsaid));
        check(&[("traceparent", "00-x"), ("content-type", "application/json")], Ok(Mode::Unsaid));
        check(&[("content-type", "text/plain")], Ok(Mode::Unsaid));
        check(&[("ce_", ""), ("CE_ID", "1"), ("ce_partitionkey", "a")], Ok(Mode::Unsaid));
    }

    #[test]
    fn a_header_we_read_stands_once_and_is_text() {
        check(&[("content-type", "a"), ("content-type", "a")], Err(Reason::InvalidField));
        check(&[("x", "a"), ("x", "a")], Ok(Mode::Unsaid));
        let bad = Headers(&[("ce_id", b"\xff")]).need("ce_id").err().map(|reject| reject.reason);
        assert_eq!(bad, Some(Reason::NotUtf8));
    }
}
