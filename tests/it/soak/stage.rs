//! The servers of a soak, and where the counters stand on them.

use std::collections::BTreeMap;

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::generator::PLANS;
use crate::support::kafka::client;
use crate::support::kafka_cluster::KafkaCluster;
use crate::support::oracle;
use crate::support::program::Running;
use crate::support::redis_cluster::RedisCluster;

pub(super) const PARTITIONS: i32 = 12;
const TOPIC: &str = "soak";
const NOTICES: &str = "soak.notices";
const GROUP: &str = "soak.group";
const BUCKETS: usize = 64;

/// Three brokers, and a Redis Cluster of three masters and three replicas behind proxies.
pub(super) struct Stage {
    pub(super) kafka: KafkaCluster,
    pub(super) redis: RedisCluster,
}

impl Stage {
    pub(super) fn set() -> Self {
        let kafka = KafkaCluster::start();
        kafka.create_topic(TOPIC, PARTITIONS, 3);
        kafka.create_topic(NOTICES, 1, 3);
        Self { kafka, redis: RedisCluster::behind_proxies() }
    }

    pub(super) fn topic(&self) -> &'static str {
        TOPIC
    }

    /// The broker that coordinates the workers' group.
    pub(super) fn coordinator(&self) -> usize {
        self.kafka.coordinator(GROUP)
    }

    pub(super) fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("INDELIBLE_KAFKA_BROKERS", self.kafka.bootstrap()),
            ("INDELIBLE_KAFKA_TOPICS", TOPIC.to_owned()),
            ("INDELIBLE_KAFKA_GROUP", GROUP.to_owned()),
            ("INDELIBLE_REDIS_URL", self.redis.url()),
            ("INDELIBLE_PLANS", PLANS.to_owned()),
            ("INDELIBLE_NOTICE_TOPIC", NOTICES.to_owned()),
            ("INDELIBLE_LOG_FORMAT", "json".to_owned()),
            ("RUST_LOG", "info".to_owned()),
        ]
    }

    /// Whether every bucket's watermark stands at the end of every partition: then all is counted. None, if so.
    pub(super) fn behind(&self) -> Option<String> {
        let (ends, marks) = (self.ends(), self.watermarks());
        (0..PARTITIONS).find_map(|partition| {
            let (end, marks) = (ends.get(&partition), marks.get(&partition));
            let count = marks.map_or(0, Vec::len);
            let least = marks.and_then(|marks| marks.iter().min());
            let done = count == BUCKETS && end.is_some() && least >= end;
            (!done).then(|| format!("partition {partition} ends at {end:?}; {count} watermarks, the least {least:?}"))
        })
    }

    /// Of the partitions whose leader answers.
    fn ends(&self) -> BTreeMap<i32, i64> {
        let asker: BaseConsumer = client(&self.kafka.bootstrap()).create().expect("a consumer that only asks");
        let end = |partition| asker.fetch_watermarks(TOPIC, partition, Duration::from_secs(10));
        (0..PARTITIONS).filter_map(|partition| Some((partition, end(partition).ok()?.1))).collect()
    }

    /// Of each partition, by bucket.
    fn watermarks(&self) -> BTreeMap<i32, Vec<i64>> {
        let mut found: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
        for (field, value) in self.states() {
            let Some(partition) = field.strip_prefix(&format!("watermark:{TOPIC}/")) else { continue };
            let next = value.split(' ').next().and_then(|next| next.parse().ok()).expect("a watermark");
            found.entry(partition.parse().expect("a partition")).or_default().push(next);
        }
        found
    }

    /// Every field of every bucket's state, from the masters.
    fn states(&self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        for master in self.redis.masters() {
            for state in master.ask::<Vec<String>>("KEYS", &["indelible:*:state"]) {
                fields.extend(master.ask::<Vec<(String, String)>>("HGETALL", &[&state]));
            }
        }
        fields
    }

    /// What was counted if Redis, the API and the dead letters are what the log says, else every difference.
    pub(super) fn differences(&self, api: &Running) -> Result<String, String> {
        let env = self.env();
        let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        oracle::differences(&env, Some(&api.api_url()), &["--dlq", "--went-back"])
    }
}
