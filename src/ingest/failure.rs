//! What ends the worker's session, and the one place that decides: try again, or die by name.

use std::time::Duration;

use crate::domain::position::{Offset, TopicPartition};
use crate::store::StoreError;

/// Why a session of the worker ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another owner moved the watermark, or Redis went back in time.
    #[error(
        "the watermark of {partition} is not where this worker left it (it is {stored}); starting again from there"
    )]
    WatermarkMoved { partition: TopicPartition, stored: String },
    #[error(
        "state was lost: redis holds no watermark of {} in {missing} of 64 buckets, yet {evidence}. Counting from here \
         would give wrong sums. Restore a Redis backup, which catches up by itself; or have what the log still holds \
         counted again: `indelible offsets bootstrap`. `indelible offsets show` says where everything stands", .partition.argument()
    )]
    StateLost { partition: TopicPartition, missing: usize, evidence: String },
    #[error(
        "the log of {} is not the one that was counted: {evidence}. The topic was re-created, an unclean election cut \
         the log, or this is another cluster. Point INDELIBLE_KAFKA_BROKERS to the right cluster; or say where to go on \
         in this log: `indelible offsets accept-gap {} --resume-at start` where none of its records was counted (a topic \
         that was made again), `--resume-at end` where all were, `--resume-at OFFSET` where those before were. \
         `indelible offsets show` says where everything stands", .partition.argument(), .partition.argument()
    )]
    LogChanged { partition: TopicPartition, evidence: String },
    #[error(
        "there is a gap in the log of {}: the next record to count is at offset {}, but the log begins at {}. What lay \
         between was deleted (retention) before it was counted. Restore the log; or go on without: `indelible offsets \
         accept-gap {}` records the range, and every answer of the API tells of it from then on", .partition.argument(), .wanted.0, .first.0, .partition.argument()
    )]
    LogGap { partition: TopicPartition, wanted: Offset, first: Offset },
    #[error(
        "{} is being moved to another log, and that was not seen to its end. Run it again: `indelible offsets accept-gap \
         {}`", .partition.argument(), .partition.argument()
    )]
    Unfinished { partition: TopicPartition },
    #[error("kafka: {0}")]
    Kafka(String),
    #[error("kafka: nothing was heard of it for {silence:?}; trying with a new client")]
    Silent { silence: Duration },
    #[error(
        "the kafka client did not close within {patience:?}, and keeps its partitions until this process ends. Start it \
         again; nothing is lost"
    )]
    Hung { patience: Duration },
    #[error("{0} stopped without being asked to: a defect of this program, please report it with the log above")]
    Defect(String),
}

/// What becomes of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A new session reads the watermarks again and goes on from there. Loses and doubles nothing.
    Restart { after: Duration },
    /// No new session would be any better: a person must decide.
    Die,
}

impl Failure {
    /// A record that a watermark names is another one, or gone from between its neighbours.
    pub fn other_record(partition: &TopicPartition, offset: Offset) -> Self {
        let evidence = format!("the record at offset {} differs from the one that the watermark names", offset.0);
        Self::LogChanged { partition: partition.clone(), evidence }
    }

    /// The log ends before what was to be counted next.
    pub fn log_ends(partition: &TopicPartition, end: Offset, wanted: Offset) -> Self {
        let evidence = format!("it ends at offset {}, and {} was to be counted next", end.0, wanted.0);
        Self::LogChanged { partition: partition.clone(), evidence }
    }

    pub fn verdict(&self) -> Verdict {
        match self {
            Self::WatermarkMoved { .. } => Verdict::Restart { after: Duration::from_millis(100) },
            Self::Kafka(_) | Self::Silent { .. } => Verdict::Restart { after: Duration::from_secs(2) },
            Self::Store(error) if error.may_pass() => Verdict::Restart { after: Duration::from_secs(2) },
            Self::Store(_)
            | Self::StateLost { .. }
            | Self::LogChanged { .. }
            | Self::LogGap { .. }
            | Self::Unfinished { .. }
            | Self::Hung { .. }
            | Self::Defect(_) => Verdict::Die,
        }
    }

    /// The name that a log line and the exit bear.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Store(StoreError::Unfit(unfit)) => unfit.name(),
            Self::Store(error) => error.kind(),
            Self::WatermarkMoved { .. } => "watermark_moved",
            Self::StateLost { .. } => "state_lost",
            Self::LogChanged { .. } => "log_changed",
            Self::LogGap { .. } => "log_gap",
            Self::Unfinished { .. } => "accept_gap_unfinished",
            Self::Kafka(_) | Self::Silent { .. } => "kafka",
            Self::Hung { .. } => "hung",
            Self::Defect(_) => "defect",
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/ingest/failure.rs"]
mod tests;
