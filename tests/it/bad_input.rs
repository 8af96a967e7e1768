//! Bad records: each ends in the dead-letter topic with its reason and its bytes, and the stream goes on.

use std::time::Duration as StdDuration;

use chrono::{Duration, Utc};
use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};
use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::kafka::{Kafka, Record};
use crate::support::wait::eventually;

fn header<'a>(message: &'a OwnedMessage, name: &str) -> &'a str {
    let value = message.headers().into_iter().flat_map(Headers::iter).find(|header| header.key == name);
    value.and_then(|header| std::str::from_utf8(header.value?).ok()).unwrap_or_default()
}

/// A valid bare record, changed.
fn record(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut record = json!({
        "requestId": "r", "createdAt": Utc::now().to_rfc3339(), "tenantId": "acme", "userId": "alice",
        "assistant": "chat", "model": "m", "tokensIn": 10, "tokensOut": 5,
    });
    change(&mut record);
    record.to_string().into_bytes()
}

fn cases() -> Vec<(&'static str, Option<Vec<u8>>)> {
    let at = |days: i64, minutes: i64| (Utc::now() + Duration::days(days) + Duration::minutes(minutes)).to_rfc3339();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let cloud_event = json!({
        "specversion": "1.0", "id": "1", "source": "s", "type": "com.example.other", "time": at(0, 0), "data": {},
    });
    vec![
        ("null_value", None),
        ("not_json", Some(b"{\"tenantId\": ".to_vec())),
        ("not_json", Some(record(|_| ()).into_iter().chain(*b" NaN").collect())),
        ("not_an_object", Some(b"[1, 2, 3]".to_vec())),
        ("missing_field", Some(record(|record| drop(record.as_object_mut().expect("an object").remove("tenantId"))))),
        ("invalid_id", Some(record(|record| record["userId"] = json!("")))),
        ("invalid_field", Some(record(|record| record["tokensIn"] = json!(-1)))),
        ("totals_mismatch", Some(record(|record| record["totalTokens"] = json!(16)))),
        ("time_in_future", Some(record(|record| record["createdAt"] = json!(at(0, 10))))),
        ("too_late", Some(record(|record| record["createdAt"] = json!(at(-36, 0))))),
        ("unknown_type", Some(cloud_event.to_string().into_bytes())),
        ("too_large", Some(record(|record| record["note"] = json!("x".repeat(1 << 20))))),
        ("not_utf8", Some(record(|_| ()).into_iter().chain([0xff, 0xfe]).collect())),
        ("too_deep", Some(deep.into_bytes())),
    ]
}

#[test]
fn every_bad_record_is_kept_with_its_reason_and_the_stream_goes_on() {
    let deployment = Deployment::with_topic(1, &[("max.message.bytes", "4194304")]);
    let (kafka, running) = (Kafka::shared(), deployment.serve());
    let (cases, sent_at) = (cases(), Utc::now().timestamp_millis());
    for (number, (_, value)) in cases.iter().enumerate() {
        let good = record(|record| record["requestId"] = json!(format!("good-{number}")));
        for value in [value.as_deref(), Some(&good)] {
            let headers = [("trace", "abc")];
            let record =
                Record { key: Some("k"), value, headers: &headers, timestamp: Some(sent_at), ..Record::default() };
            kafka.produce(&deployment.topic, record);
        }
    }
    deployment.await_counted();

    let letters = kafka.read_all(&format!("{}.dlq", deployment.topic));
    assert_eq!(letters.len(), cases.len());
    for (number, (reason, value)) in cases.iter().enumerate() {
        let offset = (2 * number).to_string();
        let letter = letters.iter().find(|letter| header(letter, "__connect.errors.offset") == offset);
        let letter = letter.unwrap_or_else(|| panic!("no dead letter for {reason}"));
        assert_eq!(header(letter, "dlq.reason"), *reason, "{}", header(letter, "__connect.errors.exception.message"));
        assert_eq!(letter.payload(), value.as_deref(), "{reason}: the bytes are untouched");
        assert_eq!((letter.key(), letter.timestamp().to_millis()), (Some(&b"k"[..]), Some(sent_at)));
        assert_eq!((header(letter, "trace"), header(letter, "__connect.errors.topic")), ("abc", &*deployment.topic));
        assert_eq!(header(letter, "__connect.errors.partition"), "0");
        assert_eq!(header(letter, "dlq.consumer_group"), format!("{}.group", deployment.topic));
        assert!(!header(letter, "dlq.failed_at").is_empty());
        let series = format!("indelible_rejects_total{{reason=\"{reason}\"}}");
        assert!(running.metric(&series).is_some_and(|count| count >= 1.0), "{series}");
    }
    let stats = running.get("/v1/tenants/acme/users/alice/stats").json();
    assert_eq!(stats["thisMonth"]["requests"], cases.len());
}

