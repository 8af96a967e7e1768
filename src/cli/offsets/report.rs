//! What the commands say: tables, sentences and JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::cli::table::table;
use crate::domain::bucket::BUCKETS;
use crate::domain::calendar::TimeMs;
use crate::domain::gap::{Gap, GapKind};
use crate::domain::position::{Offset, TopicPartition};
use crate::ingest::accept::Plan;
use crate::ingest::bootstrap::partitions;
use crate::ingest::survey::Surveyed;
use crate::store::{Change, Target};

/// One partition as `--json` has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    topic: String,
    partition: i32,
    /// The first offset that the log holds, and the one that its next record will get.
    log_start: i64,
    log_end: i64,
    /// Where the buckets stand; null while none does.
    least_watermark: Option<i64>,
    greatest_watermark: Option<i64>,
    /// Buckets without a watermark.
    missing: usize,
    /// Records that some bucket has not passed.
    lag: i64,
    /// Told to Kafka for lag tools, and nothing starts from it.
    committed: Option<i64>,
    /// Where a worker would start to read; null when it would not.
    starts_at: Option<i64>,
    /// The name of what keeps it, and what can be done.
    failure: Option<&'static str>,
    problem: Option<String>,
    gaps: Vec<AcceptedGap>,
}

/// Gaps that were accepted together, over all buckets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AcceptedGap {
    from: i64,
    to: i64,
    kind: &'static str,
    accepted_at: String,
    buckets: usize,
}

impl Row {
    fn of(of: &Surveyed) -> Self {
        let nexts = || of.watermarks().map(|mark| mark.next());
        let standing = nexts().min().zip(nexts().max());
        let missing = of.states.iter().filter(|state| state.watermark.is_none()).count();
        let from = standing.filter(|_| missing == 0).map_or(of.facts.first, |(least, _)| least);
        let failure = of.verdict.as_ref().err();
        Self {
            topic: of.partition.topic.to_string(),
            partition: of.partition.partition,
            log_start: of.facts.first.0,
            log_end: of.facts.end.0,
            least_watermark: standing.map(|(least, _)| least.0),
            greatest_watermark: standing.map(|(_, greatest)| greatest.0),
            missing,
            lag: (of.facts.end.0 - from.0).max(0),
            committed: of.facts.committed.map(|offset| offset.0),
            starts_at: of.verdict.as_ref().ok().map(|offset| offset.0),
            failure: failure.map(|failure| failure.name()),
            problem: failure.map(ToString::to_string),
            gaps: gaps(of),
        }
    }

    fn name(&self) -> String {
        format!("{}:{}", self.topic, self.partition)
    }

    fn cells(&self) -> [String; 7] {
        let range = |ends: Option<(i64, i64)>| ends.map_or("-".to_owned(), |(from, to)| format!("{from}..{to}"));
        [
            self.name(),
            range(Some((self.log_start, self.log_end))),
            range(self.least_watermark.zip(self.greatest_watermark)),
            self.missing.to_string(),
            self.lag.to_string(),
            self.committed.map_or("-".to_owned(), |offset| offset.to_string()),
            self.failure.map_or("ok", |name| name).to_owned(),
        ]
    }
}

const HEAD: [&str; 7] = ["PARTITION", "LOG", "COUNTED UP TO", "MISSING", "LAG", "COMMITTED", "STATE"];

/// Those of one kind that were accepted at one time are one decision, which each bucket has from where it stood.
fn gaps(of: &Surveyed) -> Vec<AcceptedGap> {
    let mut decisions: BTreeMap<(TimeMs, GapKind), Vec<&Gap>> = BTreeMap::new();
    for gap in of.states.iter().flat_map(|state| state.gaps.iter()) {
        decisions.entry((gap.accepted, gap.kind)).or_default().push(gap);
    }
    let together = |((accepted, kind), gaps): ((TimeMs, GapKind), Vec<&Gap>)| AcceptedGap {
        from: gaps.iter().map(|gap| gap.from.0).min().unwrap_or_default(),
        to: gaps.iter().map(|gap| gap.to.0).max().unwrap_or_default(),
        kind: kind.as_str(),
        accepted_at: accepted.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        buckets: gaps.len(),
    };
    decisions.into_iter().map(together).collect()
}

