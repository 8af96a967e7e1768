//! What stands before an endpoint: the credential, how often it asks, and whether it may ask for this.
//!
//! An endpoint says what it needs where its route is declared ([`guarded`]), and its description says the same. The order
//! is the same for all: no valid credential (401), too often (429), a path that can't be read (400), another tenant's
//! path (404), a scope that is missing (403). A route under a tenant that nobody guards answers 500.

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa_axum::router::UtoipaMethodRouter;

use crate::auth::{Authenticator, Denial, Needs, Principal, Refusal, Scopes};
use crate::domain::delta::Scope;
use crate::ops::clock;

use super::ApiState;
use super::door::Door;
use super::params::Whose;
use super::problem::{Challenge, Kind, MIME, Problem};

/// The name of the way to authenticate, in the description.
pub(super) const SCHEME: &str = "bearer";

/// Puts the guard before an endpoint, and says so in its description.
pub(super) fn guarded(needs: Needs, endpoint: UtoipaMethodRouter<ApiState>) -> UtoipaMethodRouter<ApiState> {
    let (schemas, mut paths, router) = endpoint;
    for (path, item) in &mut paths.paths {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        operations.into_iter().flatten().for_each(|operation| describe(operation, path, needs));
    }
    let guard = from_fn(move |request: Request, next: Next| async move {
        match enter(needs, request).await {
            Ok(request) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    });
    (schemas, paths, router.route_layer(guard))
}

fn describe(operation: &mut Operation, path: &str, needs: Needs) {
    operation.security = Some(vec![SecurityRequirement::new(SCHEME, needs.scope().map(Scopes::name))]);
    let mut answers = vec![
        ("401", "unauthenticated: no credential, or not a valid one"),
        ("429", "rate-limited: too many requests of this credential (with `retry-after`)"),
    ];
    if path.contains("{tenant}") || needs == Needs::Own {
        answers.push(("404", "not-found: also what a credential of another tenant gets"));
    }
    if needs.scope().is_some() {
        answers.push(("403", "insufficient-scope"));
    }
    for (status, text) in answers {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let answer = ResponseBuilder::new().description(text).content(MIME, content).build();
        operation.responses.responses.insert(status.to_owned(), answer.into());
    }
}

/// Lets a request in, with whom it asks about.
async fn enter(needs: Needs, request: Request) -> Result<Request, Problem> {
    let (mut parts, body) = request.into_parts();
    let door = parts.extensions.get::<Door>().cloned().ok_or_else(|| Problem::internal("there is no door"))?;
    let principal = match &door.auth {
        None => None,
        Some(auth) => {
            let principal = authenticate(auth, &parts.headers).await?;
            door.take(&principal, clock::instant())?;
            Some(principal)
        }
    };
    let asked = whose(needs, &mut parts, principal.as_ref()).await?;
    if let Some(principal) = &principal {
        needs.judge(principal, asked.as_ref().map(|Whose(scope)| scope)).map_err(refuse)?;
    }
    if let Some(whose) = asked {
        parts.extensions.insert(whose);
    }
    Ok(Request::from_parts(parts, body))
}

/// Whom a request is about: whom the path names, or the credential's own user.
async fn whose(needs: Needs, parts: &mut Parts, principal: Option<&Principal>) -> Result<Option<Whose>, Problem> {
    match (needs, principal) {
        (Needs::Own, None) => {
            let detail =
                "there is no credential to say who you are: authentication is off here. Ask for a tenant and user";
            Err(Problem::new(Kind::NOT_FOUND, detail))
        }
        (Needs::Own, Some(Principal { tenant: Some(tenant), user, .. })) => {
            Ok(Some(Whose(Scope { tenant: tenant.clone(), user: user.clone() })))
        }
        (Needs::Own, Some(_)) => Ok(None),
        _ => Whose::of_path(parts).await,
    }
}

async fn authenticate(auth: &Authenticator, headers: &HeaderMap) -> Result<Principal, Problem> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let first = given.next().and_then(|value| value.to_str().ok()).and_then(|text| text.split_once(' '));
    let bearer =
        first.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, credential)| credential.trim());
    let Some(credential) = bearer else {
        let detail = "send `authorization: Bearer` and an API key or a token";
        return Err(Problem::new(Kind::UNAUTHENTICATED, detail).challenging(Challenge::Missing));
    };
    // Of two, one part of a chain may read this one and another part that one.
    let refusal = if given.next().is_some() { Err(Refusal::Invalid) } else { auth.check(credential).await };
    refusal.map_err(|refusal| match refusal {
        Refusal::Invalid => Problem::new(Kind::UNAUTHENTICATED, "the credential is not valid here, or not any more")
            .challenging(Challenge::Invalid),
        Refusal::Unavailable => {
            Problem::new(Kind::AUTH_UNAVAILABLE, "the keys of tokens can't be read at the moment").retry_after(10)
        }
    })
}

fn refuse(denial: Denial) -> Problem {
    match denial {
        Denial::NotFound => Problem::nothing_here(),
        Denial::NoUser => {
            Problem::new(Kind::FORBIDDEN, "the credential names no tenant and user who could be meant by `me`")
                .challenging(Challenge::Lacks(Scopes::READ))
        }
        Denial::Scope(scope) => {
            Problem::new(Kind::FORBIDDEN, format!("the credential lacks the scope {}", scope.name()))
                .challenging(Challenge::Lacks(scope))
        }
    }
}
