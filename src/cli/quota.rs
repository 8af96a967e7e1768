//! `indelible quota`: what a user or tenant may use, given and shown.

use std::sync::Arc;

use anyhow::Context;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::api::ApiState;
use crate::api::assign::{Applied, AssignFault, assign};
use crate::app;
use crate::domain::calendar::{Month, TimeMs};
use crate::domain::delta::Scope;
use crate::domain::ids::{TenantId, UserId};
use crate::domain::money::NanoDollars;
use crate::domain::quota::{Assignment, Assignments, Grant, Limits, Metric, Spent};
use crate::ops::{clock, metrics::Metrics};
use crate::quota::passing::Whose;

use super::Ended;
use super::settings::Config;

#[derive(Debug, Subcommand)]
pub enum Quota {
    /// Give a user or tenant a plan or limits, and wait until that is applied. Exit 1 if it is not within 10 s.
    #[command(group = ArgGroup::new("what").required(true).multiple(true))]
    Assign {
        #[command(flatten)]
        whose: WhoseArgs,
        #[command(flatten)]
        given: Given,
    },
    /// Show what is assigned, the limits in force and what of them is used.
    Show {
        #[command(flatten)]
        whose: WhoseArgs,
    },
}

#[derive(Debug, Args)]
pub struct WhoseArgs {
    tenant: String,
    /// A user of the tenant; without it, the tenant as a whole.
    #[arg(long)]
    user: Option<String>,
}

/// What is given: a plan, limits, or what would hold without.
#[derive(Debug, Args)]
pub struct Given {
    /// A plan of the plan file.
    #[arg(long, group = "what", conflicts_with_all = LIMITS)]
    plan: Option<String>,
    /// What would hold if nothing had been assigned.
    #[arg(long, group = "what", conflicts_with_all = LIMITS, conflicts_with = "plan")]
    inherit: bool,
    /// Tokens a month from which on is warned and, after the grace, refused.
    #[arg(long, group = "what", value_name = "N")]
    tokens_soft: Option<u64>,
    /// Tokens a month from which on is refused.
    #[arg(long, group = "what", value_name = "N")]
    tokens_hard: Option<u64>,
    /// The same in dollars of what providers take.
    #[arg(long, group = "what", value_name = "DOLLARS", value_parser = dollars)]
    cost_soft: Option<NanoDollars>,
    /// The same in dollars of what providers take.
    #[arg(long, group = "what", value_name = "DOLLARS", value_parser = dollars)]
    cost_hard: Option<NanoDollars>,
    /// How long a soft limit may be passed, for example 72h [default: until the month ends]
    #[arg(long, value_name = "DURATION", value_parser = grace_seconds)]
    grace: Option<u64>,
    /// Percents of which notices are sent [default: 50,80,90,100]
    #[arg(long, value_name = "PERCENT", value_delimiter = ',')]
    thresholds: Option<Vec<u16>>,
    /// From when on, an RFC 3339 time in the past or future [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
}

const LIMITS: [&str; 6] = ["tokens_soft", "tokens_hard", "cost_soft", "cost_hard", "grace", "thresholds"];

/// # Errors
/// When Kafka does not take the event, no worker applies it in time, or Redis does not answer.
pub async fn run(config: &Config, what: &Quota) -> anyhow::Result<Ended> {
    let (Quota::Assign { whose, .. } | Quota::Show { whose }) = what;
    let scope = match whose.scope() {
        Ok(scope) => scope,
        Err(why) => return Ok(Ended::Unusable(why)),
    };
    let state = ApiState {
        reader: app::reader(config),
        assigner: Arc::new(app::assigner(config)?),
        plans: Arc::clone(&config.plans),
        prices: Arc::clone(&config.prices),
        metrics: Arc::new(Metrics::new(&[])?),
        now: clock::now,
    };
    match what {
        Quota::Show { .. } => {
            print!("{}", show(&state, &scope).await?);
            Ok(Ended::Done)
        }
        Quota::Assign { given, .. } => match assign(&state, &scope, given.quota().to_string().as_bytes()).await {
            Ok(applied) => {
                println!("{}", outcome(&applied));
                print!("{}", show(&state, &scope).await.context("the quota is applied, but can't be shown")?);
                Ok(Ended::Done)
            }
            Err(fault @ (AssignFault::Invalid(_) | AssignFault::UnknownPlan(_))) => {
                Ok(Ended::Unusable(fault.to_string()))
            }
            Err(fault) => {
                let (AssignFault::NotAcknowledged { cause, .. } | AssignFault::NotApplied { cause, .. }) = &fault
                else {
                    return Err(fault.into());
                };
                let cause = cause.clone();
                Err(anyhow::anyhow!(cause).context(fault))
            }
        },
    }
}

impl WhoseArgs {
    fn scope(&self) -> Result<Scope, String> {
        let tenant = TenantId::new(&self.tenant).map_err(|fault| format!("the tenant {fault}"))?;
        let user = self.user.as_deref().map(UserId::new).transpose().map_err(|fault| format!("the user {fault}"))?;
        Ok(Scope { tenant, user })
    }
}

