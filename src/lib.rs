#![forbid(unsafe_code)]
//! Usage metering for AI services: events from Kafka, counted exactly once, into counters in Redis.

pub mod api;
pub mod domain;
pub mod ingest;
pub mod ops;
pub mod quota;
pub mod store;
