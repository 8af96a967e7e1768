//! The record's headers: the attributes of a CloudEvent in binary mode.

use std::borrow::Cow;

use super::field::{Text, missing};
use super::reason::{Reason, Reject};

type Headers<'a> = &'a [(&'a str, &'a [u8])];

const ATTRIBUTES: [&str; 5] = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"];

/// Whether the event is in binary mode: its attributes are headers, the value is its data.
///
/// # Errors
/// `invalid_field`, when the content type is a form of CloudEvents other than one JSON object, or no JSON in
/// binary mode, or stands twice; `not_utf8`, when it is no text.
pub(super) fn are_an_envelope(headers: Headers<'_>) -> Result<bool, Reject> {
    let content_type = get(headers, "content-type")?;
    if let Some(content_type) = &content_type {
        let (start, form) = split(media_type(content_type), "application/cloudevents".len());
        if start.eq_ignore_ascii_case("application/cloudevents") {
            let is_read = form.is_empty() || form.eq_ignore_ascii_case("+json");
            let reject = || content_type.invalid("is not read; send application/cloudevents+json");
            return if is_read { Ok(false) } else { Err(reject()) };
        }
    }
    let binary = headers.iter().any(|(name, _)| ATTRIBUTES.contains(name));
    if binary {
        content_type.as_ref().map_or(Ok(()), check_json)?;
    }
    Ok(binary)
}

/// A header that must be there.
pub(super) fn need<'a>(headers: Headers<'a>, name: &'static str) -> Result<Text<'a>, Reject> {
    get(headers, name)?.ok_or_else(|| missing(name))
}

fn get<'a>(headers: Headers<'a>, name: &'static str) -> Result<Option<Text<'a>>, Reject> {
    let mut values = headers.iter().filter(|(other, _)| *other == name);
    let Some((_, value)) = values.next() else {
        return Ok(None);
    };
    let reject = |reason, what| Reject::new(reason, format!("the header {name} {what}"));
    if values.next().is_some() {
        return Err(reject(Reason::InvalidField, "stands more than once; send it once"));
    }
    let text = str::from_utf8(value).map_err(|_| reject(Reason::NotUtf8, "is not UTF-8; send UTF-8"))?;
    Ok(Some(Text { name, text: Cow::Borrowed(text) }))
}

/// Refuses a content type that is not one of JSON.
pub(super) fn check_json(content_type: &Text<'_>) -> Result<(), Reject> {
    let media = media_type(content_type);
    let (_, end) = split(media, media.len().saturating_sub("+json".len()));
    let is_json = media.eq_ignore_ascii_case("application/json") || end.eq_ignore_ascii_case("+json");
    if is_json { Ok(()) } else { Err(content_type.invalid("is not JSON; send application/json")) }
}

/// A content type without its parameters.
fn media_type<'a>(content_type: &'a Text<'_>) -> &'a str {
    let end = content_type.text.bytes().position(|byte| byte == b';').unwrap_or(content_type.text.len());
    content_type.text[..end].trim()
}

/// The halves of a text of which the first is so long; a text that can't be split there is a first half alone.
fn split(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}
