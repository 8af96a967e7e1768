//! Costs of a flush that are not what the price table says, added to those of the bucket's month.

use std::collections::BTreeMap;

use redis::{Pipeline, Value};

use crate::domain::bucket::Bucket;
use crate::domain::calendar::Month;
use crate::domain::counters::Mismatch;
use crate::domain::ids::Model;
use crate::store::cells::{self, Damage};
use crate::store::keys::{Keyspace, encode};
use crate::store::reply::{corrupt, read};
use crate::store::{Flush, StoreError};

use super::Cells;

/// What the flush adds, by month.
pub(super) struct AskMismatches<'f> {
    bucket: Bucket,
    months: BTreeMap<Month, BTreeMap<&'f Model, Mismatch>>,
}

impl<'f> AskMismatches<'f> {
    pub(super) fn of(flush: &'f Flush) -> Self {
        let mut months: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for ((month, model), sum) in &flush.delta.mismatches {
            months.entry(*month).or_default().insert(model, *sum);
        }
        Self { bucket: flush.bucket, months }
    }

    pub(super) fn ask(&self, ask: &mut Pipeline, keyspace: &Keyspace) {
        for (month, models) in &self.months {
            let (key, other) = (keyspace.mismatches(self.bucket, *month), Model::other());
            let names: Vec<_> = models.keys().copied().chain([&other]).map(|model| encode(model.as_str())).collect();
            let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
            ask.cmd("HLEN").arg(&key).cmd("HMGET").arg(&key).arg(names);
        }
    }

    /// The hashes as they are to be written. Models beyond `most` share the name `other`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]
    pub(super) fn read(
        self,
        next: &mut impl FnMut() -> Value,
        keyspace: &Keyspace,
        most: usize,
    ) -> Result<Vec<Cells>, StoreError> {
        let mut hashes = Vec::with_capacity(self.months.len());
        for (month, models) in self.months {
            let key = keyspace.mismatches(self.bucket, month);
            let mut size: usize = read(next(), &key)?;
            let texts: Vec<Option<String>> = read(next(), &key)?;
            let other = Model::other();
            let mut known: BTreeMap<Model, Mismatch> = BTreeMap::new();
            for (model, text) in models.keys().copied().chain([&other]).zip(texts) {
                let Some(text) = text else { continue };
                let cell = cells::read_mismatch(&encode(model.as_str()), &text);
                known.extend([cell.map_err(|Damage(what)| corrupt(&key, what))?]);
            }
            let mut written = BTreeMap::new();
            for (model, more) in models {
                let is_new = !known.contains_key(model);
                let name = if is_new && size >= most { &other } else { model };
                size += usize::from(is_new && name == model);
                let sum = known.entry(name.clone()).or_default();
                sum.add(&more);
                written.insert(name.clone(), *sum);
            }
            let mut hash = Cells { key, ..Cells::default() };
            for (model, sum) in &written {
                let (name, numbers) = cells::mismatch_cell(model, sum);
                hash.put(&name, &numbers);
            }
            hashes.push(hash);
        }
        Ok(hashes)
    }
}
