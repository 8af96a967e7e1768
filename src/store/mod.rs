//! What Redis holds, and the two ways to it: [`Ledger`] for the worker, [`Reader`] for the API.
//!
//! Returns facts and never counts, logs or decides about a retry: its callers do. Nothing outside this
//! folder knows a key. Read this file first, then `keys.rs`, `draft.rs` and `apply.lua`.

pub mod call;
pub mod cells;
pub mod draft;
pub mod keys;
pub mod link;
pub mod redis_ledger;
pub mod redis_reader;
pub mod tiers;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use futures::future::BoxFuture;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::{Month, TimeMs};
use crate::domain::counters::{Counters, DayUsage, MonthUsage};
use crate::domain::delta::{Delta, Scope};
use crate::domain::event::Output;
use crate::domain::ids::{OutputKind, TenantId, UserId};
use crate::domain::position::{Position, TopicPartition};
use crate::domain::seen::{Expired, SeenId};

/// What one call adds to one bucket for one stretch of one partition, all of it or nothing.
#[derive(Debug, Clone)]
pub struct Flush {
    pub bucket: Bucket,
    pub partition: TopicPartition,
    /// The stored watermark that the flush follows on; none before the partition's first.
    pub from: Option<Position>,
    /// Further than `from` if there are events.
    pub to: Position,
    /// Every record of the partition with an earlier Kafka timestamp lies before `to`.
    pub log_time: TimeMs,
    /// Of every event in `delta`, in the events' order, each id once.
    pub seen: Vec<SeenId>,
    pub delta: Delta,
    /// How many partitions there are in all: nothing is dropped before each of them was counted.
    pub partitions: usize,
    /// Seen ids to drop, if the whole bucket has passed them.
    pub expire: Option<Expired>,
}

/// How long what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// An id is known for at least this long, in milliseconds of log time, 1 second to 31 days.
    pub seen_ms: i64,
    /// A deletion is remembered for this long, in milliseconds of log time: as long as a creation may come late.
    pub tombstones_ms: i64,
}

/// How a flush ended. Only `Applied` changed anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Added, and the watermark moved. `expired` is a part of the seen ids that the bucket no longer needs.
    Applied { expired: Option<Expired>, capped: Capped },
    /// These events were counted before: fold again without them.
    Repeated(Vec<Repeat>),
    /// The stored watermark is another one than expected.
    Moved(Option<Position>),
    /// A sum would leave the range of an i64, or the flush is more than one call takes: halving it helps, down
    /// to the one event that can't be added.
    TooLarge,
}

/// How many names a namespace takes. What comes beyond is counted under `other`: a producer that puts ids where names
/// belong must not fill the store, nor make it slow to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Pairs of assistant and model in a user's month.
    pub user_groups: usize,
    /// Tools in a user's month.
    pub user_tools: usize,
    /// Pairs, tools and days in a tenant's month. Workers that add new ones at the same instant may pass it by a few.
    pub tenant_cells: usize,
    /// Users in a tenant's month.
    pub tenant_users: usize,
    /// Kinds of a tenant's saved outputs, for good.
    pub tenant_kinds: usize,
}

impl Caps {
    /// What a deployment runs with.
    pub const STANDARD: Self =
        Self { user_groups: 100, user_tools: 100, tenant_cells: 2_000, tenant_users: 1_000_000, tenant_kinds: 100 };
}

/// What a flush counted under `other` for lack of room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capped {
    /// Requests under another assistant and model.
    pub requests: i64,
    /// Tool calls under another tool.
    pub tool_calls: i64,
    /// Requests under another user.
    pub users: i64,
    /// Created and deleted outputs under another kind.
    pub outputs: i64,
}

/// An event that is known already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// Index into [`Flush::seen`].
    pub index: usize,
    /// The known one had other content.
    pub conflict: bool,
}

/// What the store knows of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The watermarks by [`Bucket::index`].
    pub watermarks: Vec<Option<Position>>,
    /// The furthest log time that a bucket has passed; 0 for a new partition.
    pub log_time: TimeMs,
}

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
    /// The namespace or the server can't be used as it is set up.
    #[error("{0}")]
    Unusable(String),
    /// Of a reader: the user may be among those who have no sums of their own.
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
            Self::Crowded { .. } => "crowded",
        }
    }
}

/// The worker's side.
pub trait Ledger: Send + Sync + 'static {
    /// Makes the namespace ours, or refuses a namespace or server that can't be counted into.
    fn prepare(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether the server is still one that keeps what it is given.
    fn check(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Where all buckets stand in a partition.
    fn standing(&self, partition: &TopicPartition) -> impl Future<Output = Result<Standing, StoreError>> + Send;

    /// Applies a flush if the stored watermark is exactly `from`; else changes nothing.
    fn apply(&self, flush: &Flush) -> impl Future<Output = Result<Outcome, StoreError>> + Send;
}

/// Saved outputs of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputCount {
    /// Created in the month asked for and not deleted.
    pub month: i64,
    pub all_time: i64,
}

/// An output that has not been deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedOutput {
    pub output: Output,
    pub created: TimeMs,
}

/// All that is known of a user or a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Months in which the scope used anything; "all time" is their sum.
    pub months: BTreeMap<Month, MonthUsage>,
    pub outputs: BTreeMap<OutputKind, OutputCount>,
    /// Newest first, at most [`RECENT_OUTPUTS`]; empty for a tenant.
    pub recent: Vec<SavedOutput>,
    /// See [`AsOf`].
    pub as_of: AsOf,
}

/// Every event that reached Kafka before this instant is in the answer; none while nothing was ever counted.
pub type AsOf = Option<TimeMs>;

pub const RECENT_OUTPUTS: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Cost,
    Tokens,
    Requests,
}

/// Where a page of users ended: the last user's sorted value and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCursor {
    pub value: i64,
    pub user: UserId,
}

/// Users of a tenant in a month, the greatest first, by name where they are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsersPage {
    pub users: Vec<(UserId, Counters)>,
    /// None on the last page.
    pub next: Option<UserCursor>,
    pub as_of: AsOf,
}

/// The API's side. Answers are about one tenant; reads of one answer may be a moment apart.
pub trait Reader: Send + Sync + 'static {
    /// `month` selects the month of [`OutputCount::month`].
    fn usage<'a>(&'a self, scope: &'a Scope, month: Month) -> BoxFuture<'a, Result<Usage, StoreError>>;

    /// `limit` from 1.
    fn users<'a>(
        &'a self,
        tenant: &'a TenantId,
        month: Month,
        sort: Sort,
        after: Option<UserCursor>,
        limit: usize,
    ) -> BoxFuture<'a, Result<UsersPage, StoreError>>;

    /// The days with usage of the months from `first` to `last`, both included.
    #[expect(clippy::type_complexity, reason = "a pair of a map and its freshness, named where it is used")]
    fn days<'a>(
        &'a self,
        scope: &'a Scope,
        first: Month,
        last: Month,
    ) -> BoxFuture<'a, Result<(BTreeMap<NaiveDate, DayUsage>, AsOf), StoreError>>;

    /// Whether the store answers.
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}
