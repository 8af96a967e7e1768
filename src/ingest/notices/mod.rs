//! Notices that thresholds were passed, from the outboxes to a Kafka topic and from there on to a webhook.
//!
//! Each is sent at least once under an id that is derived from what it says. It leaves the outbox only when the broker
//! has acknowledged it, and waits for the webhook in the same step. So a process that dies in between sends it again,
//! and a consumer drops the repeat by its id; so it is where Redis is gone for longer than a lease, or goes back in time. Nothing
//! loses one. Read `sender.rs`.

pub mod backoff;
mod delivery;
pub mod publisher;
pub mod sender;
mod tally;
pub mod webhook;

use std::fmt;

use hyper::Uri;

/// Where notices go, as the settings say.
#[derive(Debug, Clone)]
pub struct Channels {
    pub topic: String,
    pub webhook: Option<Receiver>,
}

/// Who is told by HTTP.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// http or https.
    pub url: Uri,
    pub secret: Secret,
}

/// The key of signatures, at least [`Secret::SHORTEST`] bytes. It is never shown.
#[derive(Clone)]
pub struct Secret(pub Vec<u8>);

impl Secret {
    pub const SHORTEST: usize = 16;
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}
