//! A record of a dead-letter topic, read as what `dead_letter.rs` has written.

use chrono::DateTime;

use crate::domain::calendar::TimeMs;
use crate::domain::position::{Fingerprint, Offset, TopicPartition};
use crate::ingest::record::{Header, Record};

use super::header;
use super::place::Place;

/// What a record of a dead-letter topic is.
#[derive(Debug)]
pub enum Entry {
    Letter(Letter),
    /// The letter at this place was replayed.
    Marker(Place),
    /// Nothing that this program writes.
    Other,
}

/// A dead letter.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Key, value and timestamp are those of the record that was rejected.
    pub record: Record,
    /// Where that record lies.
    pub source: Place,
    /// As written: a later version may know more reasons.
    pub reason: String,
    pub message: String,
    /// None where the header is no time.
    pub failed_at: Option<TimeMs>,
    pub group: String,
}

impl Entry {
    pub fn of(record: &Record) -> Self {
        if let Some(replayed) = text(record, header::REPLAYED) {
            return replayed.parse().map_or(Self::Other, Self::Marker);
        }
        Letter::of(record).map_or(Self::Other, Self::Letter)
    }
}

impl Letter {
    fn of(record: &Record) -> Option<Self> {
        let partition = text(record, header::PARTITION)?.parse().ok()?;
        let source = Place {
            partition: TopicPartition::new(text(record, header::TOPIC)?, partition),
            offset: Offset(text(record, header::OFFSET)?.parse().ok()?),
        };
        let failed_at = text(record, header::FAILED_AT).and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        let said = |name| text(record, name).unwrap_or_default().to_owned();
        Some(Self {
            source,
            reason: text(record, header::REASON)?.to_owned(),
            message: said(header::MESSAGE),
            failed_at: failed_at.map(|at| TimeMs::of(at.to_utc())),
            group: said(header::GROUP),
            record: record.clone(),
        })
    }

    /// The letter's own place.
    pub fn place(&self) -> Place {
        Place::of(&self.record)
    }

    /// Which record was rejected. The place alone does not say: a topic may have been made anew.
    pub fn origin(&self) -> (Place, Fingerprint) {
        (self.source.clone(), self.record.fingerprint())
    }

    /// The headers with which the record was produced.
    pub fn own_headers(&self) -> impl Iterator<Item = Header<'_>> {
        self.record.headers().filter(|(name, _)| !header::OF_LETTERS.contains(name))
    }
}

/// A header's text. Ours come last: of several with one name, the others are the producer's.
fn text<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let (_, value) = record.headers().filter(|(other, _)| *other == name).last()?;
    str::from_utf8(value?).ok()
}
