//! `indelible dlq`, by its users: dead letters are found, shown as they are, and counted once when they can be.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::process::Output;
use std::time::Duration as StdDuration;

use chrono::{Duration, Utc};
use rdkafka::message::{Headers, OwnedMessage};
use rdkafka::{ClientConfig, Message};
use serde_json::{Value, json};
use tempfile::TempDir;

use indelible::domain::calendar::TimeMs;
use indelible::ingest::letter_log::LetterLog;
use indelible::ingest::letters::{Entry, Letter};
use indelible::ingest::replayer::{Replay, Replayer};

use crate::support::deployment::Deployment;
use crate::support::event::bare;
use crate::support::kafka::{Kafka, Record};
use crate::support::program::{Program, Running};
use crate::support::wait::{START, eventually, within};

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// `indelible dlq …` with the deployment's settings.
fn dlq(deployment: &Deployment, args: &[&str]) -> Said {
    let Output { status, stdout, stderr } = Program::run(&[&["dlq"], args].concat(), &deployment.env(), "");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// The same, which must end with this code; what it printed to standard output.
#[track_caller]
fn ends(code: i32, deployment: &Deployment, args: &[&str]) -> String {
    let Said { code: ended, stdout, stderr } = dlq(deployment, args);
    assert_eq!(ended, Some(code), "{args:?}\n{stdout}{stderr}");
    stdout
}

fn letters_of(deployment: &Deployment) -> String {
    format!("{}.dlq", deployment.topic)
}

fn sizes(deployment: &Deployment) -> (usize, usize) {
    let kafka = Kafka::shared();
    (kafka.read_all(&deployment.topic).len(), kafka.read_all(&letters_of(deployment)).len())
}

/// A bare record of one request so long ago.
fn ago(id: &str, ago: Duration) -> String {
    json!({
        "requestId": id, "createdAt": (Utc::now() - ago).to_rfc3339(), "tenantId": "acme", "userId": "alice",
        "assistant": "chat", "model": "m", "tokensIn": 10, "tokensOut": 5,
    })
    .to_string()
}

fn produce(deployment: &Deployment, value: Option<&[u8]>, headers: &[(&str, &str)]) {
    let record = Record { key: Some("acme:alice"), value, headers, ..Record::default() };
    Kafka::shared().produce(&deployment.topic, record);
}

fn header<'a>(message: &'a OwnedMessage, name: &str) -> Option<&'a str> {
    let found = message.headers().into_iter().flat_map(Headers::iter).find(|header| header.key == name)?;
    std::str::from_utf8(found.value?).ok()
}

/// Waits until all is counted. No watermark passes the end of a transaction before another record follows it.
#[track_caller]
fn settle(deployment: &Deployment) {
    for partition in 0..deployment.partitions {
        let value = bare(&Kafka::unique("after"), "other", "bob");
        let record = Record { partition: Some(partition), value: Some(value.as_bytes()), ..Record::default() };
        Kafka::shared().produce(&deployment.topic, record);
    }
    deployment.await_counted();
}

/// In order: the group would wait for a killed one.
#[track_caller]
fn stop(mut running: Running) {
    running.child.terminate();
    assert!(running.child.wait(START).success(), "{}", running.child.output());
}

fn requests(running: &Running) -> Value {
    running.get("/v1/tenants/acme/users/alice/stats").json()["allTime"]["requests"].clone()
}

/// An event in CloudEvents' binary mode, two hours old: headers and data.
fn binary_mode(time: &str) -> ([(&str, &str); 6], String) {
    let data = json!({
        "tenantId": "acme", "userId": "alice", "assistant": "chat", "model": "m", "tokensIn": 1, "tokensOut": 1,
    });
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", "binary"),
        ("ce_source", "chat"),
        ("ce_type", "ai.usage.recorded.v1"),
        ("ce_time", time),
        ("trace", "abc"),
    ];
    (headers, data.to_string())
}

