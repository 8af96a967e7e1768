//! What Redis answers, as values of ours.

use redis::Value;

use crate::domain::position::Position;

use super::StoreError;

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

pub(super) fn unreadable(answer: &Value) -> StoreError {
    StoreError::Unusable(format!("redis gave an answer that it never gives: {answer:?}"))
}

pub(super) fn damaged(key: &str, field: &str, value: &str) -> StoreError {
    StoreError::Corrupt { key: key.to_owned(), detail: format!("{field:?} holds {value:?}") }
}

/// A watermark that is there.
pub(super) fn parse_watermark(state: &str, stored: &Value) -> Result<Position, StoreError> {
    let damaged = || StoreError::Corrupt { key: state.to_owned(), detail: format!("a watermark holds {stored:?}") };
    text(stored).and_then(|stored| stored.parse().ok()).ok_or_else(damaged)
}
