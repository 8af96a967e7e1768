//! The files that say what a request costs and who may use how much: read at the start, and again on SIGHUP.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use tokio::signal::unix::Signal;

use super::settings::Config;
use crate::ops::metrics::{Metrics, ReloadOutcome};
use crate::pricing::Table;

/// More than any price list has; a larger file is not what it should be.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where the files are; none where what is built in holds.
#[derive(Debug, Clone, Default)]
pub struct Files {
    pub prices: Option<PathBuf>,
}

/// Reads the price table; the one that is built in where no file is named.
///
/// # Errors
/// Every fault, with the file and its line.
pub fn prices(path: Option<&Path>) -> Result<Table, Vec<String>> {
    let Some(path) = path else { return Ok(Table::builtin()) };
    let name = path.display();
    let text = read(path).map_err(|why| vec![format!("{name}: {why}")])?;
    Table::parse(&text).map_err(|faults| faults.iter().map(|fault| format!("{name}: {fault}")).collect())
}

fn read(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|why| format!("can't be read: {why}"))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|why| format!("can't be read: {why}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("is larger than {MAX_FILE_BYTES} bytes; is it the right file?"));
    }
    String::from_utf8(bytes)
        .map_err(|why| format!("is not UTF-8 after byte {}; save it as such", why.utf8_error().valid_up_to()))
}

/// Reads the files again at every SIGHUP. What was counted stays as it is.
pub async fn watch(mut hangups: Signal, config: Config, metrics: &Metrics) {
    while hangups.recv().await.is_some() {
        reload(&config, metrics);
    }
}

/// Puts what the files say now in place; a file with a fault leaves in place what was there.
pub fn reload(config: &Config, metrics: &Metrics) {
    if config.files.prices.is_none() {
        tracing::info!("SIGHUP: no file is named, so there is nothing to read again");
    }
    if let Some(path) = &config.files.prices {
        let read = prices(Some(path)).map(|table| {
            tracing::info!(version = %table.version(), was = %config.prices.load().version(), "read the prices again");
            config.prices.store(table.into());
        });
        note("prices", read, metrics);
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
