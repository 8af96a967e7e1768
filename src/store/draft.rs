//! What a flush adds to, read from Redis, and the flush added to it: every sum as it is to be written.
//!
//! The reading and the writing are two commands, and another worker may come between. The bucket's stamp tells: the
//! script writes only if the stamp is still the one that was read.

mod mismatches;
mod month;
mod quotas;

use std::collections::BTreeMap;

use redis::{Pipeline, Value, pipe};

use crate::domain::bucket::Bucket;
use crate::domain::calendar::Month;
use crate::domain::counters::MonthSums;
use crate::domain::ids::{TenantId, UserId};
use crate::domain::position::Position;
use crate::quota::plans::Plans;

use super::args::Args;
use super::cells::{self, Damage};
use super::kept::{After, Kept};
use super::keys::{Keyspace, watermark_field};
use super::reply::{corrupt, read};
use super::seen_log::Logs;
use super::{Capped, Caps, Flush, StoreError};

use mismatches::AskMismatches;
use month::{Found, Part};
use quotas::{AskQuotas, Quotas};

/// What one call writes of the months that a flush touches, and what it rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// The bucket's stamp as it was read.
    pub stamp: String,
    /// The bucket's seen ids as they were.
    pub logs: Logs,
    /// A sum is not an i64: there is nothing to write.
    pub overflows: bool,
    pub hashes: Vec<Cells>,
    /// Tenants that have usage in a month for the first time.
    pub begun: Vec<(TenantId, Month)>,
    pub capped: Capped,
    /// Those that were put into the outbox.
    pub notices: usize,
    /// The months as they are then.
    pub after: After,
}

/// Fields of a hash that are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cells {
    pub key: String,
    /// Name, value, name, value, …
    pub cells: Args,
}

/// By what a draft is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'r> {
    pub(super) keyspace: &'r Keyspace,
    pub(super) caps: &'r Caps,
    /// Whose thresholds are watched; none where nobody is to be told.
    pub(super) watched: Option<&'r Plans>,
}

/// The question about the parts of a flush, and how its answers are read.
pub(super) struct Ask<'f> {
    rules: Rules<'f>,
    bucket: Bucket,
    state: String,
    watermarks: Vec<String>,
    parts: Vec<Part<'f>>,
    quotas: AskQuotas<'f>,
    mismatches: AskMismatches<'f>,
}

/// What was found, until it is known what those share who have no month of their own, and who has a quota of their own.
pub(super) struct Halfway<'f> {
    /// As they are stored, of each stretch.
    pub(super) watermarks: Vec<Option<Position>>,
    pub(super) stamp: String,
    pub(super) logs: Logs,
    parts: Vec<(Part<'f>, Found)>,
    quotas: Quotas<'f>,
    hashes: Vec<Cells>,
    rules: Rules<'f>,
    bucket: Bucket,
}

impl<'f> Ask<'f> {
    /// Asks for what is not known already; what is known is used up.
    pub(super) fn of(flush: &'f Flush, rules: Rules<'f>, known: &mut Kept) -> Self {
        Self {
            rules,
            bucket: flush.bucket,
            state: rules.keyspace.state(flush.bucket),
            watermarks: flush.stretches.iter().map(|stretch| watermark_field(&stretch.partition)).collect(),
            parts: Part::all(&flush.delta, rules.keyspace, known),
            quotas: AskQuotas::of(&flush.delta, rules.watched.is_some(), known),
            mismatches: AskMismatches::of(flush),
        }
    }

    pub(super) fn pipeline(&self) -> Pipeline {
        let mut ask = pipe();
        ask.cmd("HMGET").arg(&self.state).arg(&["stamp", "seen"]).arg(&self.watermarks);
        for part in &self.parts {
            part.ask(&mut ask);
        }
        self.quotas.ask(&mut ask, self.rules.keyspace);
        self.mismatches.ask(&mut ask, self.rules.keyspace);
        ask
    }

