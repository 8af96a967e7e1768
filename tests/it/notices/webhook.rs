//! The webhook: signed, tried again, given up after its time, and never in the topic's way.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};
use tokio_util::sync::CancellationToken;

use indelible::ingest::notices::backoff::Schedule;
use indelible::ingest::notices::publisher::Publisher;
use indelible::ingest::notices::sender::{Pace, Sender};
use indelible::ingest::notices::webhook::Webhook;
use indelible::ingest::notices::{Receiver as Channel, Secret};
use indelible::ops::metrics::Metrics;
use indelible::store::keys::Keyspace;
use indelible::store::link::{Link, Patience, Target};
use indelible::store::redis_outbox::RedisOutbox;

use super::receiver::{Receiver, SECRET};
use super::{await_sent, deployment, hold, month, notice_topic, notices, stop, usage, waiting};
use crate::support::authority::Authority;
use crate::support::deployment::Deployment;
use crate::support::kafka::{Kafka, client};
use crate::support::program::Program;
use crate::support::wait::{START, eventually};

/// A day of two seconds.
const SHORT: Pace = Pace {
    look: (Duration::from_millis(20), Duration::from_millis(20)),
    rest: Duration::from_millis(1),
    topic_lease: Duration::from_secs(40),
    webhook_lease: Duration::from_secs(60),
    schedule: Schedule {
        first: Duration::from_millis(100),
        longest: Duration::from_secs(1),
        for_so_long: Duration::from_secs(2),
    },
};

/// A sender with a short day, beside a worker that only notes.
fn with_sender<T>(deployment: &Deployment, receiver: &Receiver, then: impl FnOnce() -> T) -> (T, Arc<Metrics>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let patience = Patience { connect: Duration::from_secs(5), response: Duration::from_secs(5) };
    let link = Link::new(Target::parse(&deployment.redis.url()).expect("a URL"), patience);
    let outbox = RedisOutbox::new(Arc::new(link), Keyspace::new("indelible"));
    let kafka = client(&Kafka::shared().bootstrap());
    let publisher = Publisher::new(kafka, &notice_topic(deployment), "the group").expect("a producer");
    let secret = Secret(SECRET.as_bytes().to_vec());
    let channel = Channel { url: receiver.url().parse().expect("a URL"), secret };
    let webhook = Webhook::new(&channel).expect("no TLS");
    let metrics = Arc::new(Metrics::new(&[]).expect("metrics"));
    let sender = Sender::new(outbox, publisher, Some(webhook), Arc::clone(&metrics), Arc::default(), SHORT);
    let shutdown = CancellationToken::new();
    let running = {
        let shutdown = shutdown.clone();
        runtime.spawn(async move { sender.run(&shutdown).await })
    };
    let result = then();
    shutdown.cancel();
    runtime.block_on(running).expect("it does not panic");
    (result, metrics)
}

/// One notice waits; the program that noted it is gone.
fn with_one_notice() -> Deployment {
    let deployment = deployment(1);
    Kafka::shared().create_topic(&letters_of(&deployment), 1, &[]);
    let lease = hold(&deployment, "acme");
    let worker = deployment.serve();
    deployment.emit(&usage("u1", "acme", "alice", 1000));
    deployment.await_counted();
    stop(vec![worker]);
    assert_eq!(waiting(&deployment), [1, 0]);
    deployment.redis.ask::<()>("DEL", &[&lease]);
    deployment
}

fn letters_of(deployment: &Deployment) -> String {
    format!("{}.dlq", notice_topic(deployment))
}

fn letters(deployment: &Deployment) -> Vec<OwnedMessage> {
    Kafka::shared().read_all(&letters_of(deployment))
}

fn header<'a>(message: &'a OwnedMessage, name: &str) -> &'a str {
    let found = message.headers().into_iter().flat_map(Headers::iter).find(|header| header.key == name);
    std::str::from_utf8(found.and_then(|header| header.value).unwrap_or_default()).expect("text")
}

