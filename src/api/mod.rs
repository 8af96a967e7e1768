//! The read API: stats, users, usage over time and quotas, as JSON over HTTP.
//!
//! Reads through [`Reader`] alone; decides nothing about counting and knows no Redis, no Kafka. What is assigned
//! becomes an event through [`Assigner`], and is told once a worker has applied it: nothing else is written. An
//! answer is exact or an error, never a guess: without the store there is a 503 and no zeros.
//! Who may ask is decided before an endpoint is reached (`guard.rs`), how many may at a time before that (`door.rs`).
//! One family of endpoints a file; read `stats.rs` first.

mod answer;
pub mod assign;
mod csv;
pub mod door;
mod guard;
mod me;
mod params;
mod prices;
mod problem;
mod put_quota;
mod quota;
mod stats;
mod usage;
mod users;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::Serialize;
use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer};
use tracing::Instrument as _;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as _, ToSchema, openapi::OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::auth::Needs;
use crate::ops::{clock, metrics::Metrics};
use crate::pricing::Table;
use crate::quota::plans::Plans;
use crate::store::{Reader, StoreError};

use assign::Assigner;

use door::Door;
use guard::guarded;

use answer::{Answer, Cost, Dated, Figures, cents, cents_schema, respond};
use params::{ID, MonthQuery, NoQuery, Query, Whose};
use problem::{Kind, Others, Problem, REQUEST_ID, StoreFails};

/// An answer is made of one call, and must be there within 2 s even when it is an error.
const DEADLINE: Duration = Duration::from_millis(1500);

/// What every endpoint shares. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    pub reader: Arc<dyn Reader>,
    pub assigner: Arc<dyn Assigner>,
    pub plans: Arc<ArcSwap<Plans>>,
    pub prices: Arc<ArcSwap<Table>>,
    pub metrics: Arc<Metrics>,
    /// [`crate::ops::clock::now`], but for tests.
    pub now: fn() -> DateTime<Utc>,
}

impl ApiState {
    async fn ask<T>(&self, call: BoxFuture<'_, Result<T, StoreError>>) -> Result<T, Problem> {
        Ok(self.answer(call).await?)
    }

    /// Awaits one call of the reader and counts its failure; no answer within the deadline is one, too.
    async fn answer<T>(&self, call: BoxFuture<'_, Result<T, StoreError>>) -> Result<T, StoreError> {
        let late = |_| Err(StoreError::Unavailable(format!("no answer within {} ms", DEADLINE.as_millis())));
        let answer = tokio::time::timeout(DEADLINE, call).await.unwrap_or_else(late);
        answer.inspect_err(|error| self.metrics.store_failed(error.kind()))
    }
}

/// All endpoints, with what surrounds them: request ids, problems, metrics, compression, and who is let in.
pub fn router(state: ApiState, door: Door) -> Router {
    let (router, _) = endpoints().split_for_parts();
    let cors = door.cors();
    // The last layer is the outermost: a panic is caught within `observe`, whose id its problem bears.
    let router = router
        .fallback(async || Problem::nothing_here())
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::METHOD_NOT_ALLOWED, "the header `allow` lists the methods that this path takes")
        })
        .layer(from_fn(answer::revalidate))
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(problem::of_panic))
        .layer(from_fn_with_state(door, door::pass));
    let router = match cors {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router.layer(from_fn_with_state(state.clone(), observe)).with_state(state)
}

/// The outermost layer: what it does not see is not counted.
async fn observe(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let started = clock::instant();
    let id = request_id(request.headers());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    // Labels have few values, whatever callers send.
    let method = [Method::GET, Method::HEAD, Method::PUT].into_iter().find(|known| known == request.method());
    let method = method.as_ref().map_or("other", Method::as_str);
    let span = tracing::error_span!("http", request_id = id, route, trace_id = trace_id(request.headers()));
    let answer = async {
        let response = next.run(request).await;
        // The compression layer refuses by itself, with the whole answer as the body.
        if response.status() != StatusCode::NOT_ACCEPTABLE {
            return response;
        }
        Problem::new(Kind::NOT_ACCEPTABLE, "`accept-encoding` refuses both gzip and identity").into_response()
    };
    let mut response = REQUEST_ID.scope(id.clone(), answer.instrument(span)).await;
    let headers = response.headers_mut();
    headers.extend(door::SECURITY);
    HeaderValue::from_str(&id).ok().and_then(|id| headers.insert("x-request-id", id));
    state.metrics.api_request(route, method, response.status().as_u16(), clock::instant() - started);
    response
}

/// The caller's id if it is 1 to 128 printable ASCII characters, so that it can't fill the log; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let is_good = |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(is_good);
    given.map_or_else(random_id, str::to_owned)
}

/// The trace that a request is part of, as W3C Trace Context has it: `00-`, 32 digits, and what is not looked at here.
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (version, id) = (parts.next()?, parts.next()?);
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (hex(version, 2) && version != "ff" && hex(id, 32) && id.bytes().any(|b| b != b'0')).then_some(id)
}

/// 128 bits from the standard library's random hash keys: unique enough for a name, and never a secret.
fn random_id() -> String {
    let keys = RandomState::new();
    format!("{:016x}{:016x}", keys.hash_one(0), keys.hash_one(1))
}

/// The description of all endpoints, made from the code that serves them.
pub fn openapi() -> OpenApi {
    endpoints().into_openapi()
}

fn endpoints() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(ApiDoc::openapi())
        .routes(guarded(Needs::Own, routes!(me::my_stats)))
        .routes(guarded(Needs::User, routes!(stats::user_stats)))
        .routes(guarded(Needs::Tenant, routes!(stats::tenant_stats)))
        .routes(guarded(Needs::Tenant, routes!(users::users)))
        .routes(guarded(Needs::Tenant, routes!(usage::tenant_usage)))
        .routes(guarded(Needs::User, routes!(usage::user_usage)))
        .routes(guarded(Needs::Credential, routes!(prices::prices)))
        .routes(guarded(Needs::All, routes!(prices::mismatches)))
        .routes(guarded(Needs::QuotaWrite, routes!(put_quota::assign_tenant_quota)))
        .routes(guarded(Needs::QuotaWrite, routes!(put_quota::assign_user_quota)))
        .routes(guarded(Needs::Tenant, routes!(quota::tenant_quota)))
        .routes(guarded(Needs::User, routes!(quota::user_quota)))
        .routes(guarded(Needs::User, routes!(quota::allow)))
        // These two are public: they say nothing about anyone.
        .routes(routes!(openapi_json))
        .routes(routes!(version))
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Indelible",
        description = "Usage of AI services, counted exactly once. Times in UTC, half-open ranges, RFC 9457 problems."
    ),
    components(schemas(Problem)),
    modifiers(&Bearer)
)]
struct ApiDoc;

/// How to authenticate, for the description.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut OpenApi) {
        let text =
            "An API key of `indelible key new`, or a JSON Web Token of the issuer that the server is set to trust.";
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme(guard::SCHEME, SecurityScheme::Http(bearer));
    }
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "about", responses((status = 200, body = serde_json::Value), Others))]
async fn openapi_json(_: Query<NoQuery>) -> Result<Response, Problem> {
    let description = openapi();
    respond(&description)
}

/// The running program.
#[derive(Debug, Serialize, ToSchema)]
struct Version {
    name: &'static str,
    version: &'static str,
}

/// The running version
#[utoipa::path(get, path = "/version", tag = "about", responses((status = 200, body = Version), Others))]
async fn version(_: Query<NoQuery>) -> Result<Response, Problem> {
    let version = Version { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };
    respond(&version)
}
