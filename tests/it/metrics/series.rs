//! How many series a process exports, whatever producers and callers send.

use std::time::Duration;

use chrono::Utc;

use super::scrape::Scrape;
use crate::support::deployment::Deployment;
use crate::support::flood::flood;
use crate::support::program::Running;

const TENANTS: u64 = 10_000;
const USERS: u64 = 100_000;
const MODELS: u64 = 500;
const PARTITIONS: i32 = 4;
const MOST_SERIES: usize = 2_000;
const CATCH_UP: Duration = Duration::from_secs(120);

/// Each user has an event; each route is asked in every way that it refuses or answers.
pub(super) fn with_many_tenants_users_and_models() {
    let mut deployment = Deployment::new(PARTITIONS);
    let running = deployment.serve();
    let now = Utc::now().to_rfc3339();
    flood(&deployment.topic, USERS, |user| {
        let (tenant, model) = (user % TENANTS, user % MODELS);
        let event = format!(
            "{{\"requestId\":\"{user}\",\"createdAt\":\"{now}\",\"tenantId\":\"tenant-{tenant}\",\"userId\":\"user-{user}\",\
             \"assistant\":\"chat\",\"model\":\"model-{model}\",\"tokensIn\":10,\"tokensOut\":5,\"costCents\":0.25}}"
        );
        (None, format!("tenant-{tenant}:user-{user}"), event)
    });
    let routes = routes(&running);
    ask_all(&running, &routes);
    deployment.await_counted_within(CATCH_UP);
    assert_eq!(running.metric("indelible_records_total{outcome=\"counted\"}"), Some(USERS as f64));
    deployment.redis.kill();
    // The worker waits for Redis; every route of the API that needs it says so.
    let refused = routes.iter().filter(|path| running.get(path).status == 503).count();
    assert!(refused >= 9, "{refused} of {routes:?}");

    let text = running.ops("/metrics").body;
    let scrape = Scrape::read(&text);
    let models = &scrape.samples["indelible_model_requests_total"]["model"];
    assert_eq!(models.len(), 51, "50 by name, and the others");
    assert!(models.contains("other"));
    for private in ["tenant-", "user-", "someone"] {
        assert!(!text.contains(private), "{private} in {text}");
    }
    println!("{} series with {TENANTS} tenants, {USERS} users and {MODELS} models", scrape.series);
    assert!(scrape.series < MOST_SERIES, "{} series", scrape.series);
}

fn routes(running: &Running) -> Vec<String> {
    let description = running.get("/openapi.json").json();
    let paths = description["paths"].as_object().expect("paths").keys();
    paths.map(|path| path.replace("{tenant}", "someone").replace("{user}", "someone")).collect()
}

fn ask_all(running: &Running, routes: &[String]) {
    let mut answers = Vec::new();
    for path in routes {
        let first = running.get(path);
        let etag = first.header("etag").to_owned();
        answers.push(first.status);
        answers.push(running.get_with(path, &[("if-none-match", &etag)]).status);
        answers.push(running.get(&format!("{path}?strange=1")).status);
        answers.push(running.get_with(path, &[("accept-encoding", "identity;q=0, *;q=0")]).status);
        answers.push(running.put(path, "{}").status);
        if path.ends_with("/quota") {
            // Hardly more than is read: nothing is left unread that the program would break off.
            answers.push(running.put(path, &"x".repeat((64 << 10) + 1)).status);
        }
    }
    // Paths that are none of ours are one route, however many there are.
    answers.extend((0..100).map(|number| running.get(&format!("/v1/someone/{number}")).status));
    let missing = [200, 304, 400, 404, 405, 406, 413, 422].into_iter().filter(|status| !answers.contains(status));
    assert_eq!(missing.collect::<Vec<_>>(), [0; 0], "statuses that no answer had");
}
