//! 8,819 requests of a real service, through real Kafka: the sums are exact whatever the order, however often
//! they come, and whoever is killed half-way.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::program::Running;
use crate::support::wait::eventually;

const TRACE: &str = include_str!("../data/azure_llm_code_2023.csv");
const USERS: usize = 50;
const TENANTS: usize = 5;

/// [requests, tokens in, tokens out, ten-thousandths of a cent], summed from the file itself.
type Sums = [i64; 4];

struct Row {
    tenant: String,
    user: String,
    tokens_in: i64,
    tokens_out: i64,
    line: String,
}

/// The trace as bare records: the last row is now, tenant and user by the row's number.
fn rows(now: DateTime<Utc>) -> Vec<Row> {
    let time = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").expect("a time").and_utc();
    let cells: Vec<Vec<&str>> = TRACE.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let shift = now - time(cells.last().expect("rows")[0]);
    let row = |(number, cells): (usize, &Vec<&str>)| {
        let count = |cell: &str| cell.trim().parse::<i64>().expect("a count");
        let (tokens_in, tokens_out) = (count(cells[1]), count(cells[2]));
        let (tenant, user) = (format!("tenant-{}", number % TENANTS), format!("user-{}", number % USERS));
        // $3 and $15 a million tokens: ten-thousandths of a cent a token, times 3 and 15.
        let price = tokens_in * 3 + tokens_out * 15;
        let line = json!({
            "requestId": format!("row-{number}"), "createdAt": (time(cells[0]) + shift).to_rfc3339(),
            "tenantId": tenant, "userId": user, "assistant": "code", "model": "claude-sonnet-4-5",
            "tokensIn": tokens_in, "tokensOut": tokens_out, "totalTokens": tokens_in + tokens_out,
            "costCents": format!("{}.{:04}", price / 10_000, price % 10_000),
        });
        Row { tenant, user, tokens_in, tokens_out, line: format!("{line}\n") }
    };
    cells.iter().enumerate().map(row).collect()
}

fn lines<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    rows.into_iter().map(|row| row.line.as_str()).collect()
}

fn add(sums: &mut Sums, more: Sums) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

fn sums_of(usage: &Value) -> Sums {
    let cents = usage["costCents"].to_string();
    let (whole, fraction) = cents.split_once('.').unwrap_or((&cents, ""));
    let ten_thousandths: i64 = format!("{whole}{fraction:0<4}").parse().expect("cents with four places");
    let count = |name: &str| usage[name].as_i64().expect("a count");
    [count("requests"), count("tokensIn"), count("tokensOut"), ten_thousandths]
}

fn get(running: &Running, path: &str) -> Value {
    let answer = running.get(path);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Holds every user and tenant to the file, and the whole to the sums of its README.
#[track_caller]
fn check(running: &Running, rows: &[Row]) {
    let mut users: BTreeMap<(&str, &str), Sums> = BTreeMap::new();
    for row in rows {
        let sums = users.entry((&row.tenant, &row.user)).or_default();
        add(sums, [1, row.tokens_in, row.tokens_out, row.tokens_in * 3 + row.tokens_out * 15]);
    }
    let (mut all_users, mut all_tenants, mut tenants) = (Sums::default(), Sums::default(), BTreeMap::new());
    for ((tenant, user), expected) in users {
        let stats = get(running, &format!("/v1/tenants/{tenant}/users/{user}/stats"));
        assert_eq!(sums_of(&stats["allTime"]), expected, "{tenant} {user}");
        add(tenants.entry(tenant).or_default(), expected);
        add(&mut all_users, sums_of(&stats["allTime"]));
    }
    for (tenant, expected) in tenants {
        let stats = get(running, &format!("/v1/tenants/{tenant}/stats"));
        assert_eq!(sums_of(&stats["allTime"]), expected, "{tenant}");
        add(&mut all_tenants, sums_of(&stats["allTime"]));
    }
    let readme: Sums = [8_819, 18_059_974, 245_896, 57_868_362];
    assert_eq!([all_users, all_tenants], [readme, readme]);
}

#[test]
fn the_sums_are_exact_and_stay_so_when_the_file_is_emitted_again() {
    let (deployment, rows) = (Deployment::new(3), rows(Utc::now()));
    let running = deployment.serve();
    for _ in 0..2 {
        let output = deployment.emit_output(&lines(&rows));
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && printed.contains("8819 events acknowledged"), "{output:?}");
        deployment.await_counted();
        check(&running, &rows);
    }
    assert_eq!(running.metric("indelible_records_total{outcome=\"repeated\"}"), Some(8_819.0));
}

#[test]
fn shuffled_over_12_partitions_with_a_worker_killed_half_way_the_sums_are_the_same() {
    // A short session time-out only makes the survivor take over sooner.
    let deployment =
        Deployment::new(12).set("INDELIBLE_KAFKA_PROPERTIES", "session.timeout.ms=6000,heartbeat.interval.ms=1000");
    let mut rows = rows(Utc::now());
    rows.shuffle(&mut StdRng::seed_from_u64(4));
    let (survivor, mut victim) = (deployment.serve(), deployment.serve());
    // Both have partitions before anything is there to count.
    eventually(Duration::from_secs(60), "both workers to have partitions", || {
        let has = |running: &Running| running.metric("indelible_assigned_partitions").is_some_and(|n| n > 0.0);
        (has(&survivor) && has(&victim)).then_some(())
    });
    std::thread::scope(|scope| {
        let emitting = scope.spawn(|| deployment.emit(&lines(&rows)));
        let half = "the victim to have counted some events and not all";
        eventually(Duration::from_secs(60), half, || {
            victim.metric("indelible_records_total{outcome=\"counted\"}").filter(|counted| *counted > 500.0)
        });
        victim.child.kill();
        emitting.join().expect("the emitter ends well");
    });
    deployment.emit(&lines(rows.iter().take(1000)));
    deployment.await_counted();
    check(&survivor, &rows);
}
