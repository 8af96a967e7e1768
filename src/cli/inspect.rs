//! `indelible inspect`: what a key in Redis says, and which keys there are of a tenant or user. Reads only.

mod json;
mod text;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use clap::Args;
use serde_json::Value;

use crate::domain::delta::Scope;
use crate::domain::ids::{TenantId, UserId};
use crate::store::inspect::{Damaged, Inspector, KeyName, Stored};
use crate::store::keys::Keyspace;
use crate::store::link::{Link, Patience};

use super::Ended;
use super::settings::Config;

/// A command may wait for a busy server; a person sees it wait.
const PATIENCE: Patience = Patience { connect: Duration::from_secs(5), response: Duration::from_secs(10) };

/// What to look at.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A key as Redis has it, in quotes: 'indelible:{33h}:users:acme:2026-11'
    #[arg(required_unless_present = "tenant", conflicts_with = "tenant")]
    key: Option<String>,
    /// One field of the key's hash, such as a user of users:…, as it is or percent-encoded.
    #[arg(requires = "key")]
    field: Option<String>,
    /// List the keys of this tenant, and those of its bucket.
    #[arg(long)]
    tenant: Option<String>,
    /// List the keys that concern this user of the tenant.
    #[arg(long, requires = "tenant")]
    user: Option<String>,
    /// As JSON, with amounts as decimal text.
    #[arg(long)]
    json: bool,
    /// Show at most this many rows, and say how many more there are.
    #[arg(long, value_name = "N", default_value = "100", value_parser = rows)]
    limit: usize,
}

/// What is looked at.
enum What {
    Key(KeyName, Option<String>),
    Scope(Scope),
}

/// # Errors
/// When there is nothing to show, something of it can't be read, or Redis does not answer.
pub async fn run(config: &Config, asked: &Inspect) -> anyhow::Result<Ended> {
    let keyspace = Keyspace::new(&config.namespace);
    let what = match asked.what(&keyspace) {
        Ok(what) => what,
        Err(why) => return Ok(Ended::Unusable(why)),
    };
    let inspector = Inspector::new(Arc::new(Link::new(config.redis.clone(), PATIENCE)), keyspace);
    let damaged = match what {
        What::Key(name, field) => {
            let inspected = inspector.key(&name, field.as_deref(), asked.limit).await?;
            asked.print(|| json::key(&inspected), || text::key(&inspected))?;
            inspected.damaged
        }
        What::Scope(scope) => {
            let listing = inspector.of(&scope, asked.limit).await?;
            asked.print(|| json::listing(&listing), || text::listing(&listing))?;
            listing.damaged
        }
    };
    refuse(&damaged).map(|()| Ended::Done)
}

/// What was shown is all that can be read.
fn refuse(damaged: &[Damaged]) -> anyhow::Result<()> {
    ensure!(
        damaged.is_empty(),
        "{} can't be read, named above with the reason: this program never writes it",
        if damaged.len() == 1 { "one entry".to_owned() } else { format!("{} entries", damaged.len()) }
    );
    Ok(())
}

impl Inspect {
    fn what(&self, keyspace: &Keyspace) -> Result<What, String> {
        if let Some(tenant) = &self.tenant {
            let tenant = TenantId::new(tenant).map_err(|fault| format!("the tenant {fault}"))?;
            let user = self.user.as_deref().map(UserId::new).transpose();
            return Ok(What::Scope(Scope { tenant, user: user.map_err(|fault| format!("the user {fault}"))? }));
        }
        let name = KeyName::parse(keyspace, self.key.as_deref().unwrap_or_default());
        let name = name.map_err(|fault| fault.to_string())?;
        match (name.kind().stored(), &self.field) {
            (Stored::Hash, _) | (_, None) => Ok(What::Key(name, self.field.clone())),
            (stored, Some(_)) => {
                let (form, stored) = (name.kind().form(), stored.as_str());
                Err(format!("a key {form} is a {stored}, which has no fields: leave FIELD out"))
            }
        }
    }

    fn print(&self, json: impl Fn() -> Value, text: impl Fn() -> String) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(&json()).map_err(|fault| anyhow!(fault))?);
        } else {
            print!("{}", text());
        }
        Ok(())
    }
}

fn rows(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|rows| (1..=1_000_000).contains(rows)).ok_or_else(|| "not 1 to 1000000".to_owned())
}
