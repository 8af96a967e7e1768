//! What Redis answers, as values of ours.

use redis::{FromRedisValue, Value};

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

pub(super) fn read<T: FromRedisValue>(value: Value, key: &str) -> Result<T, StoreError> {
    T::from_redis_value(value).map_err(|error| corrupt(key, error.to_string()))
}

/// The texts of an array, as they lie in the answer; none where there is nothing.
pub(super) fn texts<'v>(value: &'v Value, key: &str) -> Result<Vec<Option<&'v str>>, StoreError> {
    let Value::Array(items) = value else { return Err(unreadable(value)) };
    let one = |item: &'v Value| match item {
        Value::Nil => Ok(None),
        item => text(item).map(Some).ok_or_else(|| corrupt(key, format!("holds what is no text: {item:?}"))),
    };
    items.iter().map(one).collect()
}

pub(super) fn corrupt(key: &str, detail: String) -> StoreError {
    StoreError::Corrupt { key: key.to_owned(), detail }
}

pub(super) fn damaged(key: &str, field: &str, value: &str) -> StoreError {
    corrupt(key, format!("{field:?} holds {value:?}"))
}

/// A watermark that is there.
pub(super) fn parse_watermark(state: &str, stored: &Value) -> Result<Position, StoreError> {
    let damaged = || corrupt(state, format!("a watermark holds {stored:?}"));
    text(stored).and_then(|stored| stored.parse().ok()).ok_or_else(damaged)
}
