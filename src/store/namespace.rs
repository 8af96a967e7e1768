//! Whose namespace it is, and whether the server is one that keeps what it is given.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::try_join_all;
use redis::{Value, cmd};

use crate::domain::bucket::{BUCKETS, Bucket};

use super::keys::{Keyspace, LAYOUT_VERSION};
use super::link::Link;
use super::reply::{text, unreadable};
use super::{Checked, Prepared, StoreError, Unfit};

/// The fields of a bucket's state that say whose it is.
const FIELDS: [&str; 3] = ["layout", "buckets", "group"];

/// What a bucket says of whose it is; none where it says nothing yet.
type Claim = [Option<String>; 3];

#[derive(Clone)]
pub struct Namespace {
    link: Arc<Link>,
    keyspace: Keyspace,
    /// The consumer group that counts here: two of them would each take the other's watermarks for a fault.
    group: Box<str>,
    /// Whether another group's namespace is to be made ours. Done once, so that two groups that both are told to
    /// don't take it from each other for ever.
    takeover: Arc<AtomicBool>,
}

impl Namespace {
    pub fn new(link: Arc<Link>, keyspace: Keyspace, group: &str) -> Self {
        Self { link, keyspace, group: group.into(), takeover: Arc::default() }
    }

    /// Has the next [`Namespace::prepare`] take the namespace from another group.
    pub fn take_over(&self) {
        self.takeover.store(true, Ordering::Relaxed);
    }

    /// Makes the namespace ours where it is nobody's.
    ///
    /// # Errors
    /// [`StoreError::Unfit`], when it is another's or the server may evict.
    pub async fn prepare(&self) -> Result<Prepared, StoreError> {
        self.check_eviction().await?;
        let before = try_join_all(Bucket::all().map(|bucket| self.claim(bucket))).await?;
        self.takeover.store(false, Ordering::Relaxed);
        Ok(Prepared { taken_from: before.into_iter().flatten().collect::<BTreeSet<_>>() })
    }

    /// The same questions, with nothing written: a namespace that is nobody's is fine, too.
    ///
    /// # Errors
    /// [`StoreError::Unfit`]
    pub async fn inspect(&self) -> Result<(), StoreError> {
        self.check_eviction().await?;
        let asked = Bucket::all().map(async |bucket| self.compare(bucket, &self.stored(bucket).await?));
        try_join_all(asked).await.map(drop)
    }

    /// Whether the server still keeps what it is given, and the namespace is still ours.
    ///
    /// # Errors
    /// [`StoreError::Unfit`]
    pub async fn check(&self) -> Result<Checked, StoreError> {
        let checked = self.check_eviction().await?;
        // Whoever takes over takes every bucket.
        if let Some(one) = Bucket::all().next() {
            self.compare(one, &self.stored(one).await?)?;
        }
        Ok(checked)
    }

    /// Returns the group that a bucket was taken from.
    async fn claim(&self, bucket: Bucket) -> Result<Option<String>, StoreError> {
        let found = self.stored(bucket).await?;
        let taken = match self.compare(bucket, &found) {
            Err(StoreError::Unfit(Unfit::Group { found, .. })) if self.takeover.load(Ordering::Relaxed) => Some(found),
            compared => compared.map(|()| None)?,
        };
        let ours = self.ours();
        if found.iter().map(Option::as_deref).eq(ours.iter().map(|ours| Some(ours.as_str()))) {
            return Ok(None);
        }
        let state = self.keyspace.state(bucket);
        for ((field, ours), found) in FIELDS.iter().zip(&ours).zip(&found) {
            // One by one: a crash in between leaves fields that the next start finds to be its own. Where there was
            // none, whoever else comes at the same time must not be overwritten.
            let verb = if found.is_some() { "HSET" } else { "HSETNX" };
            self.link.query(cmd(verb).arg(&state).arg(field).arg(ours)).await?;
        }
        self.compare(bucket, &self.stored(bucket).await?)?;
        Ok(taken)
    }

    async fn stored(&self, bucket: Bucket) -> Result<Claim, StoreError> {
        let answer = self.link.query(cmd("HMGET").arg(self.keyspace.state(bucket)).arg(&FIELDS)).await?;
        let Value::Array(values) = &answer else { return Err(unreadable(&answer)) };
        let texts = values.iter().map(|value| text(value).map(str::to_owned)).collect::<Vec<_>>();
        texts.try_into().map_err(|_| unreadable(&answer))
    }

    fn ours(&self) -> [String; 3] {
        [LAYOUT_VERSION.to_owned(), BUCKETS.to_string(), self.group.to_string()]
    }

    fn compare(&self, bucket: Bucket, found: &Claim) -> Result<(), StoreError> {
        let kinds = [
            |key, found, ours| Unfit::Layout { key, found, ours },
            |key, found, ours| Unfit::Buckets { key, found, ours },
            |key, found, ours| Unfit::Group { key, found, ours },
        ];
        for ((unfit, found), ours) in kinds.into_iter().zip(found).zip(self.ours()) {
            if let Some(found) = found.as_ref().filter(|found| **found != ours) {
                return Err(unfit(self.keyspace.state(bucket), found.clone(), ours).into());
            }
        }
        Ok(())
    }

    async fn check_eviction(&self) -> Result<Checked, StoreError> {
        let info = self.link.query(cmd("INFO").arg("memory")).await?;
        let mut texts = Vec::new();
        collect_texts(&info, &mut texts);
        let lines = texts.iter().flat_map(|text| text.lines());
        let mut policies = lines.filter_map(|line| line.strip_prefix("maxmemory_policy:")).map(str::trim);
        match policies.find(|policy| *policy != "noeviction") {
            Some(policy) => Err(Unfit::Eviction { policy: policy.to_owned() }.into()),
            None => Ok(fullest(&texts)),
        }
    }
}

/// The memory of the node that is nearest to its limit; where none has a limit, of the one that holds most.
fn fullest(infos: &[&str]) -> Checked {
    let number = |info: &str, name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
    };
    let nodes = infos.iter().map(|info| (number(info, "used_memory:"), number(info, "maxmemory:")));
    let share = |(used, max): &(u64, u64)| (u128::from(*used) << 64).checked_div(u128::from(*max)).unwrap_or(0);
    let (used_memory, max_memory) = nodes.max_by_key(|node| (share(node), node.0)).unwrap_or_default();
    Checked { used_memory, max_memory, seen_ids: 0 }
}

/// All texts in an answer, however nested: a cluster answers INFO once a node.
fn collect_texts<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::Array(parts) => parts.iter().for_each(|part| collect_texts(part, texts)),
        Value::Map(pairs) => pairs.iter().for_each(|(_, part)| collect_texts(part, texts)),
        other => texts.extend(text(other)),
    }
}

#[cfg(test)]
#[path = "../../tests/unit/store/namespace.rs"]
mod tests;
