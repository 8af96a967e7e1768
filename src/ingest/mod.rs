//! From Kafka's bytes to flushes: decode, batch and order them, and see each to its end.
//!
//! Pure: `decode`, `record`, `batch`, `span`, `turn`, `lane`, `start`, `accept`, `bootstrap`, `letters`, `quota_event`, `cloudevent`, `by_model`. I/O:
//! `source` (Kafka in), `dead_letter` (Kafka out), `letter_log` and `replayer` (dead letters read and sent again), `survey` (questions
//! of an operator), `assigner` (quotas into Kafka), `job` and `calls` (a departure into the store), `rated` (counted requests into their topic), `session` (the only place that
//! decides order), `worker` (sessions until told to stop), `notices` (from the outboxes to Kafka and to a webhook, beside
//! the worker). Never names Redis, and serves no HTTP. Read `worker.rs`, then `session.rs`.

pub mod accept;
pub mod assigner;
pub mod batch;
pub mod bootstrap;
pub mod by_model;
mod calls;
pub mod cloudevent;
pub mod dead_letter;
pub mod decode;
pub mod failure;
pub mod job;
pub mod lane;
pub mod letter_log;
pub mod letters;
pub mod limits;
pub mod notices;
pub mod probe;
pub mod quota_event;
pub mod rated;
pub mod record;
pub mod replayer;
pub mod schemas;
mod session;
pub mod source;
pub mod span;
pub mod start;
pub mod survey;
pub mod topics;
pub mod trouble;
pub mod turn;
pub mod worker;