    /// # Errors
    /// [`StoreError::Corrupt`]
    pub(super) fn read(self, answers: Vec<Value>) -> Result<Halfway<'f>, StoreError> {
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let mut state = read::<Vec<Option<String>>>(next(), &self.state)?.into_iter();
        let (stamp, logs) = (state.next().flatten().unwrap_or_default(), state.next().flatten().unwrap_or_default());
        let logs = logs.parse().map_err(|fault| corrupt(&self.state, format!("seen {logs:?} {fault}")))?;
        let position = |text: Option<String>| {
            let damaged = |text| corrupt(&self.state, format!("a watermark holds {text:?}"));
            text.map(|text| text.parse().map_err(|_| damaged(text))).transpose()
        };
        let watermarks = state.map(position).collect::<Result<_, _>>()?;
        let mut parts = Vec::with_capacity(self.parts.len());
        for mut part in self.parts {
            let found = Found::read(&mut part, &mut next)?;
            parts.push((part, found));
        }
        let (keyspace, caps) = (self.rules.keyspace, self.rules.caps);
        let (quotas, mut hashes) = self.quotas.read(&mut next, keyspace)?;
        hashes.extend(self.mismatches.read(&mut next, keyspace, caps.mismatched_models)?);
        Ok(Halfway { watermarks, stamp, logs, parts, quotas, hashes, rules: self.rules, bucket: self.bucket })
    }
}

impl Halfway<'_> {
    /// Whether a watermark is not where the flush expects it.
    pub(super) fn has_moved(&self, flush: &Flush) -> bool {
        flush.stretches.iter().map(|stretch| stretch.from).ne(self.watermarks.iter().copied())
    }

    /// What must still be read; mostly nothing.
    pub(super) fn second(&self) -> Pipeline {
        let mut ask = pipe();
        for part in self.crowded() {
            ask.cmd("HGET").arg(&part.users_key).arg(UserId::other().as_str());
        }
        self.quotas.ask_unknown(&mut ask, self.rules.keyspace);
        ask
    }

    /// Tenants that have no room for more users.
    fn crowded(&self) -> impl Iterator<Item = &Part<'_>> {
        self.parts.iter().filter(|(_, found)| found.is_crowded(self.rules.caps)).map(|(part, _)| part)
    }

    /// Adds the flush to what was found. `answers` are those to [`Self::second`].
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]
    pub(super) fn add(mut self, answers: Vec<Value>) -> Result<Draft, StoreError> {
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let mut common = BTreeMap::new();
        for Part { tenant, month, users_key, .. } in self.crowded() {
            let text: Option<String> = read(next(), users_key)?;
            let sums = text.map_or(Ok(MonthSums::default()), |text| cells::from_text(&text));
            let sums = sums.map_err(|Damage(what)| corrupt(users_key, what))?;
            common.insert(((*tenant).clone(), *month), sums);
        }
        self.quotas.read_unknown(&mut next, self.rules.keyspace)?;
        let Self { rules, quotas, bucket, .. } = self;
        let mut draft = Draft { stamp: self.stamp, logs: self.logs, hashes: self.hashes, ..Draft::default() };
        draft.after.quotas = quotas.kept();
        let mut notices = Vec::new();
        for (part, found) in self.parts {
            let common = common.remove(&(part.tenant.clone(), part.month));
            let added = draft.add(part, found, common, rules, &quotas, &mut notices);
            if added.is_err() {
                return Ok(Draft { stamp: draft.stamp, logs: draft.logs, overflows: true, ..Draft::default() });
            }
        }
        if !notices.is_empty() {
            draft.notices = notices.len();
            let source = format!("/indelible/{}", rules.keyspace.namespace());
            let mut outbox = Cells { key: rules.keyspace.outbox(bucket), ..Cells::default() };
            for notice in notices {
                outbox.put(&notice.id(), &notice.to_json(&source));
            }
            draft.hashes.push(outbox);
        }
        Ok(draft)
    }
}

impl Cells {
    fn put(&mut self, name: &str, value: &str) {
        self.cells.push(name);
        self.cells.push(value);
    }
}
