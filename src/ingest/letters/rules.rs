//! Whether a letter is an event now, and with which timestamp it is to be produced again.

use crate::domain::calendar::TimeMs;
use crate::domain::event::{Body, Event};
use crate::ingest::decode::{Bounds, Incoming, Reason, Reject, decode};

use super::letter::Letter;

/// The Kafka timestamp of a replayed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stamp {
    /// The original one, but now where [`Rules::judge`] says.
    Fitting,
    Original,
    Now,
}

/// What decides when a letter is replayed.
#[derive(Debug, Clone)]
pub struct Rules {
    pub bounds: Bounds,
    pub stamp: Stamp,
    /// A letter from any other topic is not ours to replay: whoever may write letters could name any topic.
    pub topics: Vec<String>,
    /// Of these topics: those in which the broker sets the timestamps itself.
    pub stamped_by_broker: Vec<String>,
}

/// Why a letter is not replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("would be rejected again: {0}")]
    Rejected(Reject),
    #[error("is left: {0} is not one of INDELIBLE_KAFKA_TOPICS")]
    OtherTopic(String),
}

impl Rules {
    /// Decodes it as the worker would, and returns the timestamp with which it is an event.
    ///
    /// The original timestamp decides as the first run did: how late an event came must not depend on how long its
    /// letter lay. There are two exceptions.
    ///
    /// - An event of the future is held against now: its time may have come.
    /// - An event that saves an output is, too: its deletion is remembered for the greatest age of an event, so what
    ///   is older might be an output that was deleted.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn judge(&self, letter: &Letter, now: TimeMs) -> Result<TimeMs, Refusal> {
        let topic = &*letter.source.partition.topic;
        if !self.topics.iter().any(|ours| ours == topic) {
            return Err(Refusal::OtherTopic(topic.to_owned()));
        }
        let original = letter.record.timestamp().unwrap_or(now);
        let by_broker = self.stamped_by_broker.iter().any(|stamped| stamped == topic);
        let judged = match self.stamp {
            Stamp::Now => self.decode(letter, now),
            _ if by_broker => self.decode(letter, now),
            Stamp::Original => self.decode(letter, original),
            Stamp::Fitting => match self.decode(letter, original) {
                Ok((event, _)) if saves_output(&event) => self.decode(letter, now),
                Err(reject) if reject.reason == Reason::TimeInFuture => self.decode(letter, now),
                judged => judged,
            },
        };
        judged.map(|(_, at)| at).map_err(Refusal::Rejected)
    }

    fn decode(&self, letter: &Letter, at: TimeMs) -> Result<(Event, TimeMs), Reject> {
        let headers: Vec<_> = letter.own_headers().map(|(name, value)| (name, value.unwrap_or_default())).collect();
        let incoming = Incoming { value: letter.record.value(), headers: &headers, timestamp: Some(at) };
        decode(&incoming, &self.bounds).map(|event| (event, at))
    }
}

fn saves_output(event: &Event) -> bool {
    match &event.body {
        Body::Usage(usage) => usage.output.is_some(),
        Body::OutputCreated(_) => true,
        Body::OutputDeleted(_) | Body::QuotaAssigned(_) => false,
    }
}
