//! The files that say what a request costs, who may use how much and who may ask: read at the start, and again on
//! SIGHUP.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use tokio::signal::unix::Signal;

use super::settings::Config;
use super::settings::access::Auth;
use crate::auth::Authenticator;
use crate::auth::api_keys::ApiKeys;
use crate::ops::metrics::{Metrics, ReloadOutcome};
use crate::pricing::Table;
use crate::quota::file;
use crate::quota::plans::Plans;

/// The most that such a file may hold, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// API keys take some 250 each.
const MAX_KEY_BYTES: u64 = 32 << 20;

/// What is read again.
#[derive(Debug, Clone)]
pub struct Files {
    /// None for the table that is built in.
    pub prices: Option<PathBuf>,
    /// None for the plans that `quota_tokens` makes.
    pub plans: Option<PathBuf>,
    pub quota_tokens: i64,
}

/// The price table of a file; without one that which is built in.
///
/// # Errors
/// Every fault, each beginning with the path.
pub fn prices(path: Option<&Path>) -> Result<Table, Vec<String>> {
    let Some(path) = path else { return Ok(Table::builtin()) };
    let name = path.display();
    let text = read(path, MAX_BYTES).map_err(|why| vec![format!("{name}: {why}")])?;
    Table::parse(&text).map_err(|all| all.iter().map(|fault| format!("{name}: {fault}")).collect())
}

/// The plans of a file; without one those that `quota_tokens` makes, a user's soft limit a month.
///
/// # Errors
/// Every fault, each beginning with the path.
pub fn plans(path: Option<&Path>, quota_tokens: i64) -> Result<Plans, Vec<String>> {
    let Some(path) = path else { return Ok(Plans::of_tokens(quota_tokens)) };
    let name = path.display();
    let text = read(path, MAX_BYTES).map_err(|why| vec![format!("{name}: {why}")])?;
    file::read(&text, quota_tokens).map_err(|all| all.iter().map(|fault| format!("{name}: {fault}")).collect())
}

/// The API keys of a file.
///
/// # Errors
/// Every fault, each beginning with the path.
pub fn api_keys(path: &Path) -> Result<ApiKeys, Vec<String>> {
    let name = path.display();
    let text = read(path, MAX_KEY_BYTES).map_err(|why| vec![format!("{name}: {why}")])?;
    ApiKeys::parse(&text).map_err(|all| all.iter().map(|fault| format!("{name}: {fault}")).collect())
}

fn read(path: &Path, most: u64) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| format!("can't be opened: {error}"))?;
    let length = file.take(most + 1).read_to_string(&mut text).map_err(|error| format!("can't be read: {error}"))?;
    if length as u64 > most { Err(format!("is larger than {most} bytes")) } else { Ok(text) }
}

/// Reads the files again at every SIGHUP. What was counted stays as it is.
pub async fn watch(mut hangups: Signal, config: Config, metrics: &Metrics) {
    while hangups.recv().await.is_some() {
        reload(&config, metrics);
        if let Auth::On(auth) = &config.access.auth {
            reload_credentials(auth, metrics).await;
        }
    }
}

/// Puts what the files say now in place; a file with a fault leaves in place what was there, and the other one alone.
pub fn reload(config: &Config, metrics: &Metrics) {
    let Files { prices: price_file, plans: plan_file, quota_tokens } = &config.files;
    if price_file.is_none() && plan_file.is_none() && !matches!(config.access.auth, Auth::On(_)) {
        tracing::info!("SIGHUP: no file is named, so there is nothing to read again");
    }
    if let Some(path) = price_file {
        let read = prices(Some(path)).map(|table| {
            tracing::info!(version = %table.version(), was = %config.prices.load().version(), "read the prices again");
            config.prices.store(table.into());
        });
        note("prices", read, metrics);
    }
    if let Some(path) = plan_file {
        let read = plans(Some(path), *quota_tokens).map(|plans| {
            tracing::info!(plans = plans.by_name.len(), "read the plans again");
            config.plans.store(plans.into());
        });
        note("plans", read, metrics);
    }
}

/// Reads API keys and the keys of tokens again: a key that is gone from the file is refused from now on.
async fn reload_credentials(auth: &Authenticator, metrics: &Metrics) {
    if let Some(path) = auth.key_file() {
        let read = api_keys(path).map(|keys| {
            tracing::info!(keys = keys.len(), "read the API keys again");
            auth.replace_keys(keys);
        });
        note("api_keys", read, metrics);
    }
    if let Some(read) = auth.read_token_keys().await {
        note("token_keys", read.map_err(|why| vec![why]), metrics);
    }
}

/// `file` is one of those that [`Metrics::reloaded`] knows.
fn note(file: &'static str, read: Result<(), Vec<String>>, metrics: &Metrics) {
    let outcome = match read {
        Ok(()) => ReloadOutcome::Ok,
        Err(faults) => {
            let faults = faults.join("; ");
            tracing::error!(file, faults, "a file that was to be read again has faults; what was in place stays");
            ReloadOutcome::Failed
        }
    };
    metrics.reloaded(file, outcome);
}
