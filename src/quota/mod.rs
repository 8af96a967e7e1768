//! Which limits hold for whom and when, how much of them is used, what that allows, and which thresholds it passes.
//!
//! Pure: knows `domain` alone, no store and no clock. Read `plans.rs`, then `assess.rs` and `passing.rs`.

pub mod assess;
pub mod file;
pub mod gate;
pub mod passing;
pub mod plans;
mod words;
