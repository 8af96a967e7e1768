//! Producers that put ids where names belong: Redis stays bounded, and every total exact.

use chrono::Utc;
use serde_json::{Value, json};

use super::{mib, size, used_memory};
use crate::support::deployment::Deployment;
use crate::support::flood::flood;
use crate::support::program::Running;

const STATS: &str = "/v1/tenants/acme/users/alice/stats";

fn event(id: u64, user: &str, assistant: &str, model: &str) -> String {
    json!({"requestId": id.to_string(), "createdAt": Utc::now().to_rfc3339(), "tenantId": "acme", "userId": user,
        "assistant": assistant, "model": model, "tokensIn": 1, "tokensOut": 2})
    .to_string()
}

fn entry<'a>(stats: &'a Value, by: &str, name: &str, value: &str) -> &'a Value {
    let entries = stats["allTime"][by].as_array().expect("a breakdown");
    entries.iter().find(|entry| entry[name] == value).unwrap_or_else(|| panic!("no {value} in {entries:#?}"))
}

fn capped(running: &Running, name: &str) -> u64 {
    running.metric(&format!("indelible_capped_total{{name=\"{name}\"}}")).expect("a metric") as u64
}

/// One user's requests, each with an assistant or a model of its own.
fn groups(each: u64) {
    let deployment = Deployment::new(4);
    let running = deployment.serve();
    let before = used_memory(&deployment.redis);
    flood(&deployment.topic, 2 * each, |number| {
        let name = format!("name-{number}");
        let (assistant, model) = if number < each { (name.as_str(), "m") } else { ("a", name.as_str()) };
        (None, "acme:alice".to_owned(), event(number, "alice", assistant, model))
    });
    deployment.await_counted_within(std::time::Duration::from_secs(900));
    let grown = used_memory(&deployment.redis) - before;
    println!("{each} assistants and {each} models of one user: Redis holds {} MiB more", mib(grown));
    let stats = running.get(STATS).json();
    assert_eq!(stats["allTime"]["requests"], 2 * each);
    assert_eq!(stats["allTime"]["totalTokens"], 6 * each);
    let other = entry(&stats, "byModel", "model", "other")["requests"].as_u64().expect("requests");
    assert_eq!(other, 2 * each - 100, "100 names have their own");
    assert_eq!(capped(&running, "group"), other);
    let tenant = running.get("/v1/tenants/acme/stats").json();
    assert_eq!(tenant["allTime"]["requests"], 2 * each);
    // Seen ids are all that grows.
    assert!(grown < 2 * each * 40 + (2 << 20), "{grown} bytes");
}

/// Requests of one user each.
fn users(count: u64, most: u64) {
    let deployment = Deployment::new(4).set("INDELIBLE_TENANT_USERS", &most.to_string());
    let running = deployment.serve();
    let before = used_memory(&deployment.redis);
    flood(&deployment.topic, count, |number| {
        let user = format!("user-{number}");
        (None, format!("acme:{user}"), event(number, &user, "a", "m"))
    });
    deployment.await_counted_within(std::time::Duration::from_secs(900));
    let grown = used_memory(&deployment.redis) - before;
    println!("{count} users of a tenant, {most} by name: Redis holds {} MiB more", mib(grown));
    assert_eq!(running.get("/v1/tenants/acme/stats").json()["allTime"]["requests"], count);
    let crowd = capped(&running, "user");
    assert_eq!(crowd, count - most, "so many are counted under their own name");
    assert_eq!(running.get("/v1/tenants/acme/users/other/stats").json()["allTime"]["requests"], crowd);
    // Of each user it either has the sum or refuses: never a zero.
    let refused = (0..count.min(500)).filter(|number| {
        let answer = running.get(&format!("/v1/tenants/acme/users/user-{number}/stats"));
        match answer.status {
            200 => assert_eq!(answer.json()["allTime"]["requests"], 1, "user-{number}"),
            _ => assert_eq!(answer.json()["type"], "urn:indelible:problem:user-in-crowd", "{answer:?}"),
        }
        answer.status != 200
    });
    let refused = refused.count();
    assert!(count > 500 || refused as u64 == crowd, "{refused} refused");
    assert!(grown < most * 600 + count * 40 + (2 << 20), "{grown} bytes");
}

#[test]
fn assistants_and_models_without_end_share_a_name() {
    groups(size(3_000, 1_000_000));
}

#[test]
fn users_without_end_share_a_name() {
    let (count, most) = size((400, 150), (1_200_000, 1_000_000));
    users(count, most);
}

#[test]
fn kinds_and_tools_without_end_share_a_name() {
    let deployment = Deployment::new(2);
    let running = deployment.serve();
    let output = |number: u64, verb: &str| {
        let data = json!({"tenantId": "acme", "userId": "alice", "outputId": "1", "kind": format!("kind-{number}")});
        let name = format!("{verb}-{number}");
        json!({"specversion": "1.0", "type": format!("ai.output.{verb}.v1"), "source": "s", "id": name,
            "time": Utc::now().to_rfc3339(), "data": data})
    };
    flood(&deployment.topic, 150, |number| (None, "acme:alice".to_owned(), output(number, "created").to_string()));
    deployment.await_counted();
    let outputs = |running: &Running| running.get(STATS).json()["outputs"]["allTime"].clone();
    assert_eq!(outputs(&running)["other"], 50, "100 kinds have their own name");
    assert_eq!(outputs(&running).as_object().expect("kinds").len(), 101);
    // A deletion finds its output, whatever name that is counted under.
    flood(&deployment.topic, 150, |number| (None, "acme:alice".to_owned(), output(number, "deleted").to_string()));
    deployment.await_counted();
    assert_eq!(outputs(&running), json!({}));
    assert_eq!(capped(&running, "kind"), 100);

    flood(&deployment.topic, 150, |number| {
        let mut request: Value = serde_json::from_str(&event(number, "alice", "a", "m")).expect("JSON");
        request["toolInvocations"] = json!({format!("tool-{number}"): 2});
        (None, "acme:alice".to_owned(), request.to_string())
    });
    deployment.await_counted();
    assert_eq!(running.get(STATS).json()["allTime"]["toolInvocations"]["other"], 100);
    assert_eq!(capped(&running, "tool"), 100);
}
