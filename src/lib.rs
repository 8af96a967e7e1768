#![forbid(unsafe_code)]
//! Usage metering for AI services: events from Kafka, counted exactly once, into counters in Redis.
//!
//! Read ARCHITECTURE.md first; then `domain`, `ingest::worker`, `store` and `api`, each from its `mod.rs`.

/// A batch is many small values that one thread makes and another drops: the system's allocator takes a quarter of the
/// worker's time for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod domain;
pub mod ingest;
pub mod ops;
pub mod pricing;
pub mod quota;
pub mod store;
