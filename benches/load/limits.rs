//! What librdkafka and the decoder can do by themselves: limits that the worker is held against.

use std::hint::black_box;
use std::time::{Duration, Instant};

use clap::Parser;
use indelible::cli::settings::{Config, Settings};
use indelible::domain::calendar::TimeMs;
use indelible::ingest::decode::{Incoming, decode};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::process::Cpu;
use crate::report::{rate, us_each};
use crate::support::kafka::Kafka;
use crate::topic::{PARTITIONS, Topic};

/// Until the next record comes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much is fetched at once, held, and waited for.
const SIZES: [&str; 6] = [
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "queued.min.messages",
    "queued.max.messages.kbytes",
    "fetch.wait.max.ms",
    "fetch.queue.backoff.ms",
];

/// Reading a whole topic in this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    records: u64,
    took: Duration,
    cpu: Duration,
}

impl Reading {
    pub(crate) fn rate(&self) -> f64 {
        rate(self.records, self.took)
    }

    /// Processor time of a record, of all threads.
    pub(crate) fn us(&self) -> f64 {
        us_each(self.cpu, self.records)
    }
}

/// The limits of one topic.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Nothing is done with the records. The better of two runs, with the worker's own settings.
    pub(crate) raw: Reading,
    /// The same with the library's own sizes of what is fetched and held.
    pub(crate) unbound: Reading,
    /// As `raw`, and each record is decoded.
    pub(crate) decoded: Reading,
    /// What the worker sets that matters to the speed of reading, to be shown.
    pub(crate) settings: String,
}

impl Limits {
    /// That which ratios are of: whichever settings are faster.
    pub(crate) fn raw_rate(&self) -> f64 {
        self.raw.rate().max(self.unbound.rate())
    }

    /// Reads it once before anything is timed: the broker's code is compiled by then, and the log is in memory.
    pub(crate) fn of(topic: &Topic, properties: &str) -> Self {
        let config = config(topic, properties);
        let ours = indelible::app::consumer(&config);
        let mut theirs = ours.clone();
        for property in SIZES {
            theirs.remove(property);
        }
        let shown = SIZES.into_iter().chain(["check.crcs", "isolation.level"]);
        let shown = shown.filter_map(|name| Some(format!("{name}={}", ours.get(name)?)));
        let raw = || read(&ours, topic, |_| ());
        raw();
        let (one, other) = (raw(), raw());
        Self {
            raw: if one.took < other.took { one } else { other },
            unbound: read(&theirs, topic, |_| ()),
            decoded: read(&ours, topic, |record| decode_as_worker(record, &config)),
            settings: shown.collect::<Vec<_>>().join(", "),
        }
    }
}

/// As the program reads its settings: the limits then follow when what it is set to changes.
fn config(topic: &Topic, properties: &str) -> Config {
    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        settings: Settings,
    }
    let brokers = Kafka::shared().bootstrap();
    let source = ["limits", "--kafka-brokers", &brokers, "--kafka-topics", &topic.name, "--kafka-group", "limits"];
    Given::parse_from(source.into_iter().chain(["--kafka-properties", properties]))
        .settings
        .check()
        .expect("settings that can be used")
}

fn read(config: &ClientConfig, topic: &Topic, mut with: impl FnMut(&BorrowedMessage<'_>)) -> Reading {
    let (start, before) = (Instant::now(), Cpu::here());
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        // Not `Beginning`: the library asks for that once it knows the leader, and first waits half a second.
        all.add_partition_offset(&topic.name, partition, Offset::Offset(0)).expect("an offset");
    }
    consumer.assign(&all).expect("an assignment");
    for _ in 0..topic.records() {
        let record = consumer.poll(PATIENCE).expect("more records").expect("a record");
        with(&record);
    }
    Reading { records: topic.records(), took: start.elapsed(), cpu: (Cpu::here() - before).own }
}

fn decode_as_worker(record: &BorrowedMessage<'_>, config: &Config) {
    let headers: Vec<_> = record
        .headers()
        .into_iter()
        .flat_map(Headers::iter)
        .filter_map(|header| Some((header.key, header.value?)))
        .collect();
    let timestamp = record.timestamp().to_millis().map(TimeMs);
    let event = decode(&Incoming { value: record.payload(), headers: &headers, timestamp }, &config.bounds);
    assert!(black_box(event).is_ok(), "an event of ours is refused");
}
