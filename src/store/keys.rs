//! The names of all keys and of the fields in them: the layout that README describes.
//!
//! A key is `namespace:{bucket tag}:what:…`. Ids in keys and fields are percent-encoded where they hold a
//! character that means something in a key, so that two different ids never give one key.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::domain::bucket::{BUCKETS, Bucket};
use crate::domain::calendar::Month;
use crate::domain::delta::Scope;
use crate::domain::ids::{OutputKind, TenantId, UserId};
use crate::domain::position::TopicPartition;
use crate::domain::seen::Generation;

/// Changes when a stored key or field changes its meaning.
pub const LAYOUT_VERSION: &str = "4";

/// The hash tag of every bucket. Tag i lies in the slots from 256 i to 256 i + 255 of the 16,384 of a Redis
/// Cluster, so that buckets spread evenly over any number of nodes.
const TAGS: [&str; BUCKETS as usize] = [
    "00dq", "01fp", "02ai", "03br", "04bc", "05ax", "06d", "07r", "08ea", "09fz", "10i", "11bs", "12k", "13y", "14fd",
    "15da", "16j", "17x", "18d", "19r", "20bi", "21ar", "22r", "23d", "24bh", "25as", "26r", "27d", "28bc", "29ax",
    "30fj", "31dk", "32z", "33h", "34fh", "35di", "36ac", "37bx", "38fc", "39db", "40db", "41fc", "42az", "43ba",
    "44a", "45s", "46fr", "47ds", "48di", "49fh", "50az", "51ba", "52fq", "53dp", "54fr", "55ds", "56fp", "57dq",
    "58ap", "59bk", "60s", "61a", "62fx", "63dy",
];

/// Characters of an id that are encoded: those that separate the parts of keys and fields, the braces of a
/// hash tag, and what a shell or a MATCH pattern would take for its own.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b'%')
    .add(b':')
    .add(b'|')
    .add(b'{')
    .add(b'}')
    .add(b' ')
    .add(b'"')
    .add(b'\'')
    .add(b'*')
    .add(b'?')
    .add(b'[')
    .add(b']')
    .add(b'\\');

/// Which bytes stand for themselves.
const PLAIN: [bool; 256] = {
    let (mut plain, mut byte) = ([false; 256], 0x21);
    while byte < 0x7f {
        plain[byte as usize] =
            !matches!(byte, b'%' | b':' | b'|' | b'{' | b'}' | b'"' | b'\'' | b'*' | b'?' | b'[' | b']' | b'\\');
        byte += 1;
    }
    plain
};

/// An id as a part of a key or field.
pub fn encode(id: &str) -> Cow<'_, str> {
    // Nearly every id stands as it is; this is asked for each cell that is written.
    if id.bytes().all(|byte| PLAIN[usize::from(byte)]) {
        Cow::Borrowed(id)
    } else {
        utf8_percent_encode(id, RESERVED).into()
    }
}

pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('%') { percent_decode_str(text).decode_utf8().ok() } else { Some(Cow::Borrowed(text)) }
}

/// The keys of one namespace.
#[derive(Debug, Clone)]
pub struct Keyspace {
    namespace: Box<str>,
}

