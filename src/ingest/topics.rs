//! At start: makes missing topics of dead letters and notices, and says when a topic can't be the ledger that it must be.
//!
//! Advice only: without the rights to do or see this, the worker counts all the same.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use crate::store::Retention;

use super::dead_letter::dead_letter_topic;
use super::notices::Channels;

const PATIENCE: Duration = Duration::from_secs(10);

type Admin = AdminClient<DefaultClientContext>;

/// Looks after the topics, once.
pub async fn prepare(kafka: &ClientConfig, topics: &[String], dead_letters: Option<&str>, retention: &Retention) {
    let admin: Admin = match kafka.create() {
        Ok(admin) => admin,
        Err(error) => return tracing::warn!(%error, "the topics can't be looked at"),
    };
    for topic in topics {
        let settings = settings(&admin, topic).await;
        make_dead_letters(&admin, &dead_letters.map_or_else(|| dead_letter_topic(topic), str::to_owned), &settings)
            .await;
        warn_if_forgetful(topic, &settings, retention);
    }
}

/// A topic's settings by name; none where they can't be seen.
async fn settings(admin: &Admin, topic: &str) -> Vec<(String, String)> {
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let described = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await;
    let found = described.ok().and_then(|mut all| all.pop()).and_then(Result::ok);
    let entries = found.into_iter().flat_map(|resource| resource.entries);
    entries.filter_map(|entry| Some((entry.name, entry.value?))).collect()
}

/// Whether the broker sets the timestamps of the topic's records itself; no, where that can't be seen.
///
/// # Errors
/// When a property is not accepted.
pub async fn stamped_by_broker(kafka: &ClientConfig, topic: &str) -> Result<bool, KafkaError> {
    let settings = settings(&kafka.create()?, topic).await;
    Ok(settings.iter().any(|(name, value)| name == "message.timestamp.type" && value == "LogAppendTime"))
}

/// Makes the topic of notices, and that of those that the webhook has not taken, where they are missing.
pub async fn prepare_notices(kafka: &ClientConfig, Channels { topic, webhook }: &Channels) {
    let admin: Admin = match kafka.create() {
        Ok(admin) => admin,
        Err(error) => return tracing::warn!(%error, "the notice topic can't be looked at"),
    };
    // As long as the broker keeps things where nothing is said: notices are news and no ledger.
    make(&admin, NewTopic::new(topic, 1, REPLICATION), "the notice topic").await;
    if webhook.is_some() {
        make_dead_letters(&admin, &dead_letter_topic(topic), &settings(&admin, topic).await).await;
    }
}

/// As many as the broker makes where nothing is said.
const REPLICATION: TopicReplication<'_> = TopicReplication::Fixed(-1);

async fn make_dead_letters(admin: &Admin, topic: &str, source: &[(String, String)]) {
    // What the source takes, the dead letters must take with a few headers more.
    let largest = source.iter().find(|(name, _)| name == "max.message.bytes").and_then(|(_, size)| size.parse().ok());
    let largest = (largest.unwrap_or(1_048_588_i64).saturating_add(65_536)).min(i64::from(i32::MAX)).to_string();
    let wanted = NewTopic::new(topic, 1, REPLICATION).set("retention.ms", "-1").set("max.message.bytes", &largest);
    make(admin, wanted, "the dead-letter topic").await;
}

/// `what` says what it is for.
async fn make(admin: &Admin, wanted: NewTopic<'_>, what: &'static str) {
    let topic = wanted.name;
    let made = admin.create_topics([&wanted], &AdminOptions::new().request_timeout(Some(PATIENCE))).await;
    let why = match made.map(|mut all| all.pop()) {
        Ok(Some(Ok(_))) => return tracing::info!(topic, "made {what}"),
        Ok(None | Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists)))) => return,
        Ok(Some(Err((_, why)))) => why.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(topic, why, "{what} could not be made; make it by hand");
}

fn warn_if_forgetful(topic: &str, settings: &[(String, String)], retention: &Retention) {
    let get = |name| settings.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    if let Some(policy) = get("cleanup.policy").filter(|policy| policy.contains("compact")) {
        tracing::warn!(topic, policy, "a compacted topic forgets events; set cleanup.policy=delete");
    }
    let kept = get("retention.ms").and_then(|kept| kept.parse::<i64>().ok()).filter(|kept| *kept >= 0);
    if let Some(kept) = kept {
        tracing::warn!(
            topic,
            retention_days = kept / 86_400_000,
            longest_event_age_days = retention.tombstones_ms / 86_400_000,
            "records are deleted after a time: counters can only be rebuilt, and an old Redis backup only be caught up, \
             from what is still there. Set retention.ms=-1, or longer than the oldest backup you would restore"
        );
    }
}
