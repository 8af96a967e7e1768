//! The audit: every counted request goes to the rated topic, at least once and never before it was counted.
//!
//! The flush that counts requests leaves in the store which they are (`Unrated`). They are written and acknowledged
//! before the bucket's next flush takes that away, so what a crash may have kept from the topic is always known:
//! whoever is assigned the partition next reads those records again (`owed.rs`) and writes them first. A request is
//! written by the price table that it was counted by, whose text the store keeps. `message.rs` and `owed.rs` are pure;
//! `kafka.rs` is the topic, `write.rs` the order of the steps. Never counts, and never decides what was counted.

pub mod kafka;
pub mod message;
pub mod owed;
mod write;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;

use self::message::Message;

/// Where rated requests go.
pub trait RatedTopic: Send + Sync {
    /// Writes them, and leaves those that are not acknowledged.
    ///
    /// # Errors
    /// A sentence that says why some are left.
    fn write<'a>(&'a self, messages: &'a mut Vec<Message>) -> BoxFuture<'a, Result<(), String>>;
}

/// The rated topic, and what is known of the price tables in the store.
pub struct Audit {
    topic: Box<dyn RatedTopic>,
    /// The version whose text the store has for certain.
    kept: Mutex<Option<Arc<str>>>,
}

impl Audit {
    pub fn new(topic: impl RatedTopic + 'static) -> Self {
        Self { topic: Box::new(topic), kept: Mutex::default() }
    }

    fn has_kept(&self, version: &str) -> bool {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).as_deref() == Some(version)
    }

    fn note_kept(&self, version: Option<Arc<str>>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = version;
    }

    /// The store may have gone back to when it did not have it.
    pub fn forget_kept(&self) {
        self.note_kept(None);
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("kept", &self.kept).finish_non_exhaustive()
    }
}
