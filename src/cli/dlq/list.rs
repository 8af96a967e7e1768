//! `indelible dlq list`

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;

use serde_json::json;

use crate::domain::calendar::TimeMs;
use crate::ingest::letter_log::LetterLog;
use crate::ingest::letters::{Filter, Letter, Standing};

use super::{Surveyed, printable};

/// Prints a line for each rejected record that passes the filter, and the sums.
///
/// # Errors
/// When Kafka does not answer.
pub(super) fn run(
    log: &LetterLog,
    topics: &[String],
    filter: &Filter,
    limit: Option<usize>,
    as_json: bool,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (mut lines, limit) = (0, limit.unwrap_or(usize::MAX));
    for topic in topics {
        let surveyed = Surveyed::new(log, topic, filter).map_err(anyhow::Error::msg)?;
        let mut sums = Sums::default();
        let read = surveyed.each(|letter, standing| {
            sums.add(&letter, standing);
            if lines >= limit {
                return Ok(ControlFlow::Continue(()));
            }
            lines += 1;
            let line = if as_json { object(&letter, standing) } else { line(&letter, standing) };
            // Whoever reads may have seen enough.
            Ok(writeln!(out, "{line}").map_or(ControlFlow::Break(()), ControlFlow::Continue))
        });
        read.map_err(anyhow::Error::msg)?;
        if !as_json {
            // As above.
            let _ = writeln!(out, "{}", sums.sentence(topic, surveyed.others));
        }
    }
    // As above.
    let _ = out.flush();
    Ok(())
}

fn line(letter: &Letter, standing: Standing) -> String {
    let failed_at = letter.failed_at.map_or_else(|| "-".to_owned(), TimeMs::to_rfc3339);
    let (place, source) = (letter.place(), &letter.source);
    let (reason, message) = (printable(&letter.reason, &[]), printable(&letter.message, &[]));
    let times = if standing.letters > 1 { format!("(written {} times) ", standing.letters) } else { String::new() };
    let replayed = if standing.replayed { "(replayed) " } else { "" };
    format!("{place}  {failed_at}  {reason}  from {source}  {times}{replayed}{message}")
}

fn object(letter: &Letter, standing: Standing) -> String {
    json!({
        "letter": letter.place().to_string(),
        "failedAt": letter.failed_at.map(TimeMs::to_rfc3339),
        "reason": letter.reason,
        "message": letter.message,
        "source": letter.source.to_string(),
        "consumerGroup": letter.group,
        "written": standing.letters,
        "replayed": standing.replayed,
    })
    .to_string()
}

/// What was listed, or would have been without a limit.
#[derive(Debug, Default)]
struct Sums {
    by_reason: BTreeMap<String, usize>,
    records: usize,
    replayed: usize,
}

impl Sums {
    fn add(&mut self, letter: &Letter, standing: Standing) {
        *self.by_reason.entry(printable(&letter.reason, &[])).or_default() += 1;
        self.records += 1;
        self.replayed += usize::from(standing.replayed);
    }

    fn sentence(&self, topic: &str, others: usize) -> String {
        let reasons: Vec<_> = self.by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let mut parts = vec![format!("{topic}: {} rejected records", self.records)];
        parts.extend((!reasons.is_empty()).then(|| reasons.join(", ")));
        parts.extend((self.replayed > 0).then(|| format!("{} of them replayed", self.replayed)));
        parts.extend((others > 0).then(|| format!("{others} more records are no dead letters of this program")));
        parts.join("; ")
    }
}
