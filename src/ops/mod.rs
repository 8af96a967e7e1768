//! What an operator sees and steers: metrics, health, logs, shutdown, the clock.
//!
//! Knows nothing of usage or events, so that every layer may report to it. Read `health.rs` first.

pub mod clock;
pub mod crash;
pub mod health;
pub mod http;
pub mod metrics;
pub mod server;
pub mod shutdown;
pub mod telemetry;
