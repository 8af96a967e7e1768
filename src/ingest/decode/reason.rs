//! Why a record is not counted. The list is closed: it labels metrics and dead letters.

macro_rules! reasons {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal,)+) => {
        /// The kinds of rejection. A name, once released, keeps its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason once: metrics start each of them at 0.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The name in snake_case.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The reason of that name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|reason| reason.as_str() == name)
            }
        }
    };
}

reasons! {
    /// The record has no value: a tombstone, which counts nothing.
    NullValue = "null_value",
    /// The value is longer than [`super::MAX_RECORD_BYTES`].
    TooLarge = "too_large",
    /// The value, or a header that we read, is not UTF-8.
    NotUtf8 = "not_utf8",
    /// The value is not one JSON text.
    NotJson = "not_json",
    /// The value nests deeper than [`super::MAX_DEPTH`].
    TooDeep = "too_deep",
    /// The value is JSON, but not an object.
    NotAnObject = "not_an_object",
    /// A required field is absent or null.
    MissingField = "missing_field",
    /// A field has a value of the wrong kind, form or range, or stands twice.
    InvalidField = "invalid_field",
    /// A name is empty, blank, too long or not printable.
    InvalidId = "invalid_id",
    /// The event's `type` is none of ours.
    UnknownType = "unknown_type",
    /// A total is not the sum of its parts, or a part exceeds its whole.
    TotalsMismatch = "totals_mismatch",
    /// The event's time lies too far after the record's Kafka timestamp.
    TimeInFuture = "time_in_future",
    /// The event's time lies too far before the record's Kafka timestamp.
    TooLate = "too_late",
    /// The record has no Kafka timestamp to hold the event's time against.
    NoTimestamp = "no_timestamp",
    /// A sum would leave 64 bits. Found when counting, never by the decoder.
    CounterOverflow = "counter_overflow",
}

/// A record that is not counted, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", .reason.as_str())]
pub struct Reject {
    pub reason: Reason,
    /// One line for a reader: which field, what is wrong, what to do. Quotes at most some 64 characters of
    /// the record: it goes to logs and headers, where a customer's text has no place.
    pub detail: String,
}

impl Reject {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// The fault of a field within another.
    pub(super) fn within(self, field: &str) -> Self {
        Self { detail: format!("{field}.{}", self.detail), ..self }
    }
}

/// The most of a producer's text that a detail repeats, in characters.
const QUOTED_CHARS: usize = 64;

/// A producer's text on one line, in quotes, cut where it is long.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
