//! Counting a backlog: from the start of the workers until the last record has ended.

use std::thread;
use std::time::{Duration, Instant};

use crate::check;
use crate::endings::{Endings, Gauge};
use crate::process::peak_resident;
use crate::report::us_each;
use crate::support::deployment::Deployment;
use crate::support::program::{Program, Running};
use crate::support::wait::START;
use crate::tally::Tally;
use crate::usage::Usage;

/// Between two looks at the metrics, each of which takes the worker a fraction of a millisecond: at 50 a second they were
/// 3 % of what it did.
const LOOK: Duration = Duration::from_millis(100);
/// Until the watermarks of buckets that had no events at the end have moved along, which costs nothing.
const SETTLE: Duration = Duration::from_secs(60);

/// What a backlog took.
pub(crate) struct CatchUp {
    pub(crate) records: u64,
    /// From the start of the processes.
    pub(crate) took: Duration,
    /// From the first look that found any counted, and how many have ended since.
    pub(crate) running: (Duration, u64),
    pub(crate) usage: Usage,
    /// The most that any worker had resident, in bytes.
    pub(crate) peak: u64,
    pub(crate) marks: Vec<Mark>,
    /// Still running.
    pub(crate) workers: Vec<Running>,
}

/// How much had been used when so many records had ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) records: u64,
    pub(crate) usage: Usage,
}

impl CatchUp {
    pub(crate) fn worker_us(&self) -> f64 {
        us_each(self.usage.workers.own, self.records)
    }

    pub(crate) fn redis_us(&self) -> f64 {
        us_each(self.usage.redis.own, self.records)
    }

    pub(crate) fn rewrite_us(&self) -> f64 {
        us_each(self.usage.redis.children, self.records)
    }

    pub(crate) fn kafka_us(&self) -> f64 {
        us_each(self.usage.kafka.own, self.records)
    }

    /// The cost of a record of worker and Redis in each stretch between two marks, in microseconds.
    pub(crate) fn steps(&self) -> Vec<(f64, f64)> {
        let start = Mark { records: 0, usage: Usage::default() };
        let earlier = std::iter::once(&start).chain(&self.marks);
        let step = |(earlier, later): (&Mark, &Mark)| {
            let (usage, records) = (later.usage - earlier.usage, later.records - earlier.records);
            (us_each(usage.workers.own, records), us_each(usage.redis.own, records))
        };
        earlier.zip(&self.marks).map(step).collect()
    }
}

/// Starts so many workers and counts what was sent, in which nobody has a part yet. A mark is made whenever so many
/// more records have ended.
///
/// # Panics
/// When it is not counted in time, or not right.
#[track_caller]
pub(crate) fn run(deployment: &Deployment, tally: &Tally, workers: usize, every: u64, patience: Duration) -> CatchUp {
    let (start, before) = (Instant::now(), Usage::now(deployment, &[]));
    let workers: Vec<_> = (0..workers).map(|_| Program::launch(&deployment.env())).collect();
    let mut counting = Counting::of(workers, tally.records);
    let mut marks = Vec::new();
    let (mut first, mut next) = (None, every);
    loop {
        let done = counting.look().all();
        if done > 0 {
            first.get_or_insert((Instant::now(), done));
        }
        let used = || Usage::now(deployment, &counting.workers) - before;
        if done >= next {
            marks.push(Mark { records: done, usage: used() });
            next = done / every * every + every;
        }
        if done >= tally.records {
            let (took, usage) = (start.elapsed(), used());
            let running = first.map_or((took, done), |(at, had)| (at.elapsed(), done - had));
            check::endings(counting.look(), tally);
            deployment.await_counted_within(SETTLE);
            let workers = counting.workers;
            let peak = workers.iter().map(|worker| peak_resident(worker.child.pid())).max().unwrap_or(0);
            return CatchUp { records: done, took, running, usage, peak, marks, workers };
        }
        assert!(start.elapsed() < patience, "{done} of {} records counted within {patience:?}", tally.records);
        thread::sleep(LOOK);
    }
}

/// Workers at work, and their metrics.
pub(crate) struct Counting {
    pub(crate) workers: Vec<Running>,
    gauges: Vec<Gauge>,
    records: u64,
}

impl Counting {
    pub(crate) fn of(workers: Vec<Running>, records: u64) -> Self {
        let gauges = workers.iter().map(Gauge::of).collect();
        Self { workers, gauges, records }
    }

    /// So many in all.
    pub(crate) fn expect(&mut self, records: u64) {
        self.records = records;
    }

    /// What has become of all records so far.
    ///
    /// # Panics
    /// When a worker has ended.
    #[track_caller]
    pub(crate) fn look(&mut self) -> Endings {
        let ended = self.workers.iter_mut().find_map(|worker| Some((worker.child.exited()?, worker.child.output())));
        assert!(ended.is_none(), "a worker has ended: {ended:?}");
        self.gauges.iter_mut().map(Gauge::endings).sum()
    }

    /// Waits until as many have ended as there are.
    #[track_caller]
    pub(crate) fn await_all(&mut self, patience: Duration) {
        let start = Instant::now();
        loop {
            let done = self.look().all();
            if done >= self.records {
                return;
            }
            assert!(start.elapsed() < patience, "{done} of {} records counted within {patience:?}", self.records);
            thread::sleep(LOOK);
        }
    }
}

/// SIGTERM, and waits: the next one of the group needs not wait until these are missed.
pub(crate) fn end(workers: Vec<Running>) {
    for mut worker in workers {
        worker.child.terminate();
        worker.child.wait(START);
    }
}
