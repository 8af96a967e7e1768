//! The keys of a tenant, or those that concern a user, by their names: nothing is searched for.

use redis::{Value, cmd, pipe};

use crate::domain::bucket::Bucket;
use crate::domain::calendar::Month;
use crate::domain::delta::Scope;
use crate::domain::ids::{OutputKind, TenantId, UserId};
use crate::store::StoreError;
use crate::store::keys::quota_field;
use crate::store::reply::read;
use crate::store::saved_outputs::SavedCount;
use crate::store::seen_log::Logs;

use super::InspectFault;
use super::kind::Kind;
use super::name::KeyName;
use super::reader::Inspector;
use super::size::Found;
use super::table::Damaged;

/// Of a day and bucket, some 40 million ids: a damaged state may tell of any number.
const MOST_CHUNKS: u64 = 10_000;

/// A key, or a field of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: KeyName,
    pub key: String,
    /// Where one field of a hash is the user's.
    pub field: Option<String>,
    /// In [`Kind::entries`]; of a field its lines.
    pub entries: u64,
    /// Of Redis's memory; of a field the length of its value.
    pub bytes: u64,
}

/// What there is of a tenant, or of one of its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub scope: Scope,
    /// The tenant's own first, then those that the bucket's other tenants share.
    pub keys: Vec<Listed>,
    /// Keys of a type that this program never writes, and names of keys that can't be read.
    pub damaged: Vec<Damaged>,
    /// Keys beyond those listed.
    pub more: u64,
}

/// A key that may be there.
struct Candidate {
    name: KeyName,
    field: Option<String>,
}

impl Candidate {
    fn key(name: KeyName) -> Self {
        Self { name, field: None }
    }
}

/// What tells which keys a tenant may have.
#[derive(Default)]
struct Index {
    months: Vec<Month>,
    kinds: Vec<OutputKind>,
    damaged: Vec<Damaged>,
}

impl Inspector {
    /// Up to `limit` keys of a tenant and its bucket, or of a user: those that are there.
    ///
    /// # Errors
    /// [`InspectFault`]
    pub async fn of(&self, scope: &Scope, limit: usize) -> Result<Listing, InspectFault> {
        let Scope { tenant, user } = scope;
        self.check_layout(&KeyName::Months(tenant.clone())).await?;
        let mut index = self.index(tenant).await?;
        let candidates = match user {
            Some(user) => of_user(tenant, user, &index),
            None => {
                let mut names = of_tenant(tenant, &index);
                names.extend(self.of_bucket(Bucket::of(tenant), &mut index).await?);
                names.into_iter().map(Candidate::key).collect()
            }
        };
        let (mut keys, mut damaged) = (Vec::new(), index.damaged);
        let names: Vec<_> = candidates.iter().map(|candidate| candidate.name.clone()).collect();
        for (Candidate { name, field }, found) in candidates.into_iter().zip(self.sizes(&names).await?) {
            let key = name.key(&self.keyspace);
            match found {
                Found::Nothing => {}
                Found::OtherType(found) => {
                    let why = format!("is a {found}, and not a {}", name.kind().stored().as_str());
                    damaged.push(Damaged::new(&key, why));
                }
                Found::Size(size) => {
                    let (entries, bytes) = (size.entries(name.kind()), size.bytes);
                    keys.push(Listed { name, key, field, entries, bytes });
                }
            }
        }
        self.measure_fields(&mut keys).await?;
        if keys.iter().all(|listed| of_all(listed.name.kind())) && damaged.is_empty() {
            return Err(nothing(scope));
        }
        let more = keys.len().saturating_sub(limit) as u64;
        keys.truncate(limit);
        Ok(Listing { scope: scope.clone(), keys, damaged, more })
    }

    /// The months and kinds of outputs of a tenant: few, and read little by little all the same.
    async fn index(&self, tenant: &TenantId) -> Result<Index, InspectFault> {
        let mut index = Index::default();
        let names = [KeyName::Months(tenant.clone()), KeyName::SavedCounts(tenant.clone())];
        let sizes = self.sizes(&names).await?;
        let [months, counts] = names.map(|name| name.key(&self.keyspace));
        if let [Found::Size(_), _] = sizes.as_slice() {
            for member in self.scan::<Vec<u8>>("SSCAN", &months, usize::MAX).await? {
                let text = String::from_utf8_lossy(&member);
                match text.parse() {
                    Ok(month) => index.months.push(month),
                    Err(_) => index.damaged.push(Damaged::new(&months, format!("{text:?} is not a month"))),
                }
            }
        }
        if let [_, Found::Size(_)] = sizes.as_slice() {
            for (field, _) in self.scan::<(Vec<u8>, Vec<u8>)>("HSCAN", &counts, usize::MAX).await? {
                let text = String::from_utf8_lossy(&field);
                match SavedCount::read(&text) {
                    Some(SavedCount::Created(kind) | SavedCount::Deleted(kind) | SavedCount::Net(kind, _)) => {
                        index.kinds.push(kind);
                    }
                    Some(SavedCount::Kinds) => {}
                    None => index.damaged.push(Damaged::new(&counts, format!("{text:?} is no count of outputs"))),
                }
            }
        }
        index.kinds.sort();
        index.kinds.dedup();
        Ok(index)
    }

