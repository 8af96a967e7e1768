//! What the rows share: topics that are filled once, their limits, sizes, and files of the program.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tempfile::TempDir;

use crate::limits::Limits;
use crate::people::Spread;
use crate::size::Size;
use crate::support::deployment::Deployment;
use crate::support::kafka::Kafka;
use crate::support::redis::Redis;
use crate::topic::{PARTITIONS, Topic};

/// As docs/redis.md asks for: what is acknowledged is on disk within a second. Two of them can be compared.
pub(crate) const KEPT: [&str; 8] = [
    "--appendonly",
    "yes",
    "--appendfsync",
    "everysec",
    "--auto-aof-rewrite-min-size",
    "1gb",
    "--enable-debug-command",
    "local",
];

/// Limits of everybody that some users and tenants pass, and are noticed for.
const PLANS: &str = r#"
default = "free"
[plans.free.user]
tokens = { soft = 5_000_000, hard = 6_000_000 }
cost = { hard = "500" }
grace = "72h"
[plans.free.tenant]
cost = { soft = "5000", hard = "8000" }
"#;

pub(crate) struct Bench {
    pub(crate) size: Size,
    topics: HashMap<(Spread, u64), Rc<Topic>>,
    limits: HashMap<(Spread, u64), Limits>,
    /// What a row leaves for another one: see `restart.rs`.
    pub(crate) stored: Option<(Deployment, Topic)>,
    /// As `INDELIBLE_KAFKA_PROPERTIES` has them.
    properties: String,
    plans: PathBuf,
    _dir: TempDir,
}

impl Bench {
    pub(crate) fn new(size: Size, properties: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("indelible-bench-").tempdir().expect("a temporary folder");
        let plans = dir.path().join("plans.toml");
        fs::write(&plans, PLANS).expect("the folder can be written");
        let properties = properties.to_owned();
        Self { size, topics: HashMap::new(), limits: HashMap::new(), stored: None, properties, plans, _dir: dir }
    }

    /// A topic with this load, which others read, too.
    pub(crate) fn topic(&mut self, spread: Spread, records: u64) -> Rc<Topic> {
        let filled = || {
            eprintln!("    producing {records} events, {spread:?}");
            Rc::new(Topic::filled(spread, records))
        };
        Rc::clone(self.topics.entry((spread, records)).or_insert_with(filled))
    }

    /// What reading that topic takes, in this run.
    pub(crate) fn limits(&mut self, topic: &Topic) -> Limits {
        let properties = &self.properties;
        self.limits
            .entry((topic.spread, topic.records()))
            .or_insert_with(|| {
                eprintln!("    reading {} events with nothing behind", topic.records());
                Limits::of(topic, properties)
            })
            .clone()
    }

    /// With all features on that a deployment may have, but for the rated topic; a Redis of its own.
    pub(crate) fn deployment(&self, topic: &str) -> Deployment {
        self.featured(Deployment::of_topic(topic, PARTITIONS, Redis::start_with(&KEPT)))
    }

    /// Prices are built in; plans and notices are settings. Another group each time: a topic may be counted twice.
    pub(crate) fn featured(&self, deployment: Deployment) -> Deployment {
        let notices = Kafka::unique("notices");
        Kafka::shared().create_topic(&notices, PARTITIONS, &[]);
        deployment
            .set("INDELIBLE_KAFKA_GROUP", &Kafka::unique("bench"))
            .set("INDELIBLE_KAFKA_PROPERTIES", &self.properties)
            .set("INDELIBLE_PLANS", &self.plans.display().to_string())
            .set("INDELIBLE_NOTICE_TOPIC", &notices)
    }

    /// For so many records at a tenth of what is to be shown, and what comes before and after.
    pub(crate) fn patience(&self, records: u64) -> Duration {
        Duration::from_secs(60 + records / 15_000)
    }
}
