//! Lists as comma-separated values (RFC 4180), for whoever asks by `accept: text/csv`.
//!
//! The same figures as in JSON: amounts are exact decimal text, an absent figure is an empty field. Ids stand as they are.

use std::convert::Infallible;
use std::fmt::Write as _;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::store::Freshness;

use super::answer::{tag, tagged};

/// What a caller wants a list as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Csv,
}

impl<S: Send + Sync> FromRequestParts<S> for Form {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let given = parts.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        Ok(Self::preferred(given.flat_map(|list| list.split(','))))
    }
}

impl Form {
    /// JSON, unless text/csv is named and JSON not named before it in preference; an asterisk names neither.
    fn preferred<'a>(ranges: impl Iterator<Item = &'a str>) -> Self {
        let (mut csv, mut json) = (0, 0);
        for range in ranges {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1000, thousandths);
            if kind.eq_ignore_ascii_case("text/csv") {
                csv = csv.max(weight);
            } else if kind.eq_ignore_ascii_case("application/json") {
                json = json.max(weight);
            }
        }
        if csv > json { Self::Csv } else { Self::Json }
    }

    /// Caches have to know that an answer depends on it.
    pub(super) fn vary(mut response: Response) -> Response {
        response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
        response
    }
}

/// A weight such as `0.75`; what is none counts as 0.
fn thousandths(weight: &str) -> u32 {
    let (whole, rest) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = format!("{rest:0<3}");
    match (whole, digits.get(..3).and_then(|digits| digits.parse::<u32>().ok())) {
        ("1", _) => 1000,
        ("0", Some(part)) => part,
        _ => 0,
    }
}

/// A table with its header line.
pub(super) struct Csv {
    text: String,
    /// What follows, as a query of the same path.
    next: Option<String>,
}

impl Csv {
    pub(super) fn new(columns: &[&str]) -> Self {
        let mut csv = Self { text: String::new(), next: None };
        csv.row(columns);
        csv
    }

    pub(super) fn row(&mut self, cells: &[&str]) {
        for (cell, number) in cells.iter().zip(0..) {
            if number > 0 {
                self.text.push(',');
            }
            if cell.contains([',', '"', '\r', '\n']) {
                // Writing to a text can't fail.
                let _ = write!(self.text, "\"{}\"", cell.replace('"', "\"\""));
            } else {
                self.text.push_str(cell);
            }
        }
        self.text.push_str("\r\n");
    }

    pub(super) fn followed_by(self, next: Option<String>) -> Self {
        Self { next, ..self }
    }

    /// What JSON says of freshness stands in headers; gaps that an operator accepted are counted there.
    pub(super) fn respond(self, Freshness { as_of, gaps }: &Freshness) -> Response {
        let text = self.text.into_bytes();
        let mut response = tagged(tag(&text), text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
        let mut tell = |name, text: Option<String>| {
            let value = text.and_then(|text| HeaderValue::from_str(&text).ok());
            headers.extend(value.map(|value| (name, value)));
        };
        tell(HeaderName::from_static("indelible-as-of"), as_of.map(|time| time.to_rfc3339()));
        tell(HeaderName::from_static("indelible-gaps"), (!gaps.is_empty()).then(|| gaps.len().to_string()));
        tell(header::LINK, self.next.map(|query| format!("<?{query}>; rel=\"next\"")));
        Form::vary(response)
    }
}

#[cfg(test)]
#[path = "../../tests/unit/api/csv.rs"]
mod tests;