impl Keyspace {
    /// `namespace` is checked by the settings: letters, digits, `-`, `_` and `.`.
    pub fn new(namespace: &str) -> Self {
        Self { namespace: namespace.into() }
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Watermarks, log times, `applied`, what there is of seen ids, layout.
    pub fn state(&self, bucket: Bucket) -> String {
        format!("{}:{{{}}}:state", self.namespace, TAGS[bucket.index()])
    }

    /// All keys of a bucket, for MATCH; a namespace holds no character that means anything there.
    pub fn pattern(&self, bucket: Bucket) -> String {
        format!("{}:{{{}}}:*", self.namespace, TAGS[bucket.index()])
    }

    /// Deleted outputs of the whole bucket.
    pub fn tombstones(&self, bucket: Bucket) -> String {
        format!("{}:{{{}}}:tombstones", self.namespace, TAGS[bucket.index()])
    }

    /// A chunk of the ids that were counted on a day of log time.
    pub fn seen(&self, bucket: Bucket, generation: Generation, chunk: u64) -> String {
        format!("{}:{{{}}}:seen:{}:{chunk}", self.namespace, TAGS[bucket.index()], generation.0)
    }

    /// A tenant's sums of a month by assistant and model, by tool and by day.
    pub fn month(&self, tenant: &TenantId, month: Month) -> String {
        self.of_tenant("tenant", tenant, &[&month.to_string()])
    }

    /// The same sums of each of its users: a field a user.
    pub fn users(&self, tenant: &TenantId, month: Month) -> String {
        self.of_tenant("users", tenant, &[&month.to_string()])
    }

    /// The months in which a tenant has usage.
    pub fn months(&self, tenant: &TenantId) -> String {
        self.of_tenant("months", tenant, &[])
    }

    /// Saved outputs of a user and kind, scored by creation time in milliseconds.
    pub fn saved(&self, tenant: &TenantId, user: &UserId, kind: &OutputKind) -> String {
        self.of_tenant("saved", tenant, &[user.as_str(), kind.as_str()])
    }

    /// Saved outputs of a tenant, counted by kind and month, and how many were created and deleted.
    pub fn saved_counts(&self, tenant: &TenantId) -> String {
        self.of_tenant("saved-counts", tenant, &[])
    }

    /// What quotas were assigned to a tenant and to its users.
    pub fn quota(&self, tenant: &TenantId) -> String {
        self.of_tenant("quota", tenant, &[])
    }

    /// Costs of a month that are not what the price table says, by model, of the whole bucket.
    pub fn mismatches(&self, bucket: Bucket, month: Month) -> String {
        format!("{}:{{{}}}:mismatches:{month}", self.namespace, TAGS[bucket.index()])
    }

    /// Notices that are yet to be sent, of the whole bucket.
    pub fn outbox(&self, bucket: Bucket) -> String {
        format!("{}:{{{}}}:outbox", self.namespace, TAGS[bucket.index()])
    }

    /// Who publishes the notices of a bucket at the moment.
    pub fn outbox_lease(&self, bucket: Bucket) -> String {
        format!("{}:{{{}}}:outbox-lease", self.namespace, TAGS[bucket.index()])
    }

    /// Notices that were published and that the webhook has not taken yet.
    pub fn webhook(&self, bucket: Bucket) -> String {
        format!("{}:{{{}}}:webhook", self.namespace, TAGS[bucket.index()])
    }

    /// Their ids, scored by when the webhook is to be tried next, in milliseconds.
    pub fn webhook_due(&self, bucket: Bucket) -> String {
        format!("{}:{{{}}}:webhook-due", self.namespace, TAGS[bucket.index()])
    }

    /// Who tries the webhook with the notices of a bucket at the moment.
    pub fn webhook_lease(&self, bucket: Bucket) -> String {
        format!("{}:{{{}}}:webhook-lease", self.namespace, TAGS[bucket.index()])
    }

    /// The text of a price table, by its version.
    pub fn prices(&self, version: &str) -> String {
        format!("{}:{{{}}}:prices:{version}", self.namespace, tag(Bucket::FIRST))
    }

    fn of_tenant(&self, what: &str, tenant: &TenantId, rest: &[&str]) -> String {
        let tag = TAGS[Bucket::of(tenant).index()];
        // Not formatted: a call makes such a key for each of its tenants and outputs.
        let mut key = [&*self.namespace, ":{", tag, "}:", what, ":", &*encode(tenant.as_str())].concat();
        rest.iter().for_each(|part| key.extend([":", &*encode(part)]));
        key
    }
}

/// What a partition's fields in the state are about, before the colon.
pub const WATERMARK: &str = "watermark";
pub const LOG: &str = "log";
pub const GAP: &str = "gap";
pub const RESUME: &str = "resume";
pub const UNRATED: &str = "unrated";

/// A partition's field in the state: its watermark.
pub fn watermark_field(partition: &TopicPartition) -> String {
    format!("{WATERMARK}:{partition}")
}

/// A partition's field in the state: the log time that it has passed.
pub fn log_field(partition: &TopicPartition) -> String {
    format!("{LOG}:{partition}")
}

/// A partition's field in the state: what an operator has accepted as never counted.
pub fn gap_field(partition: &TopicPartition) -> String {
    format!("{GAP}:{partition}")
}

/// A partition's field in the state: where it goes on once every bucket has let go of its watermark of an earlier log.
pub fn resume_field(partition: &TopicPartition) -> String {
    format!("{RESUME}:{partition}")
}

/// A partition's field in the state: from where on rated requests are not yet known to be in their topic.
pub fn unrated_field(partition: &TopicPartition) -> String {
    format!("{UNRATED}:{partition}")
}

/// A user's field in the quotas of their tenant; the tenant's own is [`QUOTA_OF_TENANT`].
pub fn quota_field(user: Option<&UserId>) -> String {
    user.map_or_else(|| QUOTA_OF_TENANT.to_owned(), |user| format!("user:{}", encode(user.as_str())))
}

const QUOTA_OF_TENANT: &str = "tenant";

/// Whose quotas a field holds, as [`quota_field`] names it; none where it is no such field.
pub fn quota_scope(tenant: &TenantId, field: &str) -> Option<Scope> {
    let user = match field.strip_prefix("user:") {
        Some(user) => Some(UserId::new(&decode(user)?).ok()?),
        None if field == QUOTA_OF_TENANT => None,
        None => return None,
    };
    Some(Scope { tenant: tenant.clone(), user })
}

/// What stands in a bucket's keys between the braces.
pub fn tag(bucket: Bucket) -> &'static str {
    TAGS[bucket.index()]
}

/// The bucket of a [`tag`].
pub fn bucket_of(tag: &str) -> Option<Bucket> {
    Bucket::all().find(|bucket| TAGS[bucket.index()] == tag)
}

#[cfg(test)]
#[path = "../../tests/unit/store/keys.rs"]
mod tests;