#[test]
fn what_was_too_late_is_counted_once_when_the_bound_is_wider_and_poison_stays() {
    let deployment = Deployment::new(2).set("INDELIBLE_MAX_AGE", "1h");
    let running = deployment.serve();
    let two_hours = Duration::hours(2);
    produce(&deployment, Some(ago("late-1", two_hours).as_bytes()), &[]);
    produce(&deployment, Some(ago("late-2", two_hours).as_bytes()), &[("trace", "xyz")]);
    let time = (Utc::now() - two_hours).to_rfc3339();
    let (headers, data) = binary_mode(&time);
    produce(&deployment, Some(data.as_bytes()), &headers);
    produce(&deployment, Some(b"no JSON"), &[]);
    produce(&deployment, None, &[]);
    produce(&deployment, Some(ago("good", Duration::zero()).as_bytes()), &[]);
    deployment.await_counted();
    assert_eq!(requests(&running), 1);
    stop(running);

    // By the old bound nothing is an event; a dry run changes nothing, nor does one that is not told what.
    let before = sizes(&deployment);
    assert_eq!(before, (6, 5));
    assert!(
        ends(2, &deployment, &["replay", "--all", "--dry-run"]).contains("left: not_json 1, null_value 1, too_late 3")
    );
    ends(64, &deployment, &["replay"]);
    ends(64, &deployment, &["replay", "--all", "--reason", "too_late"]);
    assert!(ends(2, &deployment, &["replay", "--all"]).contains("0 records replayed"));

    let deployment = deployment.set("INDELIBLE_MAX_AGE", "35d");
    let running = deployment.serve();
    let said = ends(2, &deployment, &["replay", "--all", "--dry-run"]);
    assert!(said.contains("3 records would be accepted; left: not_json 1, null_value 1"), "{said}");
    assert_eq!(sizes(&deployment), before);

    let said = ends(0, &deployment, &["replay", "--reason", "too_late"]);
    assert!(said.contains("3 records replayed"), "{said}");
    settle(&deployment);
    assert_eq!(requests(&running), 4);
    assert_replayed_as_they_were(&deployment);

    // A marker for each; nobody is sent twice, however often it is asked for.
    assert_eq!(sizes(&deployment), (11, 8));
    let said = ends(2, &deployment, &["replay", "--all"]);
    assert!(said.contains("0 records replayed; 3 were replayed before; left: not_json 1, null_value 1"), "{said}");
    assert_eq!(sizes(&deployment), (11, 8));
    let said = ends(0, &deployment, &["list"]);
    assert!(said.contains("5 rejected records; not_json 1, null_value 1, too_late 3; 3 of them replayed"), "{said}");

    // Unless it is insisted on: then their ids are known.
    assert!(ends(0, &deployment, &["replay", "--reason", "too_late", "--again"]).contains("3 records replayed"));
    settle(&deployment);
    assert_eq!((requests(&running), sizes(&deployment).0), (json!(4), 16));
    let repeated = running.metric("indelible_records_total{outcome=\"repeated\"}");
    assert_eq!(repeated, Some(3.0), "the same id with the same content");
}

/// Key, bytes, headers, partition and timestamp are those of the first time.
#[track_caller]
fn assert_replayed_as_they_were(deployment: &Deployment) {
    let all = Kafka::shared().read_all(&deployment.topic);
    let (again, first): (Vec<_>, Vec<_>) = all.iter().partition(|one| header(one, "dlq.replayed_from").is_some());
    assert_eq!(again.len(), 3);
    for record in again {
        let own = |record: &OwnedMessage| {
            let headers: Vec<_> = record.headers().into_iter().flat_map(Headers::iter).collect();
            let own = headers.iter().filter(|header| header.key != "dlq.replayed_from");
            own.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect::<Vec<_>>()
        };
        let same = |other: &&&OwnedMessage| {
            (other.key(), other.payload(), other.partition(), other.timestamp(), own(other))
                == (record.key(), record.payload(), record.partition(), record.timestamp(), own(record))
        };
        assert_eq!(first.iter().filter(same).count(), 1, "{record:?}");
        let from = header(record, "dlq.replayed_from").expect("a place");
        assert!(from.starts_with(&format!("{}:0:", letters_of(deployment))), "{from}");
    }
}

#[test]
fn an_event_of_the_future_is_counted_when_its_time_has_come() {
    let deployment = Deployment::new(1).set("INDELIBLE_MAX_FUTURE", "1s");
    let running = deployment.serve();
    produce(&deployment, Some(ago("early", Duration::seconds(-8)).as_bytes()), &[]);
    deployment.await_counted();
    assert_eq!(requests(&running), 0);
    eventually(START, "the time to come", || {
        (dlq(&deployment, &["replay", "--reason", "time_in_future"]).code == Some(0)).then_some(())
    });
    settle(&deployment);
    assert_eq!(requests(&running), 1);
}

