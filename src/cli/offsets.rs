//! `indelible offsets`: where counting stands, and what an operator decides when it can't go on by itself.

mod report;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use clap::Subcommand;
use futures::{StreamExt, TryStreamExt, stream};
use rdkafka::ClientConfig;

use crate::app;
use crate::domain::calendar::TimeMs;
use crate::domain::position::TopicPartition;
use crate::ingest::accept::{Plan, Resume, accept};
use crate::ingest::bootstrap::{bootstrap, without_state};
use crate::ingest::survey::{Surveyed, survey};
use crate::ops::clock;
use crate::store::keys::Keyspace;
use crate::store::link::{Link, Patience};
use crate::store::namespace::Namespace;
use crate::store::offsets::RedisOffsets;
use crate::store::{BucketState, Change};

use super::settings::Config;

/// A command may wait for a busy server; a person sees it wait.
const PATIENCE: Patience = Patience { connect: Duration::from_secs(5), response: Duration::from_secs(10) };
/// Changes that are under way at once.
const AT_ONCE: usize = 16;
/// Keys of a lost bucket that are named.
const SHOWN: usize = 3;

#[derive(Debug, Subcommand)]
pub enum OffsetsCommand {
    /// Show where every partition stands, and what keeps a worker from starting; exit 1 if anything does.
    Show {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Accept that records of a partition are not counted, record that, and let a worker go on.
    AcceptGap {
        /// As `indelible offsets show` names it, for example ai.usage.events.v1:0
        #[arg(required = true, value_name = "TOPIC:PARTITION")]
        partitions: Vec<TopicPartition>,
        /// Where to go on in a log that is another one than was counted: start, end or an offset. Records that were
        /// counted from the earlier log and come again are known within the dedupe window only.
        #[arg(long, value_name = "WHERE")]
        resume_at: Option<Resume>,
        /// Say what would be recorded, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Put missing watermarks to the start of the log: for state that was lost, or a topic that begins after 0.
    Bootstrap {
        /// Remove the counters of a bucket that lost its watermarks, so that it can be counted again.
        #[arg(long, value_name = "BUCKET", value_delimiter = ',')]
        discard_bucket: Vec<String>,
        /// Say what would be written, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Does what the command says.
///
/// # Errors
/// When a partition can't be counted (`show`), when there is nothing to decide or not safely, and when Kafka or Redis
/// does not answer.
pub async fn run(config: &Config, what: &OffsetsCommand) -> anyhow::Result<()> {
    let desk = Desk::new(config);
    match what {
        OffsetsCommand::Show { json } => desk.show(*json).await,
        OffsetsCommand::AcceptGap { partitions, resume_at, dry_run } => {
            desk.accept_gap(partitions, *resume_at, *dry_run).await
        }
        OffsetsCommand::Bootstrap { discard_bucket, dry_run } => desk.bootstrap(discard_bucket, *dry_run).await,
    }
}

/// What the commands work with.
struct Desk {
    kafka: ClientConfig,
    topics: Vec<String>,
    namespace: Namespace,
    offsets: RedisOffsets,
}

impl Desk {
    fn new(config: &Config) -> Self {
        let link = Arc::new(Link::new(config.redis.clone(), PATIENCE));
        let keyspace = Keyspace::new(&config.namespace);
        Self {
            kafka: app::consumer(config),
            topics: config.topics.clone(),
            namespace: Namespace::new(Arc::clone(&link), keyspace.clone(), &config.group),
            offsets: RedisOffsets::new(link, keyspace),
        }
    }

    async fn survey(&self, buckets: &[BucketState]) -> anyhow::Result<Vec<Surveyed>> {
        let surveyed = survey(&self.kafka, &self.topics, buckets).await;
        surveyed.map_err(|why| anyhow!(why)).context("kafka does not say what its partitions hold")
    }

    async fn show(&self, json: bool) -> anyhow::Result<()> {
        self.namespace.inspect().await?;
        let surveyed = self.survey(&self.offsets.states().await?).await?;
        ensure!(!surveyed.is_empty(), "kafka has no partition of {}", self.topics.join(", "));
        report::print(&surveyed, json)?;
        let stuck = surveyed.iter().filter(|of| of.verdict.is_err()).count();
        ensure!(stuck == 0, "a worker can't start on {stuck} of {} partitions", surveyed.len());
        Ok(())
    }

    async fn accept_gap(
        &self,
        partitions: &[TopicPartition],
        resume: Option<Resume>,
        dry_run: bool,
    ) -> anyhow::Result<()> {
        self.namespace.inspect().await?;
        let surveyed = self.survey(&self.offsets.states().await?).await?;
        let now = TimeMs(clock::now_ms());
        // All or none: nothing is changed before every one of them can be.
        let plans = partitions.iter().map(|partition| {
            let of = surveyed.iter().find(|of| of.partition == *partition);
            let of = of.ok_or_else(|| {
                anyhow!(
                    "{} is no partition of INDELIBLE_KAFKA_TOPICS ({})",
                    partition.argument(),
                    self.topics.join(", ")
                )
            })?;
            Ok((partition, accept(of, resume, now)?))
        });
        for (partition, plan) in plans.collect::<anyhow::Result<Vec<_>>>()? {
            report::say_accepted(partition, &plan, dry_run);
            if !dry_run {
                self.carry_out(plan).await?;
            }
        }
        Ok(())
    }

    async fn bootstrap(&self, discard: &[String], dry_run: bool) -> anyhow::Result<()> {
        self.namespace.inspect().await?;
        let mut buckets = self.offsets.states().await?;
        let surveyed = self.survey(&buckets).await?;
        ensure!(!surveyed.is_empty(), "kafka has no partition of {}", self.topics.join(", "));
        if self.clear(&buckets, &surveyed, discard, dry_run).await? {
            // Whose the namespace is stood in the buckets that were removed, too.
            buckets = self.offsets.states().await?;
        }
        let changes = bootstrap(&self.survey(&buckets).await?, TimeMs(clock::now_ms()));
        if changes.is_empty() {
            println!("every bucket has a watermark of every partition: there is nothing to do");
            return Ok(());
        }
        report::say_bootstrapped(&changes, dry_run);
        if !dry_run {
            self.namespace.prepare().await?;
            self.carry_out(vec![changes]).await?;
        }
        Ok(())
    }

    /// Removes the counters of lost buckets as far as the operator has said so; whether anything was removed.
    async fn clear(
        &self,
        buckets: &[BucketState],
        surveyed: &[Surveyed],
        discard: &[String],
        dry_run: bool,
    ) -> anyhow::Result<bool> {
        let lost: Vec<_> = without_state(buckets).collect();
        for tag in discard {
            ensure!(
                lost.iter().any(|bucket| bucket.tag == tag),
                "the bucket {tag} has its watermarks, or there is none of that name: nothing was removed"
            );
        }
        let mut holding = Vec::new();
        for bucket in &lost {
            let keys = self.offsets.counters(bucket.bucket, SHOWN).await?;
            if !keys.is_empty() && !discard.iter().any(|tag| tag == bucket.tag) {
                holding.push((bucket.tag, keys));
            }
        }
        if !holding.is_empty() {
            bail!(report::still_holding(&holding, surveyed));
        }
        for bucket in lost.iter().filter(|bucket| discard.iter().any(|tag| tag == bucket.tag)) {
            if dry_run {
                println!("would remove all keys of the bucket {}", bucket.tag);
            } else {
                let removed = self.offsets.discard(bucket.bucket).await?;
                println!("removed {removed} keys of the bucket {}", bucket.tag);
            }
        }
        Ok(!dry_run && !discard.is_empty())
    }

    /// Makes every change of a step before the next one begins.
    async fn carry_out(&self, plan: Plan) -> anyhow::Result<()> {
        for step in plan {
            stream::iter(&step).map(|change| self.make(change)).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        }
        Ok(())
    }

    async fn make(&self, change: &Change) -> anyhow::Result<()> {
        let name = change.partition.argument();
        ensure!(
            self.offsets.change(change).await?,
            "the watermark of {name} has moved since it was looked at: a worker counts, or somebody else decides. Run it \
             again"
        );
        Ok(())
    }
}
