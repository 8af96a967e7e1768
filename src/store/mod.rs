//! What Redis holds, and the ways to it: [`Ledger`] and [`Outbox`] for the worker, [`Reader`] for the API.
//!
//! Returns facts and never counts, logs or decides about a retry: its callers do. Nothing outside this
//! folder knows a key. Read this file first, then `keys.rs`, `draft.rs` and `apply.lua`.

pub mod args;
pub mod assigned;
pub mod call;
pub mod cells;
pub mod draft;
mod fault;
mod freshness;
mod guesses;
pub mod inspect;
pub mod kept;
pub mod keys;
pub mod link;
pub mod mirror;
pub mod namespace;
pub mod notice;
mod observer;
pub mod offsets;
mod outbox;
mod outputs_reader;
mod quota_reader;
pub mod redis_ledger;
pub mod redis_outbox;
pub mod redis_reader;
mod reply;
pub mod saved_outputs;
pub mod seen_log;
mod seen_reader;
mod unrated;
mod usage_reader;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use futures::future::BoxFuture;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::{Month, TimeMs};
use crate::domain::counters::{Counters, DayUsage, Mismatch, MonthUsage};
use crate::domain::delta::{Delta, Scope};
use crate::domain::event::Output;
use crate::domain::gap::{Gap, Gaps};
use crate::domain::ids::{Model, OutputKind, TenantId, UserId};
use crate::domain::position::{Position, TopicPartition};
use crate::domain::quota::{Assignments, Spent};
use crate::domain::seen::{Expired, SeenId};

pub use fault::{StoreError, Unfit};
pub use observer::{Asked, Observer};
pub use outbox::{Backlog, Delivery, Outbox, Pending, Sink};
pub use unrated::{Priced, Unrated};

/// What one call adds to one bucket, for a stretch of each of some partitions: all of it or nothing.
#[derive(Debug, Clone)]
pub struct Flush {
    pub bucket: Bucket,
    /// One at least, and one a partition.
    pub stretches: Vec<Stretch>,
    /// Of every event in `delta`, in the events' order, each id once.
    pub seen: Vec<SeenId>,
    /// Of events that are not in `delta` because [`Ledger::supposed`] has named them: the store makes sure of it.
    pub repeats: Vec<SeenId>,
    pub delta: Delta,
    /// How many partitions there are in all: nothing is dropped before each of them was counted.
    pub partitions: usize,
    /// Whether what is no longer needed is to be dropped on the way.
    pub tidies: bool,
    /// Seen ids to drop, if the whole bucket has passed them and the flush tidies.
    pub expire: Option<Expired>,
}

/// Some of a partition, as one bucket sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    pub partition: TopicPartition,
    /// The stored watermark that it follows on; none before the partition's first.
    pub from: Option<Position>,
    /// Further than `from` if there are events.
    pub to: Position,
    /// Every record of the partition with an earlier Kafka timestamp lies before `to`; 0 says nothing.
    pub log_time: TimeMs,
    /// Its requests, where each is to be written to the rated topic once it is counted: the store then remembers which
    /// are not known to be there, until the next flush of the partition.
    pub prices: Option<Priced>,
}

impl Stretch {
    /// What the store is to remember of its requests; none where none of them is to be in the rated topic.
    pub fn unrated(&self) -> Option<Unrated> {
        let priced = self.prices.clone().filter(|priced| !priced.offsets.is_empty())?;
        Some(Unrated { from: self.from.unwrap_or(Position::START), priced })
    }
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
    /// Added, and the watermark moved. `expired` is a part of the seen ids that the bucket no longer needs; `notices`
    /// were put into its outbox.
    Applied { expired: Option<Expired>, capped: Capped, notices: usize },
    /// These events were counted before: fold again without them.
    Repeated(Vec<Repeat>),
    /// One of the flush's `repeats` is not known to have been counted: fold again with them.
    NotRepeated,
    /// A stored watermark is another one than expected: what is stored of each stretch, in their order.
    Moved(Vec<Option<Position>>),
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
    /// Models of a bucket's month whose costs are not what the price table says.
    pub mismatched_models: usize,
}

impl Caps {
    /// What a deployment runs with.
    pub const STANDARD: Self = Self {
        user_groups: 100,
        user_tools: 100,
        tenant_cells: 2_000,
        tenant_users: 1_000_000,
        tenant_kinds: 100,
        mismatched_models: 200,
    };
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
    /// The log times that the buckets have passed, in the same order; 0 where nothing was counted.
    pub log_times: Vec<TimeMs>,
    /// By bucket: requests that were counted and are not known to be in the rated topic.
    pub unrated: Vec<Option<Unrated>>,
    /// An operator's command moves the partition to another log and was not seen to its end.
    pub unfinished: bool,
}

