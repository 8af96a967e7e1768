//! Dead letters, read back: what one is, which are asked for, and what becomes of it when it is replayed.
//!
//! Pure. `letter_log.rs` reads them from Kafka, `replayer.rs` produces them again, `dead_letter.rs` wrote them.
//! Read `letter.rs`, then `rules.rs`.

mod advice;
mod filter;
pub mod header;
mod letter;
mod place;
mod rules;
mod survey;

pub use advice::{Advice, advice};
pub use filter::Filter;
pub use letter::{Entry, Letter};
pub use place::{Place, PlaceFault};
pub use rules::{Refusal, Rules, Stamp};
pub use survey::{Standing, Survey};

#[cfg(test)]
#[path = "../../../tests/unit/ingest/letters/mod.rs"]
mod tests;
