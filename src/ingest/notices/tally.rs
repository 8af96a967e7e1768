//! What the sender has done, and what it says of it.

use crate::store::Sink;

/// What a round, or a part of it, came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Notices that got on.
    pub(super) done: usize,
    /// Some wait that another worker sees to.
    pub(super) left: bool,
    /// Why Kafka or Redis did not take what they were given.
    pub(super) stuck: Option<String>,
    /// What the receiver has said, which is no reason to leave the others to wait.
    pub(super) refused: Option<String>,
}

impl Tally {
    pub(super) fn and(self, more: Self) -> Self {
        Self {
            done: self.done + more.done,
            left: self.left || more.left,
            stuck: self.stuck.or(more.stuck),
            refused: self.refused.or(more.refused),
        }
    }

    /// Once when it begins, and once when it is over; `said` is whether the first was.
    pub(super) fn say(&self, sink: Sink, said: &mut bool) {
        let sink = sink.name();
        match self.stuck.as_ref().or(self.refused.as_ref()) {
            Some(why) if !*said => {
                tracing::warn!(sink, why, "notices can't be sent; trying again, they wait in redis");
                *said = true;
            }
            None if *said && self.done > 0 => {
                tracing::info!(sink, "notices are sent again");
                *said = false;
            }
            Some(_) | None => {}
        }
    }
}

impl Sink {
    /// A metric's label.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Webhook => "webhook",
        }
    }
}
