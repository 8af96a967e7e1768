//! The private port: `/livez` (never looks at dependencies), `/readyz` (does), `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::clock;
use super::health::Health;
use super::metrics::Metrics;

#[derive(Debug, Clone)]
struct Ops {
    health: Health,
    metrics: Arc<Metrics>,
}

pub fn router(health: Health, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .with_state(Ops { health, metrics })
}

async fn readyz(State(ops): State<Ops>) -> Response {
    let complaints = ops.health.complaints(clock::instant());
    if complaints.is_empty() {
        return "ok\n".into_response();
    }
    let lines: String = complaints.iter().map(|(part, why)| format!("{part} {why}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines).into_response()
}

async fn scrape(State(ops): State<Ops>) -> Response {
    let parts = ops.health.parts(clock::instant());
    parts.into_iter().for_each(|(part, complaint)| ops.metrics.ready(part, complaint.is_none()));
    match ops.metrics.scrape() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
