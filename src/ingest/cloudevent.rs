//! A CloudEvent in structured mode, as we write it. Pure.

use serde::Serialize;

/// The header `content-type` of its record.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

#[derive(Serialize)]
pub(super) struct CloudEvent<'a, D> {
    specversion: &'static str,
    r#type: &'static str,
    source: &'a str,
    id: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: D,
}

impl<'a, D: Serialize> CloudEvent<'a, D> {
    /// `time` is RFC 3339.
    pub(super) fn new(r#type: &'static str, source: &'a str, id: &'a str, time: String, data: D) -> Self {
        Self { specversion: "1.0", r#type, source, id, time, datacontenttype: "application/json", data }
    }
}
