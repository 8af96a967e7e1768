//! The headers that this program adds to a record: where it came from (in Kafka Connect's names) and why.

pub const TOPIC: &str = "__connect.errors.topic";
pub const PARTITION: &str = "__connect.errors.partition";
pub const OFFSET: &str = "__connect.errors.offset";
pub const MESSAGE: &str = "__connect.errors.exception.message";
pub const REASON: &str = "dlq.reason";
pub const FAILED_AT: &str = "dlq.failed_at";
pub const GROUP: &str = "dlq.consumer_group";
/// Of a notice that the webhook has not taken: how often it was tried.
pub const ATTEMPTS: &str = "dlq.attempts";

/// Of a record that was replayed: the place of its letter.
pub const REPLAYED_FROM: &str = "dlq.replayed_from";

/// Of a marker, a record that follows a letter in its partition and says that it was replayed: the letter's place,
/// the place of the record that it became, and when.
pub const REPLAYED: &str = "dlq.replayed";
pub const REPLAYED_TO: &str = "dlq.replayed_to";
pub const REPLAYED_AT: &str = "dlq.replayed_at";

/// What a replayed record does not take along.
pub(super) const OF_LETTERS: [&str; 8] = [TOPIC, PARTITION, OFFSET, MESSAGE, REASON, FAILED_AT, GROUP, REPLAYED_FROM];