    /// What the tenants of a bucket share. Which chunks of seen ids there are stands in the state.
    async fn of_bucket(&self, bucket: Bucket, index: &mut Index) -> Result<Vec<KeyName>, InspectFault> {
        let state = KeyName::State(bucket);
        let mut names = vec![state.clone(), KeyName::Tombstones(bucket)];
        names.extend(index.months.iter().map(|month| KeyName::Mismatches { bucket, month: *month }));
        names.extend([KeyName::Outbox(bucket), KeyName::OutboxLease(bucket), KeyName::Webhook(bucket)]);
        names.extend([KeyName::WebhookDue(bucket), KeyName::WebhookLease(bucket)]);
        if !matches!(self.sizes(std::slice::from_ref(&state)).await?.as_slice(), [Found::Size(_)]) {
            return Ok(names);
        }
        let key = state.key(&self.keyspace);
        let seen: Option<Vec<u8>> = read(self.link.query(cmd("HGET").arg(&key).arg("seen")).await?, &key)?;
        match String::from_utf8_lossy(&seen.unwrap_or_default()).parse::<Logs>() {
            Ok(logs) => names.extend(logs.iter().flat_map(|(generation, extent)| {
                let chunks = 0..extent.chunks().min(MOST_CHUNKS);
                chunks.map(move |chunk| KeyName::Seen { bucket, generation, chunk })
            })),
            Err(fault) => index.damaged.push(Damaged::new(&key, format!("its field \"seen\" {fault}"))),
        }
        Ok(names)
    }

    /// Puts size and lines of a field in place of the whole key's; those without such a field are left out.
    async fn measure_fields(&self, keys: &mut Vec<Listed>) -> Result<(), StoreError> {
        let mut ask = pipe();
        for Listed { key, field, .. } in keys.iter() {
            if let Some(field) = field {
                ask.cmd("HGET").arg(key).arg(field);
            }
        }
        let mut answers = if ask.is_empty() { Vec::new() } else { self.link.pipeline(&ask).await? }.into_iter();
        let mut kept = Vec::new();
        for mut listed in keys.drain(..) {
            if listed.field.is_some() {
                let answer = answers.next().unwrap_or(Value::Nil);
                let Some(text) = read::<Option<Vec<u8>>>(answer, &listed.key)? else { continue };
                listed.bytes = text.len() as u64;
                listed.entries = text.split(|byte| *byte == b'\n').count() as u64;
            }
            kept.push(listed);
        }
        *keys = kept;
        Ok(())
    }
}

/// Whether tenants share a key of this kind: that it is there says nothing of one of them.
fn of_all(kind: Kind) -> bool {
    !matches!(kind, Kind::Months | Kind::Tenant | Kind::Users | Kind::Saved | Kind::SavedCounts | Kind::Quota)
}

fn of_tenant(tenant: &TenantId, index: &Index) -> Vec<KeyName> {
    let tenant = || tenant.clone();
    let mut names = vec![KeyName::Months(tenant())];
    for month in &index.months {
        names.push(KeyName::Tenant { tenant: tenant(), month: *month });
        names.push(KeyName::Users { tenant: tenant(), month: *month });
    }
    names.extend([KeyName::SavedCounts(tenant()), KeyName::Quota(tenant())]);
    names
}

fn of_user(tenant: &TenantId, user: &UserId, index: &Index) -> Vec<Candidate> {
    let month = |month: &Month| Candidate {
        name: KeyName::Users { tenant: tenant.clone(), month: *month },
        field: Some(user.as_str().to_owned()),
    };
    let saved = |kind: &OutputKind| {
        Candidate::key(KeyName::Saved { tenant: tenant.clone(), user: user.clone(), kind: kind.clone() })
    };
    let quota = Candidate { name: KeyName::Quota(tenant.clone()), field: Some(quota_field(Some(user))) };
    index.months.iter().map(month).chain(index.kinds.iter().map(saved)).chain([quota]).collect()
}

fn nothing(Scope { tenant, user }: &Scope) -> InspectFault {
    let tenant = tenant.to_string();
    match user {
        Some(user) => InspectFault::NoUser { tenant, user: user.to_string() },
        None => InspectFault::NoTenant { tenant },
    }
}
