//! What sends the traffic, and a reader who looks over the counters' shoulder meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

use crate::generator::{Generator, Message, User};
use crate::support::kafka::client;
use crate::support::program::fetch;

/// Records that are sent and not acknowledged yet; beyond it the producer waits for the brokers.
const IN_FLIGHT: i32 = 2000;
/// Records that go at a time, and the pause between: some 600 a second.
const BURST: (usize, Duration) = (20, Duration::from_millis(30));
/// Until every record is acknowledged, a broker's fail-over included.
const FLUSH: Duration = Duration::from_secs(60);

/// What producer and reader share.
#[derive(Default)]
pub(super) struct Traffic {
    users: Arc<Mutex<BTreeMap<User, Sent>>>,
    stop: AtomicBool,
    /// Odd while Redis is being put back in time; another number afterwards.
    restores: AtomicU64,
    reads: AtomicU64,
}

/// Tokens of a user.
#[derive(Default)]
struct Sent {
    begun: i64,
    /// With the time of the acknowledgement in milliseconds.
    acknowledged: Vec<(i64, i64)>,
}

/// Notes what the brokers acknowledge.
struct Acknowledgements(Arc<Mutex<BTreeMap<User, Sent>>>);

impl ClientContext for Acknowledgements {}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Box<(User, i64)>;

    /// What was not acknowledged may be in the log, or not; the oracle reads the log.
    fn delivery(&self, result: &DeliveryResult<'_>, sent: Self::DeliveryOpaque) {
        let (user, tokens) = *sent;
        if result.is_ok() {
            let mut users = self.0.lock().expect("no panic");
            users.entry(user).or_default().acknowledged.push((Utc::now().timestamp_millis(), tokens));
        }
    }
}

impl Traffic {
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    /// Sums may go back while it runs: what Redis held last may be lost.
    pub(super) fn while_going_back<T>(&self, what: impl FnOnce() -> T) -> T {
        self.restores.fetch_add(1, Ordering::SeqCst);
        let result = what();
        self.restores.fetch_add(1, Ordering::SeqCst);
        result
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn users(&self) -> MutexGuard<'_, BTreeMap<User, Sent>> {
        self.users.lock().expect("no panic")
    }

    /// Sends until told to stop, whatever happens to the brokers.
    pub(super) fn produce(&self, bootstrap: &str, topic: &str, mut generator: Generator) {
        let producer: ThreadedProducer<Acknowledgements> = client(bootstrap)
            .set("acks", "all")
            // The generator's seed decides, not the state of a broker: wait for as long as it takes.
            .set("message.timeout.ms", "0")
            .create_with_context(Acknowledgements(Arc::clone(&self.users)))
            .expect("a client connects later");
        while !self.is_over() {
            for _ in 0..BURST.0 {
                self.send(&producer, topic, generator.next());
            }
            std::thread::sleep(BURST.1);
        }
        producer.flush(FLUSH).expect("every record to be acknowledged after the last fault");
    }

    fn send(&self, producer: &ThreadedProducer<Acknowledgements>, topic: &str, message: Message) {
        let Message { user, value, tokens, partition } = message;
        self.users().entry(user.clone()).or_default().begun += tokens;
        let key = format!("{}:{}", user.0, user.1);
        let mut record = BaseRecord::with_opaque_to(topic, Box::new((user, tokens))).key(&key);
        record.payload = value.as_deref();
        record.partition = partition;
        while producer.in_flight_count() >= IN_FLIGHT {
            std::thread::sleep(BURST.1);
        }
        while let Err((error, unsent)) = producer.send(record) {
            let full = matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            assert!(full, "a record can't be sent: {error}");
            record = unsent;
            std::thread::sleep(BURST.1);
        }
    }

    /// Reads one user after the other: what it says is never more than was sent, never less than `asOf` promises,
    /// and never less than before unless Redis was put back in time.
    pub(super) fn watch(&self, api: &str) -> Vec<String> {
        let mut last: BTreeMap<User, (u64, i64)> = BTreeMap::new();
        let mut faults = Vec::new();
        while !self.is_over() {
            std::thread::sleep(BURST.1);
            let users: Vec<User> = self.users().keys().cloned().collect();
            for user in users {
                std::thread::sleep(Duration::from_millis(20));
                self.look_at(api, user, &mut last, &mut faults);
            }
        }
        faults
    }

    fn look_at(&self, api: &str, user: User, last: &mut BTreeMap<User, (u64, i64)>, faults: &mut Vec<String>) {
        let epoch = self.restores.load(Ordering::SeqCst);
        let answer = fetch(&format!("{api}/v1/tenants/{}/users/{}/stats", user.0, user.1), &[]);
        let Some(answer) = answer.ok().filter(|answer| answer.status == 200).map(|answer| answer.json()) else {
            return;
        };
        let tokens = answer["allTime"]["totalTokens"].as_i64().expect("a sum");
        let as_of = answer["asOf"].as_str().and_then(|as_of| DateTime::parse_from_rfc3339(as_of).ok());
        let as_of = as_of.map_or(0, |as_of| as_of.timestamp_millis());
        // An answer is read in parts: if Redis went back between two of them, they don't fit each other.
        let same = epoch.is_multiple_of(2) && self.restores.load(Ordering::SeqCst) == epoch;
        let users = self.users();
        let sent = &users[&user];
        if tokens > sent.begun {
            faults.push(format!("{user:?} has {tokens} tokens, and {} were sent", sent.begun));
        }
        if same {
            let promised = sent.acknowledged.iter().filter(|(at, _)| *at < as_of).map(|(_, tokens)| tokens).sum();
            if tokens < promised {
                faults
                    .push(format!("{user:?} has {tokens} tokens as of {as_of}, and {promised} were acknowledged then"));
            }
            match last.insert(user.clone(), (epoch, tokens)) {
                Some((before, most)) if before == epoch && tokens < most => {
                    faults.push(format!("{user:?} went back from {most} to {tokens} tokens"));
                }
                _ => {}
            }
        }
        self.reads.fetch_add(1, Ordering::SeqCst);
    }
}
