//! The gate under load: `make bench-gate` asks it 5,000 times a second with 100,000 users stored.
//!
//! An open loop: each request has its instant, whatever became of those before it. As many threads as connections,
//! each of which waits for its answer; what a request waits for its thread is in the time from when it was due.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Datelike, NaiveTime, TimeDelta, Utc};
use indelible::domain::bucket::Bucket;
use indelible::domain::event::Event;
use indelible::domain::ids::TenantId;
use indelible::store::Ledger;
use indelible::store::keys::Keyspace;
use indelible::store::redis_ledger::RedisLedger;

use super::size;
use crate::quotas::{RETENTION, TOPIC, assigned, count, used};
use crate::script_conformance::link;
use crate::support::program::{Program, Running};
use crate::support::redis::Redis;

const TENANTS: usize = 100;
const CONNECTIONS: usize = 32;
const GOAL: Duration = Duration::from_millis(1);
const ROUTE: &str = "/v1/tenants/{tenant}/users/{user}/allow";

const PLANS: &str = r#"
default = "free"
[plans.free.user]
tokens = { soft = 1_000_000, hard = 1_200_000 }
grace = "72h"
[plans.pro.user]
tokens = { soft = 4_000_000 }
cost = { hard = "25.00" }
[plans.pro.tenant]
cost = { soft = "40000", hard = "50000" }
grace = "24h"
"#;

fn names(number: usize) -> (String, String) {
    (format!("tenant-{}", number % TENANTS), format!("user-{number}"))
}

/// Two days of use of each user, a plan for every other tenant, and one of their own for every tenth user.
fn events(users: usize, now: DateTime<Utc>) -> Vec<Event> {
    let month = now.date_naive().with_day(1).expect("every month has one").and_time(NaiveTime::MIN).and_utc();
    let of_tenants = (0..TENANTS)
        .step_by(2)
        .map(|number| assigned(&format!("plan-{number}"), (&names(number).0, None), month - TimeDelta::days(3), "pro"));
    let of_users = (0..users).flat_map(|number| {
        let (tenant, user) = names(number);
        let whose = (tenant.as_str(), user.as_str());
        let first = used(&format!("a-{number}"), whose, month, 10_000, 30_000_000);
        let latest = used(&format!("b-{number}"), whose, now, 5_000, 15_000_000);
        let own = number
            .is_multiple_of(10)
            .then(|| assigned(&format!("own-{number}"), (whose.0, Some(whose.1)), month, "pro"));
        [first, latest].into_iter().chain(own).collect::<Vec<_>>()
    });
    // As with a worker that runs, every bucket has been counted into.
    let spare = Bucket::all().map(|bucket| {
        let in_bucket = |tenant: &String| Bucket::of(&TenantId::new(tenant).expect("an id")) == bucket;
        let tenant = (0..).map(|number| format!("spare-{number}")).find(in_bucket).expect("numbers go on for ever");
        used("spare", (&tenant, "user"), now, 1, 1)
    });
    of_tenants.chain(of_users).chain(spare).collect()
}

/// Two times of one request.
#[derive(Debug, Clone, Copy)]
struct Took {
    /// From its bytes being written to the answer being there.
    service: Duration,
    /// From when it was due.
    response: Duration,
}

