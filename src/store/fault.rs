//! Why the store gave no answer, by name.

use crate::domain::calendar::Month;

/// Why the store gave no answer. The caller decides whether to try again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No connection, or no answer in time: what was sent may or may not have been done.
    #[error("redis is not reachable: {0}")]
    Unavailable(String),
    /// The server answers, but does not take the command now: loading, read-only, out of memory, …
    #[error("redis refuses: {0}")]
    Refused(String),
    /// A key holds what this program never writes.
    #[error("the redis key {key} is damaged: {detail}")]
    Corrupt { key: String, detail: String },
    /// The server can't be used as it answers.
    #[error("{0}")]
    Unusable(String),
    /// The server or the namespace is not one that we may count into.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Nothing is counted where the answer would come from: zeros would be untrue.
    #[error(
        "the redis key {key} holds no watermark: nothing was ever counted here, or what was counted is lost. Start a \
         worker; if it stops with state_lost, `indelible offsets show` says what can be done"
    )]
    NotCounting { key: String },
    /// The user may be among those who have no sums of their own.
    #[error("the tenant has more users in {month} than are counted one by one; the others share the user \"other\"")]
    Crowded { month: Month },
}

impl StoreError {
    /// The name of the kind, for a metric's label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Refused(_) => "refused",
            Self::Corrupt { .. } => "corrupt",
            Self::Unusable(_) => "unusable",
            Self::Unfit(_) => "unfit",
            Self::NotCounting { .. } => "not_counting",
            Self::Crowded { .. } => "crowded",
        }
    }

    /// Whether a later try may be answered without anybody's help.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Refused(_) | Self::NotCounting { .. })
    }
}

/// Why we may not count here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error(
        "redis has maxmemory-policy {policy}, under which it may throw counters away. Set it to noeviction: `redis-cli \
         CONFIG SET maxmemory-policy noeviction`, and in the server's configuration"
    )]
    Eviction { policy: String },
    #[error(
        "the redis key {key} says that the namespace has layout {found}, and this version of indelible reads and writes \
         layout {ours}. Run the version that wrote it, or count all again into a new INDELIBLE_NAMESPACE with a new \
         INDELIBLE_KAFKA_GROUP"
    )]
    Layout { key: String, found: String, ours: String },
    #[error(
        "the redis key {key} says that the namespace has {found} buckets, and this version of indelible has {ours}: \
         tenants would be looked for where they are not. Run the version that wrote it, or count all again into a new \
         INDELIBLE_NAMESPACE with a new INDELIBLE_KAFKA_GROUP"
    )]
    Buckets { key: String, found: String, ours: String },
    #[error(
        "the redis key {key} says that the consumer group {found:?} counts into this namespace, and this process is of \
         the group {ours:?}. Set INDELIBLE_KAFKA_GROUP to {found:?}, or INDELIBLE_NAMESPACE to another one; or, if \
         {found:?} is to count here no more, start once with `indelible serve --takeover`: counting goes on from the \
         watermarks, and nothing is lost or doubled"
    )]
    Group { key: String, found: String, ours: String },
}

impl Unfit {
    /// The name that a log line and the exit bear.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Eviction { .. } => "eviction",
            Self::Layout { .. } => "layout_mismatch",
            Self::Buckets { .. } => "bucket_mismatch",
            Self::Group { .. } => "group_mismatch",
        }
    }
}