#[test]
fn a_request_that_no_amount_can_hold_is_a_dead_letter_and_takes_its_id_from_nobody() {
    let deployment = Deployment::new(1);
    let running = deployment.serve();
    let request = |tokens: i64| {
        record(|record| {
            record["requestId"] = json!("mended");
            (record["provider"], record["model"]) = (json!("anthropic"), json!("claude-opus-4-5"));
            (record["tokensIn"], record["tokensOut"]) = (json!(tokens), json!(0));
        })
    };
    // As a producer sends it who finds his mistake and sends the request once more, by the same name.
    let lines = [request(1 << 53), request(10)].join(&b'\n');
    deployment.emit(&String::from_utf8(lines).expect("text"));
    deployment.await_counted();
    let stats = running.get("/v1/tenants/acme/users/alice/stats").json();
    assert_eq!((&stats["allTime"]["requests"], &stats["allTime"]["tokensIn"]), (&json!(1), &json!(10)));
    let letters = Kafka::shared().read_all(&format!("{}.dlq", deployment.topic));
    assert_eq!(letters.iter().map(|letter| header(letter, "dlq.reason")).collect::<Vec<_>>(), ["counter_overflow"]);
}

#[test]
fn what_no_counter_can_hold_is_a_dead_letter_and_the_rest_is_counted() {
    let deployment = Deployment::new(1);
    let running = deployment.serve();
    // Nine times a billion dollars fit 64 bits of nano-dollars; ten times do not.
    let costly = |number: usize| {
        record(|record| {
            record["requestId"] = json!(format!("costly-{number}"));
            record["costCents"] = json!("100000000000");
        })
    };
    let lines: Vec<u8> = (0..12).map(costly).collect::<Vec<_>>().join(&b'\n');
    deployment.emit(&String::from_utf8(lines).expect("text"));
    deployment.await_counted();
    let stats = running.get("/v1/tenants/acme/users/alice/stats").json();
    assert_eq!(
        (&stats["allTime"]["requests"], stats["allTime"]["costCents"].to_string()),
        (&json!(9), "900000000000".to_owned())
    );
    let letters = Kafka::shared().read_all(&format!("{}.dlq", deployment.topic));
    assert_eq!(letters.iter().map(|letter| header(letter, "dlq.reason")).collect::<Vec<_>>(), ["counter_overflow"; 3]);
}

#[test]
fn while_a_dead_letter_cannot_be_written_the_worker_is_not_ready_however_well_others_count() {
    let deployment = Deployment::new(2);
    let kafka = Kafka::shared();
    kafka.create_topic(&format!("{}.dlq", deployment.topic), 1, &[("max.message.bytes", "1000")]);
    let running = deployment.serve();
    let send = |partition, value: &[u8]| {
        let record = Record { partition: Some(partition), value: Some(value), ..Record::default() };
        kafka.produce(&deployment.topic, record);
    };
    send(0, "no JSON ".repeat(1000).as_bytes());
    eventually(StdDuration::from_secs(20), "readiness to turn red", || (!running.is_ready()).then_some(()));
    for number in 0..40 {
        send(1, &record(|record| record["requestId"] = json!(format!("good-{number}"))));
        eventually(StdDuration::from_secs(20), "an event of the other partition to be counted", || {
            let counted = running.metric("indelible_records_total{outcome=\"counted\"}");
            assert!(!running.is_ready(), "ready although a partition waits");
            (counted == Some(f64::from(number + 1))).then_some(())
        });
    }
    assert!(running.metric("indelible_dead_letter_failures_total").is_some_and(|failures| failures >= 1.0));
    assert_eq!(running.metric("indelible_ready{part=\"worker\"}"), Some(0.0));
    let printed = running.child.output();
    assert_eq!(printed.matches("was not acknowledged").count(), 1, "{printed}");
    assert!(!printed.contains("working again"), "{printed}");
}
