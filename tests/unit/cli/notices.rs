use super::*;

const SECRET: &str = "sixteen bytes!!!";

fn settings(topic: Option<&str>, webhook: Option<&str>, secret: Option<&str>) -> NoticeSettings {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    NoticeSettings { notice_topic: owned(topic), notice_webhook: owned(webhook), notice_webhook_secret: owned(secret) }
}

fn check(settings: &NoticeSettings) -> (Option<Channels>, Vec<String>) {
    let (events, letters) = (["events".to_owned(), "n.dlq".to_owned()], ["events.dlq".to_owned()]);
    let mut faults = Faults(Vec::new());
    let channels = settings.check(&events, &letters, &mut faults);
    (channels, faults.0)
}

#[track_caller]
fn refused(topic: Option<&str>, webhook: Option<&str>, secret: Option<&str>, setting: &str, what: &str) {
    let (_, faults) = check(&settings(topic, webhook, secret));
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    assert!(fault.starts_with(&format!("INDELIBLE_NOTICE_{setting} (--notice-")) && fault.contains(what), "{fault}");
    assert!(!fault.contains("hunter2"), "{fault}");
}

#[test]
fn what_is_fine() {
    let (channels, faults) = check(&settings(None, None, None));
    assert!(channels.is_none() && faults.is_empty());
    let (channels, faults) = check(&settings(Some("notices"), None, None));
    assert!(faults.is_empty() && channels.is_some_and(|channels| channels.webhook.is_none()));
    let url = "https://example.com:8443/a?token=b";
    for (secret, bytes) in [(SECRET, SECRET.as_bytes()), ("whsec_c2l4dGVlbiBieXRlcyEhIQ==", SECRET.as_bytes())] {
        let (channels, faults) = check(&settings(Some("notices"), Some(url), Some(secret)));
        let receiver = channels.and_then(|channels| channels.webhook).expect("a receiver");
        assert_eq!((faults, receiver.url.to_string(), receiver.secret.0), (vec![], url.to_owned(), bytes.to_vec()));
    }
}

#[test]
fn every_fault_is_named() {
    let url = Some("http://localhost/");
    refused(Some("no topic"), None, None, "TOPIC", "is not a topic's name");
    refused(Some(&"t".repeat(246)), None, None, "TOPIC", "too long");
    refused(Some("events"), None, None, "TOPIC", "dead letters in events, which is one of INDELIBLE_KAFKA_TOPICS");
    refused(Some("events.dlq"), None, None, "TOPIC", "dead-letter topic");
    refused(Some("n"), None, None, "TOPIC", "dead letters in n.dlq, which is one of INDELIBLE_KAFKA_TOPICS");
    refused(None, url, Some(SECRET), "WEBHOOK", "is set without INDELIBLE_NOTICE_TOPIC");
    refused(Some("notices"), url, None, "WEBHOOK_SECRET", "is missing");
    refused(Some("notices"), None, Some(SECRET), "WEBHOOK_SECRET", "is set without INDELIBLE_NOTICE_WEBHOOK");
    refused(Some("notices"), url, Some("hunter2hunter2!"), "WEBHOOK_SECRET", "has 15 bytes, fewer than 16");
    refused(Some("notices"), url, Some("whsec_hunter2"), "WEBHOOK_SECRET", "no base64");
    refused(Some("notices"), url, Some("whsec_c2hvcnQ="), "WEBHOOK_SECRET", "has 5 bytes");
    for no_url in ["localhost:80", "ftp://hunter2/", "https://", "hunter2", "unix:///x"] {
        refused(Some("notices"), Some(no_url), Some(SECRET), "WEBHOOK", "is not a URL");
    }
    refused(Some("notices"), Some("https://me:hunter2@example.com/"), Some(SECRET), "WEBHOOK", "user or password");
    let (_, faults) = check(&settings(Some("no topic"), Some("hunter2"), Some("short")));
    assert_eq!(faults.len(), 3, "all at once: {faults:?}");
}
