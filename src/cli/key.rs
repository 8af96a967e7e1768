//! `indelible key new`: an API key, shown once, and the entry of the key file that lets it in.

use anyhow::anyhow;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::auth::Scopes;
use crate::auth::api_keys::{ApiKeys, generate, identity, written_hash};

#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key: its entry for the key file goes to standard output, the key itself to standard error, once.
    New(NewKey),
}

#[derive(Debug, Args)]
pub struct NewKey {
    /// How people know the key: who has it, what for.
    #[arg(long)]
    name: String,
    /// The tenant whose numbers it may ask for; not for an operator's key.
    #[arg(long)]
    tenant: Option<String>,
    /// The user whose numbers usage:read is for.
    #[arg(long)]
    user: Option<String>,
    /// usage:read (own user), usage:read:tenant, usage:read:all or quota:write; may be given again.
    #[arg(long = "scope", required = true, value_parser = clap::builder::PossibleValuesParser::new(Scopes::NAMED.map(|(name, _)| name)))]
    scopes: Vec<String>,
    /// When it ends to be valid: from now on for so long, such as 90d; never by default.
    #[arg(long, value_parser = humantime::parse_duration)]
    expires_in: Option<std::time::Duration>,
    /// Requests a second, where not those of INDELIBLE_API_RATE.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
}

/// # Errors
/// A sentence that says what the key can't be.
pub fn run(Key::New(new): &Key, now: DateTime<Utc>) -> anyhow::Result<()> {
    let (entry, key) = new.make(now)?;
    print!("{entry}");
    eprintln!("The key, which is shown this once and kept nowhere:\n\n  {key}\n");
    eprintln!("Append what was printed to standard output to the file of INDELIBLE_API_KEYS, then send SIGHUP.");
    Ok(())
}

impl NewKey {
    /// The entry for the file, and the key.
    fn make(&self, now: DateTime<Utc>) -> anyhow::Result<(String, String)> {
        let scopes = Scopes::known(self.scopes.iter().map(String::as_str));
        identity(self.tenant.as_deref(), self.user.as_deref(), scopes).map_err(|why| anyhow!(why))?;
        let (id, key) = generate().map_err(|_| anyhow!("the system has no random bytes"))?;
        // A JSON text is a TOML text, too.
        let mut entry = format!("[[key]]\nid = {}\nhash = {}\n", json!(id), json!(written_hash(&key)));
        let texts = [("name", Some(&self.name)), ("tenant", self.tenant.as_ref()), ("user", self.user.as_ref())];
        for (field, text) in texts.into_iter().filter_map(|(field, text)| Some((field, text?))) {
            entry += &format!("{field} = {}\n", json!(text));
        }
        entry += &format!("scopes = {}\n", json!(self.scopes));
        if let Some(span) = self.expires_in {
            let end = chrono::TimeDelta::from_std(span).ok().and_then(|span| now.checked_add_signed(span));
            let end = end.ok_or_else(|| anyhow!("--expires-in is too long"))?;
            entry += &format!("expires = {}\n", json!(end.to_rfc3339_opts(SecondsFormat::Secs, true)));
        }
        if let Some(rate) = self.rate {
            entry += &format!("requests_per_second = {rate}\n");
        }
        entry.push('\n');
        ApiKeys::parse(&entry).map_err(|faults| anyhow!(faults.join("; ")))?;
        Ok((entry, key))
    }
}
