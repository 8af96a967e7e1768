//! Events that come in at a steady rate, whatever becomes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::producer::Producer;
use crate::topic::Topic;
use crate::visible::Probe;

/// As Kafka's own producers wait by default.
const LINGER: Duration = Duration::from_millis(5);
/// Between two looks at the clock, each of which sends what is due.
const TICK: Duration = Duration::from_millis(1);
/// In each of these, at a moment chosen by lot, a probe goes out.
const PROBE: Duration = Duration::from_millis(100);
/// Probes are users beyond all others.
const FIRST_PROBE: u64 = 5_000_000;

/// A thread that sends.
pub(crate) struct Arrivals {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<Topic>,
}

impl Arrivals {
    /// So many events a second, and what is to be looked for if anybody looks.
    pub(crate) fn start(topic: Topic, rate: u64, probes: Option<Sender<Probe>>) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopping, sending) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || send(topic, rate, probes.as_ref(), &stopping, &sending));
        Self { stop, sent, thread }
    }

    /// Up to now.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The topic with all that came in, acknowledged.
    pub(crate) fn stop(self) -> Topic {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the sender does not panic")
    }
}

fn send(mut topic: Topic, rate: u64, probes: Option<&Sender<Probe>>, stop: &AtomicBool, sent: &AtomicU64) -> Topic {
    let (producer, start) = (Producer::new(&topic.name, LINGER), Instant::now());
    let mut rng = StdRng::seed_from_u64(3);
    let (mut count, mut probed, mut next_probe) = (0, 0, PROBE);
    while !stop.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
        for _ in count..due {
            producer.send(&topic.mix.next());
        }
        count = count.max(due);
        sent.store(count, Ordering::Relaxed);
        if let Some(probes) = probes.filter(|_| start.elapsed() >= next_probe) {
            let (person, record) = topic.mix.probe(FIRST_PROBE + probed);
            let sent = Instant::now();
            producer.send(&record);
            probes.send(Probe { path: person.stats_path(), sent }).expect("somebody looks for it");
            probed += 1;
            next_probe = PROBE * (probed as u32 + 1) + PROBE.mul_f64(rng.random());
        }
        producer.poll();
        thread::sleep(TICK);
    }
    producer.flush();
    topic
}
