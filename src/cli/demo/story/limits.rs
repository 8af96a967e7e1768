//! The last chapter: a plan, a warning, and a block.

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::{Value, json};
use tokio::task::block_in_place;

use super::{PATIENCE, Story, TENANT, at, grouped, wait};
use crate::cli::demo::NOTICES;
use crate::domain::calendar::{Month, TimeMs};
use crate::domain::delta::Scope;
use crate::domain::ids::{TenantId, UserId};
use crate::quota::assess::{State, Subject, assess};
use crate::quota::gate::Gate;
use crate::quota::passing::Whose;
use crate::store;

/// Bob is given a plan, then asks twice more.
const EVENTS: &str = include_str!("limits.jsonl");
/// What the service wants to know before each of his requests.
const ASKED: i64 = 20_000;

impl Story<'_> {
    pub(super) async fn tell_of_limits(&self) -> Result<()> {
        let events: Vec<String> = EVENTS.lines().map(|event| at(event, self.time)).collect();
        println!("\nBob gets the plan \"trial\", of which demo/plans.toml says how much it has. It holds at once:\n");
        self.send(&events[0], false)?;
        self.show_gate(283_705, State::Near, true).await?;

        println!("\nHe asks again, and his soft limit is reached. There is a grace, and word goes to {NOTICES}:\n");
        self.send(&events[1], false)?;
        self.show_gate(303_705, State::Grace, false).await?;
        block_in_place(|| show_notices(self, &[("100", &["50", "80", "90"])]))?;

        println!(
            "\nAnother request of his reaches the hard limit. Until the month ends, the gate refuses whatever he asks:\n"
        );
        self.send(&events[2], false)?;
        self.show_gate(320_000, State::Blocked, false).await?;
        block_in_place(|| show_notices(self, &[("100", &["50", "80", "90"]), ("hard", &[])]))
    }

    /// Waits until Bob has used so much and stands so, and prints what the gate says to [`ASKED`] more.
    async fn show_gate(&self, used: i64, state: State, allowed: bool) -> Result<()> {
        let must = (used, state, allowed);
        let found = async || self.gate().await.map(|(used, gate)| (used, gate.state, gate.allowed));
        wait(&format!("what the gate says of bob, which must be {must:?},"), found, |found| *found == must).await?;
        let (used, gate) = self.gate().await?;
        let left = gate.remaining_tokens.map_or_else(|| "any".to_owned(), grouped);
        let word = if gate.allowed { "allowed" } else { "refused" };
        println!("  bob has used {} tokens: {}", grouped(used), gate.state.as_str());
        println!("  may he use {} more? {word}; {left} are left. {}", grouped(ASKED), gate.reason);
        Ok(())
    }

    /// What `GET /v1/tenants/acme/users/bob/allow` would say, and the tokens he has used.
    async fn gate(&self) -> Result<(i64, Gate)> {
        let scope = Scope { tenant: TenantId::new(TENANT)?, user: Some(UserId::new("bob")?) };
        let (month, now) = (Month::of(self.time), TimeMs::of(self.time));
        let facts = self.reader.quota(&scope, month).await?;
        let (plans, store::Whose { tenant, user }) = (self.config.plans.load(), &facts.assigned);
        let of_tenant = Whose::Tenant(tenant).in_force(&plans, now)?;
        let of_user = Whose::User { tenant, user }.in_force(&plans, now)?;
        let tenant = assess(Subject::Tenant, &of_tenant, &facts.days.tenant, month, now)?;
        let user = assess(Subject::User, &of_user, &facts.days.user, month, now)?;
        Ok((user.tokens.used, Gate::of(&tenant, &user, ASKED)))
    }
}

/// Reads the topic of notices, which must hold these: threshold, and the others that the same request passed.
fn show_notices(story: &Story<'_>, must: &[(&str, &[&str])]) -> Result<()> {
    let consumer: BaseConsumer = story.config.kafka.clone().set("group.id", "indelible-demo-notices").create()?;
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(NOTICES, 0, Offset::Beginning)?;
    consumer.assign(&start)?;
    for (index, (threshold, also)) in must.iter().enumerate() {
        let record = consumer.poll(PATIENCE).context("a notice is missing in its topic")??;
        let notice: Value = serde_json::from_slice(record.payload().unwrap_or_default())?;
        let data = &notice["data"];
        let is_due = data["userId"] == "bob" && data["threshold"] == *threshold && data["alsoPassed"] == json!(also);
        ensure!(is_due, "a notice says {notice}, and must be about {threshold} of bob");
        if index + 1 == must.len() {
            println!("  notice {}: {} tokens used", notice["id"], grouped(data["usedTokens"].as_i64().unwrap_or(0)));
        }
    }
    Ok(())
}
