//! Asks Redis for one key: its type and size first, then as much of its content as is to be shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use redis::{FromRedisValue, cmd};

use crate::store::StoreError;
use crate::store::keys::Keyspace;
use crate::store::link::Link;
use crate::store::reply::read;
use crate::store::seen_log::ENTRY_BYTES;

use super::explain::{Pair, advice, explain, one_field};
use super::kind::{Kind, Stored};
use super::name::KeyName;
use super::size::{Found, Size};
use super::table::{Damaged, Explained, Table};
use super::{InspectFault, texts};

/// Bytes of a long text in one reading.
const PIECE: u64 = 64 << 10;
/// More than a lease's owner ever has, in bytes.
const OWNER_BYTES: usize = 256;

/// Looks at keys of one namespace, and changes none.
pub struct Inspector {
    pub(super) link: Arc<Link>,
    pub(super) keyspace: Keyspace,
}

/// A key and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    pub name: KeyName,
    pub key: String,
    /// The one field of its hash that was asked for, as it stands there.
    pub field: Option<String>,
    /// Of the whole key, in [`Kind::entries`].
    pub entries: u64,
    /// What the whole key takes of Redis's memory.
    pub bytes: u64,
    pub tables: Vec<Table>,
    pub damaged: Vec<Damaged>,
    /// Entries and rows beyond those shown.
    pub more: u64,
}

impl Inspector {
    pub fn new(link: Arc<Link>, keyspace: Keyspace) -> Self {
        Self { link, keyspace }
    }

    /// Up to `limit` rows of a key, or of one field of its hash: an id as it is or percent-encoded.
    ///
    /// # Errors
    /// [`InspectFault`]; what of the content can't be read is no error, but [`Inspected::damaged`].
    pub async fn key(&self, name: &KeyName, field: Option<&str>, limit: usize) -> Result<Inspected, InspectFault> {
        self.check_layout(name).await?;
        let key = name.key(&self.keyspace);
        let size = self.size(name).await?;
        let mut inspected = Inspected {
            name: name.clone(),
            key: key.clone(),
            field: None,
            entries: size.entries(name.kind()),
            bytes: size.bytes,
            tables: Vec::new(),
            damaged: Vec::new(),
            more: 0,
        };
        let mut explained = match field {
            Some(given) => {
                let (field, value) = self.field(name, &key, given).await?;
                inspected.field = Some(String::from_utf8_lossy(&field).into_owned());
                one_field(name, &field, value)
            }
            None => {
                let (explained, read) = self.content(name, &key, size, limit).await?;
                if name.kind() == Kind::Prices {
                    inspected.entries = read;
                }
                inspected.more = inspected.entries.saturating_sub(read);
                explained
            }
        };
        inspected.more += explained.cut(limit);
        (inspected.tables, inspected.damaged) = (explained.tables, explained.damaged);
        Ok(inspected)
    }

    /// Of a key that is there and of the type that this program writes.
    async fn size(&self, name: &KeyName) -> Result<Size, InspectFault> {
        let key = name.key(&self.keyspace);
        match self.sizes(std::slice::from_ref(name)).await?.pop() {
            Some(Found::Size(size)) => Ok(size),
            Some(Found::OtherType(found)) => {
                Err(InspectFault::WrongType { key, found, expected: name.kind().stored().as_str() })
            }
            Some(Found::Nothing) | None => Err(InspectFault::NoKey { key, advice: advice(name) }),
        }
    }

    /// The field that a text means, and its value.
    async fn field(&self, name: &KeyName, key: &str, given: &str) -> Result<Pair, InspectFault> {
        let fields = name.fields(given);
        let answer = self.link.query(cmd("HMGET").arg(key).arg(&fields)).await?;
        let values: Vec<Option<Vec<u8>>> = read(answer, key)?;
        let found = fields.into_iter().zip(values).find_map(|(field, value)| Some((field.into_bytes(), value?)));
        found.ok_or_else(|| InspectFault::NoField { key: key.to_owned(), field: given.to_owned() })
    }

    /// Up to `limit` entries, explained, and how many were read.
    async fn content(
        &self,
        name: &KeyName,
        key: &str,
        size: Size,
        limit: usize,
    ) -> Result<(Explained, u64), StoreError> {
        match name.kind().stored() {
            Stored::Hash => {
                // Of a field that changes meanwhile a scan may tell twice.
                let pairs: BTreeMap<_, _> = self.scan::<Pair>("HSCAN", key, limit).await?.into_iter().collect();
                let pairs: Vec<_> = pairs.into_iter().take(limit).collect();
                Ok((explain(name, &pairs), pairs.len() as u64))
            }
            Stored::Set => {
                let members = self.scan::<Vec<u8>>("SSCAN", key, limit).await?;
                let pairs: Vec<_> = members.into_iter().take(limit).map(|member| (member, Vec::new())).collect();
                Ok((explain(name, &pairs), pairs.len() as u64))
            }
            Stored::SortedSet => {
                // What is due first, and else what came last.
                let verb = if name.kind() == Kind::WebhookDue { "ZRANGE" } else { "ZREVRANGE" };
                let answer = self.link.query(cmd(verb).arg(key).arg(0).arg(limit - 1).arg("WITHSCORES")).await?;
                let pairs: Vec<Pair> = read(answer, key)?;
                Ok((explain(name, &pairs), pairs.len() as u64))
            }
            Stored::Text => self.text(name, key, size, limit).await,
        }
    }

    async fn text(&self, name: &KeyName, key: &str, size: Size, limit: usize) -> Result<(Explained, u64), StoreError> {
        match name {
            KeyName::Seen { chunk, .. } => {
                let head = self.range(key, 0, (limit * ENTRY_BYTES) as u64).await?;
                Ok((texts::seen(*chunk, &head, size.length), (head.len() / ENTRY_BYTES) as u64))
            }
            KeyName::Prices(_) => {
                let mut text = Vec::new();
                while (text.len() as u64) < size.length {
                    let piece = self.range(key, text.len() as u64, PIECE).await?;
                    if piece.is_empty() {
                        break;
                    }
                    text.extend(piece);
                }
                let explained = texts::prices(&text);
                let lines =
                    explained.tables.iter().map(|table| table.rows.len()).sum::<usize>() + explained.damaged.len();
                Ok((explained, lines as u64))
            }
            _ => {
                let owner = self.range(key, 0, OWNER_BYTES as u64).await?;
                let left: i64 = read(self.link.query(cmd("PTTL").arg(key)).await?, key)?;
                // Less than 0 where it never ends, or has just ended.
                Ok((texts::lease(&owner, Some(left).filter(|left| *left >= 0)), 1))
            }
        }
    }

    /// `length` bytes of a text, less at its end.
    async fn range(&self, key: &str, from: u64, length: u64) -> Result<Vec<u8>, StoreError> {
        read(self.link.query(cmd("GETRANGE").arg(key).arg(from).arg(from + length - 1)).await?, key)
    }

    /// Entries of a hash or set, little by little until there are so many or no more; in order, each once.
    pub(super) async fn scan<T: FromRedisValue + Ord>(
        &self,
        verb: &str,
        key: &str,
        most: usize,
    ) -> Result<BTreeSet<T>, StoreError> {
        let (mut cursor, mut found) = ("0".to_owned(), BTreeSet::new());
        loop {
            let ask = self.link.query(cmd(verb).arg(key).arg(&cursor).arg("COUNT").arg(most.clamp(10, 1000))).await?;
            let some: Vec<T>;
            (cursor, some) = read(ask, key)?;
            found.extend(some);
            if cursor == "0" || found.len() >= most {
                return Ok(found);
            }
        }
    }
}
