//! Requests to the API.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, Result};

use super::Metrics;
use super::make::{CALL_SECONDS, Make, observe};

/// The method was none that the route takes.
const METHOD_NOT_ALLOWED: u16 = 405;

#[derive(Debug)]
pub(super) struct Api {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl Api {
    pub(super) fn new(make: &Make<'_>) -> Result<Self> {
        Ok(Self {
            requests: make.counters(
                "indelible_api_requests_total",
                "API requests by how they were answered.",
                &["route", "method", "status"],
            )?,
            // Not by status as well: a route has a dozen of them, and each would have all these bounds.
            seconds: make.histograms(
                "indelible_api_request_seconds",
                "Until an API request was answered, whatever the answer.",
                &CALL_SECONDS,
                &["route", "method"],
            )?,
        })
    }
}

impl Metrics {
    /// `route` is the template of the route, never the path that was asked for.
    pub fn api_request(&self, route: &str, method: &str, status: u16, took: Duration) {
        self.api.requests.with_label_values(&[route, method, &status.to_string()]).inc();
        if status != METHOD_NOT_ALLOWED {
            // A HEAD is a GET whose body is not sent.
            let method = if method == "HEAD" { "GET" } else { method };
            observe(&self.api.seconds.with_label_values(&[route, method]), took);
        }
    }
}
