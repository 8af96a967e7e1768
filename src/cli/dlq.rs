//! `indelible dlq`: look at dead letters, and count them when they can be.

mod list;
mod replay;
mod show;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;

use chrono::DateTime;
use clap::{Args, Subcommand};

use crate::domain::calendar::TimeMs;
use crate::ingest::dead_letter::dead_letter_topic;
use crate::ingest::decode::Reason;
use crate::ingest::letter_log::{LetterLog, Span};
use crate::ingest::letters::{Entry, Filter, Letter, Place, Standing, Survey};
use crate::ops::clock;

use super::settings::Config;

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// One line for each record that was rejected, and how many there are by reason.
    List {
        #[command(flatten)]
        conditions: Conditions,
        /// Print at most this many lines; the sums are of all.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// One JSON object a line, and no sums.
        #[arg(long)]
        json: bool,
    },
    /// Everything about one dead letter: headers, key, value, why it was rejected, what to do.
    Show {
        /// TOPIC:PARTITION:OFFSET as `list` prints it; PARTITION:OFFSET where there is one dead-letter topic.
        place: String,
        /// Write the bytes of the value to standard output, and nothing else.
        #[arg(long)]
        raw: bool,
    },
    /// Produce records again that are valid events now. Each is counted once.
    Replay(replay::Arguments),
}

/// Which letters; all conditions must hold.
#[derive(Debug, Args)]
pub struct Conditions {
    /// Only these reasons, separated by commas.
    #[arg(long, value_name = "REASON", value_delimiter = ',', value_parser = parse_reason)]
    reason: Vec<Reason>,
    /// Rejected at this time or later: RFC 3339, or a duration back from now such as 2h.
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    since: Option<TimeMs>,
    /// Rejected before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    until: Option<TimeMs>,
    /// Only records that came from this topic.
    #[arg(long, value_name = "TOPIC")]
    from_topic: Option<String>,
}

/// How a command ended that has done what it could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Well,
    /// Some of the letters that were asked for are no events now either.
    SomeLeft,
}

/// # Errors
/// When Kafka does not answer, or what is asked for is not there.
pub fn run(config: &Config, what: &Dlq) -> anyhow::Result<Ended> {
    let log = LetterLog::open(config.kafka.clone(), &config.group).map_err(anyhow::Error::msg)?;
    let topics = topics(config);
    let ended = match what {
        Dlq::List { conditions, limit, json } => list::run(&log, &topics, &conditions.filter(), *limit, *json),
        Dlq::Show { place, raw } => show::run(config, &log, &topics, place, *raw),
        Dlq::Replay(arguments) => return replay::run(config, &log, &topics, arguments),
    };
    ended.map(|()| Ended::Well)
}

/// The dead-letter topics of the configured topics.
fn topics(config: &Config) -> Vec<String> {
    match &config.dlq_topic {
        Some(topic) => vec![topic.clone()],
        None => config.topics.iter().map(|topic| dead_letter_topic(topic)).collect(),
    }
}

impl Conditions {
    fn filter(&self) -> Filter {
        Filter {
            places: Vec::new(),
            reasons: self.reason.clone(),
            since: self.since,
            until: self.until,
            from_topic: self.from_topic.clone(),
        }
    }
}

/// A dead-letter topic that was read once.
struct Surveyed<'a> {
    log: &'a LetterLog,
    spans: Vec<Span>,
    chosen: HashMap<Place, Standing>,
    /// Records that are no letters of ours.
    others: usize,
}

impl<'a> Surveyed<'a> {
    /// Reads the topic to where it ends now.
    fn new(log: &'a LetterLog, topic: &str, filter: &Filter) -> Result<Self, String> {
        let (spans, mut survey) = (spans(log, topic)?, Survey::default());
        for span in &spans {
            log.read(span, |record| {
                survey.note(&Entry::of(&record), filter);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        let others = survey.others;
        Ok(Self { log, spans, chosen: survey.chosen(), others })
    }

    /// Shows each of the chosen letters, in the order of its partition.
    fn each(&self, mut each: impl FnMut(Letter, Standing) -> Result<ControlFlow<()>, String>) -> Result<(), String> {
        for span in &self.spans {
            self.log.read(span, |record| match (self.chosen.get(&Place::of(&record)), Entry::of(&record)) {
                (Some(standing), Entry::Letter(letter)) => each(letter, *standing),
                _ => Ok(ControlFlow::Continue(())),
            })?;
        }
        Ok(())
    }
}

/// What a dead-letter topic holds. One that is not there holds nothing, and is told of.
fn spans(log: &LetterLog, topic: &str) -> Result<Vec<Span>, String> {
    let spans = log.spans(topic)?;
    if spans.is_none() {
        eprintln!("indelible: there is no topic {topic}; `serve` makes it, so nothing was rejected yet");
    }
    Ok(spans.unwrap_or_default())
}

fn parse_reason(text: &str) -> Result<Reason, String> {
    Reason::named(text).ok_or_else(|| {
        let names: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        format!("the reasons are {}", names.join(", "))
    })
}

fn parse_when(text: &str) -> Result<TimeMs, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(TimeMs::of(time.to_utc()));
    }
    let back = humantime::parse_duration(text).ok();
    let back = back.and_then(|back: Duration| i64::try_from(back.as_millis()).ok());
    let time = back.and_then(|back| clock::now_ms().checked_sub(back));
    time.map(TimeMs)
        .ok_or_else(|| "is neither a time such as 2026-11-24T18:32:00Z nor a duration such as 2h".to_owned())
}

/// A producer's text for a terminal: what would steer it is written out.
fn printable(text: &str, kept: &[char]) -> String {
    let mut all = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !kept.contains(&c) { all.extend(c.escape_default()) } else { all.push(c) }
    }
    all
}

#[cfg(test)]
#[path = "../../tests/unit/cli/dlq.rs"]
mod tests;
