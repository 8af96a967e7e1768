//! How far a worker is, by its metrics.

use std::io;

use crate::http::Http;
use crate::support::program::Running;

/// How records ended, as `/metrics` counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Endings {
    pub(crate) counted: u64,
    pub(crate) repeated: u64,
    pub(crate) conflict: u64,
    pub(crate) rejected: u64,
}

impl Endings {
    fn read(metrics: &str) -> Self {
        let of = |outcome: &str| value(metrics, &format!("indelible_records_total{{outcome=\"{outcome}\"}}"));
        Self { counted: of("counted"), repeated: of("repeated"), conflict: of("conflict"), rejected: of("rejected") }
    }

    /// All that need no more work.
    pub(crate) fn all(self) -> u64 {
        self.counted + self.repeated + self.conflict + self.rejected
    }
}

impl std::iter::Sum for Endings {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            counted: sum.counted + one.counted,
            repeated: sum.repeated + one.repeated,
            conflict: sum.conflict + one.conflict,
            rejected: sum.rejected + one.rejected,
        })
    }
}

/// Asks one worker, over a connection that is kept.
pub(crate) struct Gauge {
    address: String,
    http: Option<Http>,
}

impl Gauge {
    pub(crate) fn of(worker: &Running) -> Self {
        Self { address: worker.ops_address().to_owned(), http: None }
    }

    /// Nothing while it does not listen yet.
    pub(crate) fn endings(&mut self) -> Endings {
        self.metrics().map(|metrics| Endings::read(&metrics)).unwrap_or_default()
    }

    /// A series that stands at 0 where it is not there.
    pub(crate) fn series(&mut self, name: &str) -> u64 {
        value(&self.metrics().expect("it listens"), name)
    }

    fn metrics(&mut self) -> io::Result<String> {
        let mut http = match self.http.take() {
            Some(http) => http,
            None => Http::connect(&self.address)?,
        };
        let metrics = http.get("/metrics")?.to_owned();
        self.http = Some(http);
        Ok(metrics)
    }
}

fn value(metrics: &str, series: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0, |line| line.trim().parse::<f64>().expect("a number ends a line of metrics") as u64)
}
