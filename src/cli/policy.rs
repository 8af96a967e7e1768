//! The files that say what a request costs and who may use how much: read at the start, and again on SIGHUP.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use tokio::signal::unix::Signal;

use super::settings::Config;
use crate::ops::metrics::{Metrics, ReloadOutcome};
use crate::pricing::Table;
use crate::quota::file;
use crate::quota::plans::Plans;

/// The most that such a file may hold, in bytes.
const MAX_BYTES: u64 = 1 << 20;

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
    let text = read(path).map_err(|why| vec![format!("{name}: {why}")])?;
    Table::parse(&text).map_err(|all| all.iter().map(|fault| format!("{name}: {fault}")).collect())
}

/// The plans of a file; without one those that `quota_tokens` makes, a user's soft limit a month.
///
/// # Errors
/// Every fault, each beginning with the path.
pub fn plans(path: Option<&Path>, quota_tokens: i64) -> Result<Plans, Vec<String>> {
    let Some(path) = path else { return Ok(Plans::of_tokens(quota_tokens)) };
    let name = path.display();
    let text = read(path).map_err(|why| vec![format!("{name}: {why}")])?;
    file::read(&text, quota_tokens).map_err(|all| all.iter().map(|fault| format!("{name}: {fault}")).collect())
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| format!("can't be opened: {error}"))?;
    let length =
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| format!("can't be read: {error}"))?;
    if length as u64 > MAX_BYTES { Err(format!("is larger than {MAX_BYTES} bytes")) } else { Ok(text) }
}

/// Reads the files again at every SIGHUP. What was counted stays as it is.
pub async fn watch(mut hangups: Signal, config: Config, metrics: &Metrics) {
    while hangups.recv().await.is_some() {
        reload(&config, metrics);
    }
}

/// Puts what the files say now in place; a file with a fault leaves in place what was there, and the other one alone.
pub fn reload(config: &Config, metrics: &Metrics) {
    let Files { prices: price_file, plans: plan_file, quota_tokens } = &config.files;
    if price_file.is_none() && plan_file.is_none() {
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
