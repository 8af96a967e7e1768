//! The read API: stats, users and usage over time, as JSON over HTTP.
//!
//! Reads through [`Reader`] alone and never writes; decides nothing about counting and knows no Redis, no
//! Kafka. An answer is exact or an error, never a guess: without the store there is a 503 and no zeros.
//! One endpoint a file; read `user_stats.rs` first, then `figures.rs`. `observe.rs` is around every request.

mod about;
mod answer;
mod ask;
mod cursor;
mod figures;
mod observe;
mod params;
mod problem;
mod span;
mod stats;
mod tenant_stats;
mod usage;
mod user_stats;
mod users;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use chrono::{DateTime, Utc};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::trace::TraceLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::domain::calendar::Month;
use crate::ops::clock;
use crate::ops::metrics::Metrics;
use crate::quota::Limits;
use crate::store::Reader;

use observe::RequestId;
use problem::{Kind, Problem};

/// Months before the current one whose days are kept, unless said otherwise.
const DETAIL_MONTHS: u8 = 12;

/// What every endpoint shares. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    reader: Arc<dyn Reader>,
    limits: Limits,
    metrics: Arc<Metrics>,
    clock: fn() -> DateTime<Utc>,
    detail_months: u8,
}

impl ApiState {
    /// An API over `reader`, with the process's clock and days kept for the current month and the 12 before.
    #[must_use]
    pub fn new(reader: Arc<dyn Reader>, limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self { reader, limits, metrics, clock: clock::now, detail_months: DETAIL_MONTHS }
    }

    /// Tells the time by `clock`: for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: fn() -> DateTime<Utc>) -> Self {
        self.clock = clock;
        self
    }

    /// How many months before the current one the store keeps days for.
    #[must_use]
    pub fn with_detail_months(mut self, months: u8) -> Self {
        self.detail_months = months;
        self
    }

    fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    fn month(&self) -> Month {
        Month::of(self.now())
    }
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState")
            .field("limits", &self.limits)
            .field("detail_months", &self.detail_months)
            .finish_non_exhaustive()
    }
}

/// All endpoints, with what surrounds them: request ids, problems, metrics, compression.
pub fn router(state: ApiState) -> Router {
    let (router, _) = endpoints().split_for_parts();
    router
        .fallback(async || Problem::new(Kind::NotFound, "nothing is served here; /openapi.json lists what is"))
        .method_not_allowed_fallback(async || Problem::new(Kind::MethodNotAllowed, "read with GET or HEAD"))
        // The last layer is the outermost. `observe` makes an answer of a panic that was caught within it.
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(problem::of_panic))
        .layer(TraceLayer::new_for_http().make_span_with(span_of).on_failure(()))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .with_state(state)
}

/// The description of all endpoints, made from the code that serves them.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    endpoints().into_openapi()
}

fn endpoints() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(ApiDoc::openapi())
        .routes(routes!(user_stats::user_stats))
        .routes(routes!(tenant_stats::tenant_stats))
        .routes(routes!(users::users))
        .routes(routes!(usage::tenant_usage))
        .routes(routes!(usage::user_usage))
        .routes(routes!(about::openapi_json))
        .routes(routes!(about::version))
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Indelible",
        description = "Usage of AI services, counted exactly once. Times are RFC 3339 in UTC, ranges half-open; \
                   errors are RFC 9457 problems. Every answer says how fresh it is."
    ),
    components(schemas(problem::Document))
)]
struct ApiDoc;

fn span_of(request: &Request) -> tracing::Span {
    let id = request.extensions().get::<RequestId>().map_or("", RequestId::as_str);
    tracing::debug_span!("http", method = %request.method(), path = request.uri().path(), request_id = id)
}
