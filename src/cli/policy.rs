//! The files that say who may use how much: read at the start, and again when they are to be read anew.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::quota::file;
use crate::quota::plans::Plans;

/// The most that such a file may hold, in bytes.
const MAX_BYTES: u64 = 1 << 20;

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
