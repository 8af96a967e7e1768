//! What there is of a key before its content is looked at: its type, its length, and the memory that it takes.

use redis::{Value, cmd, pipe};

use crate::store::keys::LAYOUT_VERSION;
use crate::store::reply::read;
use crate::store::seen_log::ENTRY_BYTES;
use crate::store::{StoreError, Unfit};

use super::kind::{Kind, Stored};
use super::name::KeyName;
use super::reader::Inspector;

/// Keys whose sizes are asked for in one reading.
const KEYS_AT_ONCE: usize = 200;

/// What is known of a key without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Of a type that this program never writes there.
    OtherType(String),
    Size(Size),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Fields or members; of a text its length in bytes.
    pub(super) length: u64,
    pub(super) bytes: u64,
}

impl Size {
    /// In [`Kind::entries`]; the lines of a price table are not known from its size.
    pub(super) fn entries(self, kind: Kind) -> u64 {
        match kind {
            Kind::Seen => self.length / ENTRY_BYTES as u64,
            Kind::OutboxLease | Kind::WebhookLease => 1,
            _ => self.length,
        }
    }
}

impl Inspector {
    /// Another layout would be read wrong. The state itself tells of its layout.
    pub(super) async fn check_layout(&self, name: &KeyName) -> Result<(), StoreError> {
        let state = KeyName::State(name.bucket());
        if *name == state || !matches!(self.sizes(std::slice::from_ref(&state)).await?.as_slice(), [Found::Size(_)]) {
            return Ok(());
        }
        let key = state.key(&self.keyspace);
        let found: Option<String> = read(self.link.query(cmd("HGET").arg(&key).arg("layout")).await?, &key)?;
        match found.filter(|found| found != LAYOUT_VERSION) {
            Some(found) => Err(Unfit::Layout { key, found, ours: LAYOUT_VERSION.to_owned() }.into()),
            None => Ok(()),
        }
    }

    /// What there is of keys of one bucket, in their order.
    pub(super) async fn sizes(&self, names: &[KeyName]) -> Result<Vec<Found>, StoreError> {
        let mut all = Vec::new();
        for names in names.chunks(KEYS_AT_ONCE) {
            all.extend(self.sizes_of_some(names).await?);
        }
        Ok(all)
    }

    async fn sizes_of_some(&self, names: &[KeyName]) -> Result<Vec<Found>, StoreError> {
        let keys: Vec<_> = names.iter().map(|name| name.key(&self.keyspace)).collect();
        let mut ask = pipe();
        for key in &keys {
            ask.cmd("TYPE").arg(key);
        }
        let types = self.link.pipeline(&ask).await?.into_iter().zip(&keys);
        let types: Vec<String> = types.map(|(answer, key)| read(answer, key)).collect::<Result<_, _>>()?;
        let mut ask = pipe();
        let expected = |(name, found): &(&KeyName, &String)| name.kind().stored().as_str() == found.as_str();
        for ((name, _), key) in names.iter().zip(&types).zip(&keys).filter(|(named, _)| expected(named)) {
            let length = match name.kind().stored() {
                Stored::Hash => "HLEN",
                Stored::Set => "SCARD",
                Stored::SortedSet => "ZCARD",
                Stored::Text => "STRLEN",
            };
            ask.cmd(length).arg(key).cmd("MEMORY").arg("USAGE").arg(key);
        }
        let mut answers = if ask.is_empty() { Vec::new() } else { self.link.pipeline(&ask).await? }.into_iter();
        let mut next = |key: &str| read::<Option<u64>>(answers.next().unwrap_or(Value::Nil), key);
        let found = names.iter().zip(types).zip(&keys).map(|((name, found), key)| {
            if found == "none" {
                return Ok(Found::Nothing);
            }
            if !expected(&(name, &found)) {
                return Ok(Found::OtherType(found));
            }
            let (length, bytes) = (next(key)?.unwrap_or_default(), next(key)?);
            // Gone in between: a lease ends, the last notice is sent.
            Ok(bytes.map_or(Found::Nothing, |bytes| Found::Size(Size { length, bytes })))
        });
        found.collect()
    }
}