/// A letter as the worker would have written it, in a partition of the dead-letter topic.
fn write_letter(deployment: &Deployment, partition: i32, reason: &str, failed_at: &str, value: Option<&[u8]>) {
    write_letter_of(deployment, &deployment.topic, partition, reason, failed_at, value);
}

fn write_letter_of(
    deployment: &Deployment,
    topic: &str,
    partition: i32,
    reason: &str,
    failed_at: &str,
    value: Option<&[u8]>,
) {
    let headers = [
        ("__connect.errors.topic", topic),
        ("__connect.errors.partition", "0"),
        ("__connect.errors.offset", "7"),
        ("__connect.errors.exception.message", "told in\u{1b}[2J one line"),
        ("dlq.reason", reason),
        ("dlq.failed_at", failed_at),
        ("dlq.consumer_group", "g"),
    ];
    let timestamp = Some(Utc::now().timestamp_millis() - 60_000);
    let partition = Some(partition);
    let record = Record { partition, key: Some("k"), value, headers: &headers, timestamp };
    Kafka::shared().produce(&letters_of(deployment), record);
}

/// A deployment whose dead letters are made up, in two partitions.
fn with_letters() -> Deployment {
    let deployment = Deployment::new(1);
    Kafka::shared().create_topic(&letters_of(&deployment), 2, &[]);
    deployment
}

#[test]
fn a_letter_that_was_written_twice_is_one_record() {
    let deployment = with_letters();
    let now = Utc::now().timestamp_millis() - 60_000;
    let value = ago("twice", Duration::minutes(2));
    for partition in [0, 1, 1] {
        let headers = [
            ("__connect.errors.topic", deployment.topic.as_str()),
            ("__connect.errors.partition", "0"),
            ("__connect.errors.offset", "7"),
            ("dlq.reason", "counter_overflow"),
        ];
        let value = Some(value.as_bytes());
        let record =
            Record { partition: Some(partition), key: Some("k"), value, headers: &headers, timestamp: Some(now) };
        Kafka::shared().produce(&letters_of(&deployment), record);
    }
    let listed = ends(0, &deployment, &["list"]);
    assert!(listed.contains("(written 3 times)") && listed.contains("1 rejected records"), "{listed}");
    assert!(ends(0, &deployment, &["replay", "--all"]).contains("1 records replayed"));
    assert!(ends(0, &deployment, &["replay", "--all"]).contains("1 were replayed before"));
    assert_eq!(sizes(&deployment), (1, 4));
}

