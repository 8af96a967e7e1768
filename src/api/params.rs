//! What a request asks: the path's ids and the query, refused in words that say what would be right.

use std::error::Error as _;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use utoipa::IntoParams;

use crate::domain::ids::{IdFault, TenantId, UserId};
use crate::domain::{calendar::Month, delta::Scope};

use super::{Kind, Problem};

/// The tenant that is asked about and, where the route has one, the user. Every endpoint under a tenant takes it from
/// here and from nowhere else: it is there once the guard has held the credential against it, and never before.
#[derive(Clone)]
pub(super) struct Whose(pub(super) Scope);

impl<S: Send + Sync> FromRequestParts<S> for Whose {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::internal("no guard stands before this endpoint"))
    }
}

impl Whose {
    /// What the path names; none where it names no tenant.
    pub(super) async fn of_path(parts: &mut Parts) -> Result<Option<Self>, Problem> {
        let refuse = |detail: String| Problem::new(Kind::INVALID_ID, detail);
        let invalid = |what| move |fault: IdFault| refuse(format!("the {what} {fault}"));
        // Its percent escapes are decoded once.
        let path = RawPathParams::from_request_parts(parts, &()).await;
        let path = path.map_err(|_| refuse("the path is not UTF-8 once its percent escapes are decoded".to_owned()))?;
        let part = |name| path.iter().find(|(key, _)| *key == name).map(|(_, text)| text);
        let tenant = part("tenant").map(TenantId::new).transpose().map_err(invalid("tenant"))?;
        let user = part("user").map(UserId::new).transpose().map_err(invalid("user"))?;
        Ok(tenant.map(|tenant| Self(Scope { tenant, user })))
    }
}

/// Describes an id of the path.
pub(super) const ID: &str = "1 to 256 bytes of printable text, percent-encoded once.";

/// The query. `T` denies unknown fields; a field given twice is refused.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|why| {
            // The source is the message about the field, without "Failed to deserialize query string".
            let detail = why.source().map_or_else(|| why.to_string(), ToString::to_string);
            Problem::new(Kind::INVALID_PARAMETER, detail)
        })
    }
}

/// The query of an answer about one month.
#[derive(Debug, serde::Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MonthQuery {
    /// The month shown, in UTC; the current one by default.
    #[serde(default, deserialize_with = "month")]
    #[param(value_type = Option<String>, pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$", example = "2026-11")]
    pub(super) month: Option<Month>,
}

/// An endpoint without parameters still refuses them.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

/// Reads a month, and names the text in the error.
pub(super) fn month<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Month>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse::<Month>().map(Some).map_err(|fault| D::Error::custom(format_args!("{text:?} {fault}")))
}
