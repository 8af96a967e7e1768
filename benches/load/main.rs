//! How fast it is, held against what librdkafka and Redis can do in the same run.
//!
//! `cargo bench --bench load -- [row …]` measures all rows or some; `make bench` brings what it needs first. Everything
//! runs on this machine, over loopback: Kafka, Redis, the program, and in this process who sends and who reads. Read
//! `row.rs`, then `catch_up.rs`; the servers are started by `tests/it/support`.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock, and ends when its time is over")]
#![allow(clippy::float_arithmetic, reason = "rates and ratios; money and counts are compared as integers")]

mod arrivals;
mod backlogs;
mod bench;
mod catch_up;
mod check;
mod endings;
mod event;
mod goal;
mod http;
mod limits;
mod machine;
mod memory;
mod mix;
mod people;
mod process;
mod producer;
mod read;
mod readers;
mod recorder;
mod replay;
mod report;
mod resp;
mod restart;
mod row;
mod scale;
mod size;
mod steady;
mod support;
mod tally;
mod times;
mod topic;
mod usage;
mod visible;
mod warm;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use bench::Bench;
use report::Report;
use row::Which;
use size::Size;
use support::kafka::{Jvm, Kafka};

/// What `cargo bench --bench load -- …` takes.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Options {
    /// Rows of the table; all where none is named.
    rows: Vec<Which>,
    /// Just enough to see that every row runs: its figures say nothing.
    #[arg(long)]
    small: bool,
    /// Of the skewed backlog.
    #[arg(long)]
    events: Option<u64>,
    /// Of the steady load.
    #[arg(long)]
    seconds: Option<u64>,
    /// Ids that are stored when memory is measured.
    #[arg(long)]
    seen_ids: Option<u64>,
    /// Events of 1,000,000 users that are counted before the restart, instead of what another row has left.
    #[arg(long)]
    restart_events: Option<u64>,
    /// More librdkafka properties, key=value,…: of the workers, and of the limits.
    #[arg(long, default_value = "")]
    kafka_properties: String,
    /// Where the same goes as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn size(&self) -> Size {
        let size = if self.small { Size::small() } else { Size::full() };
        Size {
            skewed: self.events.unwrap_or(size.skewed),
            steady: self.seconds.map_or(size.steady, Duration::from_secs),
            ids: self.seen_ids.unwrap_or(size.ids),
            restart: self.restart_events.or(size.restart),
            ..size
        }
    }
}

fn main() {
    let options = Options::parse();
    let head = machine::describe(options.small);
    machine::print(&head);
    if options.small {
        println!("small: only to see that it runs, the figures say nothing\n");
    }
    eprintln!("starting kafka");
    // Segments and their indexes as large as Kafka makes them; tests have small ones.
    Kafka::start_on(Jvm::Full, &|_, _| "log.index.size.max.bytes=10485760\n".to_owned()).share();
    let mut bench = Bench::new(options.size(), &options.kafka_properties);
    let mut report = Report::new(head);
    for which in Which::all().filter(|which| options.rows.is_empty() || options.rows.contains(which)) {
        row::measure(which, &mut bench, &mut report);
        if let Some(path) = &options.json {
            report.write(path);
        }
    }
}
