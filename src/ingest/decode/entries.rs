//! JSON strings, and objects whose names are the producer's own, borrowed from the record.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON string, unescaped; borrowed unless it holds an escape.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// The entries of a JSON object whose names are the producer's own, in their order.
pub(super) struct Entries<'a>(pub(super) Vec<(Cow<'a, str>, &'a str)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((Text(name), raw)) = map.next_entry::<Text<'de>, &RawValue>()? {
            entries.push((name, raw.get()));
        }
        Ok(Entries(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_borrowed_unless_it_is_escaped() {
        let borrowed = |json| matches!(serde_json::from_str(json), Ok(Text(Cow::Borrowed("ab"))));
        assert!(borrowed(r#""ab""#));
        assert!(!borrowed(r#""a\u0062""#));
        assert!(matches!(serde_json::from_str(r#""a\u0062""#), Ok(Text(Cow::Owned(text))) if text == "ab"));
    }

    #[test]
    fn entries_keep_their_order_and_their_doubles() {
        let Entries(entries) = serde_json::from_str(r#"{"b": 1e999, "a": [2], "b": null}"#).expect("an object");
        assert_eq!(entries, [("b".into(), "1e999"), ("a".into(), "[2]"), ("b".into(), "null")]);
    }
}
