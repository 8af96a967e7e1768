//! A JSON object as the raw texts of the fields we know, borrowed from the record.
//!
//! One pass finds them; each is read only when, and as what, it is asked for. So the order of fields in the
//! record never decides which fault is reported, and a number never passes through a float.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::field::{Field, Name};
use super::reason::{Reason, Reject};

macro_rules! keys {
    ($($variant:ident = $name:literal,)+) => {
        /// The field names that we read, at any level; all others are ignored.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Key {
            $($variant,)+
        }

        /// The names at the level that most keys belong to, by [`Key`].
        const NAMES: [&str; [$($name),+].len()] = [$($name),+];

        impl Key {
            fn of(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

keys! {
    SpecVersion = "specversion",
    Id = "id",
    Source = "source",
    Type = "type",
    Time = "time",
    DataContentType = "datacontenttype",
    Data = "data",
    DataBase64 = "data_base64",
    TenantId = "tenantId",
    UserId = "userId",
    Assistant = "assistant",
    Model = "model",
    TokensIn = "tokensIn",
    TokensOut = "tokensOut",
    TotalTokens = "totalTokens",
    CachedTokens = "cachedTokens",
    ReasoningTokens = "reasoningTokens",
    CostCents = "costCents",
    LatencyMs = "latencyMs",
    ToolInvocations = "toolInvocations",
    Output = "output",
    OutputId = "outputId",
    Kind = "kind",
    RequestId = "requestId",
    CreatedAt = "createdAt",
}

/// Where an object stands in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// The value as a whole, whose `data` is an object.
    Envelope,
    /// A CloudEvent's data, or a value as a whole whose `data` is left alone.
    Data,
    /// The data's `output`.
    Output,
}

/// The known fields of one JSON object.
#[derive(Debug)]
pub(super) struct Object<'a> {
    level: Level,
    raw: [Option<&'a str>; NAMES.len()],
    /// One bit for each [`Key`] that stands more than once.
    repeated: u32,
    /// The fields of `data`, where they were read in the same pass.
    data: Option<Box<Self>>,
}

/// Stands for the raw text of an object that has been read.
const READ: &str = "{…}";

const _: () = assert!(NAMES.len() <= u32::BITS as usize, "each key has a bit");

impl<'a> Object<'a> {
    /// Reads a record's value. JSON that is not an object is an error, too.
    ///
    /// Reads the fields of `data` in the same pass. That fails where `data` is no object; then a second pass
    /// leaves it alone and has the say, so the first only ever saves time.
    pub(super) fn top(json: &'a str) -> Result<Self, serde_json::Error> {
        Self::new(Level::Envelope).filled(json).or_else(|_| Self::new(Level::Data).filled(json))
    }

    /// Reads the text of an object within a record.
    pub(super) fn nested(json: &'a str, level: Level) -> Result<Self, serde_json::Error> {
        Self::new(level).filled(json)
    }

    fn new(level: Level) -> Self {
        Self { level, raw: [None; NAMES.len()], repeated: 0, data: None }
    }

    fn filled(mut self, json: &'a str) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(json);
        self.deserialize(&mut json)?;
        json.end()?;
        Ok(self)
    }

    /// Whether the field stands there, if only as null.
    pub(super) fn has(&self, key: Key) -> bool {
        self.raw[key as usize].is_some()
    }

    /// The field, unless it is absent or null.
    #[inline]
    pub(super) fn get(&self, key: Key) -> Result<Option<Field<'a>>, Reject> {
        if self.repeated & bit(key) != 0 {
            return Err(repeated(self.name(key)));
        }
        Ok(self.raw[key as usize].filter(|raw| *raw != "null").map(|raw| Field::new(self.name(key), raw)))
    }

    /// The field, which must be there and not null.
    #[inline]
    pub(super) fn need(&self, key: Key) -> Result<Field<'a>, Reject> {
        self.get(key)?.ok_or_else(|| missing(self.name(key)))
    }

    /// The fields of a CloudEvent's data.
    pub(super) fn into_data(self) -> Result<Self, Reject> {
        let field = self.need(Key::Data)?;
        self.data.map_or_else(|| field.object(Level::Data), |data| Ok(*data))
    }

    fn name(&self, key: Key) -> Name {
        Name(match (self.level, key) {
            (Level::Output, Key::Id) => "output.id",
            (Level::Output, Key::Kind) => "output.kind",
            _ => NAMES[key as usize],
        })
    }
}

#[cold]
pub(super) fn missing(name: Name) -> Reject {
    Reject::new(Reason::MissingField, format!("{name} is missing or null; it is required, add it"))
}

#[cold]
fn repeated(name: Name) -> Reject {
    Reject::new(Reason::InvalidField, format!("{name} stands more than once; send it once"))
}

fn bit(key: Key) -> u32 {
    1 << key as u32
}

impl<'de> DeserializeSeed<'de> for &mut Object<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Object<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(KeySeed)? {
            let Some(key) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let raw = if key == Key::Data && self.level == Level::Envelope {
                let mut data = Box::new(Object::new(Level::Data));
                map.next_value_seed(&mut *data)?;
                self.data = Some(data);
                READ
            } else {
                map.next_value::<&RawValue>()?.get()
            };
            if self.raw[key as usize].replace(raw).is_some() {
                self.repeated |= bit(key);
            }
        }
        Ok(())
    }
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Option<Key>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Option<Key>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Key::of(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Object<'_> {
        Object::top(json).expect("an object")
    }

    #[test]
    fn every_key_has_its_name() {
        for name in ["specversion", "tenantId", "data_base64", "createdAt"] {
            assert_eq!(Key::of(name).map(|key| NAMES[key as usize]), Some(name));
        }
        assert_eq!(Key::of("TenantId"), None);
        assert_eq!(Key::of(""), None);
    }

    #[test]
    fn names_may_be_escaped_and_unknown_ones_are_ignored() {
        let object = parse(r#" {"tenant\u0049d": "a", "other": [{"userId": 1e999}], "tokensIn": 1e999} "#);
        assert!(object.has(Key::TenantId) && !object.has(Key::UserId));
        assert!(object.need(Key::TokensIn).is_ok());
    }

    #[test]
    fn a_field_that_stands_twice_is_refused_when_read() {
        let object = parse(r#"{"model": null, "model": "m", "x": 1, "x": 2}"#);
        assert_eq!(object.get(Key::Model).err().map(|reject| reject.reason), Some(Reason::InvalidField));
        assert!(object.get(Key::Kind).is_ok_and(|field| field.is_none()));
    }

    #[test]
    fn null_is_absent() {
        let object = parse(r#"{"model": null}"#);
        assert!(object.has(Key::Model));
        assert!(object.get(Key::Model).is_ok_and(|field| field.is_none()));
        assert_eq!(object.need(Key::Model).err().map(|reject| reject.reason), Some(Reason::MissingField));
    }

    #[test]
    fn what_is_not_one_object_is_an_error() {
        for json in
            ["", "[]", "1", "{", "{} {}", "{}x", "{,}", r#"{"a":}"#, r#"{"a":1,}"#, r#"{a:1}"#, "{'a':1}", "nul"]
        {
            assert!(Object::top(json).is_err(), "{json}");
        }
    }
}