#[test]
fn letters_are_found_by_reason_time_and_topic() {
    // Also by the consumer of the newer group protocol, which joins no group either.
    let deployment = with_letters().set("INDELIBLE_KAFKA_PROPERTIES", "group.protocol=consumer");
    let times = ["2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z", "2026-01-03T00:00:00.000Z"];
    for (number, (reason, at)) in ["not_json", "too_late", "not_utf8"].into_iter().zip(times).enumerate() {
        write_letter(&deployment, number as i32 % 2, reason, at, Some(format!("value {number}").as_bytes()));
    }
    write_letter_of(&deployment, "another", 0, "not_json", times[0], Some(b"of another topic"));
    Kafka::shared().produce(&letters_of(&deployment), Record { value: Some(b"no letter"), ..Record::default() });

    let found = |args: &[&str]| -> BTreeSet<String> {
        let said = ends(0, &deployment, &[&["list", "--json"], args].concat());
        let lines = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.map(|line| format!("{} {}", line["reason"].as_str().expect("text"), line["failedAt"])).collect()
    };
    let set = |names: &[&str]| -> BTreeSet<String> {
        let all = ["not_json", "too_late", "not_utf8"].into_iter().zip(times);
        all.filter(|(name, _)| names.contains(name)).map(|(name, at)| format!("{name} \"{at}\"")).collect()
    };
    assert_eq!(found(&[]), set(&["not_json", "too_late", "not_utf8"]));
    assert_eq!(found(&["--reason", "not_json,not_utf8"]), set(&["not_json", "not_utf8"]));
    assert_eq!(found(&["--since", times[1]]), set(&["too_late", "not_utf8"]));
    assert_eq!(found(&["--until", times[1]]), set(&["not_json"]));
    assert_eq!(found(&["--since", "1h"]), set(&[]));
    assert_eq!(found(&["--from-topic", &deployment.topic, "--until", times[1]]).len(), 1);
    let said = ends(0, &deployment, &["list", "--limit", "1", "--from-topic", &deployment.topic]);
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("3 rejected records; not_json 1, not_utf8 1, too_late 1; 1 more records are no"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");

    assert_eq!(dlq(&deployment, &["list", "--reason", "too_early"]).code, Some(64));
    assert_eq!(dlq(&deployment, &["list", "--since", "soon"]).code, Some(64));
    let said = ends(0, &deployment, &["list", "--limit", "0"]);
    assert!(said.contains("4 rejected records"), "{said}");
    let place = format!("{}:1:0", letters_of(&deployment));
    let said = ends(2, &deployment, &["replay", "--dry-run", &place]);
    assert!(said.contains(&place) && said.contains("0 records would be accepted; left: not_json 1"), "{said}");
    let said = ends(2, &deployment, &["replay", "--from-topic", "another"]);
    assert!(said.contains("another is not one of INDELIBLE_KAFKA_TOPICS"), "{said}");
}

#[test]
fn a_letter_is_shown_whole_and_its_bytes_untouched() {
    let deployment = with_letters();
    let (garbage, at) = (b"\xff\xfe\x00\x1b[2J".as_slice(), "2026-01-01T00:00:00.000Z");
    write_letter(&deployment, 0, "not_utf8", at, Some(garbage));
    write_letter(&deployment, 0, "null_value", at, None);
    write_letter(&deployment, 0, "not_of_this_version", at, Some(ago("valid", Duration::zero()).as_bytes()));

    let shown = ends(0, &deployment, &["show", "0:0"]);
    for part in [
        &format!("letter     {}:0:0", letters_of(&deployment)),
        &format!("source     {}:0:7", deployment.topic),
        "2026-01-01T00:00:00.000Z by group g",
        "not_utf8: the value, or a header that we read, is not UTF-8",
        "told in\\u{1b}[2J one line",
        "mend the producer's encoding",
        "would be rejected again: not_utf8",
        "key        k",
        "header     dlq.consumer_group: g",
        "7 bytes, not UTF-8; in base64:\n//4AG1sySg==",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    let raw = Program::run(&["dlq", "show", "0:0", "--raw"], &deployment.env(), "");
    assert_eq!((raw.status.code(), raw.stdout.as_slice()), (Some(0), garbage));

    let shown = ends(0, &deployment, &["show", &format!("{}:0:1", letters_of(&deployment))]);
    assert!(shown.contains("value      null"), "{shown}");
    ends(1, &deployment, &["show", "0:1", "--raw"]);
    let shown = ends(0, &deployment, &["show", "0:2"]);
    assert!(shown.contains("not a reason that this version knows") && shown.contains("would be accepted"), "{shown}");

    for (place, why) in [
        ("0:3", "there is no record at"),
        ("7:0", "there is no record at"),
        ("elsewhere:0:0", "is not a dead-letter topic of these settings"),
        ("0", "is not a place"),
    ] {
        let said = dlq(&deployment, &["show", place]);
        assert!(said.code == Some(1) && said.stderr.contains(why), "{place}: {}", said.stderr);
    }
}

#[test]
fn where_the_broker_sets_the_timestamps_the_decision_is_by_now() {
    let on_append = Deployment::with_topic(1, &[("message.timestamp.type", "LogAppendTime")]);
    let by_producer = Deployment::new(1);
    for (deployment, code) in [(&on_append, 2), (&by_producer, 0)] {
        Kafka::shared().create_topic(&letters_of(deployment), 1, &[]);
        // Valid by the minute-old timestamp of the letter alone.
        let deployment_env = [deployment.env(), vec![("INDELIBLE_MAX_AGE", "30s")]].concat();
        let value = ago("old", Duration::seconds(61));
        write_letter(deployment, 0, "unknown_type", "2026-01-01T00:00:00.000Z", Some(value.as_bytes()));
        let said = Program::run(&["dlq", "replay", "--all", "--dry-run"], &deployment_env, "");
        assert_eq!(said.status.code(), Some(code), "{said:?}");
    }
}

#[test]
fn a_topic_or_a_broker_that_is_not_there_is_told_of() {
    let deployment = Deployment::new(1);
    for args in [&["list"][..], &["replay", "--all"]] {
        let said = dlq(&deployment, args);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        assert!(said.stderr.contains(&format!("there is no topic {}", letters_of(&deployment))), "{}", said.stderr);
    }
    ends(1, &deployment, &["show", "0:0"]);

    let deployment = deployment.set("INDELIBLE_KAFKA_BROKERS", "127.0.0.1:1");
    for args in [&["list"][..], &["show", "0:0"], &["replay", "--all"]] {
        let said = dlq(&deployment, args);
        assert_eq!(said.code, Some(1));
        let why = said.stderr.lines().last().unwrap_or_default();
        assert!(why.starts_with("indelible: ") && why.contains("Connection refused"), "{}", said.stderr);
    }
}

/// The letters of a topic, as a replay takes them.
fn replays(kafka: &ClientConfig, topic: &str) -> Vec<Replay> {
    let log = LetterLog::open(kafka.clone(), "reader").expect("a client connects later");
    let (mut replays, timestamp) = (Vec::new(), TimeMs(Utc::now().timestamp_millis()));
    for span in log.spans(topic).expect("the broker answers").expect("the topic is there") {
        let read = log.read(&span, |record| {
            let letter: Option<Letter> = match Entry::of(&record) {
                Entry::Letter(letter) => Some(letter),
                _ => None,
            };
            replays.extend(letter.map(|letter| Replay { letter, timestamp }));
            Ok(ControlFlow::Continue(()))
        });
        read.expect("the topic can be read");
    }
    replays
}

#[test]
fn records_and_markers_are_written_together_or_not_at_all() {
    let deployment = with_letters();
    let (topic, at) = (letters_of(&deployment), "2026-01-01T00:00:00.000Z");
    let value = ago("once", Duration::minutes(1));
    write_letter(&deployment, 0, "too_late", at, Some(value.as_bytes()));
    let mut kafka = ClientConfig::new();
    kafka.set("bootstrap.servers", Kafka::shared().bootstrap());
    let (good, now) = (replays(&kafka, &topic), TimeMs(Utc::now().timestamp_millis()));
    assert_eq!(good.len(), 1);

    // The second of two can't be sent: its topic is not there.
    write_letter_of(&deployment, &Kafka::unique("nowhere"), 1, "too_late", at, Some(b"{}"));
    let mixed = replays(&kafka, &topic);
    let first = Replayer::open(kafka.clone(), &topic).expect("a transaction");
    let failed = first.replay(&mixed, now).expect_err("there is no such topic");
    assert!(failed.contains(&topic), "{failed}");
    assert_eq!(sizes(&deployment), (0, 2), "a transaction that was given up is not there");

    // One that comes later takes over; the first can't write any more.
    let second = Replayer::open(kafka.clone(), &topic).expect("a transaction");
    let fenced = first.replay(&good, now).expect_err("fenced");
    assert!(fenced.contains("another replay"), "{fenced}");
    assert_eq!(sizes(&deployment), (0, 2));
    assert_eq!(second.replay(&good, now).expect("replayed").len(), 1);
    assert_eq!(sizes(&deployment), (1, 3));
}

#[test]
fn a_replay_that_is_killed_at_any_time_leaves_each_record_counted_once() {
    let deployment = Deployment::new(1).set("INDELIBLE_MAX_AGE", "1h");
    let running = deployment.serve();
    let lines: Vec<_> = (0..600).map(|number| ago(&format!("late-{number}"), Duration::hours(2))).collect();
    let records = lines.iter().map(|line| Record { value: Some(line.as_bytes()), ..Record::default() });
    Kafka::shared().produce_all(&deployment.topic, records);
    deployment.await_counted();
    stop(running);
    let deployment = deployment.set("INDELIBLE_MAX_AGE", "35d");
    let (running, dir) = (deployment.serve(), TempDir::new().expect("a temporary folder"));
    let mut killed = 0;
    // From before its transaction to after the last one, on a machine of any speed.
    for pause_ms in (0..).map(|step| 40 * step) {
        let mut replay = Program::start(&["dlq", "replay", "--all"], &deployment.env(), dir.path());
        if within(StdDuration::from_millis(pause_ms), || replay.exited()).is_some() {
            break;
        }
        replay.kill();
        killed += 1;
    }
    let said = ends(0, &deployment, &["replay", "--all"]);
    assert!(said.contains("600 were replayed before"), "after {killed} kills: {said}");
    settle(&deployment);
    assert_eq!((requests(&running), sizes(&deployment)), (json!(600), (1201, 1200)));
}
