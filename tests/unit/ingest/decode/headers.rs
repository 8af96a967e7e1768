//! Which headers say that a record is in binary mode.

use super::super::Reason;
use super::super::headers::{are_an_envelope, need};

#[track_caller]
fn check(headers: &[(&str, &str)], expected: Result<bool, Reason>) {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    assert_eq!(are_an_envelope(&headers).map_err(|reject| reject.reason), expected);
}

#[test]
fn the_content_type_says_structured() {
    check(&[("content-type", "application/cloudevents+json; charset=UTF-8")], Ok(false));
    check(&[("content-type", "application/cloudevents")], Ok(false));
    check(&[("content-type", "Application/CloudEvents+JSON")], Ok(false));
    check(&[("ce_id", "1"), ("content-type", "application/cloudevents+json")], Ok(false));
}

#[test]
fn other_cloudevents_formats_are_refused() {
    check(&[("content-type", "application/cloudevents+avro")], Err(Reason::InvalidField));
    check(&[("content-type", "application/cloudevents-batch+json")], Err(Reason::InvalidField));
}

#[test]
fn an_attribute_says_binary() {
    check(&[("ce_specversion", "1.0")], Ok(true));
    check(&[("ce_type", "x"), ("content-type", "application/json")], Ok(true));
    check(&[("ce_type", "x"), ("content-type", "application/vnd.acme+json;v=1")], Ok(true));
    check(&[("ce_type", "x"), ("content-type", "application/avro")], Err(Reason::InvalidField));
}

#[test]
fn other_headers_say_nothing() {
    check(&[], Ok(false));
    check(&[("traceparent", "00-x"), ("content-type", "application/json")], Ok(false));
    check(&[("content-type", "text/plain")], Ok(false));
    check(&[("ce_", ""), ("CE_ID", "1"), ("ce_partitionkey", "a")], Ok(false));
}

#[test]
fn a_header_we_read_stands_once_and_is_text() {
    check(&[("content-type", "a"), ("content-type", "a")], Err(Reason::InvalidField));
    check(&[("x", "a"), ("x", "a")], Ok(false));
    let bad = need(&[("ce_id", b"\xff")], "ce_id").err().map(|reject| reject.reason);
    assert_eq!(bad, Some(Reason::NotUtf8));
}
