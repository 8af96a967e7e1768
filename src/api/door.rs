//! Limits that hold for every request, whoever sends it: how many at a time, how long, how often a credential.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::auth::rates::Rates;
use crate::auth::{Authenticator, Principal};
use crate::ops::clock;

use super::problem::{Kind, Problem};

/// Between two lines of the log that say that requests are shed.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What the settings say of limits.
#[derive(Debug, Clone)]
pub struct DoorLimits {
    /// Requests that are answered at a time.
    pub concurrent: usize,
    /// Requests a second of a credential that has no number of its own; none for no limit.
    pub rate: Option<u32>,
    /// From the head to the answer.
    pub timeout: Duration,
    /// Origins whose pages may ask, as browsers name them.
    pub origins: Vec<HeaderValue>,
}

/// Who is let in, and how many at a time. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Door {
    /// None where everyone is.
    pub(super) auth: Option<Arc<Authenticator>>,
    limits: Arc<DoorLimits>,
    rates: Arc<Rates>,
    places: Arc<Semaphore>,
    shed: Arc<Shed>,
}

/// Requests that were turned away since that was last said.
#[derive(Debug, Default)]
struct Shed {
    count: AtomicU64,
    said: Mutex<Option<Instant>>,
}

impl Door {
    pub fn new(auth: Option<Arc<Authenticator>>, limits: DoorLimits) -> Self {
        let places = Arc::new(Semaphore::new(limits.concurrent));
        Self { auth, limits: Arc::new(limits), rates: Arc::default(), places, shed: Arc::default() }
    }

    /// Counts a request of a credential.
    pub(super) fn take(&self, principal: &Principal, now: Instant) -> Result<(), Problem> {
        let Some(rate) = principal.rate.or(self.limits.rate) else { return Ok(()) };
        self.rates.take(&principal.credential, rate, now).map_err(|wait| {
            let seconds = u16::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u16::MAX);
            Problem::new(Kind::RATE_LIMITED, format!("this credential may make {rate} requests a second"))
                .retry_after(seconds.max(1))
        })
    }

    /// Pages of the listed origins may ask, with a credential; none where none is listed.
    pub(super) fn cors(&self) -> Option<CorsLayer> {
        let origins = &self.limits.origins;
        let named = |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
        (!origins.is_empty()).then(|| {
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(origins.clone()))
                .allow_methods([Method::GET, Method::HEAD, Method::PUT])
                .allow_headers(named(&[
                    "authorization",
                    "accept",
                    "content-type",
                    "if-none-match",
                    "traceparent",
                    "x-request-id",
                ]))
                .expose_headers(named(&["etag", "indelible-as-of", "retry-after", "www-authenticate", "x-request-id"]))
                .max_age(Duration::from_secs(600))
        })
    }
}

/// A layer: a request that finds no place is turned away at once, since one that waits costs as much as one that is
/// answered; one that takes too long is given up.
pub(super) async fn pass(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let Ok(_place) = door.places.try_acquire() else {
        door.shed.note(clock::instant());
        return Problem::new(Kind::OVERLOADED, "more requests are under way than are answered at a time")
            .retry_after(1)
            .into_response();
    };
    request.extensions_mut().insert(door.clone());
    tokio::time::timeout(door.limits.timeout, next.run(request)).await.unwrap_or_else(|_| {
        let detail = format!("there is no answer within {} s", door.limits.timeout.as_secs());
        Problem::new(Kind::TIMED_OUT, detail).retry_after(1).into_response()
    })
}

impl Shed {
    fn note(&self, now: Instant) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| now.saturating_duration_since(said) >= SAY_EVERY) {
            *said = Some(now);
            let requests = self.count.swap(0, Ordering::Relaxed);
            tracing::warn!(requests, "shedding load: more requests than INDELIBLE_API_CONCURRENCY were under way");
        }
    }
}

/// What every answer tells a browser, whatever it is an answer to.
pub(super) const SECURITY: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    // There is no page here: whatever a browser takes an answer for, it loads and runs nothing, in no frame.
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];
