//! What a request asks: the path's ids and the query's parameters, each read in one place and refused in
//! words that say what would be right.

use std::error::Error as _;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use utoipa::IntoParams;

use crate::domain::calendar::Month;
use crate::domain::ids::{IdFault, TenantId, UserId};

use super::problem::{Kind, Problem};

/// The tenant that the request is about. Every endpoint under a tenant takes it from here and from nowhere
/// else: this is where a credential is to be held against it.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct TenantPath {
    /// 1 to 256 bytes of printable text, percent-encoded once.
    #[param(value_type = String)]
    pub(super) tenant: TenantId,
}

/// A user of that tenant.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct UserPath {
    /// 1 to 256 bytes of printable text, percent-encoded once.
    #[param(value_type = String)]
    pub(super) tenant: TenantId,
    /// 1 to 256 bytes of printable text, percent-encoded once.
    #[param(value_type = String)]
    pub(super) user: UserId,
}

impl<S: Send + Sync> FromRequestParts<S> for TenantPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let tenant = part(parts, state, "tenant").await?;
        TenantId::new(&tenant).map(|tenant| Self { tenant }).map_err(|fault| invalid_id("tenant", &fault))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for UserPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let TenantPath { tenant } = TenantPath::from_request_parts(parts, state).await?;
        let user = part(parts, state, "user").await?;
        let user = UserId::new(&user).map_err(|fault| invalid_id("user", &fault))?;
        Ok(Self { tenant, user })
    }
}

fn invalid_id(what: &str, fault: &IdFault) -> Problem {
    Problem::new(Kind::InvalidId, format!("the {what} {fault}"))
}

/// A part of the path, its percent escapes decoded once.
async fn part<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> Result<String, Problem> {
    let path = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Problem::new(Kind::InvalidId, "the path is not UTF-8 once its percent escapes are decoded"))?;
    let found = path.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    found.ok_or_else(|| Problem::internal(format!("the route has no part {name}")))
}

/// The query. `T` denies unknown fields; a field given twice is refused.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        // The source is the message about the field, without "Failed to deserialize query string".
        let refuse = |why: &axum::extract::rejection::QueryRejection| {
            why.source().map_or_else(|| why.to_string(), ToString::to_string)
        };
        query
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|why| Problem::new(Kind::InvalidParameter, refuse(&why)))
    }
}

/// The query of an answer about one month.
#[derive(Debug, serde::Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MonthQuery {
    /// The month shown, in UTC; the current one by default.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$", example = "2026-11")]
    pub(super) month: Option<Month>,
}

/// An endpoint without parameters still refuses them.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

/// Reads a parameter by its type's `FromStr`, and names the text in the error.
pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(|fault| D::Error::custom(format_args!("{} {fault}", quoted(&text))))
}

/// A caller's text for an error: escaped and no longer than needed to recognize it.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    let short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}
