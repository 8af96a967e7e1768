//! Around every request: its id, its metric, its log line if it failed, and the body of a problem.

use std::hash::{BuildHasher as _, RandomState};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::ops::clock;

use super::ApiState;
use super::problem::{self, Kind, Problem};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids are replaced, so that a caller can't fill the log.
const MAX_REQUEST_ID: usize = 128;

/// Names a request in answers and logs: 1 to 128 printable ASCII characters.
#[derive(Debug, Clone)]
pub(super) struct RequestId(String);

impl RequestId {
    /// The caller's id if it is one, else a new one.
    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| is_sane(id));
        given.map_or_else(Self::generate, |id| Self(id.to_owned()))
    }

    /// 128 bits from the standard library's random hash keys: unique enough for a log, and never a secret.
    fn generate() -> Self {
        let keys = RandomState::new();
        Self(format!("{:016x}{:016x}", keys.hash_one(0), keys.hash_one(1)))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_sane(id: &str) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

/// The outermost layer: what it does not see is not counted.
pub(super) async fn observe(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let started = clock::instant();
    let id = RequestId::of(request.headers());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let method = method_label(request.method());
    request.extensions_mut().insert(id.clone());

    let mut response = next.run(request).await;
    if let Some(problem) = problem_of(&mut response) {
        log(&problem, &id, route);
        render(&problem, &id, &mut response);
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    state.metrics.api_request(route, method, response.status().as_u16(), clock::instant() - started);
    response
}

/// A label has few values, whatever callers send.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}

fn problem_of(response: &mut Response) -> Option<Problem> {
    // The compression layer refuses by itself, with the whole answer as the body.
    let refused = response.status() == StatusCode::NOT_ACCEPTABLE;
    response.extensions_mut().remove().or_else(|| {
        refused.then(|| Problem::new(Kind::NotAcceptable, "`accept-encoding` refuses both gzip and identity"))
    })
}

/// Here an error ends, so here it is logged: an outage as a warning, what a person must look at as an error.
fn log(problem: &Problem, id: &RequestId, route: &str) {
    let (slug, request_id, cause) = (problem.slug(), id.as_str(), problem.cause());
    match problem.status() {
        StatusCode::SERVICE_UNAVAILABLE => tracing::warn!(request_id, route, problem = slug, cause, "request failed"),
        status if status.is_server_error() => {
            tracing::error!(request_id, route, problem = slug, cause, "request failed");
        }
        _ => tracing::debug!(request_id, route, problem = slug, "request refused"),
    }
}

fn render(problem: &Problem, id: &RequestId, response: &mut Response) {
    let json = serde_json::to_vec(&problem.document(id.as_str())).unwrap_or_default();
    *response.body_mut() = Body::from(json);
    let headers = response.headers_mut();
    // A problem lasts as long as its cause, and no cache knows how long that is.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(problem::MIME));
    for gone in [header::CONTENT_LENGTH, header::ETAG] {
        headers.remove(gone);
    }
}
