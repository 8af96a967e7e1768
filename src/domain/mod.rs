//! What is counted: events, money, months, sums and positions in the log. Pure values.
//!
//! Nothing in here does I/O, reads a clock or the environment, or logs; every function gives the same
//! answer for the same arguments, on any machine and in any year. Read `event.rs` first, then `delta.rs`.

pub mod bucket;
pub mod calendar;
pub mod counters;
pub mod delta;
pub mod event;
mod fold;
pub mod gap;
pub mod ids;
pub mod money;
pub mod position;
pub mod quota;
pub mod rated;
mod recurring;
pub mod seen;