/// Prints where everything stands.
///
/// # Errors
/// When it can't be written as JSON, which a table of texts and numbers always can.
pub(super) fn print(surveyed: &[Surveyed], json: bool) -> anyhow::Result<()> {
    let rows: Vec<Row> = surveyed.iter().map(Row::of).collect();
    if json {
        println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "partitions": rows }))?);
    } else {
        print!("{}", text(&rows));
    }
    Ok(())
}

fn text(rows: &[Row]) -> String {
    let lines: Vec<_> = std::iter::once(HEAD.map(str::to_owned)).chain(rows.iter().map(Row::cells)).collect();
    let mut text = table(&lines, |_| false);
    for (row, gap) in rows.iter().flat_map(|row| row.gaps.iter().map(move |gap| (row, gap))) {
        let AcceptedGap { from, to, kind, accepted_at, buckets } = gap;
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "\n{}: accepted gap {from}..{to} ({kind}), {accepted_at}, {buckets} of {BUCKETS} buckets",
            row.name()
        );
    }
    for (name, problem) in rows.iter().filter_map(|row| Some((row.failure?, row.problem.as_ref()?))) {
        let _ = writeln!(text, "\n{name}: {problem}");
    }
    text
}

/// Says what becomes of a partition's gap.
pub(super) fn say_accepted(partition: &TopicPartition, plan: &Plan, dry_run: bool) {
    let (name, verb) = (partition.argument(), if dry_run { "would be accepted" } else { "is accepted" });
    let latest = plan.iter().flatten().filter_map(|change| change.gaps.as_ref()?.iter().last());
    match latest.clone().next().map(|gap| (gap.kind, gap.to)) {
        Some((GapKind::Replaced, to)) => println!(
            "{name}: the log was replaced. It {verb} that it was counted up to {}; counting goes on at {} of the present \
             one",
            latest.map(|gap| gap.from.0).max().unwrap_or_default(),
            to.0
        ),
        Some((_, to)) => println!(
            "{name}: the records {}..{} were deleted before they were counted: that {verb}",
            latest.map(|gap| gap.from.0).min().unwrap_or_default(),
            to.0
        ),
        None => println!("{name}: what was begun {}", if dry_run { "would be ended" } else { "is ended" }),
    }
}

/// Says where the buckets of every partition start.
pub(super) fn say_bootstrapped(changes: &[Change], dry_run: bool) {
    let verb = if dry_run { "would start" } else { "start" };
    for partition in partitions(changes) {
        let of: Vec<_> = changes.iter().filter(|change| change.partition == partition).collect();
        let Some(Change { to: Target::At(at), .. }) = of.first() else { continue };
        let first = at.next();
        let note = if first > Offset(0) {
            format!("; 0..{} is gone from the log, and recorded as a gap", first.0)
        } else {
            String::new()
        };
        println!("{}: {} of {BUCKETS} buckets {verb} at offset {}{note}", partition.argument(), of.len(), first.0);
    }
}

/// Why buckets without watermarks can't be counted again as they are.
pub(super) fn still_holding(holding: &[(&str, Vec<String>)], surveyed: &[Surveyed]) -> String {
    let tags = holding.iter().map(|(tag, _)| *tag).collect::<Vec<_>>().join(",");
    let keys = holding.iter().flat_map(|(_, keys)| keys).take(super::SHOWN).map(String::as_str);
    let mut text = format!(
        "these buckets have no watermark and still hold counters: {tags} (for example {}). Counting into them again would \
         double what they hold. Restore a backup that has their state, or have them counted again from the log: \
         `indelible offsets bootstrap --discard-bucket {tags}`",
        keys.collect::<Vec<_>>().join(", ")
    );
    for of in surveyed.iter().filter(|of| of.facts.first > Offset(0)) {
        let _ = write!(
            text,
            ". The log of {} begins at offset {}: what came before is in these counters and nowhere else",
            of.partition.argument(),
            of.facts.first.0
        );
    }
    text
}

#[cfg(test)]
#[path = "../../../tests/unit/cli/report.rs"]
mod tests;