/// Asks at `rate` a second for `lasts`, over the connections together.
fn ask(running: &Running, users: usize, rate: u32, lasts: Duration) -> Vec<Took> {
    let address = running.api_url().trim_start_matches("http://").to_owned();
    let every = Duration::from_secs(1) / rate;
    let total = (rate * lasts.as_secs() as u32) as usize;
    let start = Instant::now() + Duration::from_millis(50);
    thread::scope(|scope| {
        let askers: Vec<_> = (0..CONNECTIONS)
            .map(|first| {
                let address = &address;
                scope.spawn(move || {
                    let mut connection = TcpStream::connect(address).expect("the API listens");
                    connection.set_nodelay(true).expect("a socket");
                    connection.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
                    let numbers = (first..total).step_by(CONNECTIONS);
                    let one = |number: usize| {
                        // Far apart from one request to the next, and all of them in turn.
                        let (tenant, user) = names(number * 7919 % users);
                        let due = start + every * number as u32;
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                        let request = format!(
                            "GET /v1/tenants/{tenant}/users/{user}/allow?tokens=1000 HTTP/1.1\r\nhost: {address}\r\n\r\n"
                        );
                        let written = Instant::now();
                        connection.write_all(request.as_bytes()).expect("the API reads");
                        let answer = answer(&mut connection);
                        let now = Instant::now();
                        let good = answer.starts_with("HTTP/1.1 200") && answer.contains("\"allowed\":true");
                        assert!(good, "{request}{answer}");
                        Took { service: now - written, response: now - due }
                    };
                    numbers.map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        askers.into_iter().flat_map(|asker| asker.join().expect("every answer is right")).collect()
    })
}

/// One answer with its body, of which the head says the length.
fn answer(connection: &mut TcpStream) -> String {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = connection.read(&mut chunk).expect("an answer within 5 s");
        assert!(read > 0, "the connection was closed: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.expect("the answer's length is known") {
            return text.into_owned();
        }
    }
}

fn print(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let at = |per_mille: usize| times[(times.len() * per_mille / 1000).min(times.len() - 1)];
    let p99 = at(990);
    println!(
        "{what:<34} p50 {:?}, p90 {:?}, p99 {p99:?}, p99.9 {:?}, max {:?}",
        at(500),
        at(900),
        at(999),
        times[times.len() - 1]
    );
    p99
}

/// Requests that the handler's own histogram has within a bound in seconds, and all.
fn in_server(running: &Running, bound: &str) -> (f64, f64) {
    let labels = format!("method=\"GET\",route=\"{ROUTE}\"");
    let series =
        |name: &str, more: &str| running.metric(&format!("indelible_api_request_seconds_{name}{{{labels}{more}}}"));
    (series("bucket", &format!(",le=\"{bound}\"")).unwrap_or(0.0), series("count", "").unwrap_or(0.0))
}

#[test]
fn the_gate_answers_all_who_ask() {
    let (users, rate, lasts, warm_up) = size((1_000, 200, 2, 1), (100_000, 5_000, 20, 5));
    let redis = Redis::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let ledger = RedisLedger::new(link(&redis), Keyspace::new("indelible"), RETENTION, "indelible");
        ledger.prepare().await.expect("an empty namespace becomes ours");
        count(&ledger, &mut BTreeMap::new(), events(users, Utc::now())).await;
    });
    drop(runtime);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let plans = dir.path().join("plans.toml");
    std::fs::write(&plans, PLANS).expect("the folder can be written");
    let running = Program::serve(&[
        ("INDELIBLE_ROLE", "api"),
        ("INDELIBLE_KAFKA_TOPICS", TOPIC),
        ("INDELIBLE_REDIS_URL", &redis.url()),
        ("INDELIBLE_PLANS", plans.to_str().expect("a path")),
        ("RUST_LOG", "warn"),
    ]);
    ask(&running, users, rate, Duration::from_secs(warm_up));
    let before = ["0.0005", "0.001"].map(|bound| in_server(&running, bound));
    let start = Instant::now();
    let took = ask(&running, users, rate, Duration::from_secs(lasts));
    let achieved = took.len() as u128 * 1_000_000 / start.elapsed().as_micros();
    assert_eq!(took.len() as u64, u64::from(rate) * lasts);
    println!("{} answers over {CONNECTIONS} connections with {users} users stored: {achieved} a second", took.len());
    let p99 = print("from written to answered", took.iter().map(|took| took.service).collect());
    print("from when it was due to answered", took.iter().map(|took| took.response).collect());
    for (bound, before) in ["0.0005", "0.001"].into_iter().zip(before) {
        let after = in_server(&running, bound);
        let (within, all) = (after.0 - before.0, after.1 - before.1);
        assert!(all >= took.len() as f64, "the server has counted {all} requests");
        println!("in the server within {bound} s: {:.3} %", 100.0 * within / all);
    }
    let verdict = if p99 < GOAL { "met" } else { "missed" };
    println!("goal: p99 from written to answered below {GOAL:?}: {verdict}");
}
