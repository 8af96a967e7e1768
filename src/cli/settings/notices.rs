//! Settings of notices: where word goes that a threshold of a quota was passed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use url::Url;

use crate::ingest::dead_letter::dead_letter_topic;
use crate::ingest::notices::{Channels, Receiver, Secret};

use super::{Faults, is_topic};

/// As given.
#[derive(Debug, Args)]
pub(super) struct NoticeSettings {
    /// The topic for notices that a threshold of a quota was passed [default: none are sent]
    #[arg(long, env = "INDELIBLE_NOTICE_TOPIC", global = true)]
    notice_topic: Option<String>,
    /// An http or https URL that each notice is posted to as well, signed; dead letters go to <notice topic>.dlq.
    #[arg(long, env = "INDELIBLE_NOTICE_WEBHOOK", global = true, hide_env_values = true)]
    notice_webhook: Option<String>,
    /// Its signatures' secret, 16 bytes or more: as it is, or in base64 after whsec_
    #[arg(long, env = "INDELIBLE_NOTICE_WEBHOOK_SECRET", global = true, hide_env_values = true)]
    notice_webhook_secret: Option<String>,
}

impl NoticeSettings {
    /// None where nobody is to be told. `events` are the topics of events, `letters` those of their dead letters.
    pub(super) fn check(&self, events: &[String], letters: &[String], faults: &mut Faults) -> Option<Channels> {
        let webhook = self.webhook(faults);
        let Some(topic) = &self.notice_topic else {
            if self.notice_webhook.is_some() {
                let why = "what the webhook does not take goes to <notice topic>.dlq";
                faults.add("NOTICE_WEBHOOK", &format!("is set without INDELIBLE_NOTICE_TOPIC; set both: {why}"));
            }
            return None;
        };
        let own_letters = dead_letter_topic(topic);
        faults.unless(is_topic(&own_letters), "NOTICE_TOPIC", topic, "is not a topic's name, or too long for its .dlq");
        let taken = |name: &&String| events.contains(name) || letters.contains(name);
        if let Some(name) = [topic, &own_letters].into_iter().find(taken) {
            let what = "which is one of INDELIBLE_KAFKA_TOPICS or a dead-letter topic of theirs";
            faults
                .add("NOTICE_TOPIC", &format!("{topic:?} would have notices or their dead letters in {name}, {what}"));
        }
        Some(Channels { topic: topic.clone(), webhook })
    }

    fn webhook(&self, faults: &mut Faults) -> Option<Receiver> {
        let secret = self.secret(faults);
        let Some(text) = &self.notice_webhook else {
            if self.notice_webhook_secret.is_some() {
                faults.add("NOTICE_WEBHOOK_SECRET", "is set without INDELIBLE_NOTICE_WEBHOOK; set both, or neither");
            }
            return None;
        };
        if self.notice_webhook_secret.is_none() {
            faults.add("NOTICE_WEBHOOK_SECRET", "is missing; INDELIBLE_NOTICE_WEBHOOK needs it to sign notices");
        }
        let parsed = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        // Never the text: it may hold a password or a token.
        let Some((url, uri)) = parsed.and_then(|url| url.as_str().parse().ok().map(|uri| (url, uri))) else {
            faults.add("NOTICE_WEBHOOK", "is not a URL such as https://example.com/notices");
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            faults.add("NOTICE_WEBHOOK", "has a user or password, which are not sent; the signature says who posts");
        }
        Some(Receiver { url: uri, secret: secret? })
    }

    fn secret(&self, faults: &mut Faults) -> Option<Secret> {
        let text = self.notice_webhook_secret.as_ref()?;
        let bytes = match text.strip_prefix("whsec_") {
            None => Some(text.as_bytes().to_vec()),
            Some(encoded) => BASE64.decode(encoded).ok(),
        };
        match bytes {
            None => faults.add("NOTICE_WEBHOOK_SECRET", "has no base64 after whsec_; mend it, or leave whsec_ away"),
            Some(bytes) if bytes.len() < Secret::SHORTEST => {
                let what = format!("has {} bytes, fewer than {}", bytes.len(), Secret::SHORTEST);
                faults.add("NOTICE_WEBHOOK_SECRET", &what);
            }
            Some(bytes) => return Some(Secret(bytes)),
        }
        None
    }
}

#[cfg(test)]
#[path = "../../../tests/unit/cli/notices.rs"]
mod tests;
