//! `indelible emit`: events from a file into Kafka, each acknowledged.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, Message};

use crate::domain::calendar::TimeMs;
use crate::domain::ids::UserId;
use crate::ingest::cloudevent::CONTENT_TYPE;
use crate::ingest::decode::{Bounds, Incoming, decode};
use crate::ops::clock;

use super::settings::Config;

/// How long Kafka may take to acknowledge a record.
const DELIVERY: Duration = Duration::from_secs(60);

/// Produces events and counts their acknowledgements.
pub struct Emitter {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
    bounds: Bounds,
}

#[derive(Debug, Clone, Default)]
struct Deliveries {
    acknowledged: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => drop(self.acknowledged.fetch_add(1, Ordering::Relaxed)),
            Err((error, message)) => {
                if self.failed.fetch_add(1, Ordering::Relaxed) == 0 {
                    eprintln!("indelible: {}: {error}", message.topic());
                }
            }
        }
    }
}

impl Emitter {
    /// # Errors
    /// When a Kafka property is not accepted.
    pub fn new(mut kafka: ClientConfig, topic: &str, bounds: Bounds) -> anyhow::Result<Self> {
        kafka
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("compression.codec", "lz4")
            .set("linger.ms", "5")
            .set("message.max.bytes", "2097152")
            .set("message.timeout.ms", DELIVERY.as_millis().to_string());
        let producer = kafka.create_with_context(Deliveries::default())?;
        Ok(Self { producer, topic: topic.to_owned(), bounds })
    }

    /// Why a line is not a valid event, if it isn't; else the key it is produced with.
    fn key(&self, line: &[u8], now: TimeMs) -> Result<String, String> {
        let headers = header_of(line).map(|value| ("content-type", value.as_bytes()));
        let incoming = Incoming { value: Some(line), headers: headers.as_slice(), timestamp: Some(now) };
        let event = decode(&incoming, &self.bounds).map_err(|reject| reject.to_string())?;
        let user = event.user.as_ref().map_or("", UserId::as_str);
        Ok(format!("{}:{user}", event.tenant))
    }

    /// Produces one event; `lenient` also what is none. Waits while the producer's queue is full.
    ///
    /// # Errors
    /// Why the line is not a valid event, or was not taken.
    pub fn emit(&self, line: &[u8], lenient: bool) -> Result<bool, String> {
        let key = self.key(line, TimeMs(clock::now_ms()));
        let valid = key.is_ok();
        if !lenient && let Err(why) = key {
            return Err(why);
        }
        let key = key.ok();
        let mut record = BaseRecord::to(&self.topic).payload(line);
        record.key = key.as_deref();
        record.headers =
            header_of(line).map(|value| OwnedHeaders::new().insert(Header { key: "content-type", value: Some(value) }));
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(valid),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    // The queue empties as brokers acknowledge; a record that they never do fails by its time-out.
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(error.to_string()),
            }
        }
    }

    /// Waits for every acknowledgement; how many there were.
    ///
    /// # Errors
    /// When a record was not acknowledged.
    pub fn finish(&self) -> anyhow::Result<u64> {
        self.producer.flush(DELIVERY + Duration::from_secs(5))?;
        let deliveries = self.producer.context();
        match deliveries.failed.load(Ordering::Relaxed) {
            0 => Ok(deliveries.acknowledged.load(Ordering::Relaxed)),
            failed => bail!("{failed} events were not acknowledged; emit the file again, repeats are counted once"),
        }
    }
}

/// A CloudEvent says what it is; a bare record has no header.
fn header_of(line: &[u8]) -> Option<&'static str> {
    let is_cloudevent = line.windows(13).any(|part| part == b"\"specversion\"");
    is_cloudevent.then_some(CONTENT_TYPE)
}

/// Reads `file`, or standard input for `-`, and produces every line.
///
/// # Errors
/// The number of the first line that is not a valid event, unless `lenient`; what Kafka did not take.
pub fn run(config: &Config, file: &str, lenient: bool) -> anyhow::Result<()> {
    let (input, size): (Box<dyn BufRead>, u64) = if file == "-" {
        (Box::new(std::io::stdin().lock()), 0)
    } else {
        let opened = File::open(file).with_context(|| format!("can't read {file}"))?;
        let size = opened.metadata().map_or(0, |metadata| metadata.len());
        (Box::new(BufReader::new(opened)), size)
    };
    let emitter = Emitter::new(config.kafka.clone(), &config.topics[0], config.bounds)?;
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(size) } else { ProgressBar::hidden() };
    let mut invalid = 0_u64;
    for (index, line) in input.split(b'\n').enumerate() {
        let line = line.with_context(|| format!("can't read {file}"))?;
        bar.inc(line.len() as u64 + 1);
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match emitter.emit(text, lenient) {
            Ok(valid) => invalid += u64::from(!valid),
            Err(why) => {
                bar.finish_and_clear();
                let before = emitter.finish()?;
                bail!("line {}: {why} ({before} events before it were produced)", index + 1);
            }
        }
    }
    let acknowledged = emitter.finish()?;
    bar.finish_and_clear();
    let note = if invalid > 0 { format!(", {invalid} of them not valid events") } else { String::new() };
    println!("{acknowledged} events acknowledged in {}{note}", config.topics[0]);
    Ok(())
}
