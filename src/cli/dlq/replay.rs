//! `indelible dlq replay`

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anyhow::bail;
use clap::{Args, ValueEnum};
use futures::executor::block_on;

use crate::cli::settings::Config;
use crate::domain::calendar::TimeMs;
use crate::ingest::letter_log::LetterLog;
use crate::ingest::letters::{Filter, Letter, Place, Refusal, Rules, Stamp, Standing};
use crate::ingest::replayer::{Replay, Replayer};
use crate::ingest::topics;
use crate::ops::clock;

use super::{Conditions, Ended, Surveyed, printable, spans};

/// What to replay, and how.
#[derive(Debug, Args)]
pub struct Arguments {
    /// These letters: TOPIC:PARTITION:OFFSET as `list` prints it.
    places: Vec<Place>,
    #[command(flatten)]
    conditions: Conditions,
    /// All of them: needed where no place and no condition is given.
    #[arg(long, required_unless_present_any = NARROWER, conflicts_with_all = NARROWER)]
    all: bool,
    /// Decide and say so, and send nothing.
    #[arg(long)]
    dry_run: bool,
    /// Also what was replayed before. Beyond the dedupe window it is counted a second time.
    #[arg(long)]
    again: bool,
    /// The Kafka timestamp of the replayed record [default: the original, or now where that fits better]
    #[arg(long, value_enum)]
    timestamp: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Timestamp {
    Original,
    Now,
}

/// What says which letters, if not `--all` does.
const NARROWER: [&str; 5] = ["places", "reason", "since", "until", "from_topic"];

/// Letters in one transaction, and their bytes.
const BATCH_LETTERS: usize = 256;
const BATCH_BYTES: usize = 16 << 20;

/// Replays the letters that are events now.
///
/// # Errors
/// When Kafka does not answer, or does not take them.
pub(super) fn run(config: &Config, log: &LetterLog, topics: &[String], arguments: &Arguments) -> anyhow::Result<Ended> {
    let filter = Filter { places: arguments.places.clone(), ..arguments.conditions.filter() };
    let stamp = match arguments.timestamp {
        None => Stamp::Fitting,
        Some(Timestamp::Original) => Stamp::Original,
        Some(Timestamp::Now) => Stamp::Now,
    };
    let mut there = Vec::new();
    for topic in topics {
        if !spans(log, topic).map_err(anyhow::Error::msg)?.is_empty() {
            there.push(topic);
        }
    }
    let (rules, mut counts) = (rules(config, stamp), Counts::default());
    for topic in there {
        // Before it reads: so it sees all that a replay before it has done.
        let replayer = (!arguments.dry_run).then(|| Replayer::open(config.kafka.clone(), topic)).transpose();
        let surveyed = replayer.and_then(|replayer| Ok((replayer, Surveyed::new(log, topic, &filter)?)));
        let replayed = surveyed.and_then(|(replayer, surveyed)| {
            let mut run =
                Run { replayer, rules: &rules, again: arguments.again, batch: Batch::default(), counts: &mut counts };
            surveyed.each(|letter, standing| run.take(letter, standing).map(ControlFlow::Continue))?;
            run.depart()
        });
        if let Err(why) = replayed {
            bail!("{why} ({} records were replayed before; those are not replayed twice)", counts.replayed);
        }
    }
    println!("{}", counts.sentence(arguments.dry_run));
    Ok(if counts.refused.is_empty() { Ended::Well } else { Ended::SomeLeft })
}

/// As the worker decides with the same settings.
pub(super) fn rules(config: &Config, stamp: Stamp) -> Rules {
    let by_broker = |topic: &&String| block_on(topics::stamped_by_broker(&config.kafka, topic)).unwrap_or(false);
    Rules {
        bounds: config.bounds,
        stamp,
        topics: config.topics.clone(),
        stamped_by_broker: config.topics.iter().filter(by_broker).cloned().collect(),
    }
}

/// One dead-letter topic's replay.
struct Run<'a> {
    /// None in a dry run.
    replayer: Option<Replayer>,
    rules: &'a Rules,
    again: bool,
    batch: Batch,
    counts: &'a mut Counts,
}

#[derive(Default)]
struct Batch {
    replays: Vec<Replay>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Counts {
    replayed: usize,
    before: usize,
    /// By why.
    refused: BTreeMap<&'static str, usize>,
}

impl Run<'_> {
    fn take(&mut self, letter: Letter, standing: Standing) -> Result<(), String> {
        let place = letter.place();
        if standing.replayed && !self.again {
            self.counts.before += 1;
            println!("{place}  was replayed before");
            return Ok(());
        }
        match self.rules.judge(&letter, TimeMs(clock::now_ms())) {
            Ok(timestamp) => {
                self.batch.bytes += letter.record.size();
                self.batch.replays.push(Replay { letter, timestamp });
                let full = self.batch.replays.len() >= BATCH_LETTERS || self.batch.bytes >= BATCH_BYTES;
                if full { self.depart() } else { Ok(()) }
            }
            Err(refusal) => {
                self.counts.refuse(&refusal);
                println!("{place}  {}", printable(&refusal.to_string(), &[]));
                Ok(())
            }
        }
    }

    fn depart(&mut self) -> Result<(), String> {
        let replays = std::mem::take(&mut self.batch).replays;
        if replays.is_empty() {
            return Ok(());
        }
        let places = match &self.replayer {
            Some(replayer) => Some(replayer.replay(&replays, TimeMs(clock::now_ms()))?),
            None => None,
        };
        self.counts.replayed += replays.len();
        for (index, Replay { letter, .. }) in replays.iter().enumerate() {
            match places.as_ref().map(|places| &places[index]) {
                Some(to) => println!("{}  was replayed to {to}", letter.place()),
                None => println!("{}  would be accepted", letter.place()),
            }
        }
        Ok(())
    }
}

impl Counts {
    fn refuse(&mut self, refusal: &Refusal) {
        let why = match refusal {
            Refusal::Rejected(reject) => reject.reason.as_str(),
            Refusal::OtherTopic(_) => "of another topic",
        };
        *self.refused.entry(why).or_default() += 1;
    }

    fn sentence(&self, dry_run: bool) -> String {
        let verb = if dry_run { "would be accepted" } else { "replayed" };
        let mut parts = vec![format!("{} records {verb}", self.replayed)];
        parts.extend((self.before > 0).then(|| format!("{} were replayed before", self.before)));
        let refused: Vec<_> = self.refused.iter().map(|(why, count)| format!("{why} {count}")).collect();
        parts.extend((!refused.is_empty()).then(|| format!("left: {}", refused.join(", "))));
        parts.join("; ")
    }
}
