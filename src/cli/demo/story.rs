//! The story: what it sends stands in `events.jsonl`, and what the counters must be then stands here.

mod limits;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::task::block_in_place;

use crate::cli::{emit::Emitter, settings::Config};
use crate::domain::calendar::{Month, TimeMs};
use crate::domain::ids::{TenantId, UserId};
use crate::domain::{delta::Scope, money::NanoDollars};
use crate::ingest::dead_letter::dead_letter_topic;
use crate::ops::clock;
use crate::quota::assess::percent;
use crate::store::{Reader, StoreError, Usage};

pub(super) const TENANT: &str = "acme";
const USERS: [&str; 3] = ["alice", "bob", "carol"];
const EVENTS: &str = include_str!("events.jsonl");
const BROKEN: &str = r#"{"tenantId": "acme", "tokensIn": 12,"#;
/// For a state that must come; far more than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Heads as wide as their columns.
#[rustfmt::skip]
const CELLS: [&str; 8] = [
    "  requests", "   tokens in", "  tokens out", "  tool calls", "         cost", "  quota", "  results", "  websites",
];
/// By [`CELLS`]; cost in nano-dollars, quota in percent.
type Row = [i64; CELLS.len()];
/// The users, then the tenant, which has no quota.
type Table = [Row; USERS.len() + 1];

/// After the first events: sums made by hand.
const FIRST: Table = [
    [3, 300_361, 18_319, 7, 875_536_750, 31, 3, 2],
    [2, 273_351, 10_354, 7, 867_655_250, 28, 1, 1],
    [2, 5_987, 545, 4, 23_154_250, 0, 1, 0],
    [7, 579_699, 29_218, 18, 1_766_346_250, 0, 5, 3],
];
/// What the new result adds to Alice's row.
const NEW: Row = [1, 75_000, 5_000, 2, 300_000_000, 8, 1, 0];

pub(super) struct Story<'e> {
    config: &'e Config,
    reader: Arc<dyn Reader>,
    emitter: Emitter,
    /// Of every event, so that no month ends within the story.
    time: DateTime<Utc>,
}

impl<'e> Story<'e> {
    pub(super) fn new(config: &'e Config, reader: Arc<dyn Reader>) -> Result<Self> {
        let emitter = Emitter::new(config.kafka.clone(), super::TOPIC, config.bounds)?;
        Ok(Self { config, reader, emitter, time: clock::now() })
    }

    pub(super) async fn tell(&self) -> Result<()> {
        let events: Vec<String> = EVENTS.lines().map(|event| at(event, self.time)).collect();
        let send = |events: &[String]| events.iter().try_for_each(|event| self.send(event, false));
        let mut must = FIRST;
        println!("Three users of the tenant {TENANT} ask their assistants, and save results and websites:\n");
        send(&events[..10])?;
        self.show(&must).await?;

        println!("\nAlice deletes a result and a website. These counts fall by one each; her tokens, cost and quota");
        println!("are the same, because what was used was used:\n");
        send(&events[10..12])?;
        [0, 3].iter().for_each(|row| must[*row][6..].iter_mut().for_each(|outputs| *outputs -= 1));
        self.show(&must).await?;

        println!("\nAlice gets a new result. Her results rise, and her usage with them:\n");
        send(&events[12..13])?;
        must[0].iter_mut().zip(NEW).for_each(|(cell, more)| *cell += more);
        must[3].iter_mut().zip(NEW).enumerate().for_each(|(i, (cell, more))| *cell += if i == 5 { 0 } else { more });
        self.show(&must).await?;

        println!("\nThe last event comes again, then one from long ago, then a broken line. No counter moves:\n");
        let age = TimeDelta::milliseconds(self.config.bounds.max_age_ms) + TimeDelta::days(1);
        let late = at(EVENTS.lines().next_back().unwrap_or_default(), self.time - age);
        [&events[12], &late, BROKEN].iter().try_for_each(|record| self.send(record, true))?;
        block_in_place(|| self.emitter.finish())?;
        // Every event that has reached Kafka before now is in an answer as of now.
        let now = TimeMs(clock::now_ms());
        let as_of = async || Ok(self.usage(None).await?.freshness.as_of);
        wait("the age of the counters", as_of, |as_of| *as_of >= Some(now)).await?;
        self.show(&must).await?;
        println!("\n  the same event again: counted once, its id is known");
        block_in_place(|| self.show_dead_letters(&[("too_late", &late), ("not_json", BROKEN)]))?;
        self.tell_of_limits().await?;
        println!("\nEvery number above is what it must be.");
        Ok(())
    }

    /// An event of the stream that follows the story.
    pub(super) fn one_more(&self, number: usize) -> Result<()> {
        let event = at(EVENTS.lines().next_back().unwrap_or_default(), clock::now());
        self.send(&event.replace("more", &format!("more-{number}")).replace("alice", USERS[number % 3]), false)
    }