impl Given {
    /// As the data of the event, without whose it is.
    fn quota(&self) -> Value {
        let mut quota = Map::new();
        let mut limits = Map::new();
        let cents = |cost: NanoDollars| json!(cost.to_cents());
        for (name, soft, hard) in [
            ("tokens", self.tokens_soft.map(Value::from), self.tokens_hard.map(Value::from)),
            ("costCents", self.cost_soft.map(cents), self.cost_hard.map(cents)),
        ] {
            if soft.is_some() || hard.is_some() {
                limits.insert(name.to_owned(), json!({"soft": soft, "hard": hard}));
            }
        }
        limits.extend(self.grace.map(|seconds| ("graceSeconds".to_owned(), json!(seconds))));
        limits.extend(self.thresholds.as_ref().map(|all| ("thresholds".to_owned(), json!(all))));
        quota.extend(self.plan.as_ref().map(|plan| ("plan".to_owned(), json!(plan))));
        quota.extend(self.inherit.then(|| ("inherit".to_owned(), json!(true))));
        quota.extend(self.from.as_ref().map(|from| ("effectiveFrom".to_owned(), json!(from))));
        if !limits.is_empty() {
            quota.insert("limits".to_owned(), limits.into());
        }
        quota.into()
    }
}

/// Reads an amount in dollars, without an exponent.
fn dollars(text: &str) -> Result<NanoDollars, String> {
    // Cents have two places fewer.
    NanoDollars::from_cents(&format!("{text}e2")).map_err(|_| "not a number of dollars such as 25 or 0.50".to_owned())
}

fn grace_seconds(text: &str) -> Result<u64, String> {
    let whole = humantime::parse_duration(text).ok().filter(|grace| grace.subsec_nanos() == 0);
    whole.map(|grace| grace.as_secs()).ok_or_else(|| "not a duration of whole seconds such as 72h".to_owned())
}

fn outcome(Applied { assignment, superseded, .. }: &Applied) -> String {
    let Assignment { id, effective, .. } = assignment;
    let from = effective.to_rfc3339();
    if *superseded {
        format!("written as event {id}, and without effect: another assignment from {from} on is later")
    } else {
        format!("applied as event {id}, from {from} on")
    }
}

async fn show(state: &ApiState, scope: &Scope) -> anyhow::Result<String> {
    let now = (state.now)();
    let facts = state.reader.quota(scope, Month::of(now)).await?;
    let (of_tenant, of_user) = (&facts.assigned.tenant, &facts.assigned.user);
    let (whose, own, days) = match &scope.user {
        None => (Whose::Tenant(of_tenant), of_tenant, &facts.days.tenant),
        Some(_) => (Whose::User { tenant: of_tenant, user: of_user }, of_user, &facts.days.user),
    };
    let mut used = Spent::default();
    days.values().try_for_each(|day| used.add(*day)).context("the month's sum")?;
    let plans = state.plans.load();
    let mut text = match whose.in_force(&plans, TimeMs::of(now)) {
        Ok(force) => {
            let plan = force.plan.map_or_else(|| "no plan".to_owned(), |plan| format!("the plan {plan}"));
            let since =
                force.since.map_or_else(|| "by default".to_owned(), |since| format!("since {}", since.to_rfc3339()));
            format!("in force: {plan}, {since}\n{}", limits(force.limits, Some(used)))
        }
        Err(unknown) => format!("in force: {unknown}\n"),
    };
    text.push_str(&assigned(own));
    Ok(text)
}

fn assigned(own: &Assignments) -> String {
    let line = |Assignment { effective, id, grant, .. }: &Assignment| {
        let what = match grant {
            Grant::Plan(plan) => format!("the plan {plan}"),
            Grant::Inherit => "what holds without".to_owned(),
            Grant::Limits(_) => "limits".to_owned(),
        };
        let more = if let Grant::Limits(given) = grant { limits(given, None) } else { String::new() };
        format!("assigned from {}: {what} (event {id})\n{more}", effective.to_rfc3339())
    };
    if own.is_empty() { "nothing is assigned\n".to_owned() } else { own.iter().map(line).collect() }
}

/// A line for each metric that is limited, and one for what goes with it.
fn limits(limits: &Limits, used: Option<Spent>) -> String {
    let mut text = String::new();
    for metric in Metric::ALL {
        let limit = limits.of(metric);
        let amount = |amount: i64| match metric {
            Metric::Tokens => amount.to_string(),
            Metric::Cost => format!("{} USD", NanoDollars(amount).to_dollars()),
        };
        let bound = |bound: Option<i64>| bound.map_or_else(|| "none".to_owned(), amount);
        let used = used.map_or_else(String::new, |used| format!("used {}, ", amount(used.of(metric))));
        text.push_str(&format!(
            "  {}: {used}soft {}, hard {}\n",
            metric.as_str(),
            bound(limit.soft),
            bound(limit.hard)
        ));
    }
    let grace = limits.grace_ms.and_then(|ms| u64::try_from(ms).ok()).map(std::time::Duration::from_millis);
    let grace =
        grace.map_or_else(|| "until the month ends".to_owned(), |grace| humantime::format_duration(grace).to_string());
    let percents: Vec<_> = limits.thresholds.iter().map(|percent| format!("{percent} %")).collect();
    let percents = if percents.is_empty() { "none".to_owned() } else { percents.join(", ") };
    text + &format!("  grace: {grace}; warned of: {percents}\n")
}
