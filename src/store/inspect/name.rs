//! What a key is, from its name: the inverse of [`Keyspace`], which has the last word on how a name is written.

use crate::domain::bucket::Bucket;
use crate::domain::calendar::Month;
use crate::domain::ids::{OutputKind, TenantId, UserId};
use crate::domain::seen::Generation;
use crate::store::keys::{self, Keyspace, decode, encode};

use super::kind::Kind;
use super::table::Cell;

/// A key of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyName {
    State(Bucket),
    Seen { bucket: Bucket, generation: Generation, chunk: u64 },
    Tombstones(Bucket),
    Mismatches { bucket: Bucket, month: Month },
    Outbox(Bucket),
    OutboxLease(Bucket),
    Webhook(Bucket),
    WebhookDue(Bucket),
    WebhookLease(Bucket),
    Prices(String),
    Months(TenantId),
    Tenant { tenant: TenantId, month: Month },
    Users { tenant: TenantId, month: Month },
    Saved { tenant: TenantId, user: UserId, kind: OutputKind },
    SavedCounts(TenantId),
    Quota(TenantId),
}

/// Why a text names no key of ours, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    #[error(
        "{key:?} is no key of this program: those of the namespace {namespace:?} begin with {namespace}:{{TAG}}: \
         (INDELIBLE_NAMESPACE). Put it in quotes, for the braces mean something to a shell"
    )]
    Foreign { key: String, namespace: String },
    #[error("{key:?} is of the namespace {found:?}, and INDELIBLE_NAMESPACE is {ours:?}: set it to {found:?}")]
    Namespace { key: String, found: String, ours: String },
    #[error("{key:?} has the tag {tag:?}, which is none of the 64 buckets'; docs/redis.md has the names of keys")]
    Tag { key: String, tag: String },
    #[error("{key:?} is of no kind that this program writes; after the tag stands one of {}", Kind::ALL.map(Kind::form).join(", "))]
    Kind { key: String },
    #[error("{key:?} is not of the form {form} after its tag, with ids percent-encoded: {why}")]
    Form { key: String, form: &'static str, why: String },
    #[error("{key:?} is not as this program writes it; the key of that meaning is {ours:?}")]
    Spelling { key: String, ours: String },
}

impl KeyName {
    /// # Errors
    /// [`NameFault`]
    pub fn parse(keyspace: &Keyspace, key: &str) -> Result<Self, NameFault> {
        let foreign = || NameFault::Foreign { key: key.to_owned(), namespace: keyspace.namespace().to_owned() };
        let (namespace, rest) = key.split_once(":{").ok_or_else(foreign)?;
        let (tag, rest) = rest.split_once("}:").ok_or_else(foreign)?;
        if namespace != keyspace.namespace() {
            let (found, ours) = (namespace.to_owned(), keyspace.namespace().to_owned());
            return Err(NameFault::Namespace { key: key.to_owned(), found, ours });
        }
        let unknown = || NameFault::Tag { key: key.to_owned(), tag: tag.to_owned() };
        let bucket = keys::bucket_of(tag).ok_or_else(unknown)?;
        let (kind, rest) = rest.split_once(':').map_or((rest, None), |(kind, rest)| (kind, Some(rest)));
        let kind = Kind::named(kind).ok_or_else(|| NameFault::Kind { key: key.to_owned() })?;
        let parts: Vec<_> = rest.into_iter().flat_map(|rest| rest.split(':')).collect();
        let read = Self::of(kind, bucket, &parts);
        let name = read.map_err(|why| NameFault::Form { key: key.to_owned(), form: kind.form(), why })?;
        // One key, one name: a tenant's key in another bucket, or an id encoded otherwise, is never looked at.
        let ours = name.key(keyspace);
        if ours == key { Ok(name) } else { Err(NameFault::Spelling { key: key.to_owned(), ours }) }
    }

    fn of(kind: Kind, bucket: Bucket, parts: &[&str]) -> Result<Self, String> {
        Ok(match (kind, parts) {
            (Kind::State, []) => Self::State(bucket),
            (Kind::Tombstones, []) => Self::Tombstones(bucket),
            (Kind::Outbox, []) => Self::Outbox(bucket),
            (Kind::OutboxLease, []) => Self::OutboxLease(bucket),
            (Kind::Webhook, []) => Self::Webhook(bucket),
            (Kind::WebhookDue, []) => Self::WebhookDue(bucket),
            (Kind::WebhookLease, []) => Self::WebhookLease(bucket),
            (Kind::Seen, [day, chunk]) => {
                let generation = Generation(number(day, "the day (whole days since 1970-01-01)")?);
                Self::Seen { bucket, generation, chunk: number(chunk, "the chunk")? }
            }
            (Kind::Mismatches, [of]) => Self::Mismatches { bucket, month: month(of)? },
            (Kind::Prices, [version]) if !version.is_empty() => Self::Prices((*version).to_owned()),
            (Kind::Months, [tenant]) => Self::Months(id(tenant, "the tenant", TenantId::new)?),
            (Kind::SavedCounts, [tenant]) => Self::SavedCounts(id(tenant, "the tenant", TenantId::new)?),
            (Kind::Quota, [tenant]) => Self::Quota(id(tenant, "the tenant", TenantId::new)?),
            (Kind::Tenant, [tenant, of]) => {
                Self::Tenant { tenant: id(tenant, "the tenant", TenantId::new)?, month: month(of)? }
            }
            (Kind::Users, [tenant, of]) => {
                Self::Users { tenant: id(tenant, "the tenant", TenantId::new)?, month: month(of)? }
            }
            (Kind::Saved, [tenant, user, kind]) => Self::Saved {
                tenant: id(tenant, "the tenant", TenantId::new)?,
                user: id(user, "the user", UserId::new)?,
                kind: id(kind, "the kind of output", OutputKind::new)?,
            },
            _ => return Err("the number of parts is another one".to_owned()),
        })
    }

