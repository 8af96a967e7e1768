//! A topic with a load in it, and the tally of that.

use std::time::Duration;

use crate::event::Record;
use crate::mix::Mix;
use crate::people::Spread;
use crate::producer::Producer;
use crate::support::kafka::Kafka;

pub(crate) const PARTITIONS: i32 = 12;
/// Of a backlog: batches as full as those of a busy service.
const LINGER: Duration = Duration::from_millis(20);

pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) spread: Spread,
    /// Goes on where the topic ends.
    pub(crate) mix: Mix,
    /// Of all values.
    pub(crate) bytes: u64,
}

impl Topic {
    /// Without any record.
    pub(crate) fn empty(spread: Spread) -> Self {
        let name = Kafka::unique("events");
        Kafka::shared().create_topic(&name, PARTITIONS, &[]);
        Self { name, spread, mix: Mix::new(spread), bytes: 0 }
    }

    pub(crate) fn filled(spread: Spread, records: u64) -> Self {
        let mut topic = Self::empty(spread);
        topic.fill(records);
        topic
    }

    /// So many records more.
    pub(crate) fn fill(&mut self, records: u64) {
        let (mix, bytes) = (&mut self.mix, &mut self.bytes);
        produce(&self.name, (0..records).map(|_| mix.next()).inspect(|record| *bytes += record.value.len() as u64));
    }

    pub(crate) fn records(&self) -> u64 {
        self.mix.tally.records
    }
}

/// All of them, acknowledged.
pub(crate) fn produce(topic: &str, records: impl Iterator<Item = Record>) {
    let producer = Producer::new(topic, LINGER);
    for (number, record) in records.enumerate() {
        producer.send(&record);
        if number.is_multiple_of(1_000) {
            producer.poll();
        }
    }
    producer.flush();
}
