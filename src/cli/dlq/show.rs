//! `indelible dlq show`

use std::io::Write;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::cli::settings::Config;
use crate::domain::calendar::TimeMs;
use crate::ingest::decode::Reason;
use crate::ingest::letter_log::LetterLog;
use crate::ingest::letters::{Entry, Letter, Place, Stamp, advice};
use crate::ingest::record::Record;
use crate::ops::clock;

use super::{printable, replay};

/// Prints a letter, or its bytes alone.
///
/// # Errors
/// When there is no record at the place, it has no bytes to print, or Kafka does not answer.
pub(super) fn run(config: &Config, log: &LetterLog, topics: &[String], place: &str, raw: bool) -> anyhow::Result<()> {
    let place = find(place, topics)?;
    let found = log.at(&place).map_err(anyhow::Error::msg)?;
    let record =
        found.with_context(|| format!("there is no record at {place}; `indelible dlq list` has the places"))?;
    let mut out = std::io::stdout().lock();
    if raw {
        let value = record.value().with_context(|| format!("the record at {place} has no value"))?;
        out.write_all(value)?;
        return Ok(());
    }
    let head = match Entry::of(&record) {
        Entry::Letter(letter) => of_letter(config, &letter),
        Entry::Marker(replayed) => format!("{place} says that {replayed} was replayed\n"),
        Entry::Other => format!("{place} is no dead letter of this program\n"),
    };
    write!(out, "{head}{}", of_record(&record))?;
    Ok(())
}

/// `TOPIC:PARTITION:OFFSET`, or `PARTITION:OFFSET` of the only topic.
fn find(place: &str, topics: &[String]) -> anyhow::Result<Place> {
    let whole = match (place.matches(':').count(), topics) {
        (1, [topic]) => format!("{topic}:{place}"),
        (1, _) => bail!("{place:?} needs a topic before it: one of {}", topics.join(", ")),
        _ => place.to_owned(),
    };
    let found: Place = whole.parse().with_context(|| format!("{place:?}"))?;
    if !topics.iter().any(|topic| **topic == *found.partition.topic) {
        bail!(
            "{} is not a dead-letter topic of these settings, which are: {}",
            found.partition.topic,
            topics.join(", ")
        );
    }
    Ok(found)
}

fn of_letter(config: &Config, letter: &Letter) -> String {
    let now = TimeMs(clock::now_ms());
    let by_now = match replay::rules(config, Stamp::Fitting).judge(letter, now) {
        Ok(at) if Some(at) == letter.record.timestamp() => "would be accepted".to_owned(),
        Ok(_) => "would be accepted with the timestamp of its replay".to_owned(),
        Err(refusal) => refusal.to_string(),
    };
    let (means, then) = match Reason::named(&letter.reason).map(advice) {
        Some(advice) => (advice.means, advice.then),
        None => ("not a reason that this version knows", "see the documentation of the version that wrote it"),
    };
    let failed_at = letter.failed_at.map_or_else(|| "at a time that is not told".to_owned(), TimeMs::to_rfc3339);
    let fields = [
        ("letter", letter.place().to_string()),
        ("source", letter.source.to_string()),
        ("rejected", format!("{failed_at} by group {}", printable(&letter.group, &[]))),
        ("reason", format!("{}: {means}", printable(&letter.reason, &[]))),
        ("message", printable(&letter.message, &[])),
        ("advice", then.to_owned()),
        ("now", printable(&by_now, &[])),
    ];
    lines(fields.into_iter())
}

fn of_record(record: &Record) -> String {
    let key = record.key().map_or_else(|| "null".to_owned(), text);
    let timestamp = record.timestamp().map_or_else(|| "none".to_owned(), TimeMs::to_rfc3339);
    let mut all = lines([("key", key), ("timestamp", timestamp)].into_iter());
    for (name, value) in record.headers() {
        let value = value.map_or_else(|| "null".to_owned(), text);
        all.push_str(&format!("header     {}: {value}\n", printable(name, &[])));
    }
    let value = match record.value().map(|value| (value, str::from_utf8(value))) {
        None => "null".to_owned(),
        Some((value, Ok(text))) => format!("{} bytes\n{}", value.len(), printable(text, &['\n', '\t'])),
        Some((value, Err(_))) => format!("{} bytes, not UTF-8; in base64:\n{}", value.len(), STANDARD.encode(value)),
    };
    all + &lines([("value", value)].into_iter())
}

fn lines(fields: impl Iterator<Item = (&'static str, String)>) -> String {
    fields.map(|(name, value)| format!("{name:<10} {value}\n")).collect()
}

/// Bytes on one line.
fn text(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => printable(text, &[]),
        Err(_) => format!("base64:{}", STANDARD.encode(bytes)),
    }
}
