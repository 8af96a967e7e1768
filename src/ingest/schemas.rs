//! The JSON Schemas of the events, as shipped in `schemas/`: for those who produce them, and for those who read what
//! is written here. The decoder reads none of this; a test holds the two together.

/// Of the events that are read: each schema's name and text. The name is the event's type, or `usage_logs.v1` for bare
/// records.
pub const READ: [(&str, &str); 5] = [
    ("ai.usage.recorded.v1", include_str!("../../schemas/ai.usage.recorded.v1.json")),
    ("ai.output.created.v1", include_str!("../../schemas/ai.output.created.v1.json")),
    ("ai.output.deleted.v1", include_str!("../../schemas/ai.output.deleted.v1.json")),
    ("ai.quota.assigned.v1", include_str!("../../schemas/ai.quota.assigned.v1.json")),
    ("usage_logs.v1", include_str!("../../schemas/usage_logs.v1.json")),
];

/// Of the events that are written, and that the decoder refuses.
pub const WRITTEN: [(&str, &str); 2] = [
    ("ai.quota.notice.v1", include_str!("../../schemas/ai.quota.notice.v1.json")),
    ("ai.usage.rated.v1", include_str!("../../schemas/ai.usage.rated.v1.json")),
];

/// Every schema.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    READ.into_iter().chain(WRITTEN)
}

/// The text of a schema, by its name.
pub fn get(type_name: &str) -> Option<&'static str> {
    all().find(|(name, _)| *name == type_name).map(|(_, text)| text)
}