/// What became of a namespace that was made ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The groups that counted into it before, where it was taken over.
    pub taken_from: BTreeSet<String>,
}

/// What a check has found: what the server holds, and what this process does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Of the server, in bytes; of a cluster, of the node that is nearest to its limit.
    pub used_memory: u64,
    /// The same server's `maxmemory`; 0 where it has none.
    pub max_memory: u64,
    /// Ids that this process has a copy of.
    pub seen_ids: u64,
}

/// What a bucket knows of all partitions, for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketState {
    pub bucket: Bucket,
    /// What its keys bear between the braces.
    pub tag: &'static str,
    pub partitions: BTreeMap<TopicPartition, PartitionState>,
}

/// What a bucket knows of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    pub watermark: Option<Position>,
    /// Where the partition goes on, while it is moved to another log.
    pub resume: Option<Position>,
    pub gaps: Gaps,
    pub log_time: TimeMs,
}

impl Default for PartitionState {
    fn default() -> Self {
        Self { watermark: None, resume: None, gaps: Gaps::default(), log_time: TimeMs(0) }
    }
}

/// What an operator decided for one bucket and partition: made only while the watermark is the one it was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub bucket: Bucket,
    pub partition: TopicPartition,
    pub from: Option<Position>,
    pub to: Target,
    /// All accepted gaps of the partition from now on; as they are where there are none.
    pub gaps: Option<Gaps>,
}

/// Where a change leaves a watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    At(Position),
    /// Removed, with a note of where it will be: no worker starts until it is there.
    Parked(Position),
}

/// The worker's side.
pub trait Ledger: Send + Sync + 'static {
    /// Makes the namespace ours, or refuses a namespace or server that can't be counted into.
    fn prepare(&self) -> impl Future<Output = Result<Prepared, StoreError>> + Send;

    /// Whether the server is still one that keeps what it is given, and the namespace still ours.
    fn check(&self) -> impl Future<Output = Result<Checked, StoreError>> + Send;

    /// Where all buckets stand in a partition.
    fn standing(&self, partition: &TopicPartition) -> impl Future<Output = Result<Standing, StoreError>> + Send;

    /// Which of these events were counted before, as far as is known without asking: to fold without them at once.
    fn supposed(&self, bucket: Bucket, seen: &[SeenId]) -> impl Future<Output = Vec<Repeat>> + Send;

    /// Applies a flush if the stored watermark of each stretch is exactly its `from`; else changes nothing.
    fn apply(&self, flush: &Flush) -> impl Future<Output = Result<Outcome, StoreError>> + Send;

    /// Keeps the text of a price table under its version, for good.
    fn keep_prices(&self, version: &str, text: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The text of a price table that was kept.
    fn prices(&self, version: &str) -> impl Future<Output = Result<Option<String>, StoreError>> + Send;
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
    /// What was assigned to the tenant and the user; nothing for a tenant alone, whose [`Reader::quota`] tells it.
    pub assigned: Whose<Assignments>,
    /// Of a user, by day of the month asked for, from 1; empty for a tenant.
    pub days: BTreeMap<u32, Spent>,
    pub freshness: Freshness,
}

/// What an answer knows, and what it doesn't.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Every event that reached Kafka before this instant is in the answer; none while nothing was ever counted.
    pub as_of: Option<TimeMs>,
    /// But for these, which an operator has accepted as never counted.
    pub gaps: Vec<(TopicPartition, Gap)>,
}

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
    pub freshness: Freshness,
}

/// What decides about a quota in a month.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaFacts {
    /// Of the tenant as a whole, and of the user who was asked for.
    pub assigned: Whose<Assignments>,
    /// By day of the month, from 1.
    pub days: Whose<BTreeMap<u32, Spent>>,
    pub freshness: Freshness,
}

/// A tenant's, and a user's of it; the user's is the default where only the tenant was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whose<T> {
    pub tenant: T,
    pub user: T,
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
    ) -> BoxFuture<'a, Result<(BTreeMap<NaiveDate, DayUsage>, Freshness), StoreError>>;

    /// What was assigned to the scope itself.
    fn assigned<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<(Assignments, Freshness), StoreError>>;

    /// In one round trip.
    fn quota<'a>(&'a self, scope: &'a Scope, month: Month) -> BoxFuture<'a, Result<QuotaFacts, StoreError>>;

    /// Costs of a month that are not what the price table said, by model, of all tenants.
    fn mismatches(&self, month: Month) -> BoxFuture<'_, Result<BTreeMap<Model, Mismatch>, StoreError>>;

    /// Whether the store answers, and there is something that it can tell.
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}
