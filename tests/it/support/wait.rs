//! Waiting for something to become true.

use std::time::{Duration, Instant};

/// Long enough for a start of a server on a busy machine; nobody waits it out unless something is broken.
pub(crate) const START: Duration = Duration::from_secs(60);

/// Asks until there is an answer, and panics with `what` it waited for when there is none in time.
#[track_caller]
pub(crate) fn eventually<T>(deadline: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    match within(deadline, &mut probe) {
        Some(answer) => answer,
        None => panic!("waited {deadline:?} in vain for {what}"),
    }
}

/// Asks until there is an answer or the time is over; at least once.
pub(crate) fn within<T>(deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
