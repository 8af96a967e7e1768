//! The read API over a store that is a fake: what it answers, refuses, and does when the store fails.

mod answers;
mod assigning;
mod authorisation;
mod fake;
mod ids;
mod limits;
mod prices;
mod protocol;
mod quotas;
mod refusals;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use indelible::api::door::{Door, DoorLimits};
use indelible::api::{ApiState, router};
use indelible::ops::metrics::Metrics;
use indelible::pricing::Table;
use indelible::quota::plans::Plans;
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) use assigning::Writer;

use fake::{Fake, as_of, sum, time};

const ALICE: (&str, &str) = ("acme", "alice");
const STATS: &str = "/v1/tenants/acme/users/alice/stats";

/// Two users of one tenant, counted until five seconds before now, 2026-11-24T18:00:00Z.
fn world() -> Fake {
    let mut fake = Fake { freshness: as_of("2026-11-24T17:59:54.250Z"), ..Fake::default() };
    fake.used(ALICE, "2026-11", ("chat", "large"), sum(3, 1_000, 500, 57_868_362_000));
    fake.used(ALICE, "2026-11", ("search", "small"), sum(2, 90, 10, 1));
    fake.used(ALICE, "2026-11", ("chat", "small"), sum(1, 10, 5, 0));
    fake.used(ALICE, "2025-12", ("chat", "large"), sum(7, 700, 70, 10_000_000));
    fake.called(ALICE, "2026-11", "webSearch", 4);
    fake.called(ALICE, "2025-12", "retrieval", 2);
    fake.saved(ALICE, "website", "site-0", "2025-12-31T23:59:59.999Z");
    fake.saved(ALICE, "assistant_result", "r-1", "2026-11-01T00:00:00Z");
    fake.saved(ALICE, "website", "site-1", "2026-11-24T10:00:00.5Z");
    let bob = ("acme", "bob");
    fake.used(bob, "2026-11", ("chat", "large"), sum(9, 2_000_000, 0, 5));
    fake
}

/// For tests of anything that strangers may send.
pub(crate) fn world_app() -> Router {
    app(world())
}

fn app(fake: Fake) -> Router {
    app_with(fake, Arc::new(Metrics::new(&[]).expect("metrics")))
}

fn app_with(fake: Fake, metrics: Arc<Metrics>) -> Router {
    router(state(fake, metrics), open_door())
}

/// Everyone is let in, and no limit is met.
pub(crate) fn open_door() -> Door {
    Door::new(None, limits())
}

fn limits() -> DoorLimits {
    DoorLimits { concurrent: 1_000, rate: None, timeout: Duration::from_secs(60), origins: Vec::new() }
}

fn state(fake: Fake, metrics: Arc<Metrics>) -> ApiState {
    ApiState {
        assigner: Arc::new(Writer::into(&fake.assigned)),
        reader: Arc::new(fake),
        plans: Arc::new(ArcSwap::from_pointee(Plans::of_tokens(1_000_000))),
        prices: Arc::new(ArcSwap::from_pointee(Table::builtin())),
        metrics,
        now: || time("2026-11-24T18:00:00Z"),
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    #[track_caller]
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }

    /// The last part of a problem's type; empty if it is no problem.
    fn problem(&self) -> String {
        let kind = self.json()["type"].as_str().unwrap_or_default().to_owned();
        kind.strip_prefix("urn:indelible:problem:").unwrap_or_default().to_owned()
    }
}

async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.expect("never fails");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body").to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(app: &Router, path: &str) -> Answer {
    get_with(app, path, &[]).await
}

async fn get_with(app: &Router, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    send(app, request.body(Body::empty()).expect("a request")).await
}