    fn send(&self, record: &str, lenient: bool) -> Result<()> {
        self.emitter.emit(record.as_bytes(), lenient).map(drop).map_err(Error::msg)
    }

    /// Reads the dead-letter topic, which must hold these records by these reasons.
    fn show_dead_letters(&self, must: &[(&str, &str)]) -> Result<()> {
        let consumer: BaseConsumer = self.config.kafka.clone().set("group.id", "indelible-demo-letters").create()?;
        let mut start = TopicPartitionList::new();
        start.add_partition_offset(&dead_letter_topic(super::TOPIC), 0, Offset::Beginning)?;
        consumer.assign(&start)?;
        for _ in must {
            let letter = consumer.poll(PATIENCE).context("a dead letter is missing in its topic")??;
            let header = |name| {
                let found = letter.headers().into_iter().flat_map(Headers::iter).find(|header| header.key == name);
                found.and_then(|header| str::from_utf8(header.value?).ok()).unwrap_or_default()
            };
            let (reason, why) = (header("dlq.reason"), header("__connect.errors.exception.message"));
            let is_due = |(due, record): &(&str, &str)| *due == reason && Some(record.as_bytes()) == letter.payload();
            ensure!(must.iter().any(is_due), "a dead letter says {reason}, and must not: {why}");
            println!("  dead letter, {reason}: {}", why.split(';').next().unwrap_or_default());
        }
        Ok(())
    }

    async fn usage(&self, user: Option<&str>) -> Result<Usage> {
        let scope = Scope { tenant: TenantId::new(TENANT)?, user: user.map(UserId::new).transpose()? };
        match self.reader.usage(&scope, Month::of(self.time)).await {
            // The worker is about to begin.
            Err(StoreError::NotCounting { .. }) => Ok(Usage::default()),
            answer => Ok(answer?),
        }
    }

    /// Waits until every counter, of this month and of all time, is what it must be, and prints them.
    async fn show(&self, must: &Table) -> Result<()> {
        println!("       {}", CELLS.concat());
        for (index, must) in must.iter().enumerate() {
            let user = USERS.get(index).copied();
            let who = user.unwrap_or("all");
            for (i, (head, must)) in CELLS.iter().zip(must).enumerate() {
                let what = format!("{} of {who}, which must be {must} this month and ever,", head.trim());
                let found = async || Ok(self.row(user).await?.map(|row| row[i]));
                wait(&what, found, |found| *found == [*must; 2]).await?;
            }
            let cells = CELLS.iter().zip(must).enumerate().map(|(i, (head, number))| {
                let text = match i {
                    4 => format!("${}", NanoDollars(*number).to_dollars()),
                    5 => user.map_or_else(String::new, |_| format!("{number} %")),
                    _ => grouped(*number),
                };
                format!("{text:>width$}", width = head.len())
            });
            println!("  {who:<5}{}", cells.collect::<String>());
        }
        Ok(())
    }

    /// What is counted for this month, and for all time.
    async fn row(&self, user: Option<&str>) -> Result<[Row; 2]> {
        let usage = self.usage(user).await?;
        let mut rows = [Row::default(); 2];
        for (month, used) in &usage.months {
            let sum = used.total()?;
            let sums = [sum.requests, sum.tokens_in, sum.tokens_out, used.tools.values().sum(), sum.cost.0];
            let first = usize::from(*month != Month::of(self.time));
            rows[first..].iter_mut().for_each(|row| row.iter_mut().zip(sums).for_each(|(sum, more)| *sum += more));
        }
        for (kind, count) in &usage.outputs {
            let cell = if kind.as_str() == "website" { 7 } else { 6 };
            (rows[0][cell], rows[1][cell]) = (count.month, count.all_time);
        }
        let limit = self.config.plans.load().default.1.user.tokens.base();
        let percent = |row: &Row| i64::from(percent(row[1] + row[2], limit));
        rows.iter_mut().for_each(|row| row[5] = user.map_or(0, |_| percent(row)));
        Ok(rows)
    }
}

/// Asks until the answer is right.
async fn wait<T: Debug>(what: &str, ask: impl AsyncFn() -> Result<T>, right: impl Fn(&T) -> bool) -> Result<()> {
    let deadline = clock::instant() + PATIENCE;
    loop {
        let answer = ask().await?;
        if right(&answer) {
            return Ok(());
        }
        ensure!(clock::instant() < deadline, "{what} is {answer:?} after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// An event of the file at its time.
fn at(event: &str, time: DateTime<Utc>) -> String {
    event.replace("NOW", &time.to_rfc3339())
}

/// 1234567 as 1,234,567.
fn grouped(number: i64) -> String {
    let (rest, last) = (number / 1000, number % 1000);
    if rest == 0 { last.to_string() } else { format!("{},{last:03}", grouped(rest)) }
}