#[track_caller]
fn tries(metrics: &Metrics, outcome: &str) -> u64 {
    let series = format!("indelible_notices_total{{outcome=\"{outcome}\",sink=\"webhook\"}} ");
    let text = metrics.scrape().expect("metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(&series)).expect("a series");
    line.parse().expect("a count")
}

#[test]
fn who_refuses_twice_gets_it_a_third_time_and_not_again() {
    let deployment = with_one_notice();
    let receiver = Receiver::start(&["503 Busy", "301 Moved\r\nLocation: http://127.0.0.1:1/"], "204 Thanks");
    let ((), metrics) = with_sender(&deployment, &receiver, || await_sent(&deployment));
    let posts = receiver.posts();
    assert_eq!(posts.len(), 3);
    let events: Vec<_> = posts.iter().map(super::receiver::Post::verify).collect();
    assert!(events.iter().all(|event| *event == events[0]), "the same each time");
    assert_eq!(events, [&notices(&deployment)[..], &events[1..]].concat(), "what the topic has, too");
    assert_eq!(posts[0].id(), format!("acme:alice:{}:tokens:100", month()));
    assert_eq!((tries(&metrics, "failed"), tries(&metrics, "sent"), letters(&deployment).len()), (2, 1, 0));
}

#[test]
fn who_never_takes_it_has_a_dead_letter_after_the_day() {
    let deployment = with_one_notice();
    let receiver = Receiver::start(&[], "500 Out of order");
    let ((), metrics) = with_sender(&deployment, &receiver, || await_sent(&deployment));
    // At 0, 0.1, 0.3, 0.7, 1.5 and 2 seconds; on a busy machine they are later and fewer, never more.
    let posts = receiver.posts().len();
    assert!((2..=6).contains(&posts), "{posts} tries");
    let letters = letters(&deployment);
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!(letter.key(), Some(b"acme:alice".as_slice()));
    assert_eq!(letter.payload(), Some(receiver.posts()[0].body.as_bytes()));
    for (name, value) in [
        ("dlq.reason", "webhook_failed"),
        ("dlq.attempts", &posts.to_string()),
        ("dlq.consumer_group", "the group"),
        ("__connect.errors.topic", &notice_topic(&deployment)),
        ("__connect.errors.exception.message", "it answers 500 Internal Server Error"),
        ("content-type", "application/cloudevents+json"),
    ] {
        assert_eq!(header(letter, name), value, "{name}");
    }
    assert!(header(letter, "dlq.failed_at").ends_with('Z'));
    assert_eq!(tries(&metrics, "failed"), posts as u64);
    assert_eq!((tries(&metrics, "sent"), tries(&metrics, "dead_lettered")), (0, 1));
    assert_eq!(notices(&deployment).len(), 1, "the topic had it all the time");
}

#[test]
fn who_is_gone_for_good_is_tried_once() {
    let deployment = with_one_notice();
    let receiver = Receiver::start(&[], "410 Gone");
    with_sender(&deployment, &receiver, || await_sent(&deployment));
    assert_eq!((receiver.posts().len(), letters(&deployment).len()), (1, 1));
}

#[test]
fn who_asks_for_time_is_given_it() {
    let deployment = with_one_notice();
    let receiver = Receiver::start(&["429 Slowly\r\nRetry-After: 1"], "200 OK");
    with_sender(&deployment, &receiver, || await_sent(&deployment));
    let posts = receiver.posts();
    let times: Vec<i64> =
        posts.iter().map(|post| post.headers["webhook-timestamp"].parse().expect("seconds")).collect();
    assert_eq!(times.len(), 2);
    assert!(times[1] > times[0], "{times:?}: 0.1 s would have been the first wait");
}

#[test]
fn the_program_posts_what_it_publishes_and_a_receiver_that_is_down_holds_nothing_up() {
    let receiver = Receiver::start(&[], "200 OK");
    let deployment =
        deployment(1).set("INDELIBLE_NOTICE_WEBHOOK", &receiver.url()).set("INDELIBLE_NOTICE_WEBHOOK_SECRET", SECRET);
    let running = deployment.serve();
    deployment.emit(&(usage("u1", "acme", "alice", 1000) + &usage("u2", "beta", "bob", 600)));
    super::settle(&deployment);
    let mut posted: Vec<_> = receiver.posts().iter().map(super::receiver::Post::verify).collect();
    let mut published = notices(&deployment);
    for events in [&mut posted, &mut published] {
        events.sort_by_key(|event| event["id"].to_string());
    }
    assert_eq!((posted.len(), &posted), (2, &published));
    stop(vec![running]);

    let deployment = deployment.set("INDELIBLE_NOTICE_WEBHOOK", "http://127.0.0.1:1/");
    let running = Program::serve(&deployment.env());
    deployment.emit(&usage("u3", "beta", "bob", 400));
    deployment.await_counted();
    eventually(START, "the topic to have it", || (waiting(&deployment) == [0, 1]).then_some(()));
    assert_eq!(notices(&deployment).len(), 3);
    let failed = || running.metric("indelible_notices_total{outcome=\"failed\",sink=\"webhook\"}");
    eventually(START, "a try", || (failed() >= Some(1.0)).then_some(()));
    let output = running.child.output();
    assert!(output.contains("sink=\"webhook\"") && output.contains("refused"), "{output}");
    let waits: Vec<String> = deployment.redis.ask("KEYS", &["indelible:*:webhook"]);
    let stored: Vec<String> = deployment.redis.ask("HVALS", &[&waits[0]]);
    let parts: Vec<_> = stored[0].splitn(3, ' ').collect();
    assert!(parts[0].parse::<i64>().is_ok() && parts[1] == "1" && parts[2].starts_with('{'), "{stored:?}");
}

#[test]
fn over_tls_who_is_trusted_is_told_and_another_is_not() {
    let authority = Authority::new();
    let receiver = Receiver::start_tls(authority.issue("receiver"));
    let deployment =
        deployment(1).set("INDELIBLE_NOTICE_WEBHOOK", &receiver.url()).set("INDELIBLE_NOTICE_WEBHOOK_SECRET", SECRET);
    let stranger = deployment.serve();
    deployment.emit(&usage("u1", "acme", "alice", 500));
    deployment.await_counted();
    let failed = || stranger.metric("indelible_notices_total{outcome=\"failed\",sink=\"webhook\"}");
    eventually(START, "a try", || (failed() >= Some(1.0)).then_some(()));
    let output = stranger.child.output();
    assert!(output.contains("UnknownIssuer"), "{output}");
    assert_eq!((waiting(&deployment), receiver.posts().len()), ([0, 1], 0));
    stop(vec![stranger]);

    let deployment = deployment.set("SSL_CERT_FILE", &authority.certificate());
    let _trusting = deployment.serve();
    // Ten seconds after the first.
    await_sent(&deployment);
    assert_eq!(receiver.posts().iter().map(|post| post.verify()["id"].clone()).collect::<Vec<_>>().len(), 1);
}
