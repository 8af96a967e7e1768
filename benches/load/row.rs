//! The rows of the table, in its order, and how long each may take.

use std::process;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::bench::Bench;
use crate::report::Report;
use crate::{backlogs, memory, read, replay, restart, scale, steady};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// librdkafka alone, and with our decoder.
    Limits,
    /// What the worker asks of Redis, once more without the worker.
    LimitRedis,
    /// A backlog of few users who ask much and many who ask little.
    Skewed,
    /// A smaller one, with a record to the rated topic for each request.
    Rated,
    /// A backlog of as many users as events.
    Different,
    /// A backlog of a single tenant.
    OneTenant,
    /// Time until an event is visible, and what it costs, while events come in.
    Steady,
    /// Time until a new worker counts.
    Restart,
    /// Bytes in Redis.
    Memory,
    /// Stats of users, and what counting loses to those who read.
    Read,
    /// Several workers, several Redis nodes.
    Scale,
}

impl Which {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }

    fn run(self, bench: &mut Bench, report: &mut Report) {
        match self {
            Self::Limits => backlogs::limits(bench, report),
            Self::LimitRedis => replay::limit_redis(bench, report),
            Self::Skewed => backlogs::skewed(bench, report),
            Self::Rated => backlogs::rated(bench, report),
            Self::Different => backlogs::different(bench, report),
            Self::OneTenant => backlogs::one_tenant(bench, report),
            Self::Steady => steady::steady(bench, report),
            Self::Restart => restart::restart(bench, report),
            Self::Memory => memory::memory(bench, report),
            Self::Read => read::read(bench, report),
            Self::Scale => scale::scale(bench, report),
        }
    }

    /// Events that it produces, reads and counts at most; a row asked for alone fills its topics itself.
    fn events(self, bench: &Bench) -> u64 {
        let size = &bench.size;
        match self {
            Self::Limits | Self::Skewed => size.skewed,
            Self::Rated | Self::LimitRedis => size.lesser,
            Self::Different => size.different,
            Self::OneTenant => size.one_tenant,
            Self::Steady => size.rate * size.steady.as_secs(),
            Self::Restart => size.restart.unwrap_or(size.different),
            Self::Memory => size.ids + 6 * size.users,
            Self::Read => 4 * size.lesser,
            Self::Scale => 6 * size.lesser,
        }
    }
}

/// Measures a row, or ends the process: its children are gone with it.
pub(crate) fn measure(which: Which, bench: &mut Bench, report: &mut Report) {
    let deadline = Duration::from_secs(180) + Duration::from_secs(which.events(bench) / 10_000);
    let (done, waiting) = mpsc::channel::<()>();
    let guard = thread::spawn(move || {
        if waiting.recv_timeout(deadline) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("{which:?} has not ended within {deadline:?}");
            process::exit(1);
        }
    });
    let start = Instant::now();
    eprintln!("{which:?}");
    which.run(bench, report);
    eprintln!("    {:.1} s in all", start.elapsed().as_secs_f64());
    drop(done);
    guard.join().expect("it only waits");
}
