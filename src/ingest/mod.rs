//! From a Kafka record to a counted event: decoding, batching, the worker and its dead letters.
//!
//! `decode` is pure and decides what is an event. Read `decode/mod.rs` first.

pub mod decode;
pub mod schemas;