    /// As Redis has it.
    pub fn key(&self, keyspace: &Keyspace) -> String {
        match self {
            Self::State(bucket) => keyspace.state(*bucket),
            Self::Seen { bucket, generation, chunk } => keyspace.seen(*bucket, *generation, *chunk),
            Self::Tombstones(bucket) => keyspace.tombstones(*bucket),
            Self::Mismatches { bucket, month } => keyspace.mismatches(*bucket, *month),
            Self::Outbox(bucket) => keyspace.outbox(*bucket),
            Self::OutboxLease(bucket) => keyspace.outbox_lease(*bucket),
            Self::Webhook(bucket) => keyspace.webhook(*bucket),
            Self::WebhookDue(bucket) => keyspace.webhook_due(*bucket),
            Self::WebhookLease(bucket) => keyspace.webhook_lease(*bucket),
            Self::Prices(version) => keyspace.prices(version),
            Self::Months(tenant) => keyspace.months(tenant),
            Self::Tenant { tenant, month } => keyspace.month(tenant, *month),
            Self::Users { tenant, month } => keyspace.users(tenant, *month),
            Self::Saved { tenant, user, kind } => keyspace.saved(tenant, user, kind),
            Self::SavedCounts(tenant) => keyspace.saved_counts(tenant),
            Self::Quota(tenant) => keyspace.quota(tenant),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::State(_) => Kind::State,
            Self::Seen { .. } => Kind::Seen,
            Self::Tombstones(_) => Kind::Tombstones,
            Self::Mismatches { .. } => Kind::Mismatches,
            Self::Outbox(_) => Kind::Outbox,
            Self::OutboxLease(_) => Kind::OutboxLease,
            Self::Webhook(_) => Kind::Webhook,
            Self::WebhookDue(_) => Kind::WebhookDue,
            Self::WebhookLease(_) => Kind::WebhookLease,
            Self::Prices(_) => Kind::Prices,
            Self::Months(_) => Kind::Months,
            Self::Tenant { .. } => Kind::Tenant,
            Self::Users { .. } => Kind::Users,
            Self::Saved { .. } => Kind::Saved,
            Self::SavedCounts(_) => Kind::SavedCounts,
            Self::Quota(_) => Kind::Quota,
        }
    }

    pub fn bucket(&self) -> Bucket {
        match self {
            Self::State(bucket) | Self::Tombstones(bucket) | Self::Outbox(bucket) | Self::OutboxLease(bucket) => {
                *bucket
            }
            Self::Webhook(bucket) | Self::WebhookDue(bucket) | Self::WebhookLease(bucket) => *bucket,
            Self::Seen { bucket, .. } | Self::Mismatches { bucket, .. } => *bucket,
            Self::Prices(_) => Bucket::FIRST,
            Self::Months(tenant) | Self::SavedCounts(tenant) | Self::Quota(tenant) => Bucket::of(tenant),
            Self::Tenant { tenant, .. } | Self::Users { tenant, .. } | Self::Saved { tenant, .. } => Bucket::of(tenant),
        }
    }

    /// What the name says beside kind and bucket, decoded.
    pub fn parts(&self) -> Vec<(&'static str, Cell)> {
        let tenant = |tenant: &TenantId| ("tenant", Cell::text(tenant));
        let month = |month: &Month| ("month", Cell::text(month));
        match self {
            Self::Seen { generation, chunk, .. } => {
                vec![("day", Cell::day(*generation)), ("chunk", Cell::text(chunk))]
            }
            Self::Mismatches { month: of, .. } => vec![month(of)],
            Self::Prices(version) => vec![("version", Cell::text(version))],
            Self::Months(of) | Self::SavedCounts(of) | Self::Quota(of) => vec![tenant(of)],
            Self::Tenant { tenant: of, month: when } | Self::Users { tenant: of, month: when } => {
                vec![tenant(of), month(when)]
            }
            Self::Saved { tenant: of, user, kind } => {
                vec![tenant(of), ("user", Cell::text(user)), ("outputKind", Cell::text(kind))]
            }
            _ => Vec::new(),
        }
    }

    /// The fields of its hash that a person may mean by this text, the likeliest first: an id as it is, percent-decoded,
    /// percent-encoded; and of quotas, where a field says whose it is, a user's id.
    pub fn fields(&self, given: &str) -> Vec<String> {
        let mut fields = vec![given.to_owned()];
        fields.extend(decode(given).map(|decoded| decoded.into_owned()));
        fields.push(encode(given).into_owned());
        if self.kind() == Kind::Quota {
            fields.extend([format!("user:{given}"), format!("user:{}", encode(given))]);
        }
        let mut seen = std::collections::BTreeSet::new();
        fields.retain(|field| seen.insert(field.clone()));
        fields
    }
}

fn number<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{what} {text:?} is no number"))
}

fn month(text: &str) -> Result<Month, String> {
    text.parse().map_err(|fault| format!("the month {text:?} {fault}"))
}

fn id<T, F: std::fmt::Display>(text: &str, what: &str, new: impl Fn(&str) -> Result<T, F>) -> Result<T, String> {
    let decoded = decode(text).ok_or_else(|| format!("{what} {text:?} is not percent-encoded UTF-8"))?;
    new(&decoded).map_err(|fault| format!("{what} {text:?} {fault}"))
}

#[cfg(test)]
#[path = "../../../tests/unit/store/inspect/name.rs"]
mod tests;
