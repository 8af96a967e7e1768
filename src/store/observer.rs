//! Who is told what a way to Redis does. The store itself counts nothing and reads no clock.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Arg, Cmd};

/// What Redis is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Script,
    Pipeline,
    Info,
    Read,
    Write,
}

/// Is told of every round trip of a link.
pub trait Observer: Send + Sync + 'static {
    /// A point on the monotonic clock.
    fn now(&self) -> Instant;
    /// A round trip is over, with whatever answer, or nobody waits for it any more.
    fn answered(&self, asked: Asked, took: Duration);
    /// A connection was made.
    fn connected(&self);
}

/// Commands that change something, of those that are ever sent by themselves.
const WRITES: [&[u8]; 6] = [b"SET", b"HSET", b"HSETNX", b"HDEL", b"DEL", b"UNLINK"];

impl Asked {
    pub(super) fn of(command: &Cmd) -> Self {
        match command.args_iter().next() {
            Some(Arg::Simple(b"EVALSHA" | b"EVAL")) => Self::Script,
            Some(Arg::Simple(b"INFO")) => Self::Info,
            Some(Arg::Simple(verb)) if WRITES.contains(&verb) => Self::Write,
            _ => Self::Read,
        }
    }
}

/// Nobody, or one who is told.
#[derive(Clone, Default)]
pub(super) struct Observed(Option<Arc<dyn Observer>>);

impl Observed {
    pub(super) fn by(observer: Arc<dyn Observer>) -> Self {
        Self(Some(observer))
    }

    pub(super) fn connected(&self) {
        self.0.iter().for_each(|observer| observer.connected());
    }

    /// Begins a round trip, which ends when the result is dropped: also when its caller has given it up.
    pub(super) fn begin(&self, asked: Asked) -> Option<RoundTrip<'_>> {
        self.0.as_deref().map(|observer| RoundTrip { observer, asked, begun: observer.now() })
    }
}

pub(super) struct RoundTrip<'o> {
    observer: &'o dyn Observer,
    asked: Asked,
    begun: Instant,
}

impl Drop for RoundTrip<'_> {
    fn drop(&mut self) {
        self.observer.answered(self.asked, self.observer.now().saturating_duration_since(self.begun));
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observed" } else { "Unobserved" })
    }
}
