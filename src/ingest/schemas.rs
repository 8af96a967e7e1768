//! The JSON Schemas of the events, as shipped in `schemas/`: for those who produce them. The decoder reads
//! none of this; a test holds the two together.

/// Each schema's name and text. The name is the event's type, or `usage_logs.v1` for bare records.
pub const ALL: [(&str, &str); 4] = [
    ("ai.usage.recorded.v1", include_str!("../../schemas/ai.usage.recorded.v1.json")),
    ("ai.output.created.v1", include_str!("../../schemas/ai.output.created.v1.json")),
    ("ai.output.deleted.v1", include_str!("../../schemas/ai.output.deleted.v1.json")),
    ("usage_logs.v1", include_str!("../../schemas/usage_logs.v1.json")),
];

/// The text of a schema, by its name in [`ALL`].
pub fn get(type_name: &str) -> Option<&'static str> {
    ALL.iter().find(|(name, _)| *name == type_name).map(|(_, text)| *text)
}
