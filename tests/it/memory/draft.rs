//! What a flush has touched, until it is known that all of it succeeds.

use std::collections::{BTreeMap, BTreeSet};

use indelible::domain::counters::{MonthSums, Overflow};
use indelible::domain::ids::UserId;
use indelible::store::cells;

use super::{Content, Entry};

/// The keys that a flush has touched, as they will be if it succeeds: a sum that overflows half-way must leave
/// nothing behind. A key of another type than asked for is a mistake of this file.
pub(super) struct Draft<'a> {
    pub(super) stored: &'a Content,
    pub(super) changed: Content,
}

macro_rules! typed {
    ($self:ident, $key:ident, $variant:ident) => {{
        let stored = || $self.stored.get($key).cloned().unwrap_or_else(|| Entry::$variant(Default::default()));
        match $self.changed.entry($key.to_owned()).or_insert_with(stored) {
            Entry::$variant(found) => found,
            other => panic!("the key {} is used as another type: {other:?}", $key),
        }
    }};
}

impl<'a> Draft<'a> {
    pub(super) fn of(stored: &'a Content) -> Self {
        Self { stored, changed: Content::new() }
    }

    pub(super) fn hash(&mut self, key: &str) -> &mut BTreeMap<String, String> {
        typed!(self, key, Hash)
    }

    pub(super) fn scored(&mut self, key: &str) -> &mut BTreeMap<String, i64> {
        typed!(self, key, Scored)
    }

    pub(super) fn set(&mut self, key: &str) -> &mut BTreeSet<String> {
        typed!(self, key, Set)
    }

    pub(super) fn bytes(&mut self, key: &str) -> &mut Vec<u8> {
        typed!(self, key, Bytes)
    }

    pub(super) fn increment(&mut self, key: &str, field: String, amount: i64) -> Result<(), Overflow> {
        let value = self.hash(key).entry(field).or_insert_with(|| "0".to_owned());
        let sum: i64 = value.parse().map_err(|_| Overflow)?;
        *value = sum.checked_add(amount).ok_or(Overflow)?.to_string();
        Ok(())
    }

    pub(super) fn increment_unless_0(&mut self, key: &str, field: String, amount: i64) -> Result<(), Overflow> {
        if amount == 0 { Ok(()) } else { self.increment(key, field, amount) }
    }

    /// A user's month; none before the first.
    pub(super) fn month(&mut self, key: &str, user: &UserId) -> Option<MonthSums> {
        self.hash(key).get(user.as_str()).map(|text| cells::from_text(text).expect("a month"))
    }
}

/// Redis has no empty keys.
pub(super) fn keep(stored: &mut Content, changed: Content) {
    for (key, mut entry) in changed {
        if let Entry::Hash(fields) = &mut entry {
            fields.retain(|field, _| !field.ends_with(":new"));
        }
        let is_empty = match &entry {
            Entry::Hash(fields) => fields.is_empty(),
            Entry::Bytes(bytes) => bytes.is_empty(),
            Entry::Scored(members) => members.is_empty(),
            Entry::Set(members) => members.is_empty(),
        };
        if is_empty {
            stored.remove(&key);
        } else {
            stored.insert(key, entry);
        }
    }
}
