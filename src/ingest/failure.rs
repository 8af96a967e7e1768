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
        "state was lost: redis holds no watermark for {partition} in {missing} of 64 buckets, yet {evidence}. Counting \
         from here would give wrong sums. Restore a Redis backup (it catches up by itself), or count all again into a new \
         INDELIBLE_NAMESPACE with a new INDELIBLE_KAFKA_GROUP, if the topic still has all its records"
    )]
    StateLost { partition: TopicPartition, missing: usize, evidence: String },
    #[error(
        "the log of {partition} is not the one that was counted: the record at offset {} differs from the one that the \
         watermark names. The topic was re-created, the cluster is another one, or an unclean election cut the log. \
         Point INDELIBLE_KAFKA_BROKERS to the right cluster, or count all again into a new INDELIBLE_NAMESPACE with a new \
         INDELIBLE_KAFKA_GROUP", .offset.0
    )]
    LogChanged { partition: TopicPartition, offset: Offset },
    #[error(
        "there is a gap in the log of {partition}: the next record to count is at offset {}, but the log holds {}..{}. \
         The records between were deleted (retention), or the topic was re-created. What is missing can't be counted; \
         restore the log, or count what is left into a new INDELIBLE_NAMESPACE with a new INDELIBLE_KAFKA_GROUP", .wanted.0, .first.0, .end.0
    )]
    LogGap { partition: TopicPartition, wanted: Offset, first: Offset, end: Offset },
    #[error("kafka: {0}")]
    Kafka(String),
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
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::WatermarkMoved { .. } => Verdict::Restart { after: Duration::from_millis(100) },
            Self::Kafka(_) | Self::Store(StoreError::Unavailable(_) | StoreError::Refused(_)) => {
                Verdict::Restart { after: Duration::from_secs(2) }
            }
            Self::Store(StoreError::Corrupt { .. } | StoreError::Unusable(_) | StoreError::Crowded { .. })
            | Self::StateLost { .. }
            | Self::LogChanged { .. }
            | Self::LogGap { .. }
            | Self::Hung { .. }
            | Self::Defect(_) => Verdict::Die,
        }
    }

    /// The name that a log line and the exit bear.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Store(error) => error.kind(),
            Self::WatermarkMoved { .. } => "watermark_moved",
            Self::StateLost { .. } => "state_lost",
            Self::LogChanged { .. } => "log_changed",
            Self::LogGap { .. } => "log_gap",
            Self::Kafka(_) => "kafka",
            Self::Hung { .. } => "hung",
            Self::Defect(_) => "defect",
        }
    }
}
