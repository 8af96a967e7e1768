//! `indelible price`: what one request costs, and why.

use std::fs::File;
use std::io::Read;

use anyhow::Context;

use crate::domain::calendar::TimeMs;
use crate::domain::event::Body;
use crate::ingest::decode::{Bounds, Incoming, MAX_RECORD_BYTES, decode};
use crate::pricing::Table;

/// Any time is near enough: there is no record that it could be far from.
const UNBOUNDED: Bounds = Bounds { max_future_ms: i64::MAX, max_age_ms: i64::MAX };

/// Why nothing is explained.
#[derive(Debug)]
pub enum Refusal {
    /// The file holds no usage event.
    NoEvent(String),
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Explains the event in `file`, or on standard input for `-`, by a price table.
///
/// # Errors
/// [`Refusal`]
pub fn run(prices: &Table, file: &str, json: bool) -> Result<(), Refusal> {
    let text = read(file).with_context(|| format!("can't read {file}"))?;
    let incoming = Incoming { value: Some(&text), headers: &[], timestamp: Some(TimeMs(0)) };
    let event = decode(&incoming, &UNBOUNDED).map_err(|reject| Refusal::NoEvent(reject.to_string()))?;
    let Body::Usage(usage) = &event.body else {
        return Err(Refusal::NoEvent("it costs nothing by its kind; only ai.usage.recorded.v1 has a cost".to_owned()));
    };
    let explained = prices.explain(usage, event.time).context("it costs more than 9223372036 dollars")?;
    if json {
        println!("{}", serde_json::to_string_pretty(&explained).context("can't write JSON")?);
    } else {
        print!("{explained}");
    }
    Ok(())
}

fn read(file: &str) -> std::io::Result<Vec<u8>> {
    let input: Box<dyn Read> = if file == "-" { Box::new(std::io::stdin()) } else { Box::new(File::open(file)?) };
    // One byte more than the decoder takes, so that it can say that it is too large.
    let (mut text, most) = (Vec::new(), MAX_RECORD_BYTES as u64 + 1);
    input.take(most).read_to_end(&mut text)?;
    Ok(text)
}
