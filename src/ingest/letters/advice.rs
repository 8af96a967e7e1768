//! What a reason means and what to do about it, in words. `docs/dead-letters.md` has the same table; a test compares.

use crate::ingest::decode::Reason;

/// For whoever looks at a dead letter.
#[derive(Debug, Clone, Copy)]
pub struct Advice {
    pub means: &'static str,
    /// What to do.
    pub then: &'static str,
}

/// No wildcard: a new reason needs advice.
pub fn advice(reason: Reason) -> Advice {
    let (means, then) = match reason {
        Reason::NullValue => ("no value: a tombstone counts nothing", "send `ai.output.deleted.v1` to delete"),
        Reason::TooLarge => ("longer than 1 MiB", "send what was used, not what was said"),
        Reason::NotUtf8 => ("the value, or a header that we read, is not UTF-8", "mend the producer's encoding"),
        Reason::NotJson => ("not one JSON text", "mend the producer: one JSON object a record"),
        Reason::TooDeep => ("more than 64 objects and arrays in each other", "send flat data"),
        Reason::NotAnObject => ("JSON, but no object", "mend the producer: one object a record, no array of them"),
        Reason::MissingField => {
            ("a required field is absent or null", "send it again with the field, under the same id")
        }
        Reason::InvalidField => {
            ("wrong kind, form or range, or it stands twice", "send it again corrected, under the same id")
        }
        Reason::InvalidId => ("empty, blank, too long or not printable", "send it again with 1 to 256 printable bytes"),
        Reason::UnknownType => (
            "`type` is none of ours",
            "leave it if the topic is shared; replay after an update of Indelible that knows the type",
        ),
        Reason::TotalsMismatch => (
            "a total is not the sum of its parts, or a part exceeds its whole",
            "find out which number is right, and send it again under the same id",
        ),
        Reason::TimeInFuture => (
            "`time` is more than `INDELIBLE_MAX_FUTURE` after the record's Kafka timestamp",
            "mend the producer's clock; replay when the time has come",
        ),
        Reason::TooLate => (
            "`time` is more than `INDELIBLE_MAX_AGE` before it",
            "raise `INDELIBLE_MAX_AGE` for the workers, then replay with the same",
        ),
        Reason::NoTimestamp => (
            "the record has no Kafka timestamp",
            "set `message.timestamp.type`; replay, which gives it the time of its rejection",
        ),
        Reason::CounterOverflow => {
            ("adding it would take a sum beyond 64 bits", "look at the amounts: an event of this size is hardly true")
        }
    };
    Advice { means, then }
}
