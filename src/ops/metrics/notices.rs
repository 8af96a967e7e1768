//! Notices of quotas on their way out.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Result};

use super::Metrics;
use super::labels::{NOTICES, Sent};
use super::make::{Make, capped};

#[derive(Debug)]
pub(super) struct Notices {
    noted: IntCounter,
    sent: IntCounterVec,
    outbox: IntGaugeVec,
}

impl Notices {
    pub(super) fn new(make: &Make<'_>) -> Result<Self> {
        let notices = Self {
            noted: make
                .counter("indelible_notices_noted_total", "Notices put into an outbox, to be sent from there.")?,
            sent: make.counters(
                "indelible_notices_total",
                "Tries to send a notice, by how they ended.",
                &["sink", "outcome"],
            )?,
            outbox: make.gauges(
                "indelible_outbox_notices",
                "Notices that wait to be sent, when last looked at.",
                &["sink"],
            )?,
        };
        for (sink, outcomes) in NOTICES {
            outcomes.iter().for_each(|sent| drop(notices.sent.with_label_values(&[sink, sent.as_str()])));
        }
        Ok(notices)
    }
}

impl Metrics {
    pub fn notices_noted(&self, notices: u64) {
        self.notices.noted.inc_by(notices);
    }

    /// `sink` is one of [`NOTICES`].
    pub fn notice(&self, sink: &'static str, outcome: Sent) {
        self.notices.sent.with_label_values(&[sink, outcome.as_str()]).inc();
    }

    /// How many notices wait, for the topic and for the webhook.
    pub fn outbox(&self, topic: u64, webhook: u64) {
        for (sink, waiting) in [("topic", topic), ("webhook", webhook)] {
            self.notices.outbox.with_label_values(&[sink]).set(capped(waiting));
        }
    }
}
