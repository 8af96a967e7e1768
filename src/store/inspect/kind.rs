//! The kinds of keys: what docs/redis.md has as a table.

/// How Redis keeps a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    Hash,
    Set,
    SortedSet,
    Text,
}

impl Stored {
    /// As Redis's TYPE says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Text => "string",
        }
    }
}

/// What a key is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    State,
    Seen,
    Tombstones,
    Mismatches,
    Outbox,
    OutboxLease,
    Webhook,
    WebhookDue,
    WebhookLease,
    Prices,
    Months,
    Tenant,
    Users,
    Saved,
    SavedCounts,
    Quota,
}

impl Kind {
    pub const ALL: [Self; 16] = [
        Self::State,
        Self::Seen,
        Self::Tombstones,
        Self::Mismatches,
        Self::Outbox,
        Self::OutboxLease,
        Self::Webhook,
        Self::WebhookDue,
        Self::WebhookLease,
        Self::Prices,
        Self::Months,
        Self::Tenant,
        Self::Users,
        Self::Saved,
        Self::SavedCounts,
        Self::Quota,
    ];

    /// Of this name, which stands after the bucket's tag.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        self.form().split(':').next().unwrap_or_default()
    }

    /// What stands after the bucket's tag.
    pub const fn form(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Seen => "seen:DAY:CHUNK",
            Self::Tombstones => "tombstones",
            Self::Mismatches => "mismatches:MONTH",
            Self::Outbox => "outbox",
            Self::OutboxLease => "outbox-lease",
            Self::Webhook => "webhook",
            Self::WebhookDue => "webhook-due",
            Self::WebhookLease => "webhook-lease",
            Self::Prices => "prices:VERSION",
            Self::Months => "months:TENANT",
            Self::Tenant => "tenant:TENANT:MONTH",
            Self::Users => "users:TENANT:MONTH",
            Self::Saved => "saved:TENANT:USER:KIND",
            Self::SavedCounts => "saved-counts:TENANT",
            Self::Quota => "quota:TENANT",
        }
    }

    /// What it says, in words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::State => "how far the bucket is counted, and what it keeps of seen ids",
            Self::Seen => "ids that were counted on a day of log time, as hashes",
            Self::Tombstones => "deleted outputs of the whole bucket, by log time",
            Self::Mismatches => "costs of a month that are not what the price table says, of the whole bucket",
            Self::Outbox => "notices that wait for the notice topic",
            Self::OutboxLease => "the worker that sends the bucket's notices to the topic just now",
            Self::Webhook => "notices that the topic has and the webhook has not",
            Self::WebhookDue => "when the webhook is tried next with each notice",
            Self::WebhookLease => "the worker that sends the bucket's notices to the webhook just now",
            Self::Prices => "the text of a price table by which requests were rated",
            Self::Months => "months in which the tenant has usage",
            Self::Tenant => "what a tenant as a whole used in a month",
            Self::Users => "what each of a tenant's users used in a month",
            Self::Saved => "a user's saved outputs of one kind, by creation time",
            Self::SavedCounts => "a tenant's saved outputs, counted by kind and month",
            Self::Quota => "quotas that were assigned to the tenant and to its users",
        }
    }

    pub const fn stored(self) -> Stored {
        match self {
            Self::Months => Stored::Set,
            Self::Tombstones | Self::WebhookDue | Self::Saved => Stored::SortedSet,
            Self::Seen | Self::OutboxLease | Self::WebhookLease | Self::Prices => Stored::Text,
            Self::State | Self::Mismatches | Self::Outbox | Self::Webhook => Stored::Hash,
            Self::Tenant | Self::Users | Self::SavedCounts | Self::Quota => Stored::Hash,
        }
    }

    /// What its entries are, for a count of them.
    pub const fn entries(self) -> &'static str {
        match self {
            Self::State | Self::SavedCounts => "fields",
            Self::Seen => "ids",
            Self::Tombstones => "tombstones",
            Self::Mismatches => "models",
            Self::Outbox | Self::Webhook | Self::WebhookDue => "notices",
            Self::OutboxLease | Self::WebhookLease => "leases",
            Self::Prices => "lines",
            Self::Months => "months",
            Self::Tenant => "cells",
            Self::Users => "users",
            Self::Saved => "outputs",
            Self::Quota => "scopes",
        }
    }
}
