//! When what was sent is to be seen: users are asked for until they show a request.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::http::Http;

/// Between two rounds in which all are asked for that are not visible yet.
const PAUSE: Duration = Duration::from_millis(1);
/// Nothing takes longer, unless it is lost, or the machine can't count as much as comes in.
const PATIENCE: Duration = Duration::from_secs(120);

/// A user who was never seen, and has sent one event.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) path: String,
    /// Just before it was given to the producer.
    pub(crate) sent: Instant,
}

/// What looking has shown.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// When each was sent, and how long after it the first answer came that has it.
    pub(crate) probes: Vec<(Instant, Duration)>,
    /// Requests to the API.
    pub(crate) asked: u64,
}

/// Looks for probes, as they come, until no more do. All that are on their way are asked for in turn, so one that takes
/// long keeps none from being seen.
pub(crate) fn look(address: &str, probes: Receiver<Probe>) -> JoinHandle<Seen> {
    let mut http = Http::connect(address).expect("the API listens");
    thread::spawn(move || {
        let (mut seen, mut waiting, mut over) = (Seen::default(), Vec::new(), false);
        while !over || !waiting.is_empty() {
            if waiting.is_empty() {
                match probes.recv() {
                    Ok(probe) => waiting.push(probe),
                    Err(_) => over = true,
                }
            }
            loop {
                match probes.try_recv() {
                    Ok(probe) => waiting.push(probe),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        over = true;
                        break;
                    }
                }
            }
            waiting.retain(|probe: &Probe| {
                seen.asked += 1;
                let shown = http.get(&probe.path).is_ok_and(|stats| stats.contains("\"requests\":1,"));
                let took = probe.sent.elapsed();
                if shown {
                    seen.probes.push((probe.sent, took));
                }
                assert!(took < PATIENCE, "{} is not visible after {took:?}", probe.path);
                !shown
            });
            thread::sleep(PAUSE);
        }
        seen
    })
}
