//! A JSON object as the raw texts of the fields that we know, borrowed from the record.
//!
//! Each field is read only when, and as what, it is asked for. So the order of fields in the record never
//! decides which fault is reported, and a number never passes through a float.

use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::field::{Field, Name};

macro_rules! fields {
    ($($field:ident = $name:literal,)+) => {
        /// The fields that we read, at any level; all others are ignored.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(super) struct Fields<'a> {
            /// The text of each by its [`Index`]; none where it is absent.
            values: [Option<&'a str>; NAMES.len()],
            /// No escape stands anywhere in the object; where it is false, perhaps.
            pub(super) is_plain: bool,
        }

        const NAMES: [&str; [$($name),+].len()] = [$($name),+];

        #[expect(non_camel_case_types, reason = "each bears the name of its method")]
        enum Index {
            $($field),+
        }

        fn index(name: &str) -> Option<usize> {
            match name {
                $($name => Some(Index::$field as usize),)+
                _ => None,
            }
        }

        impl<'a> Fields<'a> {
            $(pub(super) fn $field(&self) -> Field<'a> {
                self.field($name, Index::$field)
            })+
        }
    };
}

fields! {
    // A CloudEvent's attributes in structured mode.
    spec_version = "specversion", id = "id", source = "source", event_type = "type", time = "time",
    content_type = "datacontenttype", data = "data", data_base64 = "data_base64",
    // Its data.
    tenant_id = "tenantId", user_id = "userId", assistant = "assistant", model = "model",
    tokens_in = "tokensIn", tokens_out = "tokensOut", total_tokens = "totalTokens",
    cached_tokens = "cachedTokens", reasoning_tokens = "reasoningTokens", cost_cents = "costCents",
    latency_ms = "latencyMs", tool_invocations = "toolInvocations", output = "output",
    output_id = "outputId", kind = "kind", provider = "provider", cache_write_tokens = "cacheWriteTokens",
    // A quota.
    plan = "plan", limits = "limits", inherit = "inherit", effective_from = "effectiveFrom", tokens = "tokens",
    soft = "soft", hard = "hard", grace_seconds = "graceSeconds", thresholds = "thresholds",
    // What a bare record has instead of an envelope.
    request_id = "requestId", created_at = "createdAt",
}

impl<'a> Fields<'a> {
    pub(super) const NONE: Self = Self { values: [None; NAMES.len()], is_plain: false };

    fn field(&self, name: &'static str, index: Index) -> Field<'a> {
        Field { name, json: self.values[index as usize].unwrap_or("null"), is_plain: self.is_plain }
    }

    /// The place for a field's value, if the field is one of ours; none for others.
    pub(super) fn place(&mut self, name: &str) -> Option<(&'static str, &mut Option<&'a str>)> {
        let index = index(name)?;
        Some((NAMES[index], &mut self.values[index]))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::NONE)
    }
}

impl<'de> Visitor<'de> for Fields<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            match self.place(&name) {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some((name, Some(_))) => return Err(Error::duplicate_field(name)),
                Some((_, place)) => *place = Some(map.next_value::<&RawValue>()?.get()),
            }
        }
        Ok(self)
    }
}
