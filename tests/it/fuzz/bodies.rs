//! What is done with an input, what must hold, and what it came to.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use indelible::domain::calendar::{Month, TimeMs};
use indelible::domain::event::Event;
use indelible::domain::ids::{OutputKind, TenantId, UserId};
use indelible::domain::seen::SeenId;
use indelible::ingest::decode::{Bounds, Incoming, Reason, Reject};
use indelible::store::keys::{Keyspace, encode, quota_field};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use tower::ServiceExt as _;

const BOUNDS: Bounds = Bounds { max_future_ms: 300_000, max_age_ms: 35 * 86_400_000 };
/// In the time that the examples are from.
const TIMESTAMP: TimeMs = TimeMs(1_763_986_800_000);

/// As a value without headers, in structured mode, and in binary mode with a header made of the input itself.
pub(super) fn decode(input: &[u8]) -> String {
    let cut = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let binary: [(&str, &[u8]); 5] = [
        ("ce_specversion", b"1.0"),
        ("ce_type", b"ai.usage.recorded.v1"),
        ("ce_source", &input[..cut.min(300)]),
        ("ce_id", &input[..input.len().min(64)]),
        ("ce_time", b"2025-11-24T12:00:00Z"),
    ];
    let ways: [&[(&str, &[u8])]; 3] = [&[], &[("content-type", b"application/cloudevents+json")], &binary];
    let outcomes = ways.map(|headers| {
        let incoming = Incoming { value: Some(input), headers, timestamp: Some(TIMESTAMP) };
        let decode = || indelible::ingest::decode::decode(&incoming, &BOUNDS);
        let decoded = decode();
        assert_eq!(format!("{decoded:?}"), format!("{:?}", decode()), "twice the same");
        decoded.map_or_else(|reject| refused(&reject), |event| taken(&event))
    });
    outcomes.join(" ")
}

fn refused(Reject { reason, detail }: &Reject) -> String {
    assert!(Reason::ALL.contains(reason) && !detail.is_empty());
    format!("{} {}", reason.as_str(), words(detail))
}

/// How a sentence begins, without what it quotes, which may be anything.
fn words(sentence: &str) -> String {
    let own = sentence.split(['\\', '"', '`', ':']).next().unwrap_or_default();
    let words = own.split_whitespace().take(4).filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
    words.collect::<Vec<_>>().join("-")
}

fn taken(event: &Event) -> String {
    let seen = |event| SeenId::of(event, TIMESTAMP);
    assert_eq!(format!("{:?}", seen(event)), format!("{:?}", seen(&event.clone())), "an id is the event's alone");
    let body = format!("{:?}", event.body);
    body.split(|byte: char| !byte.is_ascii_alphabetic()).next().unwrap_or_default().to_owned()
}

/// Four lines: two tenants with a user each.
pub(super) fn keys(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let [tenant, user, other_tenant, other_user] = [next(), next(), next(), next()];
    let ids = [TenantId::new(tenant), TenantId::new(other_tenant)];
    let users = [UserId::new(user), UserId::new(other_user)];
    let ([Ok(tenant), Ok(other_tenant)], [Ok(user), Ok(other_user)]) = (ids, users) else { return "no id".to_owned() };
    let (mine, theirs) = (places(&tenant, &user), places(&other_tenant, &other_user));
    let same = (&tenant, &user) == (&other_tenant, &other_user);
    assert_eq!(mine.iter().any(|place| theirs.contains(place)), same, "{mine:?} and {theirs:?}");
    let kept = |id: &str| encode(id) == id;
    format!("{} {} {same}", kept(tenant.as_str()), kept(user.as_str()))
}

fn places(tenant: &TenantId, user: &UserId) -> [(String, String); 3] {
    let (keys, month) = (Keyspace::new("n"), "2026-11".parse::<Month>().expect("a month"));
    [
        (keys.users(tenant, month), encode(user.as_str()).into_owned()),
        (keys.quota(tenant), quota_field(Some(user))),
        (keys.saved(tenant, user, &OutputKind::other()), String::new()),
    ]
}

/// What no client can send as it is.
const NO_URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'#')
    .add(b'\\')
    .add(b'^')
    .add(b'|');

/// A path with its query, as a request of a client that keeps to HTTP.
pub(super) fn queries() -> impl Fn(&[u8]) -> String {
    let (runtime, app) = (
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"),
        crate::api::world_app(),
    );
    move |input| {
        let path = percent_encode(input.strip_prefix(b"/").unwrap_or(input), NO_URI).to_string();
        let Ok(request) = Request::get(format!("/{path}")).body(Body::empty()) else { return "no request".to_owned() };
        runtime.block_on(async {
            let answer = app.clone().oneshot(request).await.expect("an answer");
            let status = answer.status().as_u16();
            let body = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
            let text = String::from_utf8_lossy(&body);
            assert!(status < 500, "{status} {text}");
            let after =
                |mark| text.split(mark).nth(1).and_then(|rest: &str| rest.split('"').next()).unwrap_or_default();
            format!("{status} {} {}", after("problem:"), words(after("\"detail\":\"")))
        })
    }
}
